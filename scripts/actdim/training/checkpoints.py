"""Checkpoints: everything that training needs to go on, in one file that appears whole or not at all."""

import pickle

import torch
from torch.utils._pytree import tree_leaves

from actdim.errors import UserError
from actdim.storage.atomic import TRAIN_AGAIN, atomic_write
from actdim.storage.checksums import archive_is_whole, seal_archive

FORMAT = 2


def save(path, state):
    """Write a checkpoint: a dict of tensors and plain values."""
    size = sum(leaf.nbytes for leaf in tree_leaves(state) if isinstance(leaf, torch.Tensor))
    with atomic_write(path, size) as beside:
        torch.save({"format": FORMAT, **state}, beside)
        seal_archive(beside)


def load(path, device="cpu", remedy=TRAIN_AGAIN):
    """Read a checkpoint without running any code in it.

    Raises UserError that names it where it is missing, damaged or of another format.
    """
    try:
        if not archive_is_whole(path):
            raise UserError(f"{path}: damaged, or a checkpoint of an older format than {FORMAT}; {remedy}")
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint") from None
    except pickle.UnpicklingError:  # it holds what could run code
        raise UserError(f"{path}: not a checkpoint; {remedy}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"{path}: not a checkpoint of format {FORMAT}; {remedy}")
    return state
