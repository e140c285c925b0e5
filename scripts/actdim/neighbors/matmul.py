"""Matrix products in the fastest arithmetic of the machine, and how far they may be off."""

import functools
import os
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

U32 = 2.0**-24  # unit roundoff of float32


U16 = 2.0**-9  # and of bfloat16


WORTH_TORCH = 6e11  # multiplications that take longer in float32 than torch takes to be imported


class Arithmetic(NamedTuple):
    """How to multiply matrices."""

    name: str
    cast: callable  # (n, c) float32 array to an operand, of which rows can be taken
    multiply: callable  # (a, b, out, add): out (+)= a @ b.T, out a float32 array
    roundoff: float  # of cast and of the product together: |error of x.y| <= roundoff |x||y|, accumulation aside


def choose(multiplications):
    """Return bfloat16 where this machine has units for it and the work is worth an import of torch; else float32."""
    worth = multiplications >= WORTH_TORCH and find_spec("torch")
    return bfloat16() if worth and (has_cuda() or has_bfloat16()) else FLOAT32


def has_cuda():
    """Tell whether there is an NVIDIA GPU that torch can use."""
    if not Path("/proc/driver/nvidia/version").exists():
        return False
    import torch

    return torch.cuda.is_available()


@functools.cache
def has_bfloat16():
    """Tell whether this CPU multiplies in bfloat16: AVX512-BF16, AMX, or BF16 of ARM."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False
    flags = next((line.split(":")[1].split() for line in lines if line.startswith(("flags", "Features"))), [])
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags)


def cores():
    """Return the number of threads to use: what the job was given (Snakemake sets OMP_NUM_THREADS), else all."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(given) if given.isdecimal() else os.cpu_count()


def multiply_float32(a, b, out, add):
    """out (+)= a @ b.T in numpy."""
    with np.errstate(invalid="ignore", over="ignore"):
        if add:
            out += a @ b.T
        else:
            np.matmul(a, b.T, out=out)


FLOAT32 = Arithmetic("float32", lambda values: values, multiply_float32, 0.0)


def bfloat16():
    """Return the arithmetic of torch's bfloat16, on the GPU where there is one.

    Operands are rounded (2 U16), so is the product (U16); sums are kept in float32.
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

    return Arithmetic(f"bfloat16 on {device}", cast, multiply, 3.01 * U16)
