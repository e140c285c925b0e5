"""Reliance on single directions: what a model loses as its units are held fixed or disturbed (Morcos et al. 2018).

The units of a layer are its features; its feature maps, where it has height and width; its features at the position
where the class is read, where it has positions. A change of a layer is (scale, shift), each (units,), or (n, units) to
tell samples apart: units u become scale * u + shift.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy, one_hot

from actdim.datasets.device import normalize
from actdim.measures.limits import BATCH, UNITS
from actdim.models.layers import forward

VALUES = 1 << 20  # of an output at once: more samples and changes than a cache holds are slower


class Layer(NamedTuple):
    """A layer of a model, by what its units do on samples."""

    name: str
    mean: torch.Tensor  # (units,) float32: over all samples, and all locations of a feature map
    std: torch.Tensor  # (units,) float32
    shared: bool  # whether changes can share what the model computes before the layer
    largest: int  # values of a sample in the largest output that is computed for every change


def observe(model, name, samples):
    """Return the Layer of a model as it is on batches.Samples; mean and std are nan where it is not finite."""
    moments = torch.zeros(2, 1, dtype=torch.float64, device=samples.labels.device)
    for inputs in samples.inputs.split(BATCH):
        _, outputs = forward(model, normalize(inputs, samples), [name])
        values = by_unit(outputs[name], model).double()
        moments = moments + torch.stack([values.mean(2), values.square().mean(2)]).sum(1)
    mean, square = moments / len(samples.labels)
    std = (square - mean.square()).clamp_min(0).sqrt()
    few = normalize(samples.inputs[:2], samples)
    shared = can_share(model, name, few, len(mean))
    return Layer(name, mean.float(), std.float(), shared, largest_output(model, name, few, shared))


def activations_of_units(model, name, samples):
    """Return (n, units) float32: the activation of every unit on each sample, the mean over a feature map."""
    outputs = (forward(model, normalize(inputs, samples), [name])[1] for inputs in samples.inputs.split(BATCH))
    return torch.cat([by_unit(output[name], model).mean(2) for output in outputs])


def not_finite(model, name, samples):
    """Return why a layer of a model cannot be probed on batches.Samples, in words; None where it can."""
    counts = dict.fromkeys(("activations", "logits"), 0)
    for inputs in samples.inputs.split(BATCH):
        logits, outputs = forward(model, normalize(inputs, samples), [name])
        for what, values in zip(counts, (outputs[name], logits), strict=True):
            counts[what] += (~values.flatten(1).isfinite().all(1)).sum().item()
    lost = next((what for what in counts if counts[what]), None)
    return lost and f"{lost} of {counts[lost]} of {len(samples.labels)} samples are not finite"


def by_unit(output, model):
    """Return a layer's output (n, ...) as (n, units, locations)."""
    if output.ndim == 3:
        output = output[:, read_out(model)]
    return output.reshape(*output.shape[:2], -1)


def read_out(model):
    """Return the position at which a model reads the class: its own `read_out`, or the last."""
    return getattr(model, "read_out", -1)


def spread(values, output, model):
    """Return values (..., units) so that they broadcast to outputs (..., *shape) of a layer; 0 at other positions."""
    if output.ndim == 3:
        here = torch.zeros(output.shape[1], 1, device=output.device)
        here[read_out(model)] = 1
        return values.unsqueeze(-2) * here
    return values.reshape(*values.shape, *[1] * (output.ndim - 2))


@torch.no_grad()
def logits_after(model, name, inputs, scales, shifts, shared):
    """Return the logits (changes, n, classes) of a batch under each change of a layer, in one forward pass.

    scales, shifts: (changes, 1 or n, units). shared: the model computes what comes before the layer once, for the
    batch alone multiplies there; else the batch holds the samples once for each change from the start.
    """
    changes, n = len(scales), len(inputs)

    def change(module, arguments, output):
        each = output.unflatten(0, (-1, n))  # (1 or changes, n, ...)
        return (each * (1 - spread(1 - scales, output, model)) + spread(shifts, output, model)).flatten(0, 1)

    handle = model.get_submodule(name).register_forward_hook(change)
    try:
        repeated = inputs if shared else inputs.repeat(changes, *[1] * (inputs.ndim - 1))
        return model(repeated).unflatten(0, (changes, n))
    finally:
        handle.remove()


def can_share(model, name, inputs, units):
    """Return whether logits_after gives the same if it shares, tried on a batch.

    It cannot inside a residual branch, say, to which the model adds what was computed before.
    """
    random = torch.Generator().manual_seed(0)
    scales = torch.rand((3, 1, units), generator=random).to(inputs.device)
    shifts = torch.zeros_like(scales)
    apart = logits_after(model, name, inputs, scales, shifts, shared=False)
    try:
        return torch.allclose(logits_after(model, name, inputs, scales, shifts, shared=True), apart, atol=1e-4)
    except RuntimeError:  # sizes that do not fit
        return False


@torch.no_grad()
def largest_output(model, name, inputs, after):
    """Return the values of a sample in the largest output of any module; after: of a layer's own and those after it."""
    sizes = []

    def note(module, arguments, output):
        if after and module is model.get_submodule(name):
            sizes.clear()
        if isinstance(output, torch.Tensor):
            sizes.append(output.numel() // len(inputs))

    handles = [module.register_forward_hook(note) for module in model.modules()]
    model(inputs)
    for handle in handles:
        handle.remove()
    return max(sizes)


def scores(model, layer, samples, scales, shifts):
    """Return (accuracy, mean cross-entropy in nats), each (changes,) float64, of samples under each change of a layer.

    scales, shifts: (changes, 1 or n, units), on the device of the samples or not.
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
                (of if of.shape[1] == 1 else of[:, rows])[part].to(inputs.device) for of in (scales, shifts)
            )
            logits = logits_after(model, layer.name, inputs, scale, shift, layer.shared)
            correct[part] += (logits.argmax(2) == labels).sum(1).cpu()
            every = labels.repeat(len(scale))
            losses = cross_entropy(logits.flatten(0, 1).float(), every, reduction="none")
            loss[part] += losses.view(len(scale), -1).double().sum(1).cpu()
    return (correct / len(samples.labels)).numpy(), (loss / len(samples.labels)).numpy()


def ablation_curve(model, layer, samples, *, clamp, orders, points, seed):
    """Return accuracy and loss as ever more units are held at a value, with the area under the curve of accuracy.

    Units go in `orders` random orders; each curve has `points` fractions from 0 to 1, or as many as there are units.
    clamp: "zero", or "mean" for each unit's own. The area is by the trapezoid rule, so it is the mean accuracy over
    fractions: the smaller, the more the model relies on single directions (Morcos et al., section 2 and figure 1).
    Returns {fraction: (points,), accuracy, accuracy_std, loss, loss_std: over orders, area, area_std}.
    """
    units = len(layer.mean)
    counts = np.unique(np.linspace(0, units, points).round().astype(int))
    random = np.random.default_rng(seed)
    ranks = np.stack([random.permutation(units) for _ in range(orders)])  # when each unit goes
    kept = torch.from_numpy(ranks[:, None] >= counts[:, None]).float().flatten(0, 1)
    found = scores(model, layer, samples, *ablations(kept, layer, clamp))
    accuracy, loss = (of.reshape(orders, -1) for of in found)
    areas = np.trapezoid(accuracy, counts / units, axis=1)
    return {
        "fraction": (counts / units).tolist(),
        **over_repeats(accuracy, loss),
        "area": areas.mean().item(),
        "area_std": areas.std(ddof=orders > 1).item(),
    }


def noise_curve(model, layer, samples, *, noise, draws, seed):
    """Return accuracy and loss as a layer is moved along random directions.

    Each sample's units move by Gaussian noise, each unit by the strength times its own standard deviation; a feature
    map moves as a whole. `draws` times anew, one draw the same for all strengths (Morcos et al., section 2).
    Returns {strength: (strengths,), accuracy, accuracy_std, loss, loss_std: over draws}.
    """
    random = torch.Generator().manual_seed(seed)
    strengths = torch.tensor(noise, dtype=torch.float32).view(-1, 1, 1)
    scales = torch.ones(len(noise), 1, len(layer.mean))
    found = []
    for _ in range(draws):
        direction = torch.randn((len(samples.labels), len(layer.mean)), generator=random) * layer.std.cpu()
        found.append(scores(model, layer, samples, scales, strengths * direction))
    accuracy, loss = (np.stack(of) for of in zip(*found, strict=True))
    return {"strength": noise, **over_repeats(accuracy, loss)}


def over_repeats(accuracy, loss):
    """Return mean and standard deviation over the first axis of accuracy and loss, (repeats, points), as lists.

    A loss that is not finite, as changes of a layer can make it, is None.
    """
    ddof = int(len(accuracy) > 1)
    with np.errstate(invalid="ignore"):
        return {
            "accuracy": accuracy.mean(0).tolist(),
            "accuracy_std": accuracy.std(0, ddof=ddof).tolist(),
            "loss": numbers(loss.mean(0)),
            "loss_std": numbers(loss.std(0, ddof=ddof)),
        }


def numbers(values):
    """Return an array of one axis as a list of numbers, None for one that is not finite."""
    return [value if np.isfinite(value) else None for value in values.tolist()]


def accuracy_lost(model, layer, samples, clamp):
    """Return (units,) float64: the accuracy that each unit's ablation alone costs; negative where it helps."""
    units = len(layer.mean)
    (whole,), _ = scores(model, layer, samples, *ablations(torch.ones(1, units), layer, clamp))
    left = []
    for some in torch.arange(units).split(UNITS):
        accuracy, _ = scores(model, layer, samples, *ablations(1 - one_hot(some, units).float(), layer, clamp))
        left.append(accuracy)
    return whole - np.concatenate(left)


def ablations(kept, layer, clamp):
    """Return the changes (scales, shifts) of a layer that keep units where kept (changes, units) is 1, not where 0."""
    held = layer.mean.cpu() if clamp == "mean" else torch.zeros(len(layer.mean))
    return kept.unsqueeze(1), ((1 - kept) * held).unsqueeze(1)
