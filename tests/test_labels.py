"""Fewer samples, label noise and class weights, for several data sets."""

import json

import h5py
import numpy as np
import pytest
import torch
from actdim.datasets.dataset import DataSet, Split, load_samples
from actdim.errors import UserError
from actdim.training.batches import draw_epoch
from actdim.training.step import class_weights
from conftest import dataset_settings
from image_files import write_mnist
from PIL import Image
from programs import run_program
from scipy.stats import chisquare
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import cross_entropy


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """{name: the dataset section of a study}, for data sets of every kind."""
    folder = tmp_path_factory.mktemp("data")
    write_mnist(folder, sizes={"train": 5000, "validation": 30})
    random = np.random.default_rng(0)
    for split in ("train", "validation"):
        for name in ("cat", "dog", "fox"):
            (folder / "pets" / split / name).mkdir(parents=True)
            for number in range(10):
                pixels = random.integers(256, size=(8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / "pets" / split / name / f"{number}.png")
    return {
        "digits": {"name": "digits"},
        "modular": {"name": "modular", "modulus": 29},
        "mnist": {"name": "mnist", "folder": str(folder)},
        "imagefolder": {"name": "imagefolder", "folder": str(folder / "pets"), "size": 8},
    }


def load(dataset, seed=0, train_size=None, label_noise=0.0):
    """Return {split: Split} of a run with that seed."""
    return load_samples(dataset_settings(**dataset | {"train_size": train_size, "label_noise": label_noise}), seed)


NAMES = ["digits", "modular", "mnist", "imagefolder"]


@pytest.mark.parametrize("name", NAMES)
def test_train_size(name, known):
    """The same samples for every seed, each with its own label; a smaller set is part of a larger one."""
    every, some, fewer = (load(known[name], train_size=size) for size in (None, 20, 10))
    assert len(some["train"].labels) == len(set(some["train"].index)) == 20
    rows = np.searchsorted(every["train"].index, some["train"].index)
    for one, other in zip(some["train"], every["train"], strict=True):
        np.testing.assert_array_equal(one, other[rows])
    assert set(fewer["train"].index) < set(some["train"].index)
    np.testing.assert_array_equal(load(known[name], seed=1, train_size=20)["train"].index, some["train"].index)
    np.testing.assert_array_equal(some["validation"].inputs, every["validation"].inputs)
    with pytest.raises(UserError, match=f"dataset.train_size: 99999, and {name} has {len(every['train'].labels)} for"):
        load(known[name], train_size=99999)


@pytest.mark.parametrize("name", NAMES)
def test_label_noise(name, known):
    """The seed decides which training labels change; all else stays."""
    clean = load(known[name])
    noisy, again, other = (load(known[name], seed=seed, label_noise=0.5) for seed in (3, 3, 4))
    changed = (noisy["train"].labels != clean["train"].labels).sum()
    assert 0 < changed <= round(0.5 * len(clean["train"].labels))
    np.testing.assert_array_equal(noisy["train"].labels, again["train"].labels)
    assert (noisy["train"].labels != other["train"].labels).any()
    np.testing.assert_array_equal(noisy["train"].inputs, clean["train"].inputs)
    for one, same in zip(noisy["validation"], clean["validation"], strict=True):
        np.testing.assert_array_equal(one, same)


def many_classes() -> DataSet:
    """A data set with so many classes that a new label is hardly ever the old one."""
    split = Split(np.zeros((1001, 1), np.float32), np.zeros(1001, np.int64), np.arange(1001))
    return DataSet((1,), 10**12, {"train": 1001, "validation": 1001}, lambda: {"train": split, "validation": split})


@pytest.mark.parametrize("fraction", [0, 0.0004, 0.1, 0.25, 1 / 3, 0.9999, 1])
def test_exactly_as_many_labels_are_replaced_as_asked_for(fraction):
    dataset = {"name": "test_labels:many_classes"}
    for seed in range(3):
        assert (load(dataset, seed, label_noise=fraction)["train"].labels != 0).sum() == round(fraction * 1001)


def test_labels_are_drawn_from_all_classes_alike(known):
    """A new label equals the old one in 1 of 10 cases, so 9 of 10 chosen labels change, to all classes alike."""
    clean = load(known["mnist"])["train"].labels
    fraction = 0.3
    drawn, changes = [], []
    for seed in range(20):
        noisy = load(known["mnist"], seed=seed, label_noise=fraction)["train"].labels
        changes.append((noisy != clean).sum())
        drawn.append(noisy[(clean == 0) & (noisy != clean)])
    chosen = round(fraction * len(clean))
    assert max(changes) < chosen
    assert np.mean(changes) == pytest.approx(0.9 * chosen, abs=4 * np.sqrt(0.09 * chosen / 20))
    assert chisquare(np.bincount(np.concatenate(drawn), minlength=10)[1:]).pvalue > 0.001


def test_all_labels_replaced_or_none(known):
    clean = load(known["mnist"])["train"].labels
    np.testing.assert_array_equal(load(known["mnist"], label_noise=0.0)["train"].labels, clean)
    random = load(known["mnist"], label_noise=1.0)["train"].labels
    assert (random == clean).mean() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("name", NAMES)
def test_balanced_class_weights_are_scikit_learns(name, known):
    labels = load(known[name], train_size=25)["train"].labels
    present = np.unique(labels)
    classes = present.max() + 1
    weights = class_weights("balanced", torch.from_numpy(labels), classes).numpy()[present]
    # scikit-learn counts the classes that are present.
    expected = compute_class_weight("balanced", classes=present, y=labels) * len(present) / classes
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_stated_class_weights():
    labels = torch.tensor([0, 1, 2, 2])
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    weights = class_weights([1.0, 0.5, 2.5], labels, 3)
    losses = -logits.log_softmax(1)[range(4), labels]
    expected = (losses[0] + 0.5 * losses[1] + 2.5 * losses[2] + 2.5 * losses[3]) / 6.5
    torch.testing.assert_close(cross_entropy(logits, labels, weights), expected)
    assert class_weights(None, labels, 3) is None
    with pytest.raises(UserError, match=r"training\.class_weights: 2 weights for 3 classes; write one for each"):
        class_weights([1.0, 2.0], labels, 3)


def test_one_weighted_step_and_the_stored_labels(known, tmp_path):
    """A step of SGD against the formula with weights; the dump of the training samples has the labels trained on."""
    dataset = known["mnist"] | {"train_size": 50, "label_noise": 0.4}
    study = {
        "dataset": dataset,
        "model": {"name": "mlp", "depth": 1, "width": 8},
        "training": {"lr": 0.1, "batch_size": 50, "steps": 1, "class_weights": "balanced"},
        "checkpoints": [0, 1],
    }
    (tmp_path / "study.yaml").write_text(json.dumps(study))
    done = run_program("train", "--set", "seed=7", study=tmp_path / "study.yaml", output=tmp_path / "run")
    assert done.returncode == 0, done.stderr
    done = run_program("dump_activations", checkpoint=tmp_path / "run/00001.pt", split="train", output=tmp_path / "a")
    assert done.returncode == 0, done.stderr
    split = load(dataset, seed=7, train_size=50, label_noise=0.4)["train"]
    with h5py.File(tmp_path / "a") as file:
        np.testing.assert_array_equal(file["labels"], split.labels)
        np.testing.assert_array_equal(file["sample_index"], split.index)
    assert (split.labels != load(dataset, train_size=50)["train"].labels).any()

    before, after = (torch.load(tmp_path / f"run/0000{step}.pt", weights_only=True)["model"] for step in (0, 1))
    weights = {name: value.double().requires_grad_() for name, value in before.items()}
    images = (torch.from_numpy(split.inputs).double() / 255 - 0.1307) / 0.3081
    hidden = (images.flatten(1) @ weights["hidden1.0.weight"].T + weights["hidden1.0.bias"]).relu()
    logits = hidden @ weights["classifier.weight"].T + weights["classifier.bias"]
    labels = torch.from_numpy(split.labels)
    of_sample = (50 / (10 * torch.bincount(labels, minlength=10).clamp_min(1)))[labels]
    loss = (-of_sample * logits.log_softmax(1)[range(50), labels]).sum() / of_sample.sum()
    for (name, value), gradient in zip(weights.items(), torch.autograd.grad(loss, list(weights.values())), strict=True):
        torch.testing.assert_close(after[name].double(), value.detach() - 0.1 * gradient, rtol=1e-4, atol=1e-6)


def test_noisy_samples_are_spread_over_every_epoch(known):
    """The random numbers of the noise are independent of those that shuffle the epochs."""
    clean = load(known["digits"])["train"].labels
    noisy = np.flatnonzero(load(known["digits"], label_noise=0.2)["train"].labels != clean)
    for epoch in range(5):
        order = draw_epoch(len(clean), 0, epoch, 0, 0.0, torch.device("cpu")).order.numpy()
        assert np.isin(order[: len(order) // 5], noisy).mean() < 0.35
