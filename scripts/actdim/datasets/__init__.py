"""What a data set is; the modules here make them (the table is in registry.py)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from actdim import registered, registry
from actdim.errors import UserError


class Split(NamedTuple):
    """Samples and their classes."""

    inputs: np.ndarray  # (n, *shape), float32 or uint8 images (channels first), or int64 tokens
    labels: np.ndarray  # (n,), int64
    index: np.ndarray  # (n,), int64: the row of each sample in the data set


class DataSet(NamedTuple):
    """A data set's shape, known without reading it, and how to read it."""

    shape: tuple[int, ...]  # of one sample
    classes: int
    sizes: dict[str, int]  # {"train": n, "validation": n}
    load: Callable[[], dict[str, Split]]  # {"train": Split, "validation": Split}
    vocabulary: int = 0  # number of tokens; 0 where the inputs are not tokens
    mean: tuple[float, ...] = ()  # of each channel of uint8 images, where 1 stands for 255
    std: tuple[float, ...] = ()


def data_set(settings):
    """Return the DataSet of a run's settings, not read yet, its sizes those of the samples that the run uses.

    Raises UserError where its settings do not fit it.
    """
    data = registered.build(registry.DATASETS, settings["dataset"])
    if len(data.shape) != 3 and any(settings["dataset"]["augmentation"].values()):
        raise UserError(f"dataset.augmentation: is for images, and {settings['dataset']['name']} has none")
    wanted, available = settings["dataset"]["train_size"], data.sizes["train"]
    if wanted is None:
        return data
    if wanted > available:
        raise UserError(f"dataset.train_size: {wanted}, and {settings['dataset']['name']} has {available} for training")
    return data._replace(sizes={**data.sizes, "train": wanted})


def load_samples(settings):
    """Return {split: Split} of a run's settings: train_size of the samples, label_noise of their labels replaced.

    Which samples is the same for every run; which labels are replaced, each by a class drawn from all alike (so by
    its own now and then; Zhang et al. 2017, arXiv 1611.03530), is up to the run's seed.
    """
    data = data_set(settings)
    splits = data.load()
    train = splits["train"]
    rows = np.sort(np.random.default_rng(0).permutation(len(train.labels))[: data.sizes["train"]])
    labels = train.labels[rows]
    random = np.random.default_rng([settings["seed"], 0, LABEL_NOISE])
    noisy = random.permutation(len(labels))[: round(settings["dataset"]["label_noise"] * len(labels))]
    labels[noisy] = random.integers(data.classes, size=len(noisy))
    return {**splits, "train": Split(train.inputs[rows], labels, train.index[rows])}


LABEL_NOISE = 1  # beside a run's seed, tells its random numbers for this from those for other things


def check_class_weights(weights, classes):
    """Raise UserError where there is not one weight for each class."""
    if len(weights) != classes:
        raise UserError(f"training.class_weights: {len(weights)} weights for {classes} classes; write one for each")


def split_at_random(inputs, labels, train_size, seed=0):
    """Split samples into `train_size` for training and the rest for validation, the same way for every run."""
    order = np.random.default_rng(seed).permutation(len(inputs))
    parts = {"train": np.sort(order[:train_size]), "validation": np.sort(order[train_size:])}
    return {name: Split(inputs[rows], labels[rows], rows) for name, rows in parts.items()}
