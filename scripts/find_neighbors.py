#!/usr/bin/env python
"""Find the nearest neighbors of every sample in the activations of one layer."""

import argparse
import json
from pathlib import Path

import h5py
from actdim import errors, neighbors
from actdim.files import whole
from actdim.hdf5 import FORMAT, read_layer
from actdim.provenance import made_by


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--activations", required=True, type=Path, help="an HDF5 file of dump_activations.py")
    parser.add_argument("--layer", required=True, help="its layer")
    parser.add_argument(
        "--method", choices=list(neighbors.METHODS), default="pynndescent", help="(default: pynndescent)"
    )
    parser.add_argument("--k", type=int, default=32, help="neighbors of every sample (default: 32)")
    parser.add_argument("--seed", type=int, default=0, help="of the approximate search and its audit (default: 0)")
    parser.add_argument("--output", required=True, type=Path, help="the HDF5 file for the lists")
    arguments = parser.parse_args()
    if arguments.k < 2:
        raise errors.UserError(f"--k {arguments.k}: should be 2 or more")

    points, source = read_layer(arguments.activations, arguments.layer)
    indices, distances, report = neighbors.find(points, arguments.method, arguments.k, arguments.seed)
    print(f"{len(points)} points of {points.shape[1]} features: {report}")
    with whole(arguments.output) as beside, h5py.File(beside, "w") as file:
        file["indices"], file["distances"] = indices, distances
        file.attrs.update(
            {
                "format": FORMAT,
                "k": indices.shape[1],
                "seed": arguments.seed,
                **report,
                "source": json.dumps(source),
                "made_by": json.dumps(made_by(__file__, libraries=("numpy", "pynndescent"))),
            }
        )


if __name__ == "__main__":
    errors.run(main)
