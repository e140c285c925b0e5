"""The functional dimension: in how many directions the parameters can move what the network computes.

The batch functional dimension is the rank of the Jacobian of the outputs on a batch with respect to all parameters, a
matrix (n * outputs, parameters) (Bona-Pellissier, Malgouyres and Bachoc 2024, arXiv 2402.08269). It stays the same when
neurons are permuted, and when the inputs of a ReLU neuron are multiplied by a positive number and its outputs divided
by it; the latter takes one dimension off the number of parameters for each hidden ReLU neuron. The computable full
functional dimension is the rank on a batch of random inputs so large that more inputs do not raise it.

In floating point a rank is a decision, so the singular values on both sides of it are given, too. For logits the
decision is mostly clear. For probabilities the rank falls as a network grows confident: where softmax saturates, the
derivatives shrink toward the rounding error, one after the other and without a gap.

The Jacobian is reduced block by block to a triangle with the same singular values, so that it never lies in memory as a
whole: derivatives of some samples (`jacobian`) fill a block (`fill_rows`, `fill_columns`), QR decompositions fold block
after block into the triangle (`reduce_to_triangle`), and the triangle's singular values give the rank.
"""

import copy
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, jacrev, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from actdim.datasets.device import normalize
from actdim.errors import UserError

BYTES = torch.float64.itemsize
SETTLED = 3000  # random inputs without a higher rank, after which it is taken for the full functional dimension
SHOWN = 5  # singular values on each side of the tolerance
CHUNK = 1 << 26  # bytes of derivatives at once; more is no faster
COPIES = 4  # of a sample's derivatives and activations that torch.func holds at once, at most
PASSING = (nn.Dropout, nn.Flatten, nn.Identity)  # these leave values as they are in evaluation


class Function(NamedTuple):
    """A model as a function of its parameters."""

    model: nn.Module  # in float64 and evaluation
    sizes: dict[str, int]  # {parameter: number of values} of those that are trained
    outputs: int  # of each sample
    activations: int  # values that its modules compute for each sample
    probabilities: bool  # the outputs are the softmax of what the model returns, not that itself


def measure_functional_dimension(model, samples, vocabulary, settings):
    """Return the functional dimension of a model as plain values: on a batch and, if `settings.full`, on random inputs.

    samples: device.Samples to draw the batch from; vocabulary: of a data set of tokens, 0 for others; settings:
    measures.settings.FunctionalDimension. See `batch_dimension` and `full_dimension`, the key `full`.
    """
    inputs = choose_inputs(samples, settings.samples, settings.seed)
    function = make_function(model, inputs[:1], settings.outputs == "probabilities")
    limits = {"memory": 1e9 * settings.memory, "tolerance": settings.tolerance}
    result = batch_dimension(function, inputs, **limits)
    if settings.full:
        draw = draw_inputs(inputs, vocabulary, settings.seed)
        result["full"] = full_dimension(function, draw, len(inputs), **limits)
    return result


def batch_dimension(function, inputs, memory, tolerance=None):
    """Return the batch functional dimension as plain values: the rank, and what helps to judge it.

    inputs: (n, *shape); memory: bytes that matrices may take; tolerance: see `numerical_rank`, whose keys come first.
    bound: what no rank can exceed; over_bound: rank / bound; rows (n * outputs) and columns (parameters) of the
    Jacobian; for a chain of Linear and ReLU modules hidden_neurons and dead_neurons, those that no input activates.
    """
    inputs = as_float64(inputs)
    rows, columns = shape = len(inputs) * function.outputs, sum(function.sizes.values())
    rank = numerical_rank(singular_values(function, inputs, memory), shape, tolerance)
    neurons = count_neurons(function, inputs)
    free_outputs = function.outputs - function.probabilities  # probabilities sum to 1
    bound = min(len(inputs) * free_outputs, parameter_bound(function, neurons))
    over_bound = None if rank["rank"] is None else rank["rank"] / bound
    sizes = {"samples": len(inputs), "rows": rows, "columns": columns, **neurons}
    return {**rank, "bound": bound, "over_bound": over_bound, **sizes}


def full_dimension(function, draw, samples, memory, tolerance=None):
    """Return the computable full functional dimension as plain values, with the ranks that led to it.

    The number of random inputs doubles until the rank is the highest possible, or has not grown for SETTLED inputs: an
    input that would raise it then has a probability of at most 3 / SETTLED, with 95 % confidence (rule of three: Hanley
    and Lippman-Hand 1983).
    draw(n): returns the first n inputs (n, *shape) of a random sequence; samples: how many to begin with.
    curve: the number of inputs and the rank, each time; complete: whether the end was reached. It is not where more
    inputs would take more than `memory` bytes: rank is then the highest so far, and `reason` says so.
    unseen: the largest probability that a further input raises the rank, with 95 % confidence; 0 at the highest rank.
    The other keys are those of `batch_dimension` for the last inputs.
    """
    curve, reason, result = [], None, {}
    while inputs_without_growth(curve) < SETTLED:
        try:
            result = batch_dimension(function, draw(samples), memory, tolerance)
        except UserError as error:
            reason = str(error)
            break
        curve.append({"samples": samples, "rank": result["rank"]})
        if result["rank"] in (None, parameter_bound(function, result)):
            break
        samples *= 2
    complete = reason is None and bool(curve) and curve[-1]["rank"] is not None
    highest = bool(curve) and curve[-1]["rank"] == parameter_bound(function, result)
    unseen = 0.0 if highest else 3 / max(3, inputs_without_growth(curve))
    return {"reason": reason, **result, "complete": complete, "unseen": unseen, "curve": curve}


def inputs_without_growth(curve):
    """Return how many inputs were drawn after those with which the last rank of a curve was first reached."""
    if not curve:
        return 0
    first = next(point["samples"] for point in curve if point["rank"] == curve[-1]["rank"])
    return curve[-1]["samples"] - first


def numerical_rank(values, shape, relative=None):
    """Return the numerical rank of a matrix and the singular values next to it, as plain values.

    values: all singular values, decreasing; shape: of the matrix; relative: the tolerance relative to the largest
    value; None: the larger side of the matrix times the float64 epsilon, as in numpy.linalg.matrix_rank, which is about
    how far rounding moves a singular value of 0.
    The rank is the number of values above the tolerance. last_kept, first_dropped: up to 5 on each side of it; gap:
    the last kept over the first dropped, None where none is dropped or the first is 0.
    """
    if not values.isfinite().all():
        return {"rank": None, "reason": "the derivatives are not finite"}
    relative = max(shape) * torch.finfo(torch.float64).eps if relative is None else relative
    tolerance = relative * values[0].item()
    rank = int((values > tolerance).sum())
    kept, dropped = values[:rank].tolist()[-SHOWN:], values[rank:].tolist()[:SHOWN]
    return {
        "rank": rank,
        "tolerance": tolerance,
        "relative_tolerance": relative,
        "largest": values[0].item(),
        "last_kept": kept,
        "first_dropped": dropped,
        "gap": kept[-1] / dropped[0] if kept and dropped and dropped[0] else None,
    }


def parameter_bound(function, neurons):
    """Return the highest rank on any batch: the number of parameters, less the directions that change no output.

    In a ReLU chain these are the rescaling of each hidden neuron, and for probabilities also what adds the same to all
    logits: the same change of every row of the last weights, and of every last bias. They are known only if all
    parameters of the chain are trained, as `count_neurons`, which gives `neurons`, requires;
    a result of `batch_dimension` serves as well.
    """
    parameters = sum(function.sizes.values())
    if "hidden_neurons" not in neurons:
        return parameters
    *_, last = (module for module in function.model.modules() if isinstance(module, nn.Linear))
    shifts = last.in_features + (last.bias is not None) if function.probabilities else 0
    return parameters - neurons["hidden_neurons"] - shifts


def count_neurons(function, inputs):
    """Return {"hidden_neurons", "dead_neurons"} of a chain of Linear and ReLU modules; {} for any other model.

    A model is such a chain if its modules, one after the other, compute what it computes, and if all its parameters
    are trained.
    """
    modules = [module for module in function.model.modules() if not list(module.children())]
    modules = [module for module in modules if not isinstance(module, PASSING)]
    kinds = [nn.Linear, nn.ReLU] * (len(modules) // 2) + [nn.Linear]
    if len(modules) != len(kinds) or not all(map(isinstance, modules, kinds)):
        return {}
    if len(function.sizes) != len(list(function.model.parameters())):
        return {}
    x, hidden, dead = inputs.flatten(1), 0, 0
    for module in modules:
        if isinstance(module, nn.Linear) and module.in_features != x.shape[1]:
            return {}
        x = module(x)
        if isinstance(module, nn.ReLU):
            hidden += x.shape[1]
            dead += int((x == 0).all(0).sum())
    return {"hidden_neurons": hidden, "dead_neurons": dead} if torch.equal(x, function.model(inputs)) else {}


def singular_values(function, inputs, memory):
    """Return the singular values of the Jacobian on inputs (n, *shape): (smaller side,) float64, decreasing.

    Blocks are of rows if the Jacobian has more rows than columns. Otherwise they are of columns, and torch
    differentiates by the parameters of the block alone.
    memory: bytes that matrices may take, besides what torch takes itself. Raises UserError where it does not suffice.
    All are nan where derivatives are not finite.
    """
    rows, columns = len(inputs) * function.outputs, sum(function.sizes.values())
    short, long = sorted((rows, columns))
    if rows >= columns:
        fill, unit = fill_rows, function.outputs
    else:
        fill, unit = fill_columns, 1
    height = choose_height(function, short, long, unit, memory)
    chunk = min(CHUNK, memory // 2)

    def fill_block(target, start):
        fill(target, start, function, inputs, chunk)

    triangle = reduce_to_triangle(fill_block, short, long, height, unit, inputs.device)
    if not triangle.isfinite().all():
        return torch.full((short,), torch.nan, dtype=torch.float64)
    return torch.linalg.svdvals(triangle.cpu())


def choose_height(function, short, long, unit, memory):
    """Return how many lines of a matrix (long, short) to hold at once: all, or as many as memory allows.

    unit: lines that are computed together. At least twice the short side is held, because most of the work would
    otherwise go into triangles. Raises UserError where that, or the derivatives of one sample, take more than `memory`
    bytes.
    """
    columns = sum(function.sizes.values())

    def needed(height):
        """Return the bytes of the lines and, besides, of QR's copy and triangle or, before it, of the derivatives."""
        parameters = columns if long > columns else min(columns, height + 2 * max(function.sizes.values()))
        return BYTES * short * height + max(BYTES * short * (height + short), bytes_of_sample(function, parameters))

    height, least = long, min(long, 2 * short + unit)
    while needed(height) > memory and height > least:
        height = max(least, int(0.9 * height))
    if needed(height) > memory:
        raise UserError(
            f"a Jacobian with {short} {'columns' if long > columns else 'rows'} or more takes"
            f" {needed(height) / 1e9:.2g} GB, and memory is {memory / 1e9:g}; set memory higher, or samples lower"
        )
    return height


def bytes_of_sample(function, parameters):
    """Return the bytes that the derivatives of one sample's outputs by some number of parameters take."""
    return COPIES * BYTES * function.outputs * (function.activations + parameters)


def reduce_to_triangle(fill, short, long, height, unit=1, device="cpu"):
    """Return R (short, short) of the QR decomposition of a matrix A (long, short), holding `height` lines at a time.

    fill(target, start) writes the lines of A from `start` on to target (lines, short), lines being a multiple of unit.
    Each block is stacked below the triangle of those before it, and the stack is decomposed in turn (the sequential
    TSQR of Demmel, Grigori, Hoemmen and Langou 2012, doi 10.1137/080731992). R has the singular values of A to the
    rounding error of A itself; A^T A would take less work, but loses those below 1e-8 of the largest.
    """
    stack = torch.empty(height, short, dtype=torch.float64, device=device)
    done = top = 0
    while done < long:
        lines = min((height - top) // unit * unit, long - done)
        fill(stack[top : top + lines], done)
        triangle = torch.linalg.qr(stack[: top + lines], mode="r").R
        done, top = done + lines, len(triangle)
        stack[:top] = triangle
    return triangle


def fill_rows(target, start, function, inputs, chunk):
    """Write rows of the Jacobian (n * outputs, parameters) from `start` on to target (rows, parameters).

    start and the number of rows are multiples of a sample's outputs; chunk: bytes that derivatives may take at once.
    """
    first, n = start // function.outputs, len(target) // function.outputs
    for rows, derivatives in jacobian(function, list(function.sizes), inputs[first : first + n], chunk):
        target[rows] = torch.cat(derivatives, dim=1)


def fill_columns(target, start, function, inputs, chunk):
    """Write columns of the Jacobian (n * outputs, parameters) from `start` on to target (columns, n * outputs)."""
    places, end = {}, 0
    for name, size in function.sizes.items():
        begin, end = end, end + size
        if begin < start + len(target) and end > start:
            places[name] = slice(max(begin, start) - start, min(end, start + len(target)) - start), begin - start
    for rows, derivatives in jacobian(function, list(places), inputs, chunk):
        for (columns, begin), values in zip(places.values(), derivatives, strict=True):
            target[columns, rows] = values[:, columns.start - begin : columns.stop - begin].T


def jacobian(function, names, inputs, chunk):
    """Yield (rows, [their derivatives by each of the named parameters]) of the Jacobian on inputs (n, *shape).

    rows: the slice of (n * outputs) that belongs to some samples; derivatives: (rows, values of the parameter) float64.
    chunk: bytes that derivatives may take at once.
    Raises UserError for a model that torch.func cannot differentiate sample by sample.
    """
    parameters = {name: function.model.get_parameter(name) for name in names}

    def outputs(values, sample):
        logits = functional_call(function.model, values, (sample[None],))[0]
        return logits.softmax(0) if function.probabilities else logits

    differentiate = vmap(jacrev(outputs), in_dims=(None, 0))
    n = max(1, int(chunk // bytes_of_sample(function, sum(function.sizes[name] for name in names))))
    with sdpa_kernel(SDPBackend.MATH):  # the only attention that vmap supports
        for first, samples in zip(range(0, len(inputs), n), inputs.split(n), strict=True):
            try:
                derivatives = differentiate(parameters, samples)
            except RuntimeError as error:
                reason = str(error).partition("\n")[0]
                raise UserError(f"torch.func cannot differentiate this model sample by sample: {reason}") from None
            rows = slice(first * function.outputs, (first + len(samples)) * function.outputs)
            yield rows, [derivatives[name].reshape(rows.stop - rows.start, -1) for name in names]


def make_function(model, sample, probabilities=False):
    """Return a model as a Function, leaving the model as it is. sample: (1, *shape), as the model reads it."""
    sizes = {name: values.numel() for name, values in model.named_parameters() if values.requires_grad}
    model = copy.deepcopy(model).double().eval().requires_grad_(False)
    return Function(model, sizes, *count_values(model, as_float64(sample)), probabilities)


def count_values(model, sample):
    """Return (outputs, values that its modules compute) of a model for one sample."""
    counts = []
    handles = [
        module.register_forward_hook(lambda module, arguments, output: counts.append(output.numel()))
        for module in model.modules()
        if not list(module.children())
    ]
    outputs = model(sample).numel()
    for handle in handles:
        handle.remove()
    return outputs, sum(counts)


def choose_inputs(samples, n, seed):
    """Return the inputs of n device.Samples as the model reads them, the same for the same seed; at most all."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(samples.labels))[:n])
    return normalize(samples.inputs[torch.from_numpy(rows)], samples)


def draw_inputs(inputs, vocabulary, seed):
    """Return a function that draws the first n of an endless sequence of random inputs, the same at each call.

    They are Gaussian, all values with the mean and deviation of the values of a batch `inputs` (m, *shape), so that
    they reach every direction, also that of a pixel which is the same in all samples; or tokens, uniform over the
    vocabulary.
    """
    mean, deviation = inputs.double().mean(), inputs.double().std()

    def draw(n):
        random, shape = np.random.default_rng(seed), (n, *inputs.shape[1:])
        if vocabulary:
            return torch.from_numpy(random.integers(vocabulary, size=shape)).to(inputs.device)
        return torch.from_numpy(random.normal(size=shape)).to(inputs.device) * deviation + mean

    return draw


def as_float64(inputs):
    """Return inputs in float64, tokens as they are."""
    return inputs.double() if inputs.is_floating_point() else inputs
