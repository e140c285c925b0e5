"""The studies of the paper, setting by setting as Brown et al. 2022 (arXiv 2211.13239) and its code have them."""

import numpy as np
import pytest
from actdim.datasets.dataset import data_set
from actdim.study import study as studies
from actdim.study.yaml_files import read_yaml
from conftest import ROOT


def load(name):
    """Return (the study, {name: run settings as plain values}, those of its first run)."""
    config = studies.load_config(read_yaml(ROOT / "config.yaml"))
    study = studies.load_study(name, config, ROOT / "studies")
    settings = {name: run.settings.model_dump(mode="json") for name, run in study.runs.items()}
    return study, settings, next(iter(settings.values()))


@pytest.mark.parametrize(
    ("name", "schedule", "rotation", "mean", "std"),
    [
        ("cifar10", {"name": "cosine", "length": 200}, 0, (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
        (
            "cifar100",
            {"name": "steps", "at": [60, 120, 160], "factor": 0.2},
            15,
            (0.5071, 0.4865, 0.4409),
            (0.2673, 0.2564, 0.2762),
        ),
    ],
)
def test_images(name, schedule, rotation, mean, std):
    study, settings, first = load(name)
    assert (study.unit, [stage.until for stage in study.stages]) == ("epochs", [200])
    assert study.activations.split == ["validation"]
    assert first["model"] == {"name": "resnet18", "width": 64, "dropout": 0, "classifier_dropout": None}
    training = first["training"]
    assert (training["optimizer"], training["lr"], training["momentum"]) == ("sgd", 0.1, 0.9)
    assert training["schedule"].items() >= {**schedule, "warmup": 0}.items()
    assert first["dataset"]["augmentation"] == {"crop": 4, "flip": True, "rotation": rotation}
    assert (first["dataset"]["train_size"], first["dataset"]["label_noise"]) == (None, 0)
    run = next(iter(study.runs.values()))
    data = data_set(run.settings.dataset)
    assert (data.mean, data.std) == (mean, std)
    assert data.sizes == {"train": 50_000, "validation": 10_000}
    layers = study.model_of(run).layers
    assert list(layers.values()) == [65536, 65536, 32768, 16384, 8192, 512]

    decays = sorted({run["training"]["weight_decay"] for run in settings.values()})
    expected = [0, *(digit * 10.0**power for power in (-6, -5, -4, -3) for digit in (1, 2, 5, 6, 8)), 1e-2]
    np.testing.assert_allclose(decays, expected, rtol=1e-12)
    of_dropout = [run for run in settings.values() if run["training"]["weight_decay"] == 0]
    np.testing.assert_allclose(sorted(run["model"]["dropout"] for run in of_dropout), np.arange(17) * 0.05, atol=1e-12)
    assert len(settings) == 22 + 16
    for run in settings.values():  # in all else they are alike
        same = {**run["training"], "weight_decay": 0}, {**run["model"], "dropout": 0}, run["dataset"]
        assert same == (training, first["model"], first["dataset"])


def test_grokking():
    study, settings, first = load("grokking_paper")
    assert (study.unit, [stage.until for stage in study.stages]) == ("steps", [40_000])
    assert study.activations.at == list(range(500, 40_001, 500))
    assert study.activations.split == ["validation"]
    wanted = [f"blocks.{block}.{part}" for block in (0, 1) for part in ("attention", "mlp")]
    assert set(study.activations.layers) >= set(wanted)
    run = next(iter(study.runs.values()))
    layers = study.model_of(run).layers
    assert {layers[name] for name in wanted} == {4 * 128}
    assert first["model"] == {"name": "transformer", "depth": 2, "width": 128, "heads": 4, "dropout": 0.1}
    assert first["dataset"].items() >= {"name": "modular", "operation": "division", "modulus": 97}.items()
    training = first["training"]
    assert (training["optimizer"], training["lr"], training["betas"]) == ("adam", 1e-3, [0.9, 0.98])
    assert training["batch_size"] == 512
    assert training["schedule"]["name"] == "constant"
    assert training["schedule"]["warmup"] > 0
    assert sum(data_set(run.settings.dataset).sizes.values()) == 9312
    grid = {(run["dataset"]["train_fraction"], run["training"]["weight_decay"]) for run in settings.values()}
    assert grid == {(fraction, decay) for fraction in (0.15, 0.2, 0.25, 0.3) for decay in (0, 1e-4, 1e-3, 1e-2)}
    assert len(settings) == 16
