"""Batches: all samples are on the device, as stored; they are selected, augmented and normalized there."""

import functools
from typing import NamedTuple

import numpy as np
import torch

from actdim.datasets.device import normalize
from actdim.training.augmentation import augment

AUGMENTATION = 2  # with the run's seed, the seed of these random numbers


class Epoch(NamedTuple):
    """The random numbers of one pass over n samples, on the device."""

    order: torch.Tensor  # (n,) int64
    offsets: torch.Tensor  # (n, 2) int64: upper left corner of the window in the padded image
    flips: torch.Tensor  # (n,) bool
    angles: torch.Tensor  # (n,) float32, radians


def batches(n, batch_size):
    """Return the number of full batches in an epoch; batch norm could not train on a last batch of one sample."""
    return max(1, n // batch_size)


def take_batch(samples, settings, step):
    """Return (inputs, labels) of a step's batch as the model reads them; settings, seed and step alone decide it."""
    n, size = len(samples.labels), settings.training.batch_size
    epoch, number = divmod(step, batches(n, size))
    augmentation = settings.dataset.augmentation
    drawn = draw_epoch(n, settings.seed, epoch, augmentation.crop, augmentation.rotation, samples.labels.device)
    part = slice(number * size, (number + 1) * size)
    rows = drawn.order[part]
    inputs = samples.inputs[rows]
    if augmentation.is_on:
        flips = drawn.flips[part] if augmentation.flip else None
        angles = drawn.angles[part] if augmentation.rotation else None
        inputs = augment(inputs, augmentation.crop, drawn.offsets[part], flips, angles)
    return normalize(inputs, samples), samples.labels[rows]


@functools.lru_cache(maxsize=1)
def draw_epoch(n, seed, epoch, crop, rotation, device):
    """Return the Epoch of n samples; drawn once an epoch, so that no batch waits for a copy to the device."""
    order = np.random.default_rng([seed, epoch]).permutation(n)
    random = np.random.default_rng([seed, epoch, AUGMENTATION])
    offsets = random.integers(2 * crop, endpoint=True, size=(n, 2))
    flips = random.random(n) < 0.5
    angles = np.radians(random.uniform(-rotation, rotation, n)).astype(np.float32)
    return Epoch(*(torch.from_numpy(drawn).to(device) for drawn in (order, offsets, flips, angles)))
