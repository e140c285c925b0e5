"""Event files: TensorBoard's own reader finds the values of the tables in them, and nothing depends on them."""

import copy
import importlib

import pandas as pd
import pytest
from conftest import STUDY
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

NAMES = {
    "learning_rate": "learning_rate",
    "train/loss": "train_loss",
    "train/accuracy": "train_accuracy",
    "validation/loss": "validation_loss",
    "validation/accuracy": "validation_accuracy",
}


def read(folder):
    """Return {tag: {step: value}} of a folder as TensorBoard reads it."""
    events = EventAccumulator(str(folder)).Reload()
    return {tag: {one.step: one.value for one in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def event_files(project):
    """Return all event files of a project."""
    return sorted(project.folder.glob("results/**/*tfevents*"))


def switch_on(project, study=STUDY, **config):
    """Write the study and a config that asks for event files."""
    project.write(study, tensorboard=True, **config)


def test_the_setting_adds_event_files_and_reruns_nothing(done):
    assert event_files(done) == []
    switch_on(done)
    assert done.planned() == {"write_events": 3}
    done.snakemake()
    runs = [path.relative_to(done.folder / "results/tiny").parts[:3] for path in event_files(done)]
    assert runs == [(f"weight_decay~{text}", "seed~0", "tensorboard") for text in ("0", "0.01", "0.1")]
    tables = done.folder / "results/tables"
    training, summary = pd.read_csv(tables / "training.csv"), pd.read_csv(tables / "summary.csv")
    for text in ("0", "0.01", "0.1"):
        scalars = read(done.folder / f"results/tiny/weight_decay~{text}/seed~0/tensorboard")
        assert set(scalars) == {*NAMES, "llid/twonn", "pid/twonn"}
        curves = training[training.weight_decay == float(text)].set_index("checkpoint")
        for tag, column in NAMES.items():
            assert scalars[tag] == pytest.approx(curves[column].to_dict(), rel=1e-6)
        (row,) = summary[summary.weight_decay == float(text)].itertuples()
        assert scalars["llid/twonn"] == {4: pytest.approx(row.llid, rel=1e-6)}
        assert scalars["pid/twonn"] == {4: pytest.approx(row.pid, rel=1e-6)}
    assert done.planned() == {}

    written = {path: path.read_bytes() for path in event_files(done)}
    done.snakemake("--force", str(event_files(done)[0].relative_to(done.folder)))
    assert {path: path.read_bytes() for path in event_files(done)} == written, "the same file from the same results"
    switch_on(done, STUDY | {"grid": [{"weight_decay": [0, 0.01, 0.1, 0.2]}]})
    assert done.planned()["write_events"] == 1, "a run that joins does not concern the others"
    done.write()
    assert done.planned() == {}


def test_stages_splits_classes_and_estimators(project):
    """One file has all stages of a curve and the LLID of both splits, but nothing about classes or missing values."""
    study = copy.deepcopy(STUDY)
    study["training"]["epochs"] = [2, 4]
    study["grid"] = [{"weight_decay": [0.1]}]
    study["activations"] = {"at": [2, 4], "split": ["validation", "train"], "by_class": True, "layers": ["hidden2"]}
    switch_on(project, study | {"figures": ["id_over_depth"]}, estimators={"twonn": {}, "mle": {"k": 32}, "pca": {}})
    project.snakemake("results/tiny/weight_decay~0.1/seed~0/tensorboard/events.out.tfevents.actdim")
    scalars = read(project.folder / "results/tiny/weight_decay~0.1/seed~0/tensorboard")
    assert list(scalars["train/loss"]) == [0, 1, 2, 3, 4]
    measured = {f"{m}/{e}{split}" for m in ("llid", "pid") for e in ("twonn", "mle", "pca") for split in ("", "/train")}
    assert set(scalars) == {*NAMES, *measured}
    assert all(list(scalars[tag]) == [2, 4] for tag in measured)
    assert scalars["llid/twonn"] != scalars["llid/twonn/train"]


def test_no_event_file_unless_asked_for(finished):
    assert event_files(finished) == []
    assert "write_events" not in finished.run("snakemake", "-n", "--forceall", "--quiet", "reason").stdout


def test_values_that_mean_nothing_are_left_out_and_those_that_diverged_are_not(tmp_path):
    (tmp_path / "metrics.csv").write_text(
        "epoch,learning_rate,train_loss,reason\n0,0.1,nan,losses and accuracies: the classifier is untrained\n"
        "1,0.1,2.5,\n2,0.1,nan,\n"
    )
    scalars = importlib.import_module("write_events").training_scalars([tmp_path])
    assert [(unit, tag, repr(value)) for unit, tag, value in scalars] == [
        *((unit, "learning_rate", "0.1") for unit in range(3)),
        (1, "train/loss", "2.5"),
        (2, "train/loss", "nan"),
    ]
