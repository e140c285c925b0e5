"""What a data set is; the modules here make them (the table is in registry.py)."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from actdim import plugins, registry
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
    """Return the DataSet of a DatasetSettings, not read yet; its sizes are those of the samples that a run uses.

    Raises UserError where the settings do not fit the data set.
    """
    data, name = whole_set(settings), settings.name
    if not data.mean and settings.augmentation.is_on:
        raise UserError(f"dataset.augmentation: is for uint8 images, and {name} has none")
    wanted, available = settings.train_size, data.sizes["train"]
    if wanted is None:
        return data
    if wanted > available:
        raise UserError(f"dataset.train_size: {wanted}, and {name} has {available} for training")
    return data._replace(sizes={**data.sizes, "train": wanted})


def whole_set(settings):
    """Return the DataSet of a DatasetSettings, not read yet, with all its samples.

    Raises UserError where a function of the user's own returns something else.
    """
    data, name = plugins.build(registry.DATASETS, settings), settings.name
    if not isinstance(data, DataSet):
        raise UserError(f"dataset.name: {name} returns {type(data).__name__}; should return actdim.datasets.DataSet")
    if set(data.sizes) != {"train", "validation"} or min(data.sizes.values()) < 1:
        raise UserError(f"dataset: {name} has sizes {data.sizes}; should have samples of train and of validation")
    if data.mean and not (len(data.shape) == 3 and len(data.mean) == len(data.std) == data.shape[0]):
        raise UserError(
            f"dataset: {name} with a mean should be images (channels, height, width), a mean and std of each"
        )
    return data


def load_samples(settings, seed):
    """Return {split: Split} of a DatasetSettings: train_size of the samples, label_noise of their labels replaced.

    The samples are the same for every run. The run's seed decides which labels are replaced, each by a class drawn from
    all of them alike, at times its own (Zhang et al. 2017, arXiv 1611.03530).
    """
    data, splits = data_set(settings), load_whole(settings)
    train = splits["train"]
    rows = np.sort(np.random.default_rng(0).permutation(len(train.labels))[: data.sizes["train"]])
    labels = train.labels[rows]
    random = np.random.default_rng([seed, 0, LABEL_NOISE])
    noisy = random.permutation(len(labels))[: round(settings.label_noise * len(labels))]
    labels[noisy] = random.integers(data.classes, size=len(noisy))
    return {**splits, "train": Split(train.inputs[rows], labels, train.index[rows])}


def load_whole(settings):
    """Return {split: Split} with all samples of a data set; UserError where they are not what it says of itself."""
    data, name = whole_set(settings), settings.name
    splits = data.load()
    if not isinstance(splits, dict) or set(splits) != set(data.sizes):
        raise UserError(f"dataset: {name} should load a Split of train and one of validation")
    for split, samples in splits.items():
        if mistake := mistake_in(samples, data, data.sizes[split]):
            raise UserError(f"dataset: {name}: {split}: {mistake}")
    return splits


def mistake_in(samples, data, n):
    """Return what is wrong with a Split of n samples of a DataSet, as text; None where nothing is."""
    of_inputs = "int64" if data.vocabulary else "uint8" if data.mean else "float32"
    for name, shape, dtype in (
        ("inputs", (n, *data.shape), of_inputs),
        ("labels", (n,), "int64"),
        ("index", (n,), "int64"),
    ):
        array = getattr(samples, name, None)
        if not isinstance(array, np.ndarray):
            return f"{name} should be an array of numpy, not {type(array).__name__}"
        if array.shape != shape or array.dtype != dtype:
            return f"{name} are {array.dtype} {array.shape}; should be {dtype} {shape}"
    for name, values, many in (("labels", samples.labels, data.classes), ("tokens", samples.inputs, data.vocabulary)):
        if many and (values.min() < 0 or values.max() >= many):
            return f"{name} from {values.min()} to {values.max()}; should be from 0 to {many - 1}"
    return None


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
