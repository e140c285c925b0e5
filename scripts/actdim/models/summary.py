"""What a model computes and how much of it, found without data or weights: layers, parameters, work and memory."""

import contextlib
import functools
import json
from importlib.metadata import version
from typing import NamedTuple

from actdim import plugins, registry
from actdim.datasets.dataset import data_set
from actdim.errors import UserError
from actdim.provenance import code_digest, digest_of
from actdim.storage.json_files import read_json, write_json
from actdim.storage.watched_files import CACHE, content_digests

SAMPLES = 3  # in a batch; unlike most sizes of a model, to recognize the axis of samples


class ModelSummary(NamedTuple):
    """The size of a model and of what it computes from one sample."""

    layers: dict[str, int]  # {layer: number of features} of the measured layers, in the order of computation
    units: dict[str, int]  # {layer: number of its feature maps, or else neurons}
    parameters: int
    trainable: bool  # whether training changes any of them
    saved: int  # bytes that training keeps for the backward pass
    largest: int  # bytes of the largest output of a module
    feeds_classifier: str | None  # which of the measured layers
    flops: int  # of a forward pass


def summarize_model(settings, layers):
    """Return the ModelSummary of the model of a RunSettings.

    layers: as a study names them in `activations`. Results are cached under .snakemake/, because running the models
    takes seconds.
    Raises UserError where the model cannot be built or cannot read the data.
    """
    data, model = data_set(settings.dataset), settings.model.model_dump(mode="json")
    code = code_digest("dump_activations.py", *plugins.run_functions(settings))
    files = content_digests({"dataset": settings.dataset, "model": settings.model})
    kind = data.shape, data.classes, data.vocabulary
    subject = [model, *kind, layers, code, files, versions_of_libraries(), ModelSummary._fields]
    cached = CACHE / f"{digest_of(subject)}.json"
    with contextlib.suppress(UserError):  # missing or corrupt
        return ModelSummary(**read_json(cached))
    summary = compute_summary(json.dumps(model), data._replace(sizes=None, load=None), tuple(layers))
    with contextlib.suppress(UserError):  # another Snakemake is writing the same file
        write_json(cached, summary._asdict())
    return summary


@functools.cache  # finding a version takes half a millisecond
def versions_of_libraries():
    """Return the versions of the libraries on which a ModelSummary depends."""
    return version("torch"), version("torchvision")


@functools.cache
def compute_summary(model, data, layers):
    """Return the ModelSummary of a model, its settings given as JSON, for a DataSet; read neither data nor weights."""
    settings = plugins.check_named(registry.MODELS, json.loads(model), "model")
    try:
        return run_on("meta", settings, data, layers)
    except (NotImplementedError, RuntimeError, TypeError):
        pass  # some models need values when they are built
    try:
        return run_on("cpu", settings, data, layers)
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise UserError(f"model: {settings.name} cannot read these data: {str(error).splitlines()[0]}") from None


def run_on(device, settings, data, layers):
    """Return the ModelSummary of a model, run on a device; on "meta", tensors have no values."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from actdim.models.build import construct
    from actdim.models.classifier import classifier_input
    from actdim.models.layers import forward, layer_names

    name = settings.name
    with torch.device(device):
        model = construct(settings, data)
    random, shape = torch.Generator().manual_seed(0), (SAMPLES, *data.shape)  # zeros may be what a model leaves out
    tokens = data.vocabulary and torch.randint(data.vocabulary, shape, generator=random)
    inputs = (tokens if data.vocabulary else torch.randn(shape, generator=random)).to(device)
    if not isinstance(model, torch.nn.Module):
        raise UserError(f"model: {name} returns {type(model).__name__}; should return a torch.nn.Module")
    if any(map(torch.nn.parameter.is_lazy, model.parameters())):
        raise UserError(f"model: {name} has lazy modules; state the sizes of their inputs")
    layers = layer_names(model, layers)
    logits, outputs = forward(model, inputs, layers)
    check_logits(name, logits, data.classes)
    check_outputs(model, inputs, layers, outputs)
    of_model = {storage_of(tensor) for tensor in [*model.parameters(), *model.buffers()]}
    saved = {}

    def keep(tensor):
        if storage_of(tensor) not in of_model:
            saved[storage_of(tensor)] = tensor  # the tensor itself, so that no other gets the address of its storage
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
        feeds_classifier=classifier_input(model, inputs).among(outputs),
    )


def check_logits(name, logits, classes):
    """Raise UserError where a model's output for SAMPLES samples is not (SAMPLES, classes) logits."""
    is_tensor = hasattr(logits, "dtype")
    if not is_tensor or logits.shape != (SAMPLES, classes) or not logits.is_floating_point():
        output = f"{logits.dtype} {tuple(logits.shape)}" if is_tensor else type(logits).__name__
        raise UserError(
            f"model: {name} returns {output} for {SAMPLES} samples; should be floats ({SAMPLES}, {classes})"
        )


def check_outputs(model, inputs, layers, outputs):
    """Raise UserError where a layer has no output, or none with a row for each of SAMPLES samples."""
    for name in layers:
        if name not in outputs:
            near = called_near(model, inputs, name)
            raise UserError(f"activations.layers: the model never calls {name!r} as a module; name {near}")
        shape = tuple(outputs[name].shape)
        if len(shape) < 2 or len(outputs[name]) != SAMPLES:
            raise UserError(
                f"activations.layers: {name!r} returns {shape} for {SAMPLES} samples; name a layer whose output is "
                f"({SAMPLES}, ...), one or more values for each sample"
            )


def called_near(model, inputs, name):
    """Return which modules around one that a model never calls it does call, as text: its parts, or what it is in."""
    called = []
    handles = [
        module.register_forward_hook(lambda *_, other=other: called.append(other))
        for other, module in model.named_modules()
    ]
    model(inputs)
    for handle in handles:
        handle.remove()
    names = sorted(set(called), key=lambda other: (other.count("."), called.index(other)))
    parts = [other for other in names if other.startswith(f"{name}.")]
    near = [part for part in parts if part.count(".") == parts[0].count(".")][:3]
    near = near or [other for other in names if other and name.startswith(f"{other}.")][-1:]
    return " or ".join(near or [other for other in names if other][:3])


def units_of(shape):
    """Return the number of units of an output for one sample: feature maps, or features of a position."""
    return shape[1] if len(shape) == 2 else shape[0] if shape else 1


def storage_of(tensor):
    """Return a number that is the same for tensors that share memory."""
    return tensor.untyped_storage()._cdata
