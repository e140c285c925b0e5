"""What a job that takes a measure computes and holds: for the memory and time it asks for, and for the plan.

Functions named as a rule take a measure's settings, a ModelSummary, {split: samples}, the number of classes, and the
layer that the job measures, if it measures one. torch is imported where it is used, because Snakemake plans by this
module.
"""

import time
from typing import NamedTuple

from actdim.measures.limits import BATCH, UNITS


class Work(NamedTuple):
    """The work of a job, besides reading the samples and the checkpoint."""

    passes: float  # forward passes of a single sample
    flops: float  # other floating-point operations, in float64
    memory: float  # bytes


def directions(settings, model, sizes, classes, layer):
    """Return the Work of ablation and noise curves, and of ablating each unit alone: passes under each change."""
    units = model.units[layer]
    samples = sum(min(size, settings.samples) for size in sizes.values())
    curves = settings.orders * min(settings.points, units + 1) + settings.draws * len(settings.noise)
    batch = BATCH * (model.saved + 32 * model.layers[layer])
    changes = 16 * min(UNITS, units) * units
    return Work(samples * (curves + units + 1), flops=0, memory=batch + changes)


def seconds_of_ablation(model, name, samples, evaluation):
    """Return the seconds of a sample's forward pass under one of many changes of a layer.

    evaluation: the seconds of one without a change.
    """
    import torch

    from actdim.measures.directions import accuracy_and_loss, describe_layer

    layer = describe_layer(model, name, samples)
    changes = int(min(max(0.5 / (len(samples.labels) * evaluation), 1), 100))
    scales = torch.ones(changes, 1, len(layer.mean))
    begun = time.perf_counter()
    accuracy_and_loss(model, layer, samples, scales, 1 - scales)
    return (time.perf_counter() - begun) / (changes * len(samples.labels))


def functional_dimension(settings, model, sizes, classes, layer=None):
    """Return the Work of a Jacobian and its QR decomposition, with a copy of the model in float64.

    The last of the growing Jacobians (`full`) is taken to be as large as memory allows, or four times as tall as wide.
    """
    limit, columns = 1e9 * settings.memory, model.parameters
    rows = min(settings.samples, sizes[settings.split]) * classes
    if settings.full:
        rows = max(rows, min(4 * columns, int(limit / (8 * columns))))
    short, long = sorted((rows, columns))
    matrices = limit if settings.full else min(limit, 8 * short * (2 * long + short))
    return Work(3 * rows, flops=2 * short**2 * (long + 2 * short), memory=8 * columns + matrices)


def norms(settings, model, sizes, classes, layer=None):
    """Return the Work of the margins, and of power iterations, each a forward and a backward pass in float64."""
    return Work(sizes["train"], flops=3 * 200 * model.flops, memory=BATCH * model.saved + 40 * model.parameters)
