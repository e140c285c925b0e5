"""What a model computes and how much of it, found without data or weights: layers, parameters, work and memory."""

import contextlib
import functools
import json
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from actdim import plugins, registry
from actdim.datasets.dataset import data_set
from actdim.errors import UserError
from actdim.provenance import code_digest, digest_of
from actdim.storage.json_files import read_json, write_json

KNOWN = Path(".snakemake/actdim")


class ModelSummary(NamedTuple):
    """A model, by what it does to one sample."""

    layers: dict[str, int]  # {layer: number of features} of those that a run dumps, in the order of computation
    units: dict[str, int]  # {layer: number of its feature maps, or else neurons}
    parameters: int  # values
    trainable: bool  # whether training changes any of them
    saved: int  # bytes that training keeps for the backward pass
    largest: int  # bytes of the largest output of a module
    flops: int  # of a forward pass


def summarize_model(settings, layers):
    """Return the ModelSummary of the model of a RunSettings; layers: as a study names them in activations.

    Raises UserError where its model or data set cannot be made so. What was found once is kept beside Snakemake's own
    records, for to run the models takes seconds.
    """
    data, model = data_set(settings.dataset), settings.model.model_dump(mode="json")
    code = code_digest("dump_activations.py", *plugins.run_functions(settings))
    libraries = version("torch"), version("torchvision")
    what = [model, data.shape, data.classes, data.vocabulary, layers, code, libraries, ModelSummary._fields]
    known = KNOWN / f"{digest_of(what)}.json"
    with contextlib.suppress(UserError):  # there is none yet, or it is damaged
        return ModelSummary(**read_json(known))
    found = computed(json.dumps(model), data._replace(sizes=None, load=None), tuple(layers))
    with contextlib.suppress(UserError):  # another Snakemake is writing the same file
        write_json(known, found._asdict())
    return found


@functools.cache
def computed(model, data, layers):
    """Return the ModelSummary of the model of settings as JSON for a DataSet, without reading data or weights."""
    settings = plugins.check_named(registry.MODELS, json.loads(model), "model")
    try:
        return run_on("meta", settings, data, layers)
    except (NotImplementedError, RuntimeError, TypeError):
        pass  # some models compute with values when they are made
    try:
        return run_on("cpu", settings, data, layers)
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise UserError(f"model: {settings.name} cannot read these data: {str(error).splitlines()[0]}") from None


def run_on(device, settings, data, layers):
    """Return the ModelSummary of the model of its settings, run on a device; "meta" is one without values."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from actdim.models.layers import forward, layer_names

    with torch.device(device):
        called, model = settings.name, plugins.build(registry.MODELS, settings, data)
        inputs = torch.zeros((SAMPLES, *data.shape), dtype=torch.int64 if data.vocabulary else torch.float32)
    if not isinstance(model, torch.nn.Module):
        raise UserError(f"model: {called} returns {type(model).__name__}; should return a torch.nn.Module")
    if any(map(torch.nn.parameter.is_lazy, model.parameters())):
        raise UserError(f"model: {called} has lazy modules; state the sizes of their inputs")
    names = layer_names(model, layers)
    logits, outputs = forward(model, inputs, names)
    check_logits(called, logits, data.classes)
    check_outputs(names, outputs)
    own = {storage_of(tensor) for tensor in [*model.parameters(), *model.buffers()]}
    saved = {}

    def keep(tensor):
        if storage_of(tensor) not in own:
            saved[storage_of(tensor)] = tensor  # and with it its storage, whose number another could get else
        return tensor

    with FlopCounterMode(display=False) as counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: kept):
        model(inputs)
    sizes = [tensor.nbytes // SAMPLES for tensor in saved.values()]
    return ModelSummary(
        layers={name: output[0].numel() for name, output in outputs.items()},
        units={name: units_of(output[0].shape) for name, output in outputs.items()},
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        trainable=any(parameter.requires_grad for parameter in model.parameters()),
        saved=sum(sizes),
        largest=max([*sizes, *(output.nbytes // SAMPLES for output in outputs.values())]),
        flops=counter.get_total_flops() // SAMPLES,
    )


def check_logits(name, logits, classes):
    """Raise UserError where a model's output for SAMPLES samples are no logits."""
    found = f"{logits.dtype} {tuple(logits.shape)}" if hasattr(logits, "dtype") else type(logits).__name__
    if not hasattr(logits, "dtype") or logits.shape != (SAMPLES, classes) or not logits.is_floating_point():
        raise UserError(f"model: {name} returns {found} for {SAMPLES} samples; should be floats ({SAMPLES}, {classes})")


def check_outputs(names, outputs):
    """Raise UserError where not all of the named layers have an output with a row for each of SAMPLES samples."""
    for name in names:
        if name not in outputs:
            raise UserError(f"activations.layers: the model never computes {name!r} as a whole; name a part of it")
        shape = tuple(outputs[name].shape)
        if len(shape) < 2 or len(outputs[name]) != SAMPLES:
            raise UserError(
                f"activations.layers: {name!r} returns {shape} for {SAMPLES} samples; name one whose output has the "
                f"samples first, ({SAMPLES}, ...), and values of each"
            )


def units_of(shape):
    """Return the number of units of an output of a shape: its feature maps, or what it has at each position."""
    return shape[1] if len(shape) == 2 else shape[0] if shape else 1


def storage_of(tensor):
    """Return what is the same for tensors that share memory."""
    return tensor.untyped_storage()._cdata


SAMPLES = 3  # unlike the usual number of anything else, to tell it from those
