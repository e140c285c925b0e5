"""The studies of the paper do what Brown et al. 2022 (arXiv 2211.13239) describe and their published code does."""

import numpy as np
import pytest
import torch
from actdim.datasets.dataset import data_set
from actdim.models.build import build_model
from actdim.models.layers import forward, layer_names
from actdim.study.study import load_config, load_study
from actdim.study.yaml_files import read_yaml
from actdim.training.step import learning_rate, make_optimizer
from conftest import ROOT


def load(name):
    """Return a study that comes with the project, and the settings of its runs."""
    study = load_study(name, load_config(read_yaml(ROOT / "config.yaml")), ROOT / "studies")
    return study, [run.settings for run in study.runs.values()]


def optimizer_of(settings):
    """Return the optimizer of a run, for a model of one weight."""
    return make_optimizer(settings.training, torch.nn.Linear(1, 1, bias=False), None)


def rates(settings, *at, per_unit=100):
    """Return the learning rates at some epochs or steps."""
    return pytest.approx([learning_rate(settings.training, int(unit * per_unit), per_unit) for unit in at], abs=1e-6)


IMAGES = {
    "cifar10": {
        "rates": {0: 0.1, 100: 0.05, 199.99: 0},  # a cosine to 0
        "rotation": 0,
        "mean": (0.4914, 0.4822, 0.4465),
        "std": (0.2023, 0.1994, 0.2010),
        "parameters": 11_173_962,
    },
    "cifar100": {
        "rates": {0: 0.1, 59: 0.1, 60: 0.02, 120: 0.004, 160: 0.0008, 199: 0.0008},
        "rotation": 15,
        "mean": (0.5071, 0.4865, 0.4409),
        "std": (0.2673, 0.2564, 0.2762),
        "parameters": 11_173_962 + 90 * 513,
    },
}


@pytest.mark.parametrize("name", IMAGES)
def test_images(name):
    paper = IMAGES[name]
    study, runs = load(name)
    first = runs[0]
    assert list(paper["rates"].values()) == rates(first, *paper["rates"])
    assert study.stages[-1].until == 200
    optimizer = optimizer_of(first)
    assert isinstance(optimizer, torch.optim.SGD)
    assert optimizer.defaults["momentum"] == 0.9
    augmentation = first.dataset.augmentation
    assert (augmentation.crop, augmentation.flip, augmentation.rotation) == (4, True, paper["rotation"])
    data = data_set(first.dataset)
    assert (data.mean, data.std, data.sizes) == (paper["mean"], paper["std"], {"train": 50_000, "validation": 10_000})
    model = build_model(first)
    assert sum(weights.numel() for weights in model.parameters()) == paper["parameters"]
    assert list(study.model_of(next(iter(study.runs.values()))).layers.values()) == [
        *(65536, 65536, 32768, 16384, 8192),  # stem and stages, flattened
        512,  # average pool: the last layer
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "studies").glob("*.yaml")))
def test_no_two_layers_of_a_study_have_the_same_values(name):
    study, runs = load(name)
    for settings in {settings.model.model_dump_json(): settings for settings in runs}.values():
        torch.manual_seed(0)
        data = data_set(settings.dataset)
        tokens, model = data.vocabulary, build_model(settings)
        samples = torch.randint(tokens, (3, *data.shape)) if tokens else torch.randn(3, *data.shape)
        _, outputs = forward(model, samples, layer_names(model, study.activations.layers))
        values = {
            layer: tuple(output.flatten(1).double().sort().values.flatten().tolist())
            for layer, output in outputs.items()
        }
        assert len(set(values.values())) == len(values)


@pytest.mark.parametrize("name", IMAGES)
def test_sweeps_of_images(name):
    """Weight decay without dropout, and dropout without weight decay; nothing else varies."""
    _, runs = load(name)
    decayed = [run for run in runs if run.model.dropout == 0]
    dropped = [run for run in runs if run.training.weight_decay == 0]
    assert len(runs) == len(decayed) + len(dropped) - 1
    decays = [0, *(digit * 10.0**power for power in (-6, -5, -4, -3) for digit in (1, 2, 5, 6, 8)), 1e-2]
    np.testing.assert_allclose(sorted(run.training.weight_decay for run in decayed), decays, rtol=1e-12)
    np.testing.assert_allclose(sorted(run.model.dropout for run in dropped), np.arange(17) * 0.05, atol=1e-12)
    plain = [run.model_dump() for run in runs]
    for run in plain:
        del run["training"]["weight_decay"], run["model"]["dropout"]
        assert run == plain[0]


def test_grokking():
    study, runs = load("grokking_paper")
    first = runs[0]
    assert study.stages[-1].until == 40_000
    assert study.activations.at == list(range(500, 40_001, 500))
    layers = study.model_of(next(iter(study.runs.values()))).layers
    assert {layers[f"blocks.{block}.{part}"] for block in (0, 1) for part in ("attention", "mlp")} == {4 * 128}
    assert sum(data_set(first.dataset).sizes.values()) == 97 * 96
    optimizer = optimizer_of(runs[-1])
    assert type(optimizer) is torch.optim.Adam, "weight decay is coupled"
    assert (optimizer.defaults["betas"], optimizer.param_groups[0]["weight_decay"]) == ((0.9, 0.98), 1e-2)
    warm_up = [learning_rate(first.training, step, 1) for step in range(100)]
    assert warm_up == sorted(warm_up)
    assert warm_up[0] < warm_up[-1] == learning_rate(first.training, 39_999, 1) == 1e-3
    assert first.training.batch_size == 512
    model = build_model(first)
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.1}
    grid = {(run.dataset.train_fraction, run.training.weight_decay) for run in runs}
    assert grid == {(fraction, decay) for fraction in (0.15, 0.2, 0.25, 0.3) for decay in (0, 1e-4, 1e-3, 1e-2)}
    assert len(runs) == 16
