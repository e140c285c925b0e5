"""Compile all that a search needs when installing, not in the first jobs of the first run."""

import numpy as np

from actdim.neighbors.search import find_neighbors


def main():
    angles = np.random.default_rng(0).normal(size=(2000, 4)) @ np.random.default_rng(1).normal(size=(4, 2000))
    for method in ("pynndescent", "exact"):
        find_neighbors(np.sin(angles).astype(np.float16), method, 32)


if __name__ == "__main__":
    main()
