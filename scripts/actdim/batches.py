"""Batches: all samples lie on the device as they are stored, and are chosen, altered and normalized there."""

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import pad

AUGMENTATION = 2  # beside a run's seed, tells its random numbers for this from those for other things


class Samples(NamedTuple):
    """A split on the device."""

    inputs: torch.Tensor  # (n, *shape): float32 or uint8 images, or int64 tokens
    labels: torch.Tensor  # (n,) int64
    mean: torch.Tensor  # (channels, 1, 1) float32, of uint8 images from 0 to 255; empty for other inputs
    std: torch.Tensor


class Epoch(NamedTuple):
    """What is drawn for one pass over n samples, on the device."""

    order: torch.Tensor  # (n,) int64
    offsets: torch.Tensor  # (n, 2) int64: upper left corner of the window in the padded image
    flips: torch.Tensor  # (n,) bool
    angles: torch.Tensor  # (n,) float32, radians


def on_device(split, data, device):
    """Return the Samples of a datasets.Split of the DataSet `data`."""
    mean, std = (torch.tensor(values).reshape(len(values), 1, 1) * 255 for values in (data.mean, data.std))
    parts = (torch.from_numpy(split.inputs), torch.from_numpy(split.labels), mean, std)
    return Samples(*(part.to(device) for part in parts))


def normalize(inputs, samples):
    """Return what the model reads: uint8 images as float32 with mean 0 and deviation 1, other inputs as they are."""
    return (inputs.float() - samples.mean) / samples.std if inputs.dtype == torch.uint8 else inputs


def batches(n, batch_size):
    """Return the number of batches in an epoch: full ones, for batch norm cannot train on a rest of one sample."""
    return max(1, n // batch_size)


def take_batch(samples, settings, step):
    """Return (inputs, labels) of a step's batch as the model reads them; settings, seed and step alone decide it."""
    n, size = len(samples.labels), settings["training"]["batch_size"]
    epoch, number = divmod(step, batches(n, size))
    augmentation = settings["dataset"]["augmentation"]
    drawn = draw_epoch(
        n, settings["seed"], epoch, augmentation["crop"], augmentation["rotation"], samples.labels.device
    )
    part = slice(number * size, (number + 1) * size)
    rows = drawn.order[part]
    inputs = samples.inputs[rows]
    if any(augmentation.values()):
        flips = drawn.flips[part] if augmentation["flip"] else None
        angles = drawn.angles[part] if augmentation["rotation"] else None
        inputs = augment(inputs, augmentation["crop"], drawn.offsets[part], flips, angles)
    return normalize(inputs, samples), samples.labels[rows]


@functools.lru_cache(maxsize=1)
def draw_epoch(n, seed, epoch, crop, rotation, device):
    """Return the Epoch of n samples: once an epoch, so that no batch waits for the copy to the device."""
    order = np.random.default_rng([seed, epoch]).permutation(n)
    random = np.random.default_rng([seed, epoch, AUGMENTATION])
    offsets = random.integers(2 * crop, endpoint=True, size=(n, 2))
    flips = random.random(n) < 0.5
    angles = np.radians(random.uniform(-rotation, rotation, n)).astype(np.float32)
    return Epoch(*(torch.from_numpy(drawn).to(device) for drawn in (order, offsets, flips, angles)))


def augment(images, padding, offsets, flips=None, angles=None):
    """Return uint8 images (n, channels, height, width) cut out of black surroundings, flipped, then rotated.

    padding: pixels of black on every side; offsets: (n, 2) the window's upper left corner; flips: (n,) bool, left to
    right; angles: (n,) radians counterclockwise about the center, each pixel the nearest of the source and black
    outside it. The same as torchvision's RandomCrop, RandomHorizontalFlip and RandomRotation in turn.
    """
    n, channels, height, width = images.shape
    y = torch.arange(height, device=images.device).view(1, -1, 1)
    x = torch.arange(width, device=images.device).view(1, 1, -1)
    inside = None
    if angles is not None:
        cos, sin = angles.cos().view(-1, 1, 1), angles.sin().view(-1, 1, 1)
        from_center_y, from_center_x = y - (height - 1) / 2, x - (width - 1) / 2
        y = (sin * from_center_x + cos * from_center_y + (height - 1) / 2).round().long()
        x = (cos * from_center_x - sin * from_center_y + (width - 1) / 2).round().long()
        inside = ((y >= 0) & (y < height) & (x >= 0) & (x < width)).unsqueeze(1)
        y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)
    if flips is not None:
        x = torch.where(flips.view(-1, 1, 1), width - 1 - x, x)
    rows, columns = y + offsets[:, 0].view(-1, 1, 1), x + offsets[:, 1].view(-1, 1, 1)
    image = torch.arange(n, device=images.device).view(-1, 1, 1, 1)
    channel = torch.arange(channels, device=images.device).view(1, -1, 1, 1)
    altered = pad(images, [padding] * 4)[image, channel, rows.unsqueeze(1), columns.unsqueeze(1)]
    return altered if inside is None else altered * inside
