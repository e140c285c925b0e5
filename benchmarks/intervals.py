#!/usr/bin/env python
"""Compare the 95 % intervals of the estimators with the true spread of their estimates, on Gaussians.

    python benchmarks/intervals.py              # about half a minute on one core
    python benchmarks/intervals.py --draws 50   # less precise

The intervals follow from laws that take the points as independent, but neighborhoods share points. Each draw is a new
Gaussian in as many dimensions as it has features. `spread` is the standard deviation of the estimates over draws,
`interval` the mean half-width over 1.96, which equals `spread` if the law holds; `ratio` is interval / spread. The
last two columns are the shares of the intervals that contain the true dimension, and the mean of the estimates over
draws, to which bias makes no difference. The estimators have their default settings, the neighbors are exact.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from actdim.estimators.gride import gride
from actdim.estimators.mle import mle
from actdim.estimators.twonn import twonn
from actdim.estimators.twonn_fit import twonn_fit
from actdim.neighbors.search import find_neighbors
from actdim.storage.neighbor_lists import NeighborLists

DIMENSIONS = (2, 5, 10, 20)
ESTIMATORS = (twonn, twonn_fit, gride, mle)
K = 20  # neighbors, as many as the default settings need and the subsamples of twonn_fit reach


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--points", type=int, default=2000)
    arguments = parser.parse_args()
    print("| dimension | estimator | mean | bias | spread | interval | ratio | holds dimension | holds mean |")
    print("|---|---|---|---|---|---|---|---|---|")
    for dimension in DIMENSIONS:
        table = draw(dimension, arguments.draws, arguments.points)
        for name, estimates in table.items():
            print(f"| {dimension} | {name} | {row(summarize(estimates, dimension))} |", flush=True)


def draw(dimension, draws, points):
    """Return {estimator: (draws, 3) id, low and high} of Gaussians."""
    drawn = {estimator.__name__: [] for estimator in ESTIMATORS}
    for number in range(draws):
        data = np.random.default_rng([dimension, number]).normal(size=(points, dimension))
        indices, distances, _ = find_neighbors(data, "exact", K)
        for estimator in ESTIMATORS:
            estimate = estimator(NeighborLists(distances, indices, {}))
            drawn[estimator.__name__].append([estimate[key] for key in ("id", "low", "high")])
    return {name: np.array(estimates) for name, estimates in drawn.items()}


def summarize(estimates, dimension):
    """Return the columns of the table, from (draws, 3) id, low and high."""
    ids, low, high = estimates.T
    spread, interval = ids.std(ddof=1), (high - low).mean() / 2 / 1.96
    return {
        "mean": ids.mean(),
        "bias": ids.mean() / dimension - 1,
        "spread": spread,
        "interval": interval,
        "ratio": interval / spread,
        "holds dimension": ((low <= dimension) & (dimension <= high)).mean(),
        "holds mean": ((low <= ids.mean()) & (ids.mean() <= high)).mean(),
    }


def row(summary):
    """Return the cells of a row as text."""
    formats = (".3f", "+.1%", ".3f", ".3f", ".2f", ".1%", ".1%")
    return " | ".join(
        format(value, form).replace("%", " %") for value, form in zip(summary.values(), formats, strict=True)
    )


if __name__ == "__main__":
    main()
