"""What a data set is, and the samples of one that a run uses."""

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
    """A data set: what is known of it without reading it, and how to read it."""

    shape: tuple[int, ...]  # of one sample
    classes: int
    sizes: dict[str, int]  # {"train": n, "validation": n}
    load: Callable[[], dict[str, Split]]  # {"train": Split, "validation": Split}
    vocabulary: int = 0  # number of tokens; 0 where the inputs are not tokens
    mean: tuple[float, ...] = ()  # to subtract from each channel of uint8 images, where 1 stands for 255
    std: tuple[float, ...] = ()  # to divide each channel by, after that
    class_names: tuple[str, ...] = ()  # in the order of the labels; () where they have none


def data_set(settings):
    """Return the DataSet of a DatasetSettings, not read yet, with the sizes of what a run uses.

    Raises UserError where the settings do not fit the data set.
    """
    data, name = full_data_set(settings), settings.name
    if not data.mean and settings.augmentation.is_on:
        raise UserError(f"dataset.augmentation: is for uint8 images, and {name} has none")
    wanted, available = settings.train_size, data.sizes["train"]
    if wanted is None:
        return data
    if wanted > available:
        raise UserError(f"dataset.train_size: {wanted}, and {name} has {available} for training")
    return data._replace(sizes={**data.sizes, "train": wanted})


def full_data_set(settings):
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

    The samples are the same for every run, unless a data set of the user's own draws them from the random numbers of
    the process, which the run's seed starts. The seed also decides which labels are replaced, each by a class drawn
    from all of them alike, at times its own (Zhang et al. 2017, arXiv 1611.03530).
    """
    from actdim.random_numbers import seed_random_numbers  # imported here because importing torch takes a second

    data = data_set(settings)
    seed_random_numbers(seed)
    splits = load_all_samples(settings)
    train = splits["train"]
    rows = np.sort(np.random.default_rng(0).permutation(len(train.labels))[: data.sizes["train"]])
    labels = train.labels[rows]
    random = np.random.default_rng([seed, 0, LABEL_NOISE])
    noisy = random.permutation(len(labels))[: round(settings.label_noise * len(labels))]
    labels[noisy] = random.integers(data.classes, size=len(noisy))
    return {**splits, "train": Split(train.inputs[rows], labels, train.index[rows])}


def load_all_samples(settings):
    """Return {split: Split} with all samples of a data set; UserError where they contradict its DataSet."""
    data, name = full_data_set(settings), settings.name
    splits = data.load()
    if not isinstance(splits, dict) or set(splits) != set(data.sizes):
        raise UserError(f"dataset: {name} should load a Split of train and one of validation")
    for split, samples in splits.items():
        if mistake := mistake_in(samples, data, data.sizes[split]):
            raise UserError(f"dataset: {name}: {split}: {mistake}")
    return splits


def mistake_in(samples, data, n):
    """Return what is wrong with a Split of n samples of a DataSet, as text; None where nothing is."""
    input_dtype = "int64" if data.vocabulary else "uint8" if data.mean else "float32"
    for name, shape, dtype in (
        ("inputs", (n, *data.shape), input_dtype),
        ("labels", (n,), "int64"),
        ("index", (n,), "int64"),
    ):
        array = getattr(samples, name, None)
        if not isinstance(array, np.ndarray):
            return f"{name} should be an array of numpy, not {type(array).__name__}"
        if array.shape != shape or array.dtype != dtype:
            return f"{name} are {array.dtype} {array.shape}; should be {dtype} {shape}"
    for name, values, count in (("labels", samples.labels, data.classes), ("tokens", samples.inputs, data.vocabulary)):
        if count and (values.min() < 0 or values.max() >= count):
            return f"{name} from {values.min()} to {values.max()}; should be from 0 to {count - 1}"
    return None


LABEL_NOISE = 1  # a key that separates these random numbers from others of the same seed


def check_class_weights(weights, classes):
    """Raise UserError where there is not one weight for each class."""
    if len(weights) != classes:
        raise UserError(f"training.class_weights: {len(weights)} weights for {classes} classes; write one for each")


def split_at_random(inputs, labels, train_size, seed=0):
    """Return {split: Split} with `train_size` random samples for training and the rest for validation.

    The split is the same for every run.
    """
    order = np.random.default_rng(seed).permutation(len(inputs))
    rows_of = {"train": np.sort(order[:train_size]), "validation": np.sort(order[train_size:])}
    return {split: Split(inputs[rows], labels[rows], rows) for split, rows in rows_of.items()}
