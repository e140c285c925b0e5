"""How a run's model is built."""

import itertools

import torch

from actdim import plugins, registry
from actdim.datasets.dataset import data_set


def build_model(settings, device="cpu"):
    """Return the model of a RunSettings with fresh weights drawn from torch's current random state."""
    model = plugins.build(registry.MODELS, settings.model, data_set(settings.dataset)).to(device)
    # Faster convolutions of images, on a GPU and on a CPU; for those of volumes torch has another format.
    of_volumes = any(values.ndim > 4 for values in itertools.chain(model.parameters(), model.buffers()))
    return model if of_volumes else model.to(memory_format=torch.channels_last)
