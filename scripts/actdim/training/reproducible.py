"""How torch computes in this project: the same seed gives the same numbers, and memory is kept between steps."""

import ctypes
import os

import torch


def make_deterministic(threads):
    """Make the same seed give the same weights: a fixed number of threads, and no nondeterministic kernel."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode("error")  # use_deterministic_algorithms() loads the compiler too, for a second
    torch.utils.deterministic.fill_uninitialized_memory = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False  # float32 is float32 on every device


def keep_memory():
    """Keep freed memory in the process, where it runs on glibc.

    Otherwise every step asks the kernel for its activations anew, which took a sixth of the time of a ResNet-18.
    """
    if hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, -1)


M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
