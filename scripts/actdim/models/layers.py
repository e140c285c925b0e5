"""A model's layers by name: which there are, and what they compute."""

import re

import torch

from actdim.errors import UserError
from actdim.names import INPUT

PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{,199}")  # a layer's name, of which those of its files are made


def layer_names(model, wanted):
    """Return the names of the layers to capture: `wanted`, or for ["all"] the input and the model's own list.

    Raises UserError where the model has no module of that name, or no list, or a name cannot stand in a path.
    """
    if list(wanted) == ["all"]:
        if not own_layers(model):
            children = ", ".join(name for name, _ in model.named_children())
            raise UserError(
                f"activations.layers: the model lists no `layers` of its own; name some of its modules: {children}, ..."
            )
        wanted = [INPUT, *model.layers]
    known = [INPUT, *(name for name, _ in model.named_modules() if name)]
    shown = [INPUT, *(own_layers(model) or known[1:])]
    for name in wanted:
        if name not in known:
            raise UserError(f"activations.layers: the model has no layer {name!r}; it has {', '.join(shown)}")
        if not PLAIN.fullmatch(name):
            raise UserError(
                f"activations.layers: {name!r} cannot name files; a model's modules should have names of letters, "
                "digits, _ and -, at most 200"
            )
    return list(wanted)


def own_layers(model):
    """Return the names of layers that a model lists as its `layers`; None where it has none, or modules there."""
    layers = getattr(model, "layers", None)
    return layers if isinstance(layers, list | tuple) else None


@torch.no_grad()
def forward(model, inputs, layers, keep=lambda name, output: output.clone()):
    """Return (logits, {layer: output}) for a batch, the layers in the order in which the model reached them.

    keep(layer, output): what to keep of an output, at once; a copy at least, for a later operation may work in place.
    """
    outputs = {INPUT: keep(INPUT, inputs)} if INPUT in layers else {}
    handles = [
        model.get_submodule(name).register_forward_hook(
            lambda module, arguments, output, name=name: outputs.update({name: keep(name, one_tensor(name, output))})
        )
        for name in layers
        if name != INPUT
    ]
    try:
        return model.eval()(inputs), outputs
    finally:
        for handle in handles:
            handle.remove()


def one_tensor(name, output):
    """Return the output of a layer; UserError where it is several tensors."""
    if not isinstance(output, torch.Tensor):
        raise UserError(f"activations.layers: {name!r} returns no single tensor; name a part of it")
    return output
