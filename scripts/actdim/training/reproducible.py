"""Settings of torch: the same seed gives the same numbers, and memory is kept between steps."""

import ctypes
import os

import torch


def make_deterministic(threads):
    """Make training reproducible: a fixed number of threads, and no nondeterministic kernels."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # use_deterministic_algorithms() does the same, but loads the compiler, which takes a second.
    torch.set_deterministic_debug_mode("error")
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False  # float32 is float32 on every device


def keep_memory():
    """Keep freed memory in the process, on glibc.

    Otherwise each step requests memory for its activations from the kernel, which took 1/6 of the time of a ResNet-18.
    """
    if hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, -1)


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
