"""Samples on the device, as the model reads them."""

from typing import NamedTuple

import torch


class Samples(NamedTuple):
    """A split on the device."""

    inputs: torch.Tensor  # (n, *shape): float32 or uint8 images, or int64 tokens
    labels: torch.Tensor  # (n,) int64
    mean: torch.Tensor  # (channels, 1, 1) float32, of uint8 images from 0 to 255; empty for other inputs
    std: torch.Tensor


def on_device(split, data, device):
    """Return a Split of the DataSet `data` as Samples on a device."""
    mean, std = (torch.tensor(values).reshape(len(values), 1, 1) * 255 for values in (data.mean, data.std))
    tensors = (torch.from_numpy(split.inputs), torch.from_numpy(split.labels), mean, std)
    return Samples(*(tensor.to(device) for tensor in tensors))


def normalize(inputs, samples):
    """Return inputs as the model reads them: uint8 images normalized to float32, others as they are."""
    return (inputs.float() - samples.mean) / samples.std if inputs.dtype == torch.uint8 else inputs
