"""Reliance on single directions, against plain loops and closed forms, and through the program."""

import json

import numpy as np
import pytest
import torch
from actdim import registry
from actdim.datasets.dataset import DataSet
from actdim.datasets.device import Samples
from actdim.measures import directions, selectivity
from actdim.measures.settings import Directions
from actdim.training import checkpoints
from conftest import build_named
from programs import run_program
from scipy import stats
from torch import nn

IMAGES = DataSet(shape=(1, 8, 8), classes=10, sizes={}, load=dict)
TOKENS = DataSet(shape=(4,), classes=7, sizes={}, load=dict, vocabulary=9)
LAYERS = [  # model, its data, a layer, whether what comes before it can be shared
    ({"name": "mlp", "width": 12}, IMAGES, "hidden1", True),
    ({"name": "convnet", "width": 4, "batch_norm": True}, IMAGES, "conv2", True),
    ({"name": "resnet18", "width": 4}, IMAGES, "stage2", True),
    ({"name": "resnet18", "width": 4}, IMAGES, "stage2.0.second", False),
    ({"name": "resnet18", "width": 4}, IMAGES, "pool", True),
    ({"name": "transformer", "width": 8}, TOKENS, "blocks.0.mlp", False),
    ({"name": "transformer", "width": 8}, TOKENS, "final_norm", True),
]


def samples_of(inputs, labels):
    return Samples(inputs, labels, torch.tensor([]), torch.tensor([]))


def example(settings, data):
    """Return a model with fresh weights, and random samples that do not fill their last batch."""
    torch.manual_seed(0)
    model = build_named(registry.MODELS, settings, data).eval()
    inputs = torch.randint(9, (230, 4)) if data.vocabulary else torch.randn(230, *data.shape)
    return model, samples_of(inputs, torch.randint(data.classes, (230,)))


def ablated(model, layer, samples, off, values):
    """Return accuracy and loss with the units `off` at `values`: all samples at once, one ablation."""

    def change(module, arguments, output):
        output = output.clone()
        if output.ndim == 3:
            output[:, -1, off] = values[off]
        else:
            output[:, off] = values[off].view(-1, *[1] * (output.ndim - 2))
        return output

    handle = model.get_submodule(layer).register_forward_hook(change)
    with torch.no_grad():
        logits = model(samples.inputs)
    handle.remove()
    loss = nn.functional.cross_entropy(logits, samples.labels).item()
    return (logits.argmax(1) == samples.labels).double().mean().item(), loss


@pytest.mark.slow
@pytest.mark.parametrize("clamp", ["zero", "mean"])
@pytest.mark.parametrize(("settings", "data", "name", "shared"), LAYERS)
def test_the_same_as_one_ablation_at_a_time(settings, data, name, shared, clamp):
    model, samples = example(settings, data)
    layer = directions.describe_layer(model, name, samples)
    assert layer.shares == shared
    values = layer.mean if clamp == "mean" else torch.zeros_like(layer.mean)
    lost = directions.accuracy_lost(model, layer, samples, clamp)
    whole, _ = ablated(model, name, samples, torch.zeros(len(layer.mean), dtype=torch.bool), values)
    for unit in range(len(layer.mean)):
        alone, _ = ablated(model, name, samples, torch.arange(len(layer.mean)) == unit, values)
        assert lost[unit] == pytest.approx(whole - alone, abs=1e-9)
    curve = directions.ablation_curve(model, layer, samples, Directions(clamp=clamp, orders=3, points=5))
    none, loss = ablated(model, name, samples, torch.zeros(len(layer.mean), dtype=torch.bool), values)
    assert (curve["accuracy"][0], curve["loss"][0]) == (pytest.approx(none), pytest.approx(loss, rel=1e-5))
    every, loss = ablated(model, name, samples, torch.ones(len(layer.mean), dtype=torch.bool), values)
    assert (curve["accuracy"][-1], curve["loss"][-1]) == (pytest.approx(every), pytest.approx(loss, rel=1e-5))
    assert curve["accuracy_std"][0] == curve["accuracy_std"][-1] == 0


@pytest.mark.parametrize(("settings", "data", "name", "shared"), LAYERS)
def test_means_and_deviations_of_units(settings, data, name, shared):
    model, samples = example(settings, data)
    layer = directions.describe_layer(model, name, samples)
    found = []
    handle = model.get_submodule(name).register_forward_hook(lambda module, arguments, output: found.append(output))
    with torch.no_grad():
        model(samples.inputs)
    handle.remove()
    output = found[0][:, -1] if found[0].ndim == 3 else found[0]
    by_unit = output.transpose(0, 1).flatten(1)
    torch.testing.assert_close(layer.mean, by_unit.mean(1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(layer.std, by_unit.std(1, correction=0), atol=1e-5, rtol=1e-4)
    means = directions.mean_activations(model, name, samples)
    torch.testing.assert_close(means, output.flatten(2).mean(2) if output.ndim > 2 else output, atol=1e-5, rtol=1e-4)


class Pooled(nn.Module):
    """Attention over positions, then a classifier of what a function makes of it; each is also an identity's output."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.attended, self.features, self.fc = nn.Identity(), nn.Identity(), nn.Linear(8, 10)

    def forward(self, images):
        x = self.attended(self.attention(images[:, 0], images[:, 0], images[:, 0])[0])
        return self.fc(self.features(x[:, -1].relu()))


@pytest.mark.parametrize(("name", "same"), [("attention", "attended"), ("fc.input", "features")])
def test_layers_that_are_no_single_output_of_a_module(name, same):
    """The first of an attention's tensors, and what a module reads, against modules that return the same."""
    torch.manual_seed(0)
    model, samples = Pooled().eval(), samples_of(torch.randn(230, 1, 8, 8), torch.randint(10, (230,)))
    layer, expected = (directions.describe_layer(model, each, samples) for each in (name, same))
    assert (layer.shares, layer.largest) == (True, expected.largest)
    torch.testing.assert_close(layer.mean, expected.mean)
    lost, lost_expected = (directions.accuracy_lost(model, each, samples, "zero") for each in (layer, expected))
    assert lost == pytest.approx(lost_expected)
    assert np.abs(lost).max() > 0.01


class Sign(nn.Module):
    """Classifies a number by its sign: `copies` units hold the number, `idle` units are always 3."""

    def __init__(self, copies, idle=0):
        super().__init__()
        self.copies, self.idle = copies, idle
        self.units = nn.Identity()

    def forward(self, numbers):
        idle = torch.full((len(numbers), self.idle), 3.0)
        units = self.units(torch.cat([numbers.expand(-1, self.copies), idle], dim=1))
        total = units[:, : self.copies].sum(1, keepdim=True) + (units[:, self.copies :] - 3).sum(1, keepdim=True)
        return torch.cat([1e-3 - total, total], dim=1)  # class 0 where nothing is left


def signs(n=1000):
    labels = torch.arange(n) % 2
    return samples_of((2.0 * labels - 1).unsqueeze(1), labels)


def test_redundant_units_are_no_single_directions():
    """One of 10 copies suffices, so accuracy falls with the last; one unit among 9 idle ones falls at any point."""
    samples = signs()
    curves = {}
    for copies, idle in ((10, 0), (1, 9)):
        model = Sign(copies, idle)
        layer = directions.describe_layer(model, "units", samples)
        curves[copies] = directions.ablation_curve(model, layer, samples, Directions(clamp="mean", orders=200))
        assert curves[copies]["fraction"] == pytest.approx(np.linspace(0, 1, 11)), "no more points than units"
    assert curves[10]["accuracy"] == pytest.approx([1.0] * 10 + [0.5])
    assert curves[10]["area"] == pytest.approx(0.975)
    assert curves[10]["area_std"] == pytest.approx(0, abs=1e-12)
    assert curves[1]["accuracy"] == pytest.approx(np.linspace(1, 0.5, 11), abs=0.08)
    assert curves[1]["area"] == pytest.approx(0.75, abs=0.04)


def test_the_mean_of_a_constant_unit_costs_nothing_and_zero_does():
    model, samples = Sign(1, idle=1), signs()
    layer = directions.describe_layer(model, "units", samples)
    assert directions.accuracy_lost(model, layer, samples, "mean") == pytest.approx([0.5, 0])
    assert directions.accuracy_lost(model, layer, samples, "zero") == pytest.approx([0.5, 0.5])


def test_noise_costs_what_its_law_says():
    """A unit at -1 or 1 has standard deviation 1, so noise of strength s flips its sign with probability Phi(-1/s)."""
    model, samples = Sign(1), signs()
    layer = directions.describe_layer(model, "units", samples)
    assert layer.std.item() == pytest.approx(1)
    noise = [0, 0.5, 1.0, 2.0]
    curve = directions.noise_curve(model, layer, samples, Directions(noise=noise))
    assert curve["accuracy"][0] == 1.0
    assert curve["accuracy"][1:] == pytest.approx(stats.norm.cdf(1 / np.array(noise[1:])), abs=0.02)
    again = directions.noise_curve(model, layer, samples, Directions(noise=noise))
    assert again == curve
    assert directions.noise_curve(model, layer, samples, Directions(noise=noise, seed=1)) != curve


def test_class_selectivity():
    labels = np.repeat([0, 1, 2], [10, 20, 30])
    activations = np.zeros((60, 5))
    activations[labels == 1, 0] = 4.0  # one class alone
    activations[:, 1] = 2.0  # all alike
    activations[:, 2] = labels  # largest 2; the mean of the other classes is 1 / 2, although one has twice the samples
    activations[0, 3] = -1.0
    expected = [1, 0, (2 - 1 / 2) / (2 + 1 / 2), np.nan, np.nan]
    np.testing.assert_allclose(selectivity.class_selectivity(activations, labels), expected)


def test_mutual_information_with_the_class():
    """Against closed forms: log 4 for a unit that tells 4 classes apart, the entropy of 1 in 4, and 0."""
    random = np.random.default_rng(0)
    labels = random.permutation(np.repeat(np.arange(4), 500))
    activations = np.stack([labels + 0.01 * random.random(2000), labels == 0, random.normal(size=2000)], axis=1)
    found = selectivity.mutual_information(activations.astype(np.float32), labels, seed=0)
    assert found == pytest.approx([np.log(4), stats.entropy([0.25, 0.75]), 0], abs=0.05)


def test_correlations_leave_out_what_has_no_value():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(2, 30))
    x[:5] = np.nan
    found = selectivity.rank_correlations({"x": x, "y": y, "same": np.ones(30)})
    assert found == {
        "x and y": pytest.approx(stats.spearmanr(x[5:], y[5:]).statistic),
        "x and same": None,
        "y and same": None,
    }


@pytest.fixture(scope="module")
def probed(finished, tmp_path_factory):
    """(checkpoint, function that runs the program on it)."""
    folder = tmp_path_factory.mktemp("probed")
    checkpoint = next(finished.folder.glob("results/tiny/*/*/checkpoints/*/00004.pt"))

    def run(layer, *settings):
        options = [part for setting in settings for part in ("--set", setting)]
        return run_program(
            "measure_directions", *options, checkpoint=checkpoint, layer=layer, output=folder / "out.json"
        )

    return folder / "out.json", run


def test_by_hand(probed):
    output, run = probed
    done = run("hidden2", "orders=3", "samples=200", "noise=[0,1]")
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text())
    assert found["units"] == 16
    assert found["source"]["study"] == "tiny"
    assert found["source"]["weight_norm"] > 0
    assert found["settings"]["samples"] == 200
    assert found["made_by"]["program"] == "measure_directions.py"
    for split in ("train", "validation"):
        assert 0 < found["area"][split] < 1
        assert len(found["ablation"][split]["accuracy"]) == 17
        assert found["noise"][split]["accuracy"][0] == pytest.approx(found["ablation"][split]["accuracy"][0])
    assert 0 < found["mean_selectivity"] < 1
    assert len(found["of_each_unit"]["mutual_information"]) == 16
    first = output.read_text()
    run("hidden2", "orders=3", "samples=200", "noise=[0,1]")
    assert output.read_text() == first


def test_each_run_has_its_own_orders(probed, finished, tmp_path):
    """The same weights under the settings of another run: other orders and noise, the same losses of single units."""
    checkpoint = next(finished.folder.glob("results/tiny/*/*/checkpoints/*/00004.pt"))
    state = checkpoints.load(checkpoint)
    job = json.loads(state["run"])
    state["run"] = json.dumps(job | {"chosen": job["chosen"] | {"seed": 7}})
    checkpoints.save(tmp_path / "00004.pt", state)
    options = ["--set", "orders=2", "--set", "draws=1", "--set", "samples=200"]
    results = []
    for number, path in enumerate((checkpoint, tmp_path / "00004.pt", tmp_path / "00004.pt")):
        output = tmp_path / f"{number}.json"
        done = run_program("measure_directions", *options, checkpoint=path, layer="hidden2", output=output)
        assert done.returncode == 0, done.stderr
        results.append(json.loads(output.read_text()))
    first, other, again = results
    assert first["of_each_unit"]["train_accuracy_lost"] == other["of_each_unit"]["train_accuracy_lost"]
    assert first["ablation"]["train"]["loss"] != other["ablation"]["train"]["loss"]
    assert first["noise"]["train"]["loss"] != other["noise"]["train"]["loss"]
    assert again == other


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nope",), "--layer: the model has no layer 'nope'; it has input, hidden1, hidden2"),
        (("hidden1", "ordesr=3"), "--set.ordesr: unknown key; did you mean orders?"),
        (("hidden1", "clamp=max"), "--set.clamp: input should be 'zero' or 'mean', not 'max'"),
    ],
)
def test_mistakes_are_one_line(probed, arguments, message):
    done = probed[1](*arguments)
    assert done.returncode == 1
    assert done.stderr == f"measure_directions.py: {message}\n"


def test_units_without_a_selectivity_have_a_reason(probed):
    """Before its ReLU each unit of a layer is negative on some sample."""
    output, run = probed
    assert run("hidden1.0", "orders=1", "samples=200", "noise=[0]").returncode == 0
    found = json.loads(output.read_text())
    assert found["mean_selectivity"] is None
    assert 0 < found["area"]["train"] < 1
    assert found["reason"] == "class selectivity is undefined: every unit is negative on some sample or zero on all"
    assert run("hidden1", "orders=1", "samples=200", "noise=[0]").returncode == 0
    assert json.loads(output.read_text())["reason"] is None


def test_a_diverged_model_has_a_reason(finished, tmp_path):
    checkpoint = next(finished.folder.glob("results/tiny/*/*/checkpoints/*/00004.pt"))
    state = torch.load(checkpoint, weights_only=True)
    state["model"]["hidden1.0.weight"][0, 0] = float("nan")
    checkpoints.save(tmp_path / "00004.pt", state)
    output = tmp_path / "out.json"
    done = run_program("measure_directions", checkpoint=tmp_path / "00004.pt", layer="hidden1", output=output)
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text())
    assert found["area"] == {"train": None, "validation": None}
    of_split = "{}: activations of {} of {} samples are not finite"
    assert found["reason"] == f"{of_split.format('train', 300, 300)}, {of_split.format('validation', 900, 900)}"
