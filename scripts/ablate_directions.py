#!/usr/bin/env python
"""Measure how a checkpoint's model relies on single directions of a layer: ablation, noise, and unit by unit."""

import argparse
from pathlib import Path

import numpy as np
from actdim import cli, plugins
from actdim.cli import add_set, read_set
from actdim.datasets.dataset import data_set, load_samples
from actdim.datasets.device import on_device
from actdim.errors import UserError
from actdim.measures.directions import (
    ablation_curve,
    accuracy_lost,
    activations_of_units,
    noise_curve,
    not_finite,
    numbers,
    observe,
)
from actdim.measures.selectivity import class_selectivity, mutual_information, rank_correlations
from actdim.measures.settings import Directions
from actdim.models.layers import listed_layers
from actdim.provenance import made_by, settings_that_count
from actdim.storage.json_files import write_json
from actdim.training.trained_model import load_trained
from actdim.validation import check

NO_SELECTIVITY = "no unit has a class selectivity, for each is negative on a sample, or 0 on all"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, help="a checkpoint of train.py")
    parser.add_argument("--layer", required=True, help="a module of its model")
    add_set(parser, "a setting of the measure: clamp=mean, orders=20")
    parser.add_argument("--output", required=True, type=Path, help="the JSON file")
    arguments = parser.parse_args()

    settings = check(Directions, read_set(arguments.set), "--set")
    trained = load_trained(arguments.checkpoint)
    if arguments.layer not in dict(trained.model.named_modules()):
        own = ", ".join(listed_layers(trained.model) or (name for name, _ in trained.model.named_children()))
        raise UserError(f"--layer {arguments.layer}: the model has no such module; it has {own}")
    samples = few(trained, settings)
    measured = measure(trained.model, arguments.layer, samples, settings)
    about = {
        "layer": arguments.layer,
        "settings": settings.model_dump(),
        "source": trained.source,
        "made_by": made_by(
            __file__,
            *plugins.run_functions(trained.settings),
            settings=settings_that_count(settings),
            libraries=("torch", "scikit-learn"),
        ),
    }
    write_json(arguments.output, {**measured, **about})
    print(f"{arguments.layer}: {measured['units']} units, area under ablation {measured['area']}")


def few(trained, settings):
    """Return {split: batches.Samples}, at most settings.samples of each, chosen at random."""
    data, splits = data_set(trained.settings.dataset), load_samples(trained.settings.dataset, trained.settings.seed)
    random = np.random.default_rng(settings.seed)
    chosen = {}
    for name, split in splits.items():
        rows = np.sort(random.permutation(len(split.labels))[: settings.samples])
        chosen[name] = on_device(type(split)(*(part[rows] for part in split)), data, trained.device)
    return chosen


def measure(model, name, samples, settings):
    """Return what is measured of a layer on both splits, as plain values; see directions.py and selectivity.py."""
    lost = [f"{split}: {reason}" for split, own in samples.items() if (reason := not_finite(model, name, own))]
    layer = observe(model, name, samples["train"])
    if lost:
        return {
            "units": len(layer.mean),
            "area": dict.fromkeys(samples),
            "mean_selectivity": None,
            "reason": ", ".join(lost),
        }
    common = {"orders": settings.orders, "points": settings.points, "clamp": settings.clamp, "seed": settings.seed}
    ablation = {split: ablation_curve(model, layer, own, **common) for split, own in samples.items()}
    noise = {
        split: noise_curve(model, layer, own, noise=settings.noise, draws=settings.draws, seed=settings.seed)
        for split, own in samples.items()
    }
    lost = {
        f"{split}_accuracy_lost": accuracy_lost(model, layer, own, settings.clamp) for split, own in samples.items()
    }
    of_class = about_class(activations_of_units(model, name, samples["validation"]), samples["validation"], settings)
    selectivity = mean_of(of_class["selectivity"])
    return {
        "units": len(layer.mean),
        "reason": NO_SELECTIVITY if selectivity is None else None,
        "area": {split: curve["area"] for split, curve in ablation.items()},
        "area_std": {split: curve["area_std"] for split, curve in ablation.items()},
        "mean_selectivity": selectivity,
        "correlations": rank_correlations({**of_class, **lost}),
        "ablation": ablation,
        "noise": noise,
        "of_each_unit": {name: numbers(values) for name, values in {**of_class, **lost}.items()},
    }


def about_class(activations, samples, settings):
    """Return {selectivity, mutual_information}, each (units,), of activations (n, units) on batches.Samples."""
    activations, labels = activations.cpu().numpy(), samples.labels.cpu().numpy()
    return {
        "selectivity": class_selectivity(activations, labels),
        "mutual_information": mutual_information(activations, labels, settings.seed),
    }


def mean_of(values):
    """Return the mean of those values that are numbers, or None where none is."""
    return np.nanmean(values).item() if np.isfinite(values).any() else None


if __name__ == "__main__":
    cli.run(main)
