#!/usr/bin/env python
"""Estimate the intrinsic dimension of one layer from its neighbor lists."""

import argparse
from pathlib import Path

from actdim import cli, plugins, registry
from actdim.cli import add_set, read_set
from actdim.estimators import result
from actdim.neighbors.lists_of_others import usual_lists
from actdim.provenance import made_by, settings_that_count
from actdim.storage.neighbor_lists import read_neighbors

REPORTED = ("recall", "recall_k", "n_copies")  # what a search says of its lists


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neighbors", required=True, type=Path, help="an HDF5 file of find_neighbors.py")
    parser.add_argument("--estimator", required=True, choices=list(registry.ESTIMATORS))
    add_set(parser, "a setting of the estimator: fraction=0.9")
    parser.add_argument("--output", required=True, type=Path, help="the JSON file")
    arguments = parser.parse_args()

    where = f"--estimator {arguments.estimator}: --set"
    estimator, settings = plugins.function_with_settings(
        registry.ESTIMATORS, arguments.estimator, read_set(arguments.set), where
    )
    groups, attributes = read_neighbors(arguments.neighbors)
    if "format" not in attributes:  # not written by find_neighbors.py
        groups = [(label, *usual_lists(lists, report, arguments.neighbors)) for label, lists, report in groups]
    results = [
        (
            label,
            result.estimate_from_lists(estimator, lists, report, **settings.model_dump())
            | {key: report.get(key) for key in REPORTED},
        )
        for label, lists, report in groups
    ]
    result.write_estimates(
        arguments.output,
        results,
        estimator=arguments.estimator,
        settings=settings.model_dump(),
        source=attributes.get("source", {}),
        made_by=made_by(
            __file__,
            registry.ESTIMATORS[arguments.estimator],
            settings=settings_that_count(settings),
            libraries=("numpy", "scipy"),
        ),
    )


if __name__ == "__main__":
    cli.run(main)
