#!/usr/bin/env python
"""Measure how a checkpoint's model relies on single directions of a layer: ablation, noise, and unit by unit."""

import numpy as np
from actdim import cli
from actdim.cli import read_set
from actdim.datasets.dataset import data_set, load_samples
from actdim.datasets.device import on_device
from actdim.errors import UserError
from actdim.measures.directions import measure_directions, seed_of_layer
from actdim.measures.program import checkpoint_parser, write_result
from actdim.measures.settings import Directions
from actdim.models.layers import layer_names
from actdim.names import INPUT
from actdim.training.trained_model import load_trained
from actdim.validation import check


def main():
    parser = checkpoint_parser(__doc__, "clamp=mean, orders=20")
    parser.add_argument("--layer", required=True, help="a module of its model, or <module>.input")
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
    result = {**result, "layer": arguments.layer}
    write_result(arguments.output, result, __file__, trained, settings, ("torch", "scikit-learn"))
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
