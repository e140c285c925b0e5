"""Reliance on single directions: what a model loses as units of a layer are ablated or disturbed (Morcos et al. 2018).

The units of a layer are its features; of an output with height and width, its feature maps; of one with positions, its
features at the position where the model reads the class.

A change of a layer is a pair (scale, shift) of shape (units,), or (n, units) if it differs between samples. It replaces
units u by scale * u + shift, and the rest of the model computes on. Ablation and noise are changes:

- an ablated unit has scale 0, and as shift the value at which it is held, 0 or its mean;
- noise has scale 1, and as shift a random value for each sample and unit.

This differs from the paper in three points: units are ablated in one layer at a time, so that layers can be compared;
accuracies are not normalized, so that the area of a network that classifies badly is small for that reason alone; and
mutual information is estimated from nearest neighbors (selectivity.py).

Many changes share a forward pass, as further samples of the batch. Up to the changed layer all of them compute the
same, so that the batch is repeated only there, in models where this is possible.
"""

import json
import zlib
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy, one_hot

from actdim.datasets.device import normalize
from actdim.measures.limits import BATCH, UNITS
from actdim.measures.selectivity import class_selectivity, mutual_information, rank_correlations
from actdim.models.layers import forward, hook_layer

VALUES = 1 << 20  # of an output under several changes; larger outputs do not fit into caches, and are slower

NO_SELECTIVITY = "class selectivity is undefined: every unit is negative on some sample or zero on all"


class Layer(NamedTuple):
    """A layer of a model, with what its units do on samples."""

    name: str
    mean: torch.Tensor  # (units,) float32: over all samples, and all places of a feature map
    std: torch.Tensor  # (units,) float32
    shares: bool  # whether changes can share what the model computes before the layer
    largest: int  # values of a sample in the largest output that is computed for each change


def seed_of_layer(seed, chosen, name):
    """Return a seed that differs between runs and layers, from `directions.seed`, a run's settings and a layer's name.

    Areas of different runs then err independently. With the same orders for all, units that happen to come first would
    count the most in every run.
    """
    return zlib.crc32(json.dumps([seed, chosen, name], sort_keys=True).encode())


def measure_directions(model, name, samples, settings, no_accuracy=None):
    """Return all measures of a layer's single directions as plain values.

    samples: {"train": device.Samples, "validation": device.Samples}; settings: measures.settings.Directions, with the
    seed of the orders and directions.
    no_accuracy: why the model's accuracy means nothing, so that what follows from it is left out; else None.
    A layer or logits that are not finite leave all of them empty, with the reason.
    """
    layer = describe_layer(model, name, samples["train"])
    reasons = {split: why_not_finite(model, name, samples[split]) for split in samples}
    if any(reasons.values()):
        return {
            "units": len(layer.mean),
            "area": dict.fromkeys(samples),
            "mean_selectivity": None,
            "reason": ", ".join(f"{split}: {reason}" for split, reason in reasons.items() if reason),
        }
    splits = [] if no_accuracy else list(samples)
    ablation = {split: ablation_curve(model, layer, samples[split], settings) for split in splits}
    noise = {split: noise_curve(model, layer, samples[split], settings) for split in splits}
    activations = mean_activations(model, name, samples["validation"]).cpu().numpy()
    labels = samples["validation"].labels.cpu().numpy()
    of_units = {
        "selectivity": class_selectivity(activations, labels),
        "mutual_information": mutual_information(activations, labels, settings.seed),
        **{f"{split}_accuracy_lost": accuracy_lost(model, layer, samples[split], settings.clamp) for split in splits},
    }
    defined = np.isfinite(of_units["selectivity"])
    return {
        "units": len(layer.mean),
        "reason": "; ".join(filter(None, [no_accuracy, None if defined.any() else NO_SELECTIVITY])) or None,
        "area": dict.fromkeys(samples) | {split: curve["area"] for split, curve in ablation.items()},
        "area_std": {split: curve["area_std"] for split, curve in ablation.items()},
        "mean_selectivity": np.nanmean(of_units["selectivity"]).item() if defined.any() else None,
        "correlations": rank_correlations(of_units),
        "ablation": ablation,
        "noise": noise,
        "of_each_unit": {key: finite_or_none(values) for key, values in of_units.items()},
    }


def ablation_curve(model, layer, samples, settings):
    """Return accuracy and loss as more and more units are ablated, and the area under the curve of accuracy.

    Units are ablated in `settings.orders` random orders. Each curve has `settings.points` fractions of the units from 0
    to 1, or fewer if there are fewer units. The area is by the trapezoid rule, so it is the mean accuracy over
    fractions: the smaller it is, the more the model relies on single directions (Morcos et al., section 2, figure 1).
    Returns {fraction: (points,), accuracy, accuracy_std, loss, loss_std: over orders, area, area_std}.
    """
    units, orders = len(layer.mean), settings.orders
    counts = np.unique(np.linspace(0, units, settings.points).round().astype(int))
    random = np.random.default_rng(settings.seed)
    ranks = np.stack([random.permutation(units) for _ in range(orders)])  # at which place each unit is ablated
    kept = torch.from_numpy(ranks[:, None] >= counts[:, None]).float().flatten(0, 1)
    curves = accuracy_and_loss(model, layer, samples, *ablations(kept, layer, settings.clamp))
    accuracy, loss = (curve.reshape(orders, -1) for curve in curves)
    areas = np.trapezoid(accuracy, counts / units, axis=1)
    return {
        "fraction": (counts / units).tolist(),
        **mean_and_std(accuracy, loss),
        "area": areas.mean().item(),
        "area_std": areas.std(ddof=orders > 1).item(),
    }


def noise_curve(model, layer, samples, settings):
    """Return accuracy and loss as a layer's units move along random directions (Morcos et al., section 2).

    The noise of each sample and unit is Gaussian, its standard deviation a strength times that of the unit; all places
    of a feature map move alike. It is drawn `settings.draws` times; all strengths share a draw.
    Returns {strength: (strengths,), accuracy, accuracy_std, loss, loss_std: over draws}.
    """
    random = torch.Generator().manual_seed(settings.seed)
    strengths = torch.tensor(settings.noise, dtype=torch.float32).view(-1, 1, 1)
    scales = torch.ones(len(strengths), 1, len(layer.mean))
    curves = []
    for _ in range(settings.draws):
        direction = torch.randn((len(samples.labels), len(layer.mean)), generator=random) * layer.std.cpu()
        curves.append(accuracy_and_loss(model, layer, samples, scales, strengths * direction))
    accuracy, loss = (np.stack(draws) for draws in zip(*curves, strict=True))
    return {"strength": list(settings.noise), **mean_and_std(accuracy, loss)}


def accuracy_lost(model, layer, samples, clamp):
    """Return (units,) float64: the accuracy lost when each unit alone is ablated; negative where ablation helps."""
    units = len(layer.mean)
    (intact,), _ = accuracy_and_loss(model, layer, samples, *ablations(torch.ones(1, units), layer, clamp))
    ablated = []
    for chosen in torch.arange(units).split(UNITS):
        kept = 1 - one_hot(chosen, units).float()
        ablated.append(accuracy_and_loss(model, layer, samples, *ablations(kept, layer, clamp))[0])
    return intact - np.concatenate(ablated)


def ablations(kept, layer, clamp):
    """Return the changes (scales, shifts) that hold the units at which kept (changes, units) is 0, and keep the others.

    clamp: the value at which they are held, "zero" or the "mean" of each unit.
    """
    values = layer.mean.cpu() if clamp == "mean" else torch.zeros(len(layer.mean))
    return kept.unsqueeze(1), ((1 - kept) * values).unsqueeze(1)


def accuracy_and_loss(model, layer, samples, scales, shifts):
    """Return (accuracy, mean cross-entropy in nats), each (changes,) float64, of samples under each change of a layer.

    scales, shifts: (changes, 1 or n, units), on any device.
    """
    changes = len(scales)
    correct, loss = torch.zeros(2, changes, dtype=torch.float64)
    at_once = max(1, VALUES // (min(BATCH, len(samples.labels)) * layer.largest))
    for start in range(0, len(samples.labels), BATCH):
        rows = slice(start, start + BATCH)
        inputs, labels = normalize(samples.inputs[rows], samples), samples.labels[rows]
        for first in range(0, changes, at_once):
            part = slice(first, first + at_once)
            scale, shift = (
                (values if values.shape[1] == 1 else values[:, rows])[part].to(inputs.device)
                for values in (scales, shifts)
            )
            logits = logits_under_changes(model, layer.name, inputs, scale, shift, layer.shares)
            correct[part] += (logits.argmax(2) == labels).sum(1).cpu()
            losses = cross_entropy(logits.flatten(0, 1).float(), labels.repeat(len(scale)), reduction="none")
            loss[part] += losses.view(len(scale), -1).double().sum(1).cpu()
    return (correct / len(samples.labels)).numpy(), (loss / len(samples.labels)).numpy()


@torch.no_grad()
def logits_under_changes(model, name, inputs, scales, shifts, shares):
    """Return the logits (changes, n, classes) of a batch under each change of a layer, in one forward pass.

    scales, shifts: (changes, 1 or n, units). shares: repeat the batch for each change only from the layer on, not from
    the start.
    """
    changes, n = len(scales), len(inputs)

    def change(values):
        values_of_changes = values.unflatten(0, (-1, n))  # (1 or changes, n, ...)
        scaled = values_of_changes * (1 - broadcast(1 - scales, values, model))
        return (scaled + broadcast(shifts, values, model)).flatten(0, 1)

    handle = hook_layer(model, name, change)
    try:
        repeated = inputs if shares else inputs.repeat(changes, *[1] * (inputs.ndim - 1))
        return model(repeated).unflatten(0, (changes, n))
    finally:
        handle.remove()


def describe_layer(model, name, samples):
    """Return the Layer of a model on device.Samples; mean and std are nan where the layer is not finite."""
    moments = torch.zeros(2, 1, dtype=torch.float64, device=samples.labels.device)
    for inputs in samples.inputs.split(BATCH):
        _, outputs = forward(model, normalize(inputs, samples), [name])
        values = by_unit(outputs[name], model).double()
        moments = moments + torch.stack([values.mean(2), values.square().mean(2)]).sum(1)
    mean, square = moments / len(samples.labels)
    std = (square - mean.square()).clamp_min(0).sqrt()
    examples = normalize(samples.inputs[:2], samples)
    shares = can_share(model, name, examples, len(mean))
    return Layer(name, mean.float(), std.float(), shares, largest_output(model, name, examples, shares))


def can_share(model, name, inputs, units):
    """Return whether sharing what comes before a layer leaves the logits as they are, by trying it on a batch.

    Inside a residual branch it does not, because the model adds to it what was computed before.
    """
    random = torch.Generator().manual_seed(0)
    scales = torch.rand((3, 1, units), generator=random).to(inputs.device)
    shifts = torch.zeros_like(scales)
    expected = logits_under_changes(model, name, inputs, scales, shifts, shares=False)
    try:
        return torch.allclose(
            logits_under_changes(model, name, inputs, scales, shifts, shares=True), expected, atol=1e-4
        )
    except RuntimeError:  # the sizes of the batch do not match
        return False


@torch.no_grad()
def largest_output(model, name, inputs, from_layer):
    """Return the values of a sample in a model's largest output; from_layer: among the layer `name` and those after."""
    sizes = []

    def note_layer(values):
        if from_layer:
            sizes.clear()
        sizes.append(values.numel() // len(inputs))

    def note(module, arguments, output):
        if isinstance(output, torch.Tensor):
            sizes.append(output.numel() // len(inputs))

    handles = [hook_layer(model, name, note_layer), *(module.register_forward_hook(note) for module in model.modules())]
    model(inputs)
    for handle in handles:
        handle.remove()
    return max(sizes)


def mean_activations(model, name, samples):
    """Return (n, units) float32: the activation of every unit on each sample, the mean over a feature map."""
    outputs = (forward(model, normalize(inputs, samples), [name])[1] for inputs in samples.inputs.split(BATCH))
    return torch.cat([by_unit(output[name], model).mean(2) for output in outputs])


def why_not_finite(model, name, samples):
    """Return in words why nothing can be measured of a layer, whose activations or logits are not finite; or None."""
    counts = dict.fromkeys(("activations", "logits"), 0)
    for inputs in samples.inputs.split(BATCH):
        logits, outputs = forward(model, normalize(inputs, samples), [name])
        for kind, values in zip(counts, (outputs[name], logits), strict=True):
            counts[kind] += (~values.flatten(1).isfinite().all(1)).sum().item()
    kind = next((kind for kind in counts if counts[kind]), None)
    return kind and f"{kind} of {counts[kind]} of {len(samples.labels)} samples are not finite"


def by_unit(output, model):
    """Return a layer's output (n, ...) as (n, units, places)."""
    if output.ndim == 3:
        output = output[:, read_out(model)]
    return output.reshape(*output.shape[:2], -1)


def broadcast(values, output, model):
    """Return values (..., units) in a shape that broadcasts to outputs (..., *shape); 0 at positions not read out."""
    if output.ndim == 3:
        is_read = torch.zeros(output.shape[1], 1, device=output.device)
        is_read[read_out(model)] = 1
        return values.unsqueeze(-2) * is_read
    return values.reshape(*values.shape, *[1] * (output.ndim - 2))


def read_out(model):
    """Return the position at which a model reads the class: its own `read_out`, or the last."""
    return getattr(model, "read_out", -1)


def mean_and_std(accuracy, loss):
    """Return mean and standard deviation of accuracy and loss, (repeats, points), over repeats, as lists."""
    ddof = int(len(accuracy) > 1)
    with np.errstate(invalid="ignore"):
        return {
            "accuracy": accuracy.mean(0).tolist(),
            "accuracy_std": accuracy.std(0, ddof=ddof).tolist(),
            "loss": finite_or_none(loss.mean(0)),
            "loss_std": finite_or_none(loss.std(0, ddof=ddof)),
        }


def finite_or_none(values):
    """Return an array of one axis as a list, with None for a number that is not finite."""
    return [value if np.isfinite(value) else None for value in values.tolist()]
