"""How a run's model is built."""

import itertools

import torch

from actdim import plugins, registry
from actdim.datasets.dataset import data_set


def build_model(settings, device="cpu"):
    """Return the model of a RunSettings with fresh weights drawn from torch's current random state."""
    model = plugins.build(registry.MODELS, settings.model, data_set(settings.dataset)).to(device)
    # Channels last makes convolutions of images faster, on a GPU and on a CPU; torch refuses it for those of volumes.
    has_volumes = any(values.ndim > 4 for values in itertools.chain(model.parameters(), model.buffers()))
    return model if has_volumes else model.to(memory_format=torch.channels_last)
