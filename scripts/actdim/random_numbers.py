"""The random numbers of torch, of NumPy and of Python: set from a run's seed, and kept over an interruption.

They belong to the process, and models and data sets of the user's own may draw from any of the three.
"""

import contextlib
import random

import numpy as np
import torch


def seed_random_numbers(seed):
    """Start the random numbers of torch, of NumPy's global generator and of Python from a seed."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # it takes no larger one
    random.seed(seed)


def random_states():
    """Return the states of all random numbers as tensors and plain values."""
    numpy = np.random.get_state(legacy=False)
    words = torch.from_numpy(numpy["state"]["key"].astype(np.int64))
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all(),
        "numpy": {**numpy, "state": {**numpy["state"], "key": words}},
        "python": random.getstate(),
    }


def restore_random_states(states):
    """Bring all random numbers to what `random_states` returned, on this machine or on another.

    Checkpoints of version 0.1.0 lack the states of NumPy and Python, which are then left as they are.
    """
    torch.set_rng_state(states["cpu"].cpu())
    if torch.cuda.is_available():
        # A machine with more GPUs saved more states than there may be GPUs here; a training uses the first.
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"][: torch.cuda.device_count()]])
    if "numpy" not in states:
        return
    numpy = states["numpy"]
    words = numpy["state"]["key"].cpu().numpy().astype(np.uint32)
    np.random.set_state({**numpy, "state": {**numpy["state"], "key": words}})
    random.setstate(states["python"])


@contextlib.contextmanager
def separate_random_numbers(seed):
    """Draw from a seed in the block; afterwards the random numbers go on as if nothing had been drawn in it."""
    states = random_states()
    seed_random_numbers(seed)
    try:
        yield
    finally:
        restore_random_states(states)
