"""The functional dimension: in how many directions the parameters can move what the network computes.

The batch functional dimension is the rank of the Jacobian of the outputs on a batch with respect to all parameters
(Bona-Pellissier, Malgouyres and Bachoc 2024, arXiv 2402.08269). It does not change when neurons are permuted, nor
when what goes into a ReLU neuron is multiplied by a positive number and what comes out of it divided by that; so each
hidden ReLU neuron takes one off the number of parameters. The computable full functional dimension is that rank on
as many random inputs as it takes until it grows no more.

In floating point a rank is a decision, so the singular values on both sides of it are given with it. That of the
logits is a clear one, mostly. That of the probabilities falls while a network grows sure, for where softmax saturates
derivatives shrink toward the rounding, one after the other and without a gap.
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


SHOWN = 5  # singular values on each side of the tolerance


CHUNK = 1 << 26  # bytes of derivatives at once, for more is no faster


COPIES = 4  # of a sample's derivatives and activations that torch.func holds at once, at most


PASSING = (nn.Dropout, nn.Flatten, nn.Identity)  # in evaluation they leave values as they are


class Function(NamedTuple):
    """A model as a function of its parameters."""

    model: nn.Module  # in float64 and evaluation
    sizes: dict[str, int]  # {parameter: number of values} of those that are trained
    outputs: int  # of each sample
    activations: int  # values that its modules compute for each sample
    probabilities: bool  # the outputs are the softmax of what the model returns, not that itself


def function_of(model, sample, probabilities=False):
    """Return a model as a Function; the model stays as it is. sample: (1, *shape), as the model reads it."""
    sizes = {name: values.numel() for name, values in model.named_parameters() if values.requires_grad}
    model = copy.deepcopy(model).double().eval().requires_grad_(False)
    return Function(model, sizes, *count_values(model, as_double(sample)), probabilities)


def as_double(inputs):
    """Return inputs in float64, tokens as they are."""
    return inputs.double() if inputs.is_floating_point() else inputs


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


def batch_dimension(function, inputs, memory, tolerance=None):
    """Return the batch functional dimension as plain values: the rank, and what it takes to judge it.

    inputs: (n, *shape); memory: bytes that matrices may take; tolerance: see `judge`, which says the rank.
    Beside it, rows (n * outputs) and columns (parameters) of the Jacobian, the bound above which no rank can be, and
    over_bound, the part of it that is reached; of a chain of Linear and ReLU modules also its hidden neurons and
    how many of them are dead, which is active for none of the inputs.
    Raises UserError where it takes more memory.
    """
    inputs = as_double(inputs)
    rows, columns = shape = len(inputs) * function.outputs, sum(function.sizes.values())
    judged = judge(singular_values(function, inputs, memory), shape, tolerance)
    neurons = count_neurons(function, inputs)
    free = function.outputs - function.probabilities  # of each sample, for probabilities sum to 1
    bound = min(len(inputs) * free, most(function, neurons))
    over_bound = None if judged["rank"] is None else judged["rank"] / bound
    sizes = {"samples": len(inputs), "rows": rows, "columns": columns, **neurons}
    return {**judged, "bound": bound, "over_bound": over_bound, **sizes}


def full_dimension(function, draw, samples, memory, tolerance=None):
    """Return the computable full functional dimension as plain values, with the curve that led to it.

    draw(n): the first n random inputs (n, *shape), those of a smaller n among them; samples: how many at first, which
    then doubles until the rank is the same twice, or as high as it can be.
    complete: whether it came to that; where it did not, for more inputs would take more than `memory` bytes, rank is
    the highest so far and `reason` says so. Beside them what `batch_dimension` returns for the last inputs.
    """
    curve, reason, result = [], None, {}
    while len(curve) < 2 or curve[-1]["rank"] != curve[-2]["rank"]:
        try:
            result = batch_dimension(function, draw(samples), memory, tolerance)
        except UserError as error:
            reason = str(error)
            break
        curve.append({"samples": samples, "rank": result["rank"]})
        if result["rank"] in (None, most(function, result)):
            break
        samples *= 2
    complete = reason is None and bool(curve) and curve[-1]["rank"] is not None
    return {"reason": reason, **result, "complete": complete, "curve": curve}


def judge(values, shape, relative=None):
    """Return the numerical rank of a matrix and the singular values about it, as plain values.

    values: all singular values, decreasing; shape: the matrix's; relative: the tolerance as a part of the largest,
    None: the larger side of the matrix times the float64 epsilon, as numpy.linalg.matrix_rank has it, about which
    rounding moves a singular value of 0.
    The rank is the number of values above the tolerance. last_kept, first_dropped: up to 5 on each side of it; gap:
    the last kept over the first dropped, None where none is dropped or that is 0.
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


def most(function, neurons):
    """Return the highest rank on any batch: one for each parameter, less one for each hidden neuron of a ReLU chain.

    That holds where all of the chain's parameters are trained (Bona-Pellissier et al. 2024, after their rescaling).
    neurons: what `count_neurons` returns.
    """
    return sum(function.sizes.values()) - neurons.get("hidden_neurons", 0)


def count_neurons(function, inputs):
    """Return {"hidden_neurons", "dead_neurons"} of a chain of Linear and ReLU modules; {} for any other model.

    A model is such a chain if its modules, one after the other, compute what it computes, all parameters trained.
    """
    parts = [part for part in function.model.modules() if not list(part.children()) and not isinstance(part, PASSING)]
    kinds = [nn.Linear, nn.ReLU] * (len(parts) // 2) + [nn.Linear]
    if len(parts) != len(kinds) or not all(map(isinstance, parts, kinds)):
        return {}
    if len(function.sizes) != len(list(function.model.parameters())):
        return {}
    x, hidden, dead = inputs.flatten(1), 0, 0
    for part in parts:
        if isinstance(part, nn.Linear) and part.in_features != x.shape[1]:
            return {}
        x = part(x)
        if isinstance(part, nn.ReLU):
            hidden += x.shape[1]
            dead += int((x == 0).all(0).sum())
    return {"hidden_neurons": hidden, "dead_neurons": dead} if torch.equal(x, function.model(inputs)) else {}


def singular_values(function, inputs, memory):
    """Return the singular values of the Jacobian on inputs (n, *shape), (smaller side,) float64 and decreasing.

    They are those of a triangle as large as its smaller side, to which it is reduced block by block, so that the
    Jacobian never lies in memory as a whole. Blocks are of rows where it has more rows than columns; else of columns,
    for which torch differentiates by the parameters in the block alone.
    memory: bytes that matrices may take, beside what torch takes itself. Raises UserError where it takes more.
    NaN where derivatives are not finite.
    """
    rows, columns = len(inputs) * function.outputs, sum(function.sizes.values())
    short, long = sorted((rows, columns))
    if rows >= columns:
        fill, unit = fill_rows, function.outputs
    else:
        fill, unit = fill_columns, 1
    height = lines_at_once(function, short, long, unit, memory)
    chunk = min(CHUNK, memory // 2)

    def block(target, start):
        fill(target, start, function, inputs, chunk)

    factor = triangle(block, short, long, height, unit, inputs.device)
    finite = factor.isfinite().all()
    return torch.linalg.svdvals(factor.cpu()) if finite else torch.full((short,), torch.nan, dtype=torch.float64)


def lines_at_once(function, short, long, unit, memory):
    """Return how many lines of a (long, short) matrix to hold at once: all, or as many as there is memory for.

    unit: lines that are computed together. Not fewer than twice the short side, or else most of the work would go
    into triangles. Raises UserError where that, or the derivatives for one sample, take more than `memory` bytes.
    """
    columns = sum(function.sizes.values())

    def needed(height):
        """The lines, and then the copy and the triangle that QR makes, or before it the derivatives."""
        parameters = columns if long > columns else min(columns, height + 2 * max(function.sizes.values()))
        return BYTES * short * height + max(BYTES * short * (height + short), of_sample(function, parameters))

    height, least = long, min(long, 2 * short + unit)
    while needed(height) > memory and height > least:
        height = max(least, int(0.9 * height))
    if needed(height) > memory:
        raise UserError(
            f"a Jacobian with {short} {'columns' if long > columns else 'rows'} or more takes"
            f" {needed(height) / 1e9:.2g} GB, and memory is {memory / 1e9:g}; set memory higher, or samples lower"
        )
    return height


def of_sample(function, parameters):
    """Return the bytes that derivatives of one sample's outputs by so many parameters take."""
    return COPIES * BYTES * function.outputs * (function.activations + parameters)


def triangle(fill, short, long, height, unit=1, device="cpu"):
    """Return R (short, short) of the QR decomposition of a matrix A (long, short), of which height lines are held.

    fill(target, start): write the lines of A from `start` on to target (lines, short), the lines a multiple of unit.
    Each block is stacked below the triangle of those before it, and the stack is decomposed in turn (the sequential
    TSQR of Demmel, Grigori, Hoemmen and Langou 2012, doi 10.1137/080731992). R has the singular values of A to the
    rounding of A itself; those of A^T A, which takes less work, would be lost below 1e-8 of the largest.
    """
    stack = torch.empty(height, short, dtype=torch.float64, device=device)
    done = top = 0
    while done < long:
        lines = min((height - top) // unit * unit, long - done)
        fill(stack[top : top + lines], done)
        factor = torch.linalg.qr(stack[: top + lines], mode="r").R
        done, top = done + lines, len(factor)
        stack[:top] = factor
    return factor


def fill_rows(target, start, function, inputs, chunk):
    """Write rows of the Jacobian (n * outputs, parameters) from `start` on to target (rows, parameters).

    start and the rows are multiples of the outputs of a sample; chunk: bytes that derivatives may take at once.
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

    rows: a slice of (n * outputs), that of a few samples; derivatives: (rows, values of the parameter) float64.
    chunk: bytes that derivatives may take at once.
    Raises UserError for a model that torch.func cannot run on a batch of samples each by itself.
    """
    at = {name: function.model.get_parameter(name) for name in names}

    def outputs(values, sample):
        logits = functional_call(function.model, values, (sample[None],))[0]
        return logits.softmax(0) if function.probabilities else logits

    derivatives = vmap(jacrev(outputs), in_dims=(None, 0))
    n = max(1, int(chunk // of_sample(function, sum(function.sizes[name] for name in names))))
    with sdpa_kernel(SDPBackend.MATH):  # the only attention that vmap knows
        for first, part in zip(range(0, len(inputs), n), inputs.split(n), strict=True):
            try:
                found = derivatives(at, part)
            except RuntimeError as error:
                reason = str(error).partition("\n")[0]
                raise UserError(f"torch.func cannot differentiate this model sample by sample: {reason}") from None
            rows = slice(first * function.outputs, (first + len(part)) * function.outputs)
            yield rows, [found[name].reshape(rows.stop - rows.start, -1) for name in names]


def draw_inputs(inputs, vocabulary, seed):
    """Return a function that draws the first n of endless random inputs like a batch (m, *shape), the same each time.

    They are Gaussian, each value with the mean and the deviation of all values of the batch, so that they reach every
    direction, also that of a pixel which is the same for all samples; or tokens, each of the vocabulary alike.
    """

    mean, deviation = inputs.double().mean(), inputs.double().std()

    def draw(n):
        random, shape = np.random.default_rng(seed), (n, *inputs.shape[1:])
        if vocabulary:
            return torch.from_numpy(random.integers(vocabulary, size=shape)).to(inputs.device)
        return torch.from_numpy(random.normal(size=shape)).to(inputs.device) * deviation + mean

    return draw


def choose(samples, n, seed):
    """Return the inputs of n of the samples as the model reads them, the same for the same seed; all where n is more.

    samples: batches.Samples.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(samples.labels))[:n])
    return normalize(samples.inputs[torch.from_numpy(rows)], samples)
