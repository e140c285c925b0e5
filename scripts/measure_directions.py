#!/usr/bin/env python
"""Measure how a checkpoint's model relies on single directions of a layer: ablation, noise, and unit by unit."""

import argparse
from pathlib import Path

import numpy as np
from actdim import cli, plugins
from actdim.cli import add_expect, add_set, read_set
from actdim.datasets.dataset import data_set, load_samples
from actdim.datasets.device import on_device
from actdim.errors import UserError
from actdim.measures.directions import measure_directions, seed_of_layer
from actdim.measures.settings import Directions
from actdim.models.layers import layer_names
from actdim.names import INPUT
from actdim.provenance import made_by, settings_that_count
from actdim.storage.json_files import write_json
from actdim.training.trained_model import load_trained
from actdim.validation import check


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, help="a checkpoint of train.py")
    parser.add_argument("--layer", required=True, help="a module of its model, or <module>.input")
    add_set(parser, "a setting of the measure: clamp=mean, orders=20")
    add_expect(parser)
    parser.add_argument("--output", required=True, type=Path, help="the JSON file")
    arguments = parser.parse_args()

    settings = check(Directions, read_set(arguments.set), "--set")
    trained = load_trained(arguments.checkpoint, arguments.expect)
    if arguments.layer == INPUT:
        raise UserError(f"--layer: should be a module of the model, not {INPUT!r}")
    try:
        layer_names(trained.model, [arguments.layer])
    except UserError as error:
        raise UserError(f"--layer: {str(error).removeprefix('activations.layers: ')}") from None
    samples = choose_samples(trained, settings)
    seed = seed_of_layer(settings.seed, trained.source["chosen"], arguments.layer)
    seeded, no_accuracy = settings.model_copy(update={"seed": seed}), trained.source.get("metrics_reason")
    result = measure_directions(trained.model, arguments.layer, samples, seeded, no_accuracy)
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
    write_json(arguments.output, {**result, **about})
    print(f"{arguments.layer}: {result['units']} units, area under ablation {result['area']}")


def choose_samples(trained, settings):
    """Return {split: device.Samples}, at most settings.samples of each split, chosen at random."""
    data, splits = data_set(trained.settings.dataset), load_samples(trained.settings.dataset, trained.settings.seed)
    random = np.random.default_rng(settings.seed)
    chosen = {}
    for name, split in splits.items():
        rows = np.sort(random.permutation(len(split.labels))[: settings.samples])
        chosen[name] = on_device(type(split)(*(values[rows] for values in split)), data, trained.device)
    return chosen


if __name__ == "__main__":
    cli.run(main)
