"""Which layer feeds the classifier of a model, against what the classifier's module reads."""

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from actdim import registry
from actdim.datasets.dataset import DataSet
from actdim.models.classifier import classifier_input
from actdim.models.layers import forward
from conftest import STUDY, build_named
from torch import nn


class Net(nn.Module):
    """A small convolutional network whose classifier reads features that `head` computes from it and feature maps."""

    def __init__(self, head):
        super().__init__()
        self.head = head
        self.body = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU())
        self.average, self.dropout, self.fc = nn.AdaptiveAvgPool2d(1), nn.Dropout(), nn.Linear(6, 3)
        self.weight = nn.Parameter(torch.randn(6, 3))

    def forward(self, images):
        return self.head(self, self.body(images))


@torch.no_grad()
def average_frozen(net, maps):
    """The features of a frozen network."""
    return net.average(maps)


HEADS = {
    "module": (lambda net, maps: net.fc(net.average(maps).flatten(1)), "average"),
    "dropout": (lambda net, maps: net.fc(net.dropout(net.average(maps).flatten(1))), "average"),
    "slice of the output": (lambda net, maps: net.fc(maps.flatten(2).transpose(1, 2))[:, -1], "body"),
    "mean of the output": (lambda net, maps: net.fc(maps.flatten(2).transpose(1, 2)).mean(1), "body"),
    "log-softmax": (lambda net, maps: net.fc(net.average(maps).flatten(1)).log_softmax(1), "average"),
    "frozen features": (lambda net, maps: net.fc(average_frozen(net, maps).flatten(1)), "average"),
    "function": (lambda net, maps: net.fc(maps.mean((2, 3))), "fc.input"),
    "function in place": (lambda net, maps: net.fc(net.average(maps).relu_().flatten(1)), "fc.input"),
    "weight of no module": (lambda net, maps: net.average(maps).flatten(1) @ net.weight, "average"),
    "function, weight of no module": (lambda net, maps: maps.mean((2, 3)) @ net.weight, None),
    "two classifiers": (lambda net, maps: net.fc(maps.mean((2, 3))) + net.fc(maps.amax((2, 3))), None),
    "distances to a weight": (lambda net, maps: -torch.cdist(net.average(maps).flatten(1), net.weight.T), "average"),
    "factors": (lambda net, maps: net.fc(net.average(maps).flatten(1)) * net.weight[:3], None),
    "added bias": (lambda net, maps: net.fc(net.average(maps).flatten(1)) + net.weight[:1], "average"),
    "no gradients": (torch.no_grad()(lambda net, maps: net.fc(maps.mean((2, 3)))), None),
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("head", HEADS)
def test_the_layer_that_feeds_the_classifier(head, device):
    function, layer = HEADS[head]
    torch.manual_seed(0)
    with torch.device(device):
        net, images = Net(function), torch.randn(3, 1, 8, 8)
    net.body.requires_grad_(False)
    read = classifier_input(net, images)
    everything = ["input", "body.0", "body", "average", "fc.input", "fc"]
    assert read.among(everything) == layer
    assert (read.why_none_among(everything) is None) == (layer is not None)
    assert read.why_none_among(["body.0"])
    assert [name for name, weights in net.named_parameters() if not weights.requires_grad] == [
        "body.0.weight",
        "body.0.bias",
    ]
    if layer and device == "cpu" and "weight" not in head:
        seen = []
        net.fc.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].sort(-1).values))
        _, outputs = forward(net, images, [layer])
        features = outputs[layer].flatten(2).movedim(1, -1) if layer == "body" else outputs[layer].flatten(1)
        torch.testing.assert_close(features.sort(-1).values, seen[0])


@pytest.mark.parametrize(
    ("name", "shape", "layer"),
    [
        ("resnet18", (3, 32, 32), "pool"),
        ("mlp", (3, 8, 8), "hidden2"),
        ("convnet", (3, 8, 8), "conv3"),
        ("transformer", (4,), "final_norm"),
        ("torchvision:resnet18", (3, 64, 64), "fc.features"),
        ("torchvision:vgg11", (3, 64, 64), "classifier.6.features"),
        ("torchvision:densenet121", (3, 64, 64), "classifier.features"),
        ("torchvision:mobilenet_v2", (3, 64, 64), "classifier.1.features"),
        ("torchvision:vit_b_16", (3, 224, 224), "heads.head.features"),
        ("torchvision:swin_t", (3, 64, 64), "head.features"),
        ("torchvision:mnasnet0_5", (3, 64, 64), "classifier.1.features"),
    ],
)
def test_models_with_a_name(name, shape, layer):
    tokens = 11 if name == "transformer" else 0
    data = DataSet(shape=shape, classes=7, sizes={}, load=dict, vocabulary=tokens)
    with torch.device("meta"):
        model = build_named(registry.MODELS, {"name": name}, data)
        inputs = torch.zeros(2, *shape, dtype=torch.int64 if tokens else torch.float32)
    layers = model.layers if isinstance(getattr(model, "layers", None), tuple) else [layer]
    assert classifier_input(model, inputs).among(layers) == layer


def test_a_model_of_one_product_reads_the_data():
    read = classifier_input(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.randn(3, 2, 2))
    assert read.why_none_among(["0"]) == "the classifier reads the data, no layer"


OWN = """
from torch import nn


class Net(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU())
        self.fc = nn.Linear(6, classes)

    def forward(self, images):
        return self.fc(self.body(images).mean((2, 3)))


def net(data):
    return Net(data.classes)
"""


NOT_MEASURED = "LLID: the layer that feeds the classifier, fc.input, is not measured"
STUDIES = {  # layers, and why there is no LLID
    "early": (["body.1", "body", "fc"], NOT_MEASURED),
    "whole": (["input", "body.1", "body", "fc.input", "fc"], None),
    "input": (["input"], f"{NOT_MEASURED}; PID: no layer is measured"),
}


def test_llid_is_of_that_layer_or_empty(project):
    """Whatever is listed last: here what feeds the classifier is a mean, the output of no module."""
    (project.folder / "mine.py").write_text(OWN)
    for name, (layers, _) in STUDIES.items():
        activations = {"activations": {"at": [4], "layers": layers}, "figures": ["id_over_depth"]}
        project.write({**STUDY, "model": {"name": "mine:net"}, "grid": [{}], **activations}, name)
    project.write({**STUDY, "model": {"name": "mine:net"}, "grid": [{}], **activations}, name, studies=list(STUDIES))
    project.snakemake()
    ids = pd.read_csv(project.folder / "results/tables/id.csv")
    summary = pd.read_csv(project.folder / "results/tables/summary.csv").set_index("study")
    assert len(summary) == len(STUDIES)
    for name, (layers, reason) in STUDIES.items():
        rows = ids[ids["study"] == name].set_index("layer")["id"]
        assert sorted(rows.index) == sorted(layers)
        assert summary["reason"].fillna("")[name] == (reason or "")
        assert pd.isna(summary["llid"][name]) if reason else summary["llid"][name] == rows["fc.input"]
    with h5py.File(next(project.folder.glob("results/whole/*/activations/00004.h5"))) as file:
        maps, read = file["layers/body"][:].reshape(-1, 6, 36), file["layers/fc.input"][:]
        np.testing.assert_allclose(read, maps.astype(np.float32).mean(2), rtol=1e-2, atol=1e-3)
