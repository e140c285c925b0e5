"""Formatting, lint, and agreement of the environments."""

import re

import pytest
import yaml
from conftest import ROOT, Project

HERE = Project(ROOT)
RULES = ["Snakefile", *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("rules/*.smk")))]


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "format", "--check", "."),
        ("ruff", "check", "."),
        ("snakefmt", "--check", *RULES),
        pytest.param(("snakemake", "--lint"), marks=pytest.mark.snakemake),
    ],
    ids=["ruff format", "ruff check", "snakefmt", "snakemake --lint"],
)
def test_clean(command):
    done = HERE.run(*command)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_says_what_the_house_asks_of_it():
    """Also a rule without a name of its own, which a loop makes."""
    for path in RULES[1:]:
        for text in re.split(r"^ *rule\b", (ROOT / path).read_text(), flags=re.MULTILINE)[1:]:
            wanted = ("input", "output", "log", "benchmark", "resources", "conda", "message")
            if text.startswith(" plan:"):  # prints, and makes nothing
                wanted = ("log", "resources", "conda", "message")
            missing = [name for name in wanted if f"    {name}:" not in text]
            assert not missing, (path, text.split(":")[0], missing)


@pytest.mark.snakemake
def test_every_rule_has_its_program():
    rules = set(HERE.snakemake("--list-rules", "--quiet", "all").stdout.split())
    programs = {path.stem for path in ROOT.glob("scripts/*.py")}
    assert rules - {"all", "dump_activations_for_a_while"} == programs


def test_conda_environments_pin_what_pip_installs():
    lines = (ROOT / "envs/requirements.txt").read_text().splitlines()
    pins = {name.lower(): pin for name, pin in (line.split("==") for line in lines if "==" in line)}
    pins["pytorch"], pins["python-xxhash"] = pins.pop("torch"), pins.pop("xxhash")
    for path in ROOT.glob("envs/*.yaml"):
        for dependency in yaml.safe_load(path.read_text())["dependencies"][1:]:
            name, pin = dependency.split(" =")
            assert pins[name] == pin, (path.name, name)
