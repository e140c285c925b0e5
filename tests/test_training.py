"""Training: the same weights, whatever happens meanwhile."""

import csv
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from actdim.datasets.dataset import DataSet, Split
from actdim.datasets.device import Samples
from actdim.errors import UserError
from actdim.study.run_settings import make_run_settings
from actdim.study.yaml_files import read_yaml
from actdim.training.batches import batches, take_batch
from actdim.training.loop import load_data
from actdim.training.settings import TrainingSettings
from actdim.training.step import learning_rate, train_step
from actdim.training.trained_model import load_trained
from conftest import ROOT
from programs import run_program

DIGITS = "dataset: {name: digits}\nmodel: {name: mlp, dropout: 0.2}\n"
STUDY = DIGITS + "training: {optimizer: adamw, lr: 0.01, batch_size: 64, epochs: 30, evaluate_every: 10}\n"


def arguments(study, output, *options):
    """The arguments of a training."""
    return ["--study", study, "--set", "weight_decay=0.1", "--output", output, *map(str, options)]


def command(*described):
    """The command line of a training that runs in a process of its own."""
    return [sys.executable, ROOT / "scripts/train.py", *arguments(*described)]


def train(study, output, *options):
    """Train and return the last checkpoint."""
    done = run_program("train", *arguments(study, output, *options))
    assert done.returncode == 0, done.stderr
    return torch.load(max(output.glob("*.pt")), weights_only=True)


def assert_identical(one, other):
    """Check that weights, optimizer state and random states agree bit for bit."""
    for part in ("model", "optimizer", "random"):
        flat_one, flat_other = (torch.utils._pytree.tree_leaves(state[part]) for state in (one, other))
        assert len(flat_one) == len(flat_other)
        for a, b in zip(flat_one, flat_other, strict=True):
            assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "study.yaml"
    path.write_text(STUDY + "checkpoints: [0, 10, 20, 30]\n")
    return path


@pytest.fixture(scope="module")
def undisturbed(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed") / "to~30"
    return train(study, folder), folder


def test_what_a_training_leaves(undisturbed):
    checkpoint, folder = undisturbed
    assert sorted(file.name for file in folder.iterdir()) == [
        "00000.pt",
        "00010.pt",
        "00020.pt",
        "00030.pt",
        "metrics.csv",
        "metrics.csv.sha256",
        "run.json",
    ]
    with open(folder / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "10", "20", "30"]
    assert float(rows[-1]["validation_accuracy"]) > 0.9
    assert float(rows[0]["train_loss"]) == pytest.approx(2.3, abs=0.2)  # ln 10
    assert checkpoint["metrics"][30]["validation_accuracy"] == float(rows[-1]["validation_accuracy"])
    assert [path.name for path in folder.parent.iterdir() if path != folder] == ["to~30.training"]


@pytest.mark.slow
def test_killed_at_random_moments(study, undisturbed, tmp_path):
    """After several SIGKILLs the weights are those of a training that was never killed."""
    output, moments, kills = tmp_path / "to~30", random.Random(0), 0
    while not output.exists():
        process = subprocess.Popen(
            command(study, output, "--save-every", "0"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if kills < 4:
            process.stdout.readline()  # training has begun
            time.sleep(moments.uniform(0, 0.15))
            process.send_signal(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
        else:
            assert process.wait() == 0
            assert "from epoch 0 to" not in process.stdout.read(), "it did not resume"
    assert kills == 4
    assert_identical(torch.load(output / "00030.pt", weights_only=True), undisturbed[0])
    assert sorted(file.name for file in output.iterdir()) == sorted(file.name for file in undisturbed[1].iterdir())
    assert (output / "metrics.csv").read_bytes() == (undisturbed[1] / "metrics.csv").read_bytes()


def test_stages_end_where_one_training_does(study, undisturbed, tmp_path):
    train(study, tmp_path / "to~10", "--until", 10)
    last = train(study, tmp_path / "to~30", "--until", 30, "--continue", tmp_path / "to~10")
    assert_identical(last, undisturbed[0])
    assert sorted(file.name for file in (tmp_path / "to~30").glob("*.pt")) == ["00020.pt", "00030.pt"]
    first, second = ((tmp_path / stage / "metrics.csv").read_text().splitlines() for stage in ("to~10", "to~30"))
    assert first + second[1:] == (undisturbed[1] / "metrics.csv").read_text().splitlines()


def noisy_points() -> DataSet:
    """A data set that draws its samples from the random numbers of the process."""

    def load():
        inputs = np.random.normal(size=(120, 6)).astype(np.float32) + random.random() + torch.rand(6).numpy()
        labels, rows = np.random.randint(3, size=120), np.arange(120)
        splits = {"train": rows[:80], "validation": rows[80:]}
        return {name: Split(inputs[part], labels[part], part) for name, part in splits.items()}

    return DataSet(shape=(6,), classes=3, sizes={"train": 80, "validation": 40}, load=load)


class Noisy(torch.nn.Module):
    """A model that draws from all random numbers when it is built, in training and in evaluation."""

    def __init__(self, classes):
        super().__init__()
        self.signs = torch.from_numpy(np.random.choice([-1.0, 1.0], size=6).astype(np.float32))  # not in its state
        self.linear = torch.nn.Linear(6, classes)

    def forward(self, x):
        noise = torch.from_numpy(np.random.normal(size=x.shape).astype(np.float32)) + torch.randn(x.shape)
        return self.linear(self.signs * (x + 0.1 * noise)) * random.uniform(0.9, 1.1)


def noisy_model(data):
    """A model of the user's own."""
    return Noisy(data.classes)


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """A study of that model, and the last checkpoint and metrics of a training that is not interrupted."""
    folder = tmp_path_factory.mktemp("noisy")
    (folder / "study.yaml").write_text(
        "dataset: {name: 'test_training:noisy_points'}\nmodel: {name: 'test_training:noisy_model'}\n"
        "training: {lr: 0.1, batch_size: 40, epochs: 6, evaluate_every: 1}\ncheckpoints: [0, 3, 4, 6]\n"
    )
    return folder / "study.yaml", train(folder / "study.yaml", folder / "to~6"), folder / "to~6/metrics.csv"


@pytest.mark.parametrize("interrupted_at", range(1, 12))
@pytest.mark.parametrize("save_every", [0, 1000])
def test_random_numbers_of_numpy_and_python_go_on(noisy, interrupted_at, save_every, tmp_path, monkeypatch):
    """From a state between two checkpoints, and from a checkpoint, whose evaluation is not repeated."""
    study, undisturbed, metrics = noisy
    with monkeypatch.context() as patched:

        def stop_at(learner, samples, settings, step, per_unit):
            if step == interrupted_at:
                raise UserError("interrupted")
            train_step(learner, samples, settings, step, per_unit)

        patched.setattr("actdim.training.loop.train_step", stop_at)
        done = run_program("train", *arguments(study, tmp_path / "to~6", "--save-every", save_every))
        assert done.stderr.splitlines() == ["train.py: interrupted"]
    np.random.seed(7)
    random.seed(7)
    assert_identical(train(study, tmp_path / "to~6"), undisturbed)
    assert (tmp_path / "to~6/metrics.csv").read_bytes() == metrics.read_bytes()


def test_what_random_numbers_draw_when_a_model_and_data_are_loaded(noisy, tmp_path):
    """The dump reads the samples, and builds the model, of the training; another seed has others."""
    study, _, metrics = noisy
    train(study, tmp_path / "to~6", "--set", "seed=1")
    signs, inputs = [], []
    for folder in (metrics.parent, metrics.parent, tmp_path / "to~6"):
        random.seed()
        np.random.seed()
        loaded = load_trained(folder / "00006.pt")
        signs.append(loaded.model.signs)
        inputs.append(load_data(loaded.settings, "cpu")["train"].inputs)
    assert torch.equal(signs[0], signs[1])
    assert torch.equal(inputs[0], inputs[1])
    assert not torch.equal(inputs[0], inputs[2])


def test_a_study_that_changed_since_the_job_was_planned(study, tmp_path):
    done = run_program("train", *arguments(study, tmp_path / "x", "--expect", "0123"))
    assert done.stderr.splitlines() == [f"train.py: {study}: changed since this job was planned; run snakemake again"]


@pytest.mark.slow
def test_cores_change_nothing(study, undisturbed, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    subprocess.run(command(study, tmp_path / "out"), env=environment, check=True, capture_output=True)
    assert_identical(torch.load(tmp_path / "out/00030.pt", weights_only=True), undisturbed[0])


def test_seeds_differ(study, undisturbed, tmp_path):
    other = train(study, tmp_path / "out", "--set", "seed=1")
    assert not torch.equal(other["model"]["classifier.weight"], undisturbed[0]["model"]["classifier.weight"])


def test_schedules_against_torch():
    """Cosine to 0 with linear warm-up, against torch's own schedulers."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50)
    settings = TrainingSettings(lr=0.3, batch_size=1, schedule={"name": "cosine", "length": 10})
    for step in range(50):
        assert learning_rate(settings, step, per_unit=5) == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)
        optimizer.step()
        schedule.step()
    assert learning_rate(settings, 50, per_unit=5) == pytest.approx(0, abs=1e-12)
    warm = TrainingSettings(lr=0.3, batch_size=1, schedule={"name": "constant", "warmup": 4})
    assert [learning_rate(warm, step, 1) for step in range(6)] == pytest.approx([0.075, 0.15, 0.225, 0.3, 0.3, 0.3])


def test_an_epoch_is_a_shuffled_pass():
    """An epoch has all full batches and no sample twice; the next has another order."""
    study = {"dataset": {"name": "digits"}, "model": {"name": "mlp"}}
    settings = make_run_settings(study | {"training": {"lr": 1, "batch_size": 10, "epochs": 2}}, {"seed": 5}, "test")
    samples = Samples(torch.zeros(103, 1), torch.arange(103), torch.zeros(0), torch.zeros(0))
    first, second = (
        torch.cat([take_batch(samples, settings, step)[1] for step in range(start, start + 10)]) for start in (0, 10)
    )
    assert batches(103, 10) == 10
    assert len(set(first.tolist())) == len(set(second.tolist())) == 100
    assert not torch.equal(first, second)


def test_one_step_is_the_textbooks(tmp_path):
    """One step of SGD with momentum and weight decay on the whole set, against the formula on plain tensors."""
    path = tmp_path / "study.yaml"
    path.write_text(
        "dataset: {name: digits, train_size: 50}\nmodel: {name: mlp, depth: 1, width: 8}\ncheckpoints: [0, 1, 2]\n"
        "training: {lr: 0.1, momentum: 0.9, batch_size: 50, steps: 2}\n"
    )
    last = train(path, tmp_path / "out")
    states = [torch.load(tmp_path / f"out/{step:05d}.pt", weights_only=True)["model"] for step in (0, 1)]
    images, labels, *_ = load_data(make_run_settings(read_yaml(path), {"seed": 0}, "test"), "cpu")["train"]
    weights = {name: value.double().requires_grad_() for name, value in states[0].items()}
    velocity = {name: torch.zeros_like(value) for name, value in weights.items()}
    for _ in range(2):
        hidden = (images.double().flatten(1) @ weights["hidden1.0.weight"].T + weights["hidden1.0.bias"]).relu()
        logits = hidden @ weights["classifier.weight"].T + weights["classifier.bias"]
        loss = -logits.log_softmax(1)[range(50), labels].mean()
        gradients = torch.autograd.grad(loss, weights.values())
        for (name, value), gradient in zip(list(weights.items()), gradients, strict=True):
            velocity[name] = 0.9 * velocity[name] + gradient + 0.1 * value.detach()
            weights[name] = (value.detach() - 0.1 * velocity[name]).requires_grad_()
    for name, value in weights.items():
        torch.testing.assert_close(last["model"][name].double(), value.detach(), rtol=1e-4, atol=1e-6)


def test_steps_of_the_learning_rate_against_torch():
    """The schedule of the paper's CIFAR-100: a fifth at epochs 60, 120 and 160."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [60, 120, 160], gamma=0.2)
    schedule_at = {"name": "steps", "at": [60, 120, 160], "factor": 0.2}
    settings = TrainingSettings(lr=0.1, batch_size=1, schedule=schedule_at)
    for epoch in range(200):
        for step in (0, 2):  # of three in an epoch
            assert learning_rate(settings, 3 * epoch + step, per_unit=3) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


@pytest.mark.parametrize("schedule", [{"name": "cosine", "length": 9}, {"name": "steps", "at": [2, 5], "factor": 0.2}])
def test_every_schedule_warms_up(schedule):
    """The schedule's rate times a factor that grows linearly to 1 at the end of the warm-up."""
    settings = [TrainingSettings(lr=0.1, batch_size=1, schedule={**schedule, "warmup": warmup}) for warmup in (0, 3)]
    rates = [[learning_rate(training, step, 4) for step in range(36)] for training in settings]
    factors = np.divide(rates[1], rates[0])
    np.testing.assert_allclose(factors[:12], np.linspace(1 / 12, 1, 12))
    assert (factors[12:] == 1).all()


def study_with(extra, folder):
    """Write the study with another setting of training; return its path."""
    path = folder / "study.yaml"
    path.write_text(STUDY.replace("{optimizer", f"{{{extra}, optimizer") + "checkpoints: [0, 10, 20, 30]\n")
    return path


@pytest.mark.slow
@pytest.mark.parametrize("extra", ["precision: bfloat16", "bottleneck: {layer: hidden2, width: 4, burn_in: 5}"])
def test_other_ways_to_train_go_on_as_well(undisturbed, tmp_path, extra):
    """Stages end at the same weights as one training; these differ from the plain training's, but are as good."""
    path = study_with(extra, tmp_path)
    whole = train(path, tmp_path / "whole")
    train(path, tmp_path / "to~10", "--until", 10)
    assert_identical(train(path, tmp_path / "to~30", "--until", 30, "--continue", tmp_path / "to~10"), whole)
    plain = undisturbed[0]
    assert not torch.equal(whole["model"]["classifier.weight"], plain["model"]["classifier.weight"])
    accuracy, expected = (state["metrics"][30]["validation_accuracy"] for state in (whole, plain))
    assert accuracy == pytest.approx(expected, abs=0.02)


@pytest.mark.slow
def test_compiled_training_is_the_same_mathematics(tmp_path):
    """Without dropout, because a compiled model draws other random numbers for it."""
    options = ("--until", 10, "--set", "dropout=0")
    plain = train(study_with("precision: float32", tmp_path), tmp_path / "plain", *options)
    compiled = train(study_with("compile: true", tmp_path), tmp_path / "compiled", *options)
    assert compiled["model"].keys() == plain["model"].keys()
    for name, value in plain["model"].items():
        torch.testing.assert_close(compiled["model"][name], value, rtol=1e-2, atol=1e-3)
