"""Compile what a search needs and cache it on disk, when installing, so that the first jobs need not do it.

In scripts/: python -m actdim.neighbors.precompile. It takes about half a minute.
"""

import numpy as np

from actdim.neighbors.search import find_neighbors
from actdim.storage.layer_reader import row_checksums


def main():
    angles = np.random.default_rng(0).normal(size=(2000, 4)) @ np.random.default_rng(1).normal(size=(4, 2000))
    points = np.sin(angles).astype(np.float16)
    for method in ("pynndescent", "sketch", "exact"):
        find_neighbors(points, method, 32)
    for float_type in (np.float16, np.float32, np.float64):
        row_checksums(points[:10].astype(float_type))


if __name__ == "__main__":
    main()
