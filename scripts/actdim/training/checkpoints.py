"""Checkpoints: everything that a training needs to continue from there, in one file with a checksum."""

import pickle
import zipfile
from pathlib import Path

import torch
from torch.utils._pytree import tree_leaves

from actdim.errors import UserError
from actdim.storage.atomic import ANOTHER_VERSION, atomic_write
from actdim.storage.checksums import append_checksum, has_valid_checksum
from actdim.storage.working_folder import repair_advice

FORMAT = 2


def file_name(unit):
    """Return the name of the checkpoint of an epoch or step."""
    return f"{unit:05d}.pt"


def save(path, state):
    """Write a checkpoint: a dict of tensors and plain values."""
    size = sum(leaf.nbytes for leaf in tree_leaves(state) if isinstance(leaf, torch.Tensor))
    with atomic_write(path, size) as temporary:
        torch.save({"format": FORMAT, **state}, temporary)
        append_checksum(temporary)


def load(path, device="cpu"):
    """Read a checkpoint without running any code in it.

    Raises UserError if it is missing, corrupt or of another format.
    """
    path = Path(path)
    advice = repair_advice(path.parent)
    try:
        if not has_valid_checksum(path):
            if zipfile.is_zipfile(path) and not zipfile.ZipFile(path).comment:
                raise UserError(f"{path}: no checksum: {ANOTHER_VERSION}")
            raise UserError(f"{path}: corrupt; {advice}")
        state = torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint") from None
    except pickle.UnpicklingError:  # it holds what could run code
        raise UserError(f"{path}: not a checkpoint; {advice}") from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise UserError(f"{path}: not a checkpoint of format {FORMAT}: {ANOTHER_VERSION}")
    return state


def load_metrics(path):
    """Return {epoch or step: metrics} of an intact checkpoint, without reading its tensors."""
    return torch.load(path, mmap=True, weights_only=True)["metrics"]


def is_intact(path):
    """Tell whether a checkpoint is there and has the right checksum."""
    return path.exists() and has_valid_checksum(path)
