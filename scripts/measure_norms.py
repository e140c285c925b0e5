#!/usr/bin/env python
"""Measure the margin, the norms and the distance from the start of a checkpoint's model."""

import argparse
from pathlib import Path

from actdim import cli, plugins
from actdim.cli import add_expect, add_set, read_set
from actdim.datasets.dataset import data_set, load_samples
from actdim.datasets.device import on_device
from actdim.measures.norms import measure_norms
from actdim.measures.settings import Norms
from actdim.models.build import build_model
from actdim.provenance import made_by, settings_that_count
from actdim.random_numbers import seed_random_numbers
from actdim.storage.json_files import write_json
from actdim.training.trained_model import load_trained
from actdim.validation import check


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, help="a checkpoint of train.py")
    add_set(parser, "a setting of the measure: percentile=10")
    add_expect(parser)
    parser.add_argument("--output", required=True, type=Path, help="the JSON file")
    arguments = parser.parse_args()

    settings = check(Norms, read_set(arguments.set), "--set")
    trained = load_trained(arguments.checkpoint, arguments.expect)
    data = data_set(trained.settings.dataset)
    splits = load_samples(trained.settings.dataset, trained.settings.seed)
    samples = on_device(splits["train"], data, trained.device)
    seed_random_numbers(trained.settings.seed)  # as training begins
    start = build_model(trained.settings, trained.device)
    no_accuracy = trained.source.get("metrics_reason")
    result = measure_norms(trained.model, start, samples, settings.percentile, no_accuracy)
    print(result)
    about = {
        "settings": settings.model_dump(),
        "source": {**trained.source, "split": "train"},
        "made_by": made_by(
            __file__,
            *plugins.run_functions(trained.settings),
            settings=settings_that_count(settings),
            libraries=("torch", "numpy"),
        ),
    }
    write_json(arguments.output, {**result, **about})


if __name__ == "__main__":
    cli.run(main)
