"""Runs in another folder than the workflow's: --directory, --snakefile, and as a module of another workflow."""

import pandas as pd
from conftest import STUDY, Project

OWN_MODEL = """
from torch import nn


def perceptron(data, *, width: int = 8) -> nn.Module:
    model = nn.Sequential()
    model.add_module("hidden", nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU()))
    model.add_module("classifier", nn.Linear(width, data.classes))
    model.layers = ("hidden",)
    return model
"""
OWN_STUDY = STUDY | {"model": {"name": "mine:perceptron"}, "grid": [{}], "figures": ["id_over_depth"]}
OTHER_SNAKEFILE = """
config = {"studies": ["own"], "neighbors": {"method": "exact", "k": 32}, "estimators": {"twonn": {}, "gride": {}}}


module actdim:
    snakefile: "../a clone/Snakefile"
    config: config


use rule * from actdim as actdim_*
"""


def test_everything_in_another_folder(project, tmp_path):
    """The user's own files lie there, or in the workflow's folder, and results only there. Both paths have a space."""
    clone = Project(project.folder.rename(tmp_path / "a clone"))
    other = Project(tmp_path / "another place")
    (other.folder / "studies").mkdir(parents=True)
    other.write(OWN_STUDY, "own")
    (other.folder / "mine.py").write_text(OWN_MODEL)

    done = clone.snakemake("--directory", "../another place")
    assert f"Shell command: '{clone.folder}/scripts/train.py' --study studies/own.yaml" in done.stderr
    assert (other.folder / "results/report.html").exists()
    assert not (clone.folder / "results").exists()

    assert "Nothing to be done" in other.snakemake("--snakefile", "../a clone/Snakefile", "-n").stdout
    planned = other.snakemake("--snakefile", "../a clone/Snakefile", "plan").stdout
    assert "\nown " in planned

    (other.folder / "Snakefile").write_text(OTHER_SNAKEFILE)
    assert "gride" not in set(pd.read_csv(other.folder / "results/tables/id.csv")["estimator"])
    other.snakemake("actdim_all")
    assert set(pd.read_csv(other.folder / "results/tables/id.csv")["estimator"]) == {"gride", "twonn"}


def test_the_workflows_own_studies_in_an_empty_folder(project, tmp_path):
    (project.folder / "mine.py").write_text(OWN_MODEL)
    project.write(OWN_STUDY, "own")
    (tmp_path / "empty").mkdir()
    listed = Project(tmp_path / "empty").snakemake("--snakefile", "../project/Snakefile", "-n").stdout
    assert "train" in listed


def test_an_installed_library_does_not_matter(project, tmp_path):
    """It may be of another version: `pip install .` is for notebooks."""
    (tmp_path / "installed/actdim").mkdir(parents=True)
    (tmp_path / "installed/actdim/__init__.py").write_text("raise ImportError('another version')\n")
    done = project.run("env", f"PYTHONPATH={tmp_path / 'installed'}", "snakemake", "-n", "--quiet")
    assert done.returncode == 0, done.stderr


def test_a_module_with_a_prefix_is_refused(project, tmp_path):
    (tmp_path / "Snakefile").write_text(
        OTHER_SNAKEFILE.replace("a clone", "project")
        .replace("../", "")
        .replace("    config: config\n", '    config: config\n    prefix: "elsewhere"\n')
    )
    done = Project(tmp_path).run("snakemake", "-n")
    assert done.returncode != 0
    assert "a module with `prefix`" in done.stderr
