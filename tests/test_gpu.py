"""The workflow's tables on a GPU are those on a CPU. Skipped without a GPU."""

import os

import pandas as pd
import pytest
import torch
import yaml
from conftest import STUDY

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.mark.parametrize(
    ("precision", "tolerance", "points"),
    [("float32", 0.03, 0.01), ("auto", 0.15, 0.03)],  # relative, of ID; of accuracies
)
def test_tables_are_those_of_a_cpu(project, tmp_path, precision, tolerance, points, monkeypatch):
    study = yaml.safe_load(yaml.safe_dump(STUDY))
    study["model"], study["activations"]["at"] = {"name": "resnet18", "width": 4}, [2, 4]
    study["training"]["precision"] = precision
    project.write(study)
    on_cpu = project.copy(tmp_path / "on_cpu")
    project.snakemake("results/tables/summary.csv")
    monkeypatch.setitem(os.environ, "CUDA_VISIBLE_DEVICES", "")
    study["training"]["precision"] = "float32"
    on_cpu.write(study)
    on_cpu.snakemake("results/tables/summary.csv")
    ours, theirs = (pd.read_csv(each.folder / "results/tables/summary.csv") for each in (project, on_cpu))
    for column in ("llid", "pid"):
        pd.testing.assert_series_equal(ours[column], theirs[column], rtol=tolerance)
    for column in ("train_accuracy", "validation_accuracy"):
        pd.testing.assert_series_equal(ours[column], theirs[column], atol=points, rtol=0)
