"""The cluster profile names the rules that there are."""

import re

import yaml
from conftest import ROOT

ALONE = {"train", "functional_dimension"}  # long enough for a submission of their own


def test_every_rule_of_small_jobs_is_in_a_group():
    text = "".join(path.read_text() for path in ROOT.glob("rules/*.smk"))
    parts = re.split(r"^(?:use rule \w+ as|rule) (\w+)", text, flags=re.MULTILINE)
    rules = dict(zip(parts[1::2], parts[2::2], strict=True))
    submitted = {name for name, text in rules.items() if "localrule: True" not in text}
    groups = yaml.safe_load((ROOT / "slurm/config.yaml").read_text())["groups"]
    assert set(groups) == submitted - ALONE
