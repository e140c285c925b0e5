#!/usr/bin/env python
"""Measure the functional dimension of a checkpoint's model on a batch."""

from actdim import cli
from actdim.cli import read_set
from actdim.datasets.dataset import data_set
from actdim.measures.functional_dimension import measure_functional_dimension
from actdim.measures.program import checkpoint_parser, write_result
from actdim.measures.settings import FunctionalDimension
from actdim.training.trained_model import load_trained, samples_of
from actdim.validation import check


def main():
    parser = checkpoint_parser(__doc__, "samples=100")
    arguments = parser.parse_args()

    settings = check(FunctionalDimension, read_set(arguments.set), "--set")
    trained = load_trained(arguments.checkpoint, arguments.expect)
    samples, vocabulary = samples_of(trained, settings.split), data_set(trained.settings.dataset).vocabulary
    result = measure_functional_dimension(trained.model, samples, vocabulary, settings)
    print(result)
    write_result(arguments.output, result, __file__, trained, settings, ("torch", "numpy"), split=settings.split)


if __name__ == "__main__":
    cli.run(main)
