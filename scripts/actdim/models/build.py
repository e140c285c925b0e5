"""How a run's model is built."""

import itertools

import torch

from actdim import plugins, registry
from actdim.datasets.dataset import data_set


def build_model(settings, device="cpu"):
    """Return the model of a RunSettings with fresh weights drawn from torch's current random state."""
    model = construct(settings.model, data_set(settings.dataset)).to(device)
    # Channels last makes convolutions of images faster, on a GPU and on a CPU; torch refuses it for those of volumes.
    has_volumes = any(values.ndim > 4 for values in itertools.chain(model.parameters(), model.buffers()))
    return model if has_volumes else model.to(memory_format=torch.channels_last)


def construct(settings, data):
    """Return the model of a study's section `model` for a DataSet.

    torch's fast path of attention is switched off: it skips the modules whose values are measured, and hands on nested
    tensors where a mask is given.
    """
    torch.backends.mha.set_fastpath_enabled(False)
    return plugins.build(registry.MODELS, settings, data)
