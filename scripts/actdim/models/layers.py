"""The layers of a model by name: which it has, and their outputs."""

import re

import torch

from actdim.errors import UserError
from actdim.names import INPUT

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
    modules = [name for name, _ in model.named_modules() if name]
    for name in wanted:
        if name not in (INPUT, *modules):
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
def forward(model, inputs, layers, keep=lambda name, output: output.clone()):
    """Return (logits, {layer: output}) of a batch, the layers in the order in which the model computes them.

    inputs: (n, *shape); layers: names; keep: function of (name, output) that returns what to keep of a layer's output.
    It must return a copy: later in-place operations may overwrite the output.
    Raises UserError where a layer returns anything but a tensor.
    """
    outputs = {INPUT: keep(INPUT, inputs)} if INPUT in layers else {}
    handles = [
        model.get_submodule(name).register_forward_hook(
            lambda module, arguments, output, name=name: outputs.update({name: keep(name, as_tensor(name, output))})
        )
        for name in layers
        if name != INPUT
    ]
    try:
        return model.eval()(inputs), outputs
    finally:
        for handle in handles:
            handle.remove()


def as_tensor(name, output):
    """Return the output of a layer; raise UserError where it is not a tensor."""
    if not isinstance(output, torch.Tensor):
        raise UserError(f"activations.layers: {name!r} returns no single tensor; name a part of it")
    return output
