"""The checked studies that Snakemake stores for its jobs on a cluster equal studies that are checked again."""

import subprocess
import sys

import pytest
from actdim.study.study import load_config_and_studies
from actdim.study.yaml_files import read_yaml
from actdim.workflow import checked_config
from conftest import ROOT


@pytest.mark.slow
def test_what_is_kept_is_what_was_checked(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").symlink_to(ROOT / "studies")
    (tmp_path / ".snakemake").mkdir()
    config = read_yaml(ROOT / "config.yaml") | {"studies": ["digits", "label_noise", "functional_dimension"]}
    checked = load_config_and_studies(config)
    checked_config.keep(config, *checked)
    plain = [checked_config.PLANNED.dump_python(planned) for planned in (checked, checked_config.kept(config))]
    assert plain[0] == plain[1]
    assert checked_config.kept(config | {"studies": ["digits"]}) is None
    script = (
        f"import sys; from actdim.workflow import checked_config; config, studies = checked_config.kept({config!r})\n"
        "run = studies['label_noise'].runs['model.name~convnet/batch_norm~true/label_noise~0.2/seed~1']\n"
        "print(run.settings.model.batch_norm, run.settings.training.threads, config.estimators['twonn_fit'].fraction)\n"
        "assert 'torch' not in sys.modules, 'slow to import, for each job of a cluster'"
    )
    done = subprocess.run([sys.executable, "-c", script], env={"PYTHONPATH": ROOT / "scripts"}, capture_output=True)
    assert done.stdout.decode().split() == ["True", "1", "0.9"], done.stderr
