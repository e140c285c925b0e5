"""Matrix products in the fastest arithmetic of the machine, each with a bound on its rounding error."""

import functools
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

U32 = 2.0**-24  # unit roundoff of float32
U16 = 2.0**-9  # unit roundoff of bfloat16
WORTH_TORCH = 6e11  # multiplications that take longer in float32 than the import of torch


class MatMul(NamedTuple):
    """An arithmetic for matrix products.

    The error of a product x.y of rows is at most roundoff |x| |y|, besides that of adding up its terms in float32.
    """

    name: str
    cast: Callable  # (n, columns) float32 array -> operand of the product, which can be indexed by rows
    multiply: Callable  # (a, b, out, add): out = a @ b.T, or out += a @ b.T; out is a float32 array
    roundoff: float


def choose_matmul(multiplications):
    """Return the MatMul for a number of multiplications.

    bfloat16 where this machine has units for it and the work is worth an import of torch, else float32.
    """
    worth_torch = multiplications >= WORTH_TORCH and find_spec("torch")
    return bfloat16_matmul() if worth_torch and (has_cuda() or has_bfloat16()) else FLOAT32


def has_cuda():
    """Tell whether there is an NVIDIA GPU that torch can use."""
    if not Path("/proc/driver/nvidia/version").exists():
        return False
    import torch

    return torch.cuda.is_available()


@functools.cache
def has_bfloat16():
    """Tell whether this CPU has instructions for products in bfloat16: AVX512-BF16, AMX, or BF16 of ARM."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False
    flags = next((line.split(":")[1].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags)


def multiply_float32(a, b, out, add):
    """Compute out = a @ b.T, or out += a @ b.T, in NumPy."""
    with np.errstate(invalid="ignore", over="ignore"):
        if add:
            out += a @ b.T
        else:
            np.matmul(a, b.T, out=out)


FLOAT32 = MatMul("float32", lambda values: values, multiply_float32, roundoff=0.0)


def bfloat16_matmul():
    """Return the MatMul of torch in bfloat16, on the GPU if there is one.

    Rounding the two operands adds a relative error of U16 each, rounding the product one more; its terms are added up
    in float32.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False

    def cast(values):
        return torch.from_numpy(values).to(device).bfloat16()

    def multiply(a, b, out, add):
        product = torch.mm(a, b.T).cpu()
        target = torch.from_numpy(out)
        target.add_(product) if add else target.copy_(product)

    return MatMul(f"bfloat16 on {device}", cast, multiply, roundoff=3.01 * U16)
