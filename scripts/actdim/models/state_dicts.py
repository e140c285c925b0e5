"""State dicts in files that others wrote: where in the file they lie, and which prefix their keys have."""

from collections import OrderedDict

import torch

MEMBERS = "state_dict", "model_state_dict", "model"  # where training programs put a model's state dict


def find_state_dict(content):
    """Return the state dict in what a file holds: all of it, one of MEMBERS, or its only member that is one.

    Raises ValueError, with the keys of the content, where there is none or where it is not clear which.
    """
    if is_state_dict(content):
        return content
    if not isinstance(content, dict):
        raise ValueError("holds no state dict of torch.save(model.state_dict(), ...)")
    state_dicts = {key: member for key, member in content.items() if is_state_dict(member)}
    key = next((key for key in MEMBERS if key in state_dicts), next(iter(state_dicts), None))
    if key in MEMBERS or len(state_dicts) == 1:
        return state_dicts[key]
    several = f"several state dicts, {', '.join(map(str, state_dicts))}" if state_dicts else "no state dict"
    raise ValueError(f"holds {several}, under the keys {', '.join(map(str, content))}; save one alone")


def is_state_dict(value):
    """Tell whether a value is a dict of names and tensors."""
    return isinstance(value, dict) and bool(value) and all(isinstance(each, torch.Tensor) for each in value.values())


def without_prefix(state, required):
    """Return a state dict without the prefix of a model's keys, such as `module.` or `_orig_mod.`.

    required: the keys that the model must have. Keys without the prefix are left out. Where no prefix gives all
    required keys, the state dict is returned as it is. Raises ValueError where several prefixes do.
    """
    first = required[0]
    prefixes = [key.removesuffix(first) for key in state if key == first or key.endswith(f".{first}")]
    prefixes = [prefix for prefix in prefixes if all(f"{prefix}{key}" in state for key in required)]
    if "" in prefixes or not prefixes:
        return state
    if len(prefixes) > 1:
        raise ValueError(f"holds the model several times, under {', '.join(prefixes)}; save one alone")
    start = len(prefixes[0])
    return OrderedDict((key[start:], value) for key, value in state.items() if key.startswith(prefixes[0]))
