"""The image classifiers of torchvision, with fresh weights or trained ones."""

import difflib
import functools
import itertools
import pickle
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Annotated
from urllib.error import URLError

import torch
from pydantic import Field
from torch import nn

from actdim.errors import UserError
from actdim.models.state_dicts import find_state_dict, without_prefix
from actdim.storage.watched_files import Watched

UNREADABLE = (RuntimeError, EOFError, pickle.UnpicklingError, KeyError, ValueError, zipfile.BadZipFile)  # of torch.load
BATCH_COUNT = "num_batches_tracked"  # of batch norm; files older than it lack it
AUXILIARY = "aux1", "aux2", "AuxLogits"  # classifiers of GoogLeNet and Inception v3
DENSENET_KEYS = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")  # of its published weights


IMAGENET_FOLDERS = "n01440764", "n15075141"  # first and last of its 1,000 classes, in the order of their folders


@functools.cache  # the same function for the same name, as for all other models
def architecture(name):
    """Return the function that builds a model of torchvision, of the given name, with the setting `weights`."""

    def make(
        data,
        *,
        weights: Annotated[
            str | None,
            Field(description="file with a state dict, or a name such as DEFAULT; null: random weights"),
            Watched(functools.partial(files_of_weights, name)),
        ] = None,
    ) -> nn.Module:
        return classifier(name, data, weights)

    make.__name__ = f"torchvision:{name}"
    make.preprocessing = functools.partial(preprocessing, name)
    return make


def files_of_weights(name, weights):
    """Return [the file that `weights` names]; [] for a name of torchvision's. UserError where it is missing."""
    from torchvision import models  # slow to import

    known = models.get_model_weights(name).__members__ if name in models.list_models(module=models) else {}
    if weights not in known and not Path(weights).exists():
        raise UserError(f"model.{no_weights(weights, known)}")
    return [] if weights in known else [weights]


def no_weights(weights, known):
    """Return what to say of a setting that is neither a file nor one of the names `known`."""
    return f"weights: no file {weights!r} and no weights of that name: {', '.join(known)}"


def preprocessing(name, settings):
    """Return how images were preprocessed for the weights that a model's settings name, as settings of imagefolder.

    {} for random weights, and for a file that is no copy of weights of torchvision.
    """
    weights = weights_of_torchvision(name, settings.weights)
    if not weights:
        return {}
    transforms = weights.transforms()
    return {
        "resize": transforms.resize_size[0],
        "size": transforms.crop_size[0],
        "interpolation": transforms.interpolation.value,
        "mean": tuple(transforms.mean),
        "std": tuple(transforms.std),
    }


def weights_of_torchvision(name, weights):
    """Return torchvision's entry for weights that are named, or a file of the name under which it publishes them.

    None for others, and for a model that torchvision does not have.
    """
    from torchvision import models  # slow to import

    if not weights or name not in models.list_models(module=models):
        return None
    known = models.get_model_weights(name)
    published = {Path(entry.url).name: entry for entry in known}
    return known.__members__.get(weights) or published.get(Path(weights).name)


def classifier(name, data, weights):
    """Return the model `name` of torchvision for the DataSet `data`.

    weights: None for random ones; a name of torchvision's (DEFAULT, IMAGENET1K_V1), downloaded if torch.hub has no
    copy; or a file with a state dict. If they are for another number of classes than the data have, the classifier
    keeps random weights. The model's `layers` are its children before the classifier, and the classifier's input. Its
    attribute `no_accuracy` says why accuracies before training mean nothing, or is None.
    Raises ValueError where the name is unknown or data or weights do not fit the model.
    """
    if len(data.shape) != 3 or data.shape[0] != 3:
        raise ValueError(f"reads color images (3, height, width), and this data set has samples of shape {data.shape}")
    from torchvision import models  # slow to import

    known = models.list_models(module=models)
    if name not in known:
        raise ValueError(
            f"unknown to torchvision; it has {', '.join(difflib.get_close_matches(name, known, 5, 0))}, ..."
        )
    trained = state_of(models.get_model_weights(name), weights) if weights else None
    model = models.get_model(name, weights=None, num_classes=data.classes)
    drop_auxiliary_classifiers(model)
    head = [key for key, module in model.named_modules() if isinstance(module, nn.Linear)][-1:]
    if not head:
        raise ValueError("has no linear classifier")
    model.no_accuracy = None
    if trained:
        trained = rename_keys(trained, model, head[0], weights)
        load_weights(model, head[0], trained, weights)
        entry = weights_of_torchvision(name, weights)
        model.no_accuracy = why_no_accuracy(data, weights, trained.get(f"{head[0]}.weight"), entry)
    return list_layers(model, head[0])


def why_no_accuracy(data, weights, head, entry):
    """Return why the accuracy of a model with trained weights means nothing on a DataSet, or None where it is right.

    weights: the setting; head: the weights of its classifier, (classes, features), or None; entry: see
    weights_of_torchvision. Classes of a file of the user's own are taken for those of the data if there are as many.
    """
    if head is None or not head.isfinite().all():
        return f"the classifier is untrained: weights {weights} has none"
    if len(head) != data.classes:
        return f"the classifier is untrained: weights {weights} is for {len(head)} classes, not {data.classes}"
    if entry and list(data.class_names) != entry.meta["categories"] and not are_imagenet_folders(data.class_names):
        return f"weights {weights} is for the classes of ImageNet, and the data set has others or no class_names"
    return None


def are_imagenet_folders(names):
    """Tell whether names of classes are those of ImageNet's folders."""
    return len(names) == 1000 and (names[0], names[-1]) == IMAGENET_FOLDERS


def drop_auxiliary_classifiers(model):
    """Remove the auxiliary classifiers of GoogLeNet and Inception v3; the loss is that of the last classifier alone."""
    if getattr(model, "aux_logits", False):
        model.aux_logits = False
        for key in AUXILIARY:
            if hasattr(model, key):
                setattr(model, key, None)  # not deleted, because forward() reads it


def state_of(known, weights):
    """Return the state dict that the setting `weights` names, or None on the meta device, where tensors have no values.

    known: torchvision's enumeration of a model's weights. Raises ValueError where there is none, or no readable one.
    """
    if weights in known.__members__:
        try:
            return (
                None
                if on_meta_device()
                else known[weights].get_state_dict(progress=False, check_hash=True, weights_only=True)
            )
        except URLError as error:
            url = known[weights].url
            raise ValueError(f"weights: cannot download {url} ({error.reason}); write the path of a copy") from None
        except UNREADABLE as error:
            copy = f"{torch.hub.get_dir()}/checkpoints/{Path(known[weights].url).name}"
            reason = str(error).partition("\n")[0]
            raise ValueError(f"weights: {copy} holds no state dict ({reason}); delete it and try again") from None
    if not Path(weights).exists():
        raise ValueError(no_weights(weights, known.__members__))
    damaged, content = None, None
    try:
        if zipfile.is_zipfile(weights):  # torch's format since 2020
            with zipfile.ZipFile(weights) as archive:
                damaged = archive.testzip()
        content = torch.load(weights, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if zipfile.is_zipfile(weights) and not damaged:
            raise ValueError(
                f"weights: {weights} holds more than tensors and plain values; save model.state_dict() alone"
            ) from None
    except (*UNREADABLE, OSError):  # what torch raises depends on the bytes
        pass
    if damaged:
        raise ValueError(f"weights: {weights} is damaged, at {damaged}; copy it again")
    try:
        return find_state_dict(content)
    except ValueError as error:
        raise ValueError(f"weights: {weights} {error}") from None


def on_meta_device():
    """Tell whether models are built without values, only for their shapes."""
    return torch.get_default_device().type == "meta"


def rename_keys(state, model, head, weights):
    """Return a state dict with the keys of torchvision's model.

    They lose a prefix, such as `module.`, and what `list_layers` adds to those of the classifier `head`, which
    checkpoints of this project have. weights: where the state dict comes from, for messages. Raises ValueError.
    """
    renamed = OrderedDict((DENSENET_KEYS.sub(r"\1\2", key), value) for key, value in state.items())
    try:
        renamed = without_prefix(renamed, required_keys(model, head))
    except ValueError as error:
        raise ValueError(f"weights: {weights} {error}") from None
    renamed = OrderedDict((re.sub(rf"^{re.escape(head)}\.linear\.", f"{head}.", key), renamed[key]) for key in renamed)
    renamed._metadata = getattr(state, "_metadata", OrderedDict())
    return renamed


def required_keys(model, head):
    """Return the keys that weights for a model must have: all but those of its classifier and counts of batches."""
    return [key for key in model.state_dict() if not key.startswith(f"{head}.") and not key.endswith(BATCH_COUNT)]


def load_weights(model, head, state, weights):
    """Load a state dict, without auxiliary classifiers and without the classifier `head` if it has other classes.

    weights: where the state dict comes from, for messages. Raises ValueError where it is of another model.
    """
    expected = model.state_dict()
    fitting = OrderedDict(
        (key, value)
        for key, value in state.items()
        if key in expected and not (key.startswith(f"{head}.") and value.shape != expected[key].shape)
    )
    fitting._metadata = state._metadata
    of_other_shape = [key for key, value in fitting.items() if value.shape != expected[key].shape]
    missing = [key for key in required_keys(model, head) if key not in fitting]
    unknown = [key for key in state if key not in expected and not key.startswith((*AUXILIARY, f"{head}."))]
    if missing or of_other_shape or unknown:
        keys = ", ".join((missing + of_other_shape + unknown)[:3])
        raise ValueError(f"weights: {weights} is of another model: {keys} does not fit")
    model.load_state_dict(fitting, strict=False)
    if hasattr(model, "transform_input"):
        model.transform_input = True  # GoogLeNet's and Inception v3's weights were trained on inputs of another scale


def list_layers(model, head):
    """Return the model with the attribute `layers`, and with a module whose output is the classifier's input.

    A few models have a module called `layers`; a study must name their layers.
    """
    linear = model.get_submodule(head)
    model.set_submodule(head, nn.Sequential(OrderedDict(features=nn.Identity(), linear=linear)))
    if "layers" not in dict(model.named_children()):
        before = [child_names(key, child) for key, child in model.named_children() if key != head.partition(".")[0]]
        model.layers = (*itertools.chain(*before), f"{head}.features")
    return model


def child_names(key, child):
    """Return the names of the modules that a model calls: its child, or the members of a child that is a list."""
    return [f"{key}.{i}" for i in range(len(child))] if isinstance(child, nn.ModuleList) else [key]
