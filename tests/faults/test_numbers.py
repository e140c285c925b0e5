"""Values that are not finite: what goes wrong in a layer or training costs only its own values, each with a reason."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import copy_project

MINE = """
import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def forward(self, x):
        values = x.detach().clone()
        if self.kind == "constant":
            values[:] = 0.1
        elif self.kind == "few":  # all samples but one of a batch are the same
            values = values * (torch.arange(len(x)) == 0).unsqueeze(1)
        elif self.kind == "large":
            values = 1e5 * values
        elif self.kind != "clean":
            values[: len(values) // 2, 0] = float(self.kind)
        return values


class Odd(nn.Module):
    layers = ("constant", "few", "large", "some_nan", "hidden")

    def __init__(self, features, classes, width, spoiled):
        super().__init__()
        self.constant, self.few, self.large = Layer("constant"), Layer("few"), Layer("large")
        self.some_nan = Layer("nan")
        self.hidden = nn.Sequential(nn.Linear(features, width), nn.ReLU())
        self.classifier = nn.Linear(width, classes)
        self.spoiled = Layer("nan" if spoiled else "clean")

    def forward(self, inputs):
        x = inputs.flatten(1)
        for layer in (self.constant, self.few, self.large, self.some_nan):
            layer(x)
        logits = self.classifier(self.hidden(x))
        return logits if self.training else logits + 0 * self.spoiled(logits)


def odd(data, *, width: int = 12, spoiled: bool = False) -> nn.Module:
    return Odd(data.shape[0] * data.shape[1] * data.shape[2], data.classes, width, spoiled)
"""
ESTIMATORS = {"twonn": {}, "pca": {}}  # all meet such values in test_properties.py
STUDY = {
    "dataset": {"name": "digits", "train_size": 120},
    "model": {"name": "mine:odd"},
    "training": {"optimizer": "sgd", "batch_size": 40, "epochs": 2},
    "grid": [{"lr": [0.01, 0.1, 1e30]}],
    "checkpoints": [1, 2],
    "activations": {"at": [2]},
    "directions": {"at": [2], "layers": ["some_nan", "hidden"], "orders": 2, "points": 3, "draws": 1, "samples": 50},
    "functional_dimension": {"at": [2], "samples": 5},
    "figures": ["llid", "pid", "pid_over_llid", "grokking", "id_over_depth", "scale_check"],
}


def read(odd, table):
    return pd.read_csv(odd.folder / f"results/tables/{table}.csv")


@pytest.fixture(scope="session")
def odd(make_once):
    """A finished project: a model with layers that go wrong, and a training that diverges. Do not change it."""

    def make(project):
        copy_project(project.folder)
        (project.folder / "mine.py").write_text(MINE)
        project.write(STUDY, neighbors={"method": "exact", "k": 8}, estimators=ESTIMATORS, tensorboard=True)
        (project.folder / "stderr").write_text(project.snakemake().stderr)

    return make_once("odd", make)


def test_every_value_is_a_number_or_has_a_reason(odd):
    ids = read(odd, "id")
    assert (ids["id"].isna() == ids["reason"].notna()).all()
    assert (ids["id"].dropna() > 0).all()
    assert np.isfinite(ids["id"].dropna()).all()
    usual = ids.query("lr < 1").set_index("layer")
    assert usual.loc["hidden", "id"].notna().all()
    assert usual.loc["large", "id"].notna().all()
    assert usual.loc["input", "id"].notna().all()
    assert (usual.loc["constant", "reason"].str.startswith("all points are the same")).all()
    assert usual.loc["some_nan", "reason"].str.contains("not finite").all()
    neighbors = usual[usual["estimator"] != "pca"]
    lost = neighbors.loc["some_nan", "reason"].str.extract(r"^(\d+) of (\d+) points are not finite")
    assert set(lost[1]) == {"900"}
    assert lost[0].astype(int).between(400, 500).all(), "the first half of each batch"
    assert (neighbors.loc["few", ["n_points", "n_copies"]] == [10, 890]).all(axis=None), "one of a batch, and 0"
    assert usual.query("estimator == 'pca'").loc["few", "id"].notna().all()
    diverged = ids.query("lr > 1 and layer == 'hidden'")
    assert diverged["reason"].str.contains("not finite").all()
    assert len(diverged) == len(ESTIMATORS)


def test_the_other_tables_say_why_too(odd):
    summary, measures, training = (read(odd, table) for table in ("summary", "measures", "training"))
    assert summary.query("lr < 1")["llid"].notna().all()
    assert summary.query("lr > 1")["llid"].isna().all()
    assert summary.query("lr > 1")["reason"].str.contains("ID of hidden: .*not finite").all()
    assert summary["reason"].str.contains("ID of constant: all points are the same").all()
    diverged = measures.query("lr > 1 and checkpoint == 2")
    assert len(diverged) == 1
    assert diverged["reason"].str.contains("directions of hidden: .*not finite").all()
    assert diverged["reason"].str.contains("functional dimension: .*not finite").all()
    assert diverged["functional_dimension_over_bound"].isna().all()
    assert measures.query("lr < 1 and checkpoint == 2")["functional_dimension_over_bound"].notna().all()
    assert measures.query("lr < 1 and checkpoint == 2")["train_ablation_area"].notna().all(), "of the other layers"
    lost = training.query("lr > 1 and checkpoint > 0")
    assert len(lost) == 2
    assert (lost["reason"] == "train loss, validation loss not finite: training diverged").all()
    assert lost["train_loss"].isna().all()
    assert training.query("lr < 1")["reason"].isna().all()


def test_everything_else_is_there(odd):
    estimates = list(odd.folder.glob("results/tiny/**/*.json"))
    assert len(estimates) > 3 * 6 * len(ESTIMATORS)
    for path in estimates:
        json.loads(path.read_text(), parse_constant=pytest.fail)
    assert (odd.folder / "results/report.html").stat().st_size > 1e5
    for figure in STUDY["figures"]:
        assert (odd.folder / f"results/figures/tiny/{figure}.png").stat().st_size > 5000
    logs = list(odd.folder.glob("results/**/*.log"))
    assert len(logs) > len(estimates)
    for log in logs:
        assert "Warning" not in log.read_text(), log.read_text()


def test_the_run_ends_with_what_is_missing(odd):
    lines = missing_values((odd.folder / "stderr").read_text())
    text = "\n".join(lines)
    for layer, reason in (("constant", "all points are the same"), ("some_nan", r"\d+ of \d+ points are not finite")):
        assert re.search(rf"^tiny: \d+ of \d+ rows of id.csv, layer .*{layer}.*: {reason}", text, re.M), text
    assert re.search(r"^tiny: \d of 9 rows of training.csv, checkpoint 1 2: .* training diverged$", text, re.M)
    assert re.search(r"^tiny: \d+ of \d+ rows of measures.csv, .*: directions of hidden: ", text, re.M)
    assert len(lines) < 30


def test_the_run_ends_with_the_copies(odd):
    (line,) = [line for line in (odd.folder / "stderr").read_text().splitlines() if "exact copies" in line]
    assert line.startswith("tiny: exact copies of points are left out of the ID, layer ")
    assert "up to 890 of 900 points, layer few at " in line


def missing_values(stderr):
    """Return the lines in which Snakemake reports missing values."""
    lines = stderr.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Some values are missing"))
    return [line for line in lines[start:] if line.startswith(("Some values", "tiny: "))]


def test_a_run_says_only_what_it_lacks(done):
    """The last layer of 16 features has too few eigenvalues for alpha-ReQ, and nothing else is missing or a copy."""
    stderr = done.snakemake("--forcerun", "plot_predictors").stderr
    _, line = missing_values(stderr)
    assert line.startswith("tiny: 3 of 3 rows of measures.csv, estimator twonn, checkpoint 4: alpha-ReQ: ")
    assert "exact copies" not in stderr
