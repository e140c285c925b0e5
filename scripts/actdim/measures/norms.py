"""Margin, norms of the weights and their products, path norm, distance from the start, number of parameters.

As Jiang et al. 2020 (arXiv 1912.02178) define them. Batch norm in evaluation mode is linear, and the weights of a layer
say nothing without it: with mean m, variance v, scale g and shift b of a batch norm that reads the output of W x + c,

    W' = W g / sqrt(v + eps)    c' = (c - m) g / sqrt(v + eps) + b

are the weights and the bias that count. A batch norm that reads anything else is a layer with diagonal weights. Which
one it reads is seen in a forward pass, by the identity of the tensors.

The norm of a convolution is that of the linear map that it applies to an image, with its stride and padding. The
largest singular value is found by power iteration.
"""

import copy
import functools
import math
from typing import NamedTuple

import torch
from torch import nn

from actdim.datasets.device import normalize
from actdim.estimators.ratios import NoEstimate
from actdim.measures.limits import BATCH

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
RELUS = (nn.ReLU, nn.Identity)
ITERATIONS, CHANGE = 2000, 1e-8  # of power iteration: at most so many, until a step changes the norm by less


class Layer(NamedTuple):
    """A linear layer as evaluation computes it, in float64."""

    module: nn.Module
    weight: torch.Tensor  # of a batch norm alone, (features,): the diagonal
    bias: torch.Tensor | None
    shape: tuple  # of the input of one sample
    norm: nn.Module | None  # the batch norm folded in


def measure_norms(model, start, samples, percentile, no_accuracy=None):
    """Return the measures as plain values, and `undefined`: {measure: why it is None}.

    model: in evaluation mode; start: the same model before training; samples: device.Samples of training.
    percentile: of the margins of all samples, which is the margin. no_accuracy: why the model lacks the samples'
    classes, so that it has no margin; else None.
    """
    values, undefined = {}, {}
    layers = functools.cache(lambda: linear_layers(model, samples))

    def add(name, measure, *data):
        try:
            values[name] = measure(*data)
            if not math.isfinite(values[name]):
                raise NoEstimate("not finite")
        except NoEstimate as reason:
            values[name], undefined[name] = None, str(reason)

    def margin_of_its_classes():
        if no_accuracy:
            raise NoEstimate(no_accuracy)
        return margin(model, samples, percentile)

    add("margin", margin_of_its_classes)
    add("log_spectral_norms", lambda: log_squares(map(spectral_norm, layers())))
    add("log_frobenius_norms", lambda: log_squares(map(frobenius_norm, layers())))
    add("log_path_norm", lambda: log_path_norm(model, layers(), samples))
    for name in ("log_spectral_norms", "log_frobenius_norms", "log_path_norm"):
        add(f"{name}_over_margin", over_margin, values[name], values["margin"])
    add("distance_from_start", distance, model, start)
    values["parameters"] = sum(weights.numel() for weights in model.parameters())
    return {**values, "undefined": undefined}


@torch.no_grad()
def margin(model, samples, percentile):
    """Return a percentile over samples of the logit of their class less the largest other one."""
    margins = []
    for inputs, labels in zip(samples.inputs.split(BATCH), samples.labels.split(BATCH), strict=True):
        logits = model(normalize(inputs, samples)).double()
        logits_of_class = logits.gather(1, labels[:, None])[:, 0]
        margins.append(logits_of_class - logits.scatter(1, labels[:, None], -math.inf).amax(1))
    margins = torch.cat(margins)
    if not margins.isfinite().all():
        raise NoEstimate("logits are not finite")
    return torch.quantile(margins.cpu(), percentile / 100).item()


def over_margin(log_norm, margin):
    """Return log (norm^2 / margin^2) of log norm^2."""
    if log_norm is None or margin is None:
        raise NoEstimate("the norm or the margin is undefined")
    if margin <= 0:
        raise NoEstimate("the margin is not above 0")
    return log_norm - 2 * math.log(margin)


@torch.no_grad()
def linear_layers(model, samples):
    """Return the Layers of a model in the order in which it computes them.

    Raises NoEstimate where it has parameters in other modules than linear layers, convolutions and batch norms, or
    computes one of these several times, which these norms do not describe; or where parameters are not finite.
    """
    require_linear(model)
    layers, outputs, handles, computed = {}, [], [], set()

    def note(module, inputs, output):
        if module in computed:
            raise NoEstimate(f"the model computes a {type(module).__name__} several times")
        computed.add(module)
        source = next((other for tensor, other in reversed(outputs) if tensor is inputs[0]), None)
        if isinstance(module, BATCH_NORMS) and source is not None and layers[source].norm is None:
            layers[source] = fold(layers[source], module)
        elif isinstance(module, BATCH_NORMS):
            scale, shift = scale_and_shift(module)
            layers[module] = Layer(module, scale, shift, tuple(inputs[0].shape[1:]), None)
        else:
            bias = None if module.bias is None else module.bias.double()
            layers[module] = Layer(module, module.weight.double(), bias, tuple(inputs[0].shape[1:]), None)
            outputs.append((output, module))

    for module in model.modules():
        if isinstance(module, (nn.Linear, *CONVOLUTIONS, *BATCH_NORMS)):
            handles.append(module.register_forward_hook(note))
    try:
        model(normalize(samples.inputs[:1], samples))
    finally:
        for handle in handles:
            handle.remove()
    return list(layers.values())


def require_linear(model):
    """Raise NoEstimate where linear_layers does not describe a model."""
    known = (nn.Linear, *CONVOLUTIONS, *BATCH_NORMS)
    others = {
        type(module).__name__
        for module in model.modules()
        if list(module.parameters(recurse=False)) and not isinstance(module, known)
    }
    if others:
        raise NoEstimate(f"the model has {' and '.join(sorted(others))}")
    if any(isinstance(module, BATCH_NORMS) and module.running_var is None for module in model.modules()):
        raise NoEstimate("a batch norm has no running statistics")
    if not all(values.isfinite().all() for values in model.state_dict().values()):
        raise NoEstimate("weights are not finite")


def scale_and_shift(norm):
    """Return the linear map (features,), (features,) of a batch norm in evaluation mode, in float64."""
    scale = 1 / (norm.running_var.double() + norm.eps).sqrt()
    shift = -norm.running_mean.double() * scale
    if norm.affine:
        scale, shift = scale * norm.weight.double(), shift * norm.weight.double() + norm.bias.double()
    return scale, shift


def fold(layer, norm):
    """Return a Layer with the batch norm that reads its output folded in."""
    scale, shift = scale_and_shift(norm)
    weight = layer.weight * scale.reshape(-1, *[1] * (layer.weight.ndim - 1))
    return layer._replace(weight=weight, bias=shift if layer.bias is None else layer.bias * scale + shift, norm=norm)


def log_squares(norms):
    """Return the log of the product of squared norms."""
    norms = list(norms)
    if not all(norms):
        raise NoEstimate("the weights of a layer are 0")
    return sum(2 * math.log(norm) for norm in norms)


def frobenius_norm(layer):
    """Return the square root of the sum of squared weights."""
    return layer.weight.norm().item()


def spectral_norm(layer):
    """Return the largest singular value of a Layer."""
    if layer.weight.ndim == 1:
        return layer.weight.abs().max().item()
    if not isinstance(layer.module, CONVOLUTIONS):
        return torch.linalg.matrix_norm(layer.weight, 2).item()
    generator = torch.Generator().manual_seed(0)
    direction = torch.randn((1, *layer.shape), generator=generator, dtype=torch.float64).to(layer.weight.device)
    norm = 0.0
    for _ in range(ITERATIONS):
        image = (direction / direction.norm()).requires_grad_()
        with torch.enable_grad():
            output = layer.module._conv_forward(image, layer.weight, None)
            (direction,) = torch.autograd.grad(output.square().sum() / 2, image)
        before, norm = norm, output.detach().norm().item()
        if norm - before <= CHANGE * norm:
            break
    return norm


@torch.no_grad()
def log_path_norm(model, layers, samples):
    """Return the log of the sum, over paths from inputs to outputs, of the product of squared weights.

    It is the sum of the outputs for an input of ones with all weights squared, biases as weights of an input of 1.
    Raises NoEstimate where the model has activation functions other than ReLU.
    """
    activations = {type(module).__name__ for module in model.modules() if is_activation(module)}
    if activations:
        raise NoEstimate(f"the model has {' and '.join(sorted(activations))}")
    modules = dict(model.named_modules())
    names = {module: name for name, module in modules.items()}
    squared = copy.deepcopy(model).double()
    for layer in layers:
        module = squared.get_submodule(names[layer.module])
        bias = torch.zeros(len(layer.weight), dtype=torch.float64) if layer.bias is None else layer.bias
        if layer.weight.ndim == 1:
            set_identity(module)
        module.weight = nn.Parameter(layer.weight.square())
        module.bias = nn.Parameter(bias.to(layer.weight).square())
        if layer.norm is not None:
            set_identity(squared.get_submodule(names[layer.norm]))
    ones = torch.ones_like(normalize(samples.inputs[:1], samples), dtype=torch.float64)
    total = squared(ones).sum().item()
    if not total > 0:
        raise NoEstimate("the weights of a layer are 0")
    return math.log(total)


def is_activation(module):
    """Tell whether a module is an activation function other than ReLU."""
    return type(module).__module__ == "torch.nn.modules.activation" and not isinstance(module, RELUS)


def set_identity(norm):
    """Make a batch norm return its input."""
    norm.running_mean.zero_()
    norm.running_var.fill_(1)
    norm.eps = 0
    if norm.affine:
        norm.weight.fill_(1)
        norm.bias.zero_()


@torch.no_grad()
def distance(model, start):
    """Return the Euclidean distance between all parameters of two models."""
    pairs = zip(model.parameters(), start.parameters(), strict=True)
    return math.sqrt(sum((now.double() - before.double()).square().sum().item() for now, before in pairs))
