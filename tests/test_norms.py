"""Margins and norms of weights against dense matrices, paths written out, and invariances."""

import json
import math
from itertools import product

import numpy as np
import pytest
import torch
from actdim.datasets.device import Samples
from actdim.measures import norms
from actdim.models import convnet, mlp, resnet18, transformer
from conftest import STUDY
from programs import run_program
from torch import nn


class Data:
    """What a model reads of a data set."""

    shape, classes, vocabulary = (1, 6, 6), 3, 0


def samples_of(n=20, shape=Data.shape):
    generator = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(n, *shape, generator=generator), torch.randint(3, (n,), generator=generator)
    return Samples(inputs, labels, torch.empty(0, 1, 1), torch.empty(0, 1, 1))


def trained(model):
    """Return a model whose batch norms have statistics, scales and shifts of their own."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, norms.BATCH_NORMS):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            module.weight.data.normal_()
            module.bias.data.normal_()
    return model.eval()


def dense(function, shape):
    """Return the matrix of an affine function of one input of a shape, by its values at 0 and at unit vectors."""
    size = math.prod(shape)
    at = function(torch.cat([torch.zeros(1, size), torch.eye(size)]).reshape(-1, *shape)).detach().double().flatten(1)
    return (at[1:] - at[0]).T.numpy()


CONVOLUTIONS = {
    "stride": nn.Conv2d(1, 4, 3, stride=2, padding=1),
    "no padding, groups": nn.Conv2d(2, 4, 3, groups=2, bias=False),
    "circular": nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular"),
}


@pytest.mark.parametrize("convolution", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_norm_of_a_convolution_is_that_of_its_matrix(convolution, batch_norm):
    shape = (convolution.in_channels, 6, 6)
    model = trained(nn.Sequential(convolution, *([nn.BatchNorm2d(convolution.out_channels)] if batch_norm else [])))
    (layer,) = norms.linear_layers(model, samples_of(shape=shape))
    assert norms.spectral_norm(layer) == pytest.approx(np.linalg.norm(dense(model, shape), 2), rel=1e-5)


def test_norms_of_a_network_with_batch_norm():
    """Its linear layers with the batch norms behind them, as dense matrices."""
    model = trained(mlp.mlp(Data, depth=2, width=5, batch_norm=True))
    layers = norms.linear_layers(model, samples_of())
    parts = [(model.hidden1[:2], 36), (model.hidden2[:2], 5), (model.classifier, 5)]
    matrices = [dense(part, (size,)) for part, size in parts]
    result = norms.measure_norms(model, model, samples_of(), 50)
    for name, kind in (("log_spectral_norms", 2), ("log_frobenius_norms", "fro")):
        expected = sum(2 * math.log(np.linalg.norm(matrix, kind)) for matrix in matrices)
        assert result[name] == pytest.approx(expected, rel=1e-5)
    assert len(layers) == 3


def test_path_norm_counts_every_path():
    model = trained(mlp.mlp(Data, depth=2, width=3, batch_norm=True))
    layers = [
        (layer.weight.detach().numpy(), layer.bias.detach().numpy())
        for layer in norms.linear_layers(model, samples_of())
    ]
    (first, b1), (second, b2), (third, b3) = layers
    total = sum(b3**2)
    for o, j in product(range(3), repeat=2):
        total += (third[o, j] * b2[j]) ** 2
        for i in range(3):
            total += (third[o, j] * second[j, i] * b1[i]) ** 2
            total += sum((third[o, j] * second[j, i] * first[i, pixel]) ** 2 for pixel in range(36))
    assert norms.measure_norms(model, model, samples_of(), 50)["log_path_norm"] == pytest.approx(math.log(total))


@pytest.mark.slow
@pytest.mark.parametrize("model", [convnet.convnet(Data, batch_norm=True), resnet18.resnet18(Data, width=2)])
def test_rescaling_a_batch_norm_away_changes_no_norm(model):
    """Twice the weights and the mean, four times the variance: the same function; the plain norm of weights differs."""
    model, samples = trained(model), samples_of()
    with torch.no_grad():
        before, outputs = norms.measure_norms(model, model, samples, 50), model(samples.inputs)
        convolution, norm = [module for module in model.modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d))][
            :2
        ]
        for values in convolution.parameters():
            values *= 2
        norm.running_mean *= 2
        norm.running_var = 4 * (norm.running_var + norm.eps) - norm.eps
        torch.testing.assert_close(model(samples.inputs), outputs, rtol=1e-3, atol=1e-4)
    after = norms.measure_norms(model, model, samples, 50)
    for name in ("log_spectral_norms", "log_frobenius_norms", "log_path_norm"):
        assert after[name] == pytest.approx(before[name], rel=1e-5), name


def test_a_batch_norm_that_reads_no_layer_is_one_of_its_own():
    model = trained(nn.Sequential(nn.BatchNorm2d(1), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3), nn.ReLU()))
    first, second = norms.linear_layers(model, samples_of())
    scale, shift = dense(model[0], (1, 6, 6))[0, 0], model[0](torch.zeros(1, 1, 6, 6)).flatten()[0].item()
    assert norms.spectral_norm(first) == pytest.approx(abs(scale))
    weights, bias = second.weight.detach().numpy(), second.bias.detach().numpy()
    total = (bias**2).sum() + (weights**2).sum() * (scale**2 + shift**2)
    assert norms.log_path_norm(model, [first, second], samples_of()) == pytest.approx(math.log(total), rel=1e-5)


def test_margin_is_a_percentile_of_all_samples():
    samples = samples_of(250)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 3)).eval()
    logits = model(samples.inputs).detach().numpy()
    margins = [row[y] - max(np.delete(row, y)) for row, y in zip(logits, samples.labels.numpy(), strict=True)]
    for percentile in (10, 90):
        expected = np.percentile(margins, percentile)
        assert norms.margin(model, samples, percentile) == pytest.approx(expected, rel=1e-5)
    low, high = (norms.measure_norms(model, model, samples, percentile) for percentile in (0, 100))
    assert low["log_path_norm_over_margin"] is None
    assert low["undefined"]["log_path_norm_over_margin"] == "the margin is not above 0"
    expected = high["log_path_norm"] - 2 * math.log(max(margins))
    assert high["log_path_norm_over_margin"] == pytest.approx(expected, rel=1e-5)


def test_what_norms_do_not_describe_has_a_reason():
    class Tokens:
        shape, classes, vocabulary = (4,), 3, 7

    model = transformer.transformer(Tokens, depth=1, width=8, heads=2).eval()
    samples = samples_of()._replace(inputs=torch.randint(7, (20, 4)))
    result = norms.measure_norms(model, model, samples, 50)
    assert result["log_spectral_norms"] is result["log_path_norm_over_margin"] is None
    assert "the model has" in result["undefined"]["log_spectral_norms"]
    assert result["margin"] is not None
    assert result["distance_from_start"] == 0
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(36, 3), nn.GELU())
    result = norms.measure_norms(smooth, smooth, samples_of(), 50)
    assert result["undefined"]["log_path_norm"] == "the model has GELU"
    shared = nn.Linear(36, 36)
    repeated = nn.Sequential(nn.Flatten(), shared, nn.ReLU(), shared, nn.Linear(36, 3))
    result = norms.measure_norms(repeated, repeated, samples_of(), 50)
    assert result["undefined"]["log_spectral_norms"] == "the model computes a Linear several times"
    with torch.no_grad():
        smooth[1].bias[0] = math.nan
    undefined = norms.measure_norms(smooth, smooth, samples_of(), 50)["undefined"]
    assert undefined["margin"] == "logits are not finite"
    assert undefined["log_spectral_norms"] == "weights are not finite"


def test_program_on_a_real_training(tmp_path, monkeypatch):
    """The start is the checkpoint that training keeps at 0."""
    monkeypatch.chdir(tmp_path)
    study = STUDY | {"checkpoints": [0, 2], "training": {**STUDY["training"], "epochs": 2}, "activations": {"at": [2]}}
    (tmp_path / "tiny.yaml").write_text(json.dumps(study))
    assert run_program("train", "--set", "weight_decay=0.01", study="tiny.yaml", output="run").returncode == 0
    results = []
    for name in ("00000", "00002"):
        done = run_program("measure_norms", checkpoint=f"run/{name}.pt", output=f"{name}.json")
        assert done.returncode == 0, done.stderr
        results.append(json.loads((tmp_path / f"{name}.json").read_text()))
    states = [torch.load(tmp_path / f"run/{name}.pt")["model"] for name in ("00000", "00002")]
    squares = sum((states[1][name].double() - states[0][name].double()).square().sum() for name in states[0])
    assert results[0]["distance_from_start"] == 0
    assert results[1]["distance_from_start"] == pytest.approx(math.sqrt(squares))
    assert results[1]["parameters"] == sum(values.numel() for values in states[0].values())
    assert results[1]["log_path_norm"] is not None


def test_a_model_without_the_samples_classes_has_no_margin():
    model = trained(mlp.mlp(Data, width=5, depth=2))
    why = "losses and accuracies: the classifier is untrained"
    result = norms.measure_norms(model, model, samples_of(), 50, why)
    assert result["margin"] is None
    assert result["undefined"]["margin"] == why
    assert result["undefined"]["log_path_norm_over_margin"] == "the norm or the margin is undefined"
    assert result["log_path_norm"] is not None
