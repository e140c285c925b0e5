"""Checkpoints: everything that training needs to go on, in one file that appears whole or not at all."""

import pickle

import torch
from torch.utils._pytree import tree_leaves

from actdim.errors import UserError
from actdim.files import whole

FORMAT = 1


def save(path, state):
    """Write a checkpoint: a dict of tensors and plain values."""
    size = sum(leaf.nbytes for leaf in tree_leaves(state) if isinstance(leaf, torch.Tensor))
    with whole(path, size) as beside:
        torch.save({"format": FORMAT, **state}, beside)


def load(path, device="cpu"):
    """Read a checkpoint without running any code in it; a missing or damaged one is a UserError that names it."""
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint") from None
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, KeyError, ValueError):
        raise UserError(f"{path}: not a whole checkpoint; delete its folder and train again") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"{path}: not a checkpoint of format {FORMAT}; delete its folder and train again")
    return state
