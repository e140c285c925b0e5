"""The layers of a model by name: which it has, and their values.

A layer is a module, and its values are what the module returns; or, with the name `<module>.input`, what the module
reads first. Of several tensors, the values are the first: of an attention or an LSTM, its output for each position.
"""

import functools
import re
import sys
from collections import Counter

import torch

from actdim.errors import UserError
from actdim.names import INPUT

MODULE_INPUT = ".input"  # ends the name of a layer whose values a module reads
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{,199}")  # names of layers, which name files


def layer_names(model, wanted):
    """Return the names of the layers to measure: those wanted, or for ["all"] the input and those that the model lists.

    Raises UserError where the model has no module of a name, where it lists none, or where a name cannot name a file.
    """
    listed = listed_layers(model)
    if list(wanted) == ["all"]:
        if not listed:
            children = ", ".join(name for name, _ in model.named_children())
            raise UserError(
                f"activations.layers: the model has no attribute `layers`; name some of its modules: {children}, ..."
            )
        wanted = [INPUT, *listed]
    modules = [name for name, _ in model.named_modules(remove_duplicate=False) if name]
    for name in wanted:
        if name not in (INPUT, *modules) and name.removesuffix(MODULE_INPUT) not in modules:
            known = ", ".join([INPUT, *(listed or modules)])
            raise UserError(f"activations.layers: the model has no layer {name!r}; it has {known}")
        if not FILE_NAME.fullmatch(name):
            raise UserError(
                f"activations.layers: {name!r} cannot name files; a model's modules should have names of letters, "
                "digits, _ and -, at most 200"
            )
    return list(wanted)


def listed_layers(model):
    """Return the names of layers that a model's attribute `layers` lists; None if it is missing, or is a module."""
    layers = getattr(model, "layers", None)
    return layers if isinstance(layers, list | tuple) else None


@torch.no_grad()
def forward(model, inputs, layers, keep=lambda name, values: values.clone()):
    """Return (logits, {layer: values}) of a batch, the layers in the order in which the model computes them.

    inputs: (n, *shape); layers: names; keep: function of (name, values) that returns what to keep of a layer's values.
    It must return a copy: later in-place operations may overwrite the values.
    Raises UserError where the model computes a layer several times, or a layer has no tensor.
    """
    kept, counts = {INPUT: keep(INPUT, inputs)} if INPUT in layers else {}, Counter()

    def capture(name, values):
        counts[name] += 1
        kept[name] = keep(name, values)

    handles = [hook_layer(model, name, functools.partial(capture, name)) for name in layers if name != INPUT]
    try:
        logits = model.eval()(inputs)
    finally:
        for handle in handles:
            handle.remove()
    for name, count in counts.items():
        if count > 1:
            raise UserError(
                f"activations.layers: the model computes {name!r} {count} times; name a layer that it computes once"
            )
    return logits, kept


def hook_layer(model, name, function):
    """Have function(values) called whenever a model computes a layer; return the handle of the hook.

    What the function returns takes the place of the values, unless it is None.
    """

    def on_output(module, arguments, output):
        if not isinstance(output, torch.Tensor):
            say_first_is_measured(name)
        return with_first_tensor(name, output, function)

    def on_input(module, arguments, keywords):
        changed = with_first_tensor(name, (*arguments, *keywords.values()), function)
        if changed is None:
            return None
        return changed[: len(arguments)], dict(zip(keywords, changed[len(arguments) :], strict=True))

    module, reads = module_of(model, name)
    if reads:
        return module.register_forward_pre_hook(on_input, with_kwargs=True)
    return module.register_forward_hook(on_output)


def module_of(model, name):
    """Return the module of a layer, and whether the layer is what the module reads."""
    modules = dict(model.named_modules(remove_duplicate=False))
    return (modules[name], False) if name in modules else (modules[name.removesuffix(MODULE_INPUT)], True)


def with_first_tensor(name, values, function):
    """Return a module's output or arguments with function(first tensor) in place of the first tensor.

    None where the function returns None. Raises UserError where there is no tensor.
    """
    tensor = first_tensor(values)
    if tensor is None:
        raise UserError(f"activations.layers: {name!r} has values of type {type(values).__name__}, and no tensor")
    changed = function(tensor)
    if changed is None or tensor is values:
        return changed
    if isinstance(values, dict):
        return type(values)({key: changed if value is tensor else value for key, value in values.items()})
    return getattr(values, "_make", type(values))(changed if value is tensor else value for value in values)


def first_tensor(values):
    """Return the first tensor of a module's output or arguments; None where there is none."""
    if isinstance(values, torch.Tensor):
        return values
    members = values.values() if isinstance(values, dict) else values if isinstance(values, list | tuple) else ()
    return next((value for value in members if isinstance(value, torch.Tensor)), None)


@functools.cache
def say_first_is_measured(name):
    """Say once that a layer returns several values, and that its first tensor is measured."""
    print(f"layer {name}: returns several values; the first tensor is measured", file=sys.stderr)
