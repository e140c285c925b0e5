"""What a Snakemake keeps for its jobs on a cluster is what they would find by checking the studies again."""

from actdim.study.study import load_all
from actdim.study.yaml_files import read_yaml
from actdim.workflow import checked_config
from conftest import ROOT


def test_what_is_kept_is_what_was_checked(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").symlink_to(ROOT / "studies")
    (tmp_path / ".snakemake").mkdir()
    config = read_yaml(ROOT / "config.yaml") | {"studies": ["digits", "label_noise", "functional_dimension"]}
    checked = load_all(config)
    checked_config.keep(config, *checked)
    assert checked_config.kept(config) == checked
    assert checked_config.kept(config | {"studies": ["digits"]}) is None
