#!/usr/bin/env python
"""Estimate the intrinsic dimension of one layer from its neighbor lists."""

import argparse
from pathlib import Path

import numpy as np
from actdim import errors
from actdim.arguments import add_set, read_set
from actdim.estimators import ESTIMATORS, NoEstimate
from actdim.files import write_json
from actdim.hdf5 import read_neighbors
from actdim.provenance import made_by
from actdim.registered import settings_of
from actdim.settings import check


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neighbors", required=True, type=Path, help="an HDF5 file of find_neighbors.py")
    parser.add_argument("--estimator", required=True, choices=list(ESTIMATORS))
    add_set(parser, "a setting of the estimator: fraction=0.9")
    parser.add_argument("--output", required=True, type=Path, help="the JSON file")
    arguments = parser.parse_args()

    estimator = ESTIMATORS[arguments.estimator]
    chosen = {"name": arguments.estimator, **read_set(arguments.set)}
    settings = check(settings_of(estimator), chosen, f"--estimator {arguments.estimator}: --set")
    settings = settings.model_dump(exclude={"name"})
    distances, indices, attributes = read_neighbors(arguments.neighbors)
    result = {"id": None, "low": None, "high": None, "n_points": len(distances), "n_dropped": None}
    try:
        if "reason" in attributes:
            raise NoEstimate(attributes["reason"])
        estimate = estimator(distances, indices, **settings)
        result.update({key: np.asarray(value).item() for key, value in estimate.items()})
    except NoEstimate as reason:
        result["reason"] = str(reason)
    print(result)
    write_json(
        arguments.output,
        {
            **result,
            "estimator": arguments.estimator,
            "settings": settings,
            "recall": attributes.get("recall"),
            "source": attributes.get("source", {}),
            "made_by": made_by(__file__, libraries=("numpy", "scipy")),
        },
    )


if __name__ == "__main__":
    errors.run(main)
