"""Nearest neighbors of every point: which method to use (search.py), the exact search (exact.py), the approximate ones
(sketch.py, approximate.py) with their audit (audit.py), and neighbors within random subsets (decimation.py,
subsets.py).

matmul.py and kernels.py hold what a search computes most of its time, pynndescent_cache.py saves compilation;
precompile.py fills the caches when installing.
"""
