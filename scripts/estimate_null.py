#!/usr/bin/env python
"""Estimate the ID of Gaussian points with the number and the spectrum of a layer's activations."""

import argparse
from pathlib import Path

from actdim import cli, plugins
from actdim.cli import add_set, read_set
from actdim.errors import UserError
from actdim.estimators import result
from actdim.measures.null import estimate_null
from actdim.names import PCA
from actdim.neighbors import search
from actdim.neighbors.settings import add_search_options, search_settings
from actdim.provenance import made_by, settings_that_count
from actdim.storage.json_files import write_json
from actdim.storage.neighbor_lists import NeighborLists
from actdim.study.config import ALL_ESTIMATORS
from actdim.tables.results import read_result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spectrum", required=True, type=Path, help="a JSON file of estimate_pca.py")
    parser.add_argument("--estimator", required=True, choices=list(ALL_ESTIMATORS))
    add_set(parser, "a setting of the estimator: fraction=0.9")
    add_search_options(parser)
    parser.add_argument("--output", required=True, type=Path, help="the JSON file")
    arguments = parser.parse_args()

    where = f"--estimator {arguments.estimator}: --set"
    function, settings = plugins.function_with_settings(
        ALL_ESTIMATORS, arguments.estimator, read_set(arguments.set), where
    )
    neighbors = search_settings(arguments)

    def estimate(points):
        if arguments.estimator == PCA:
            return result.estimate(len(points), function, points)
        indices, distances, report = search.find_neighbors(points, **neighbors.model_dump())
        lists = NeighborLists(distances, indices, {})
        return result.estimate_from_lists(function, lists, report, **settings.model_dump())

    spectrum = read_result(arguments.spectrum, ["estimate_pca.py"], {})
    if "classes" in spectrum:
        raise UserError(f"{arguments.spectrum}: of each class by itself; should be of all classes together")
    if spectrum["id"] is None:
        null = {"id_null": None, "draws": 0, "reason": spectrum["reason"]}
    else:
        null = estimate_null(spectrum["eigenvalues"], spectrum["n_points"], estimate, neighbors.seed)
    print(null)
    counted = {**settings_that_count(settings), **settings_that_count(neighbors)}
    about = {
        "estimator": arguments.estimator,
        "settings": settings.model_dump(),
        "source": spectrum["source"],
        "made_by": made_by(
            __file__, ALL_ESTIMATORS[arguments.estimator], settings=counted, libraries=("numpy", "scipy")
        ),
    }
    write_json(arguments.output, {**null, **about})


if __name__ == "__main__":
    cli.run(main)
