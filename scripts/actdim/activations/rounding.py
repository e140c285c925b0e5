"""Whether rounding a layer to float16 is small compared with the distances to the nearest neighbors.

Estimators read those distances, which can be far smaller than the layer's spread: where classes have collapsed,
rounding that is harmless compared with the spread raises the ID.

Rounding x to float16 moves it by e with |e|^2 about ROUNDING |x|^2, so that it adds ROUNDING (|x|^2 + |y|^2) to the
squared distance of x and its nearest neighbor y. For an ID of d that changes the estimate by a share of at most

    noise = ROUNDING (|x|^2 + |y|^2) / |x - y|^2.

The nearest neighbor is not known before all samples are computed. So while batches pass, each sample is reduced to SUMS
random sums of its features (count sketch: Charikar, Chen and Farach-Colton 2004), which preserve squared distances on
average. The nearest sketch is if anything too near, so the decision errs on the side of float32.
"""

from typing import NamedTuple

import torch

SUMS = 61  # a prime, so that features of one channel go to different sums
ROUNDING = 2**-20 / 12 * 0.54  # mean of |e|^2 / |x|^2: variance of rounding, and mean of 1 / m^2 for m in [1, 2)
QUERIES = 500  # samples whose nearest neighbors are looked for
MAX_NOISE = 1e-4  # at the median of the queries
SAME = 1e-20  # of |x|^2: below that a squared distance is rounding, of exact copies


class Sketch(NamedTuple):
    """What is known of a layer on all samples when its batches have passed."""

    signs: torch.Tensor  # (features // SUMS + 1,) float32, 1 or -1, of each block of SUMS features
    sums: torch.Tensor  # (n, SUMS) float64
    squares: torch.Tensor  # (n,) float64, the squared norms


def empty_sketch(n, features, device):
    """Return the Sketch of n samples, none of which has passed."""
    random = torch.Generator().manual_seed(0)
    signs = 1 - 2 * torch.randint(2, (features // SUMS + 1,), generator=random).float()
    zeros = {"dtype": torch.float64, "device": device}
    return Sketch(signs.to(device), torch.zeros(n, SUMS, **zeros), torch.zeros(n, **zeros))


def add_to_sketch(sketch, rows, values):
    """Enter the values (batch, features) float32 of some rows, a slice, into a Sketch."""
    blocks = values.shape[1] // SUMS
    whole, rest = values[:, : blocks * SUMS], values[:, blocks * SUMS :]
    sketch.sums[rows] = torch.einsum("k,bks->bs", sketch.signs[:blocks], whole.unflatten(1, (blocks, SUMS))).double()
    sketch.sums[rows, : rest.shape[1]] += (sketch.signs[-1] * rest).double()
    sketch.squares[rows] = torch.linalg.vecdot(values, values).double()


def rounding_is_harmless(sketch):
    """Tell whether rounding the samples of a Sketch to float16 changes their neighbor distances by little enough.

    True where no two samples differ, or values are not finite: there is no distance to change.
    """
    n = len(sketch.sums)
    chosen = torch.randperm(n, generator=torch.Generator().manual_seed(0))[:QUERIES].to(sketch.sums.device)
    distances = torch.cdist(sketch.sums[chosen], sketch.sums, compute_mode="donot_use_mm_for_euclid_dist").square()
    norms = sketch.squares[chosen, None] + sketch.squares
    distances[distances <= SAME * norms] = torch.inf  # the sample itself, and copies of it
    nearest, place = distances.min(dim=1)
    noise = ROUNDING * norms.gather(1, place[:, None])[:, 0] / nearest
    noise = noise[noise.isfinite() & (noise > 0)]
    return len(noise) == 0 or noise.median().item() <= MAX_NOISE
