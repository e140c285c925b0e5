"""How many threads a job computes with, and numba set up for them. No result depends on the number."""

import os

from actdim.numba_cache import make_cache_safe

# Threads that numba starts; its loops may use fewer. numba cannot start more later, and nearest neighbor descent uses
# four on any machine (neighbors/approximate.py).
NUMBA_THREADS = max(4, os.cpu_count())


def given_threads():
    """Return the number of threads that the job may use: Snakemake sets OMP_NUM_THREADS; by default all cores."""
    given = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(given) if given.isdecimal() else os.cpu_count()


def import_numba():
    """Import numba with NUMBA_THREADS threads, of which its loops use those given to the job; return the module."""
    os.environ["NUMBA_NUM_THREADS"] = str(NUMBA_THREADS)  # read when numba is first imported
    import numba

    make_cache_safe(numba)
    numba.set_num_threads(min(given_threads(), numba.config.NUMBA_NUM_THREADS))
    return numba
