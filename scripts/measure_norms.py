#!/usr/bin/env python
"""Measure the margin, the norms and the distance from the start of a checkpoint's model."""

from actdim import cli
from actdim.cli import read_set
from actdim.measures.norms import measure_norms
from actdim.measures.program import checkpoint_parser, write_result
from actdim.measures.settings import Norms
from actdim.models.build import build_model
from actdim.random_numbers import seed_random_numbers
from actdim.training.trained_model import load_trained, samples_of
from actdim.validation import check


def main():
    parser = checkpoint_parser(__doc__, "percentile=10")
    arguments = parser.parse_args()

    settings = check(Norms, read_set(arguments.set), "--set")
    trained = load_trained(arguments.checkpoint, arguments.expect)
    samples = samples_of(trained, "train")
    seed_random_numbers(trained.settings.seed)  # as training begins
    start = build_model(trained.settings, trained.device)
    no_accuracy = trained.source.get("metrics_reason")
    result = measure_norms(trained.model, start, samples, settings.percentile, no_accuracy)
    print(result)
    write_result(arguments.output, result, __file__, trained, settings, ("torch", "numpy"), split="train")


if __name__ == "__main__":
    cli.run(main)
