#!/usr/bin/env python
"""Estimate the linear dimension of one layer from its principal components."""

import argparse
from pathlib import Path

from actdim import cli
from actdim.estimators import result
from actdim.estimators.pca import pca
from actdim.provenance import made_by
from actdim.storage.activations_file import open_layer, rows_by_class


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--activations", required=True, type=Path, help="an HDF5 file of dump_activations.py")
    parser.add_argument("--layer", required=True, help="its layer")
    parser.add_argument("--by-class", action="store_true", help="each class by itself")
    parser.add_argument("--output", required=True, type=Path, help="the JSON file")
    arguments = parser.parse_args()

    with open_layer(arguments.activations, arguments.layer) as (points, labels, source):
        if not arguments.by_class:
            results = [(None, result.estimate(len(points), pca, points))]
        else:
            classes = rows_by_class(arguments.activations, arguments.layer, labels, len(points))
            results = [(label, result.estimate(len(rows), pca, points[rows])) for label, rows in classes]
    result.write_estimates(
        arguments.output,
        results,
        estimator="pca",
        settings={},
        source=source,
        made_by=made_by(__file__, settings={}, libraries=("numpy", "h5py")),
    )


if __name__ == "__main__":
    cli.run(main)
