"""The cluster profile names every rule."""

import re

import yaml
from conftest import ROOT, Project

ALONE = {"train", "measure_functional_dimension"}  # long enough for a submission of their own


def test_every_rule_of_small_jobs_is_in_a_group():
    rules = set(Project(ROOT).snakemake("--list-rules", "--quiet", "all").stdout.split())
    text = "".join(path.read_text() for path in [ROOT / "Snakefile", *ROOT.glob("rules/*.smk")])
    parts = re.split(r"^(?:use rule \w+ as|rule) (\w+)", text, flags=re.MULTILINE)
    local = {name for name, text in zip(parts[1::2], parts[2::2], strict=True) if "localrule: True" in text}
    groups = yaml.safe_load((ROOT / "slurm/config.yaml").read_text())["groups"]
    assert set(groups) == rules - local - ALONE
