#!/usr/bin/env python
"""Time the neighbor searches over sizes, and fit the costs by which `auto` chooses (search.expected_seconds).

    python benchmarks/methods.py    # about five minutes on 2 cores

Points are those of benchmarks/neighbors.py with an ID of 20. Each search runs in its own process, as a job does,
and its time includes imports. A cost is fitted by least squares of relative errors.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from neighbors import ENVIRONMENT, write_layer
from scipy.optimize import nnls

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
SIZES = [(1000, 512), (5000, 512), (10_000, 64), (10_000, 512), (10_000, 8192)]
SIZES += [(30_000, 64), (30_000, 512), (30_000, 4096), (100_000, 64), (100_000, 512)]
TERMS = {
    "exact": {"1": lambda n, d: 1, "n^2 d": lambda n, d: n**2 * d, "n^2": lambda n, d: n**2},
    "sketch": {"1": lambda n, d: 1, "n d": lambda n, d: n * d, "n^2": lambda n, d: n**2, "n": lambda n, d: n},
    "pynndescent": {"1": lambda n, d: 1, "n d": lambda n, d: n * d, "n": lambda n, d: n},
}


def main():
    if len(sys.argv) > 1:
        print(json.dumps(search(*sys.argv[1:])))
        return

    print("| points x features | exact | sketch | its recall | pynndescent | its recall |\n|---|---|---|---|---|---|")
    times = {name: [] for name in TERMS}
    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder) / "layer.h5"
        for n, features in SIZES:
            write_layer(layer, n, features, 20)
            found = {name: timed(name, layer) for name in TERMS}
            for name, (seconds, _) in found.items():
                times[name].append(seconds)
            row = " | ".join(f"{found[name][0]:.1f} s | {found[name][1]:.4f}" for name in ("sketch", "pynndescent"))
            print(f"| {n:,} x {features:,} | {found['exact'][0]:.1f} s | {row} |", flush=True)
    for name, terms in TERMS.items():
        costs, worst = fit([[term(*size) for term in terms.values()] for size in SIZES], times[name])
        text = " + ".join(f"{cost:.2g} {term}" for term, cost in zip(terms, costs, strict=True))
        print(f"{name}: {text} seconds for n points of d features, within a factor of {worst:.1f}")


def fit(terms, seconds):
    """Return (costs that are not negative, the largest factor by which they are off), by relative least squares."""
    relative = np.array(terms, dtype=float) / np.array(seconds)[:, None]
    scale = relative.max(axis=0)
    costs = nnls(relative / scale, np.ones(len(relative)))[0] / scale
    return costs, np.exp(np.abs(np.log(relative @ costs)).max())


def timed(method, layer):
    """Return (seconds of the whole process, recall of the first search) of a method."""
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, __file__, method, layer], capture_output=True, text=True, check=True, env=ENVIRONMENT
    )
    return time.monotonic() - begun, json.loads(done.stdout)


def search(method, path):
    """Search at the first effort alone, whatever the recall; return the recall."""
    from actdim.neighbors import approximate, search
    from actdim.neighbors.search import find_neighbors

    search.EFFORTS = (1,)
    approximate.TARGET_RECALL = 0
    with h5py.File(path) as file:
        _, _, report = find_neighbors(file["layers/x"], method, 32)
    return report["recall"]


if __name__ == "__main__":
    main()
