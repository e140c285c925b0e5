#!/usr/bin/env python
"""Data sets and estimates of DADApy and scikit-dimension, run by the Python that has them (see test_peers.py).

    peers.py manifolds OUTPUT.npz    # NAME/points/DRAW and NAME/dimension of scikit-dimension's benchmark
    peers.py estimate INPUT.npz OUTPUT.json

The input has NAME/points (n, features), and may have NAME/distances and NAME/indices (n, k) of the neighbors without
the point itself; otherwise each library searches by itself. The output has {NAME: {ESTIMATE: number or list}}.
"""

import argparse
import json

import numpy as np
import skdim
from dadapy import Data

POINTS, DRAWS = 2500, 4
K = 20  # neighbors of skdim's MLE
SHARES = (0.90, 0.95, 0.99)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("manifolds").add_argument("output")
    estimating = commands.add_parser("estimate")
    estimating.add_argument("input")
    estimating.add_argument("output")
    arguments = parser.parse_args()
    if arguments.command == "manifolds":
        np.savez(arguments.output, **manifolds())
        return
    with np.load(arguments.input) as arrays, open(arguments.output, "w") as file:
        names = sorted({key.split("/")[0] for key in arrays})
        json.dump({name: estimates(arrays, name) for name in names}, file)


def manifolds():
    """Return the arrays of the benchmark's manifolds, drawn with the seeds 0, 1, ..."""
    arrays = {}
    for seed in range(DRAWS):
        benchmark = skdim.datasets.BenchmarkManifolds(random_state=seed)
        for name, points in benchmark.generate(n=POINTS).items():
            arrays[f"{name}/points/{seed}"] = points
            arrays[f"{name}/dimension"] = benchmark.truth.loc[name, "Intrinsic Dimension"]
    return arrays


def estimates(arrays, name):
    """Return the estimates of both libraries for one data set."""
    points, own = arrays[f"{name}/points"], f"{name}/distances" not in arrays
    if own:
        return of_two(points, False, Data(coordinates=points, n_jobs=1)) | of_components(points)
    distances, indices = arrays[f"{name}/distances"], arrays[f"{name}/indices"]
    # DADApy's lists begin with the point itself.
    with_self = np.insert(distances, 0, 0, axis=1), np.insert(indices, 0, np.arange(len(indices)), axis=1)
    data = Data(distances=with_self, n_jobs=1)
    return {
        **of_two(distances[:, :2], True, data),
        **of_many(distances, indices, data),
        **of_components(points),
    }


def of_two(points, are_distances, data):
    """Return the estimates from the first two neighbors; points are skdim's, data DADApy's."""
    variants = {"mle": ("mle", 0.0), "censored": ("mle", 0.1), "linear": ("linear", 0.1)}
    return {
        **{
            f"skdim {key}": skdim.id.TwoNN(method=method, discard_fraction=discarded, dist=are_distances)
            .fit(points)
            .dimension_
            for key, (method, discarded) in variants.items()
        },
        "dadapy ml": data.compute_id_2NN(algorithm="ml")[0],
        "dadapy base": data.compute_id_2NN(algorithm="base")[0],
    }


def of_many(distances, indices, data):
    """Return the estimates from more neighbors than two."""
    ids, errors, _ = data.return_id_scaling_gride(range_max=distances.shape[1])
    mle = skdim.id.MLE().fit(distances, precomputed_knn_arrays=(distances[:, :K], indices[:, :K]), comb="mle")
    return {"skdim levina": mle.dimension_, "dadapy gride": ids.tolist(), "dadapy gride errors": errors.tolist()}


def of_components(points):
    """Return the estimates from principal components."""
    held = [skdim.id.lPCA(ver="ratio", alphaRatio=share).fit(points).dimension_ for share in SHARES]
    ratio = skdim.id.lPCA(ver="participation_ratio").fit(points).dimension_
    return {"skdim participation": ratio, "skdim components": [int(count) for count in held]}


if __name__ == "__main__":
    main()
