#!/usr/bin/env python
"""Time the ID of one layer by actdim, DADApy, scikit-dimension, scikit-learn and the paper's procedure.

    python benchmarks/neighbors.py              # all tables, about half an hour on 2 cores
    python benchmarks/neighbors.py 10000x512    # one row

Each method works on the same values in its own process, to measure its peak memory. Points are activations of a random
ReLU network with two layers, whose inputs are Gaussian in as many dimensions as the ID: curved, and of full rank.
`seconds` is the fastest of three calls (the only call of a slow method), data in memory for the peers and on disk for
actdim; `process` is the entire process: imports, reading and all calls. The paper's procedure is written after
its description: all pairs of distances, then 20 random subsamples of 90 % of the points, each row sorted, the
regression on the lowest 90 %. The others compute TwoNN alone, scikit-learn by brute-force neighbors and maximum
likelihood. `actdim, all` computes what a job of the workflow does: 32 neighbors, the neighbors in a half, quarter and
eighth of the points, `twonn`, and `twonn_fit` in 20 subsamples.

Variables that choose a kernel of OpenBLAS are unset for all methods alike: meant for old versions of it, they make
matrix products two to three times as slow on new processors. The kernels used are printed first.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))
PEERS = os.environ.get("ACTDIM_PEERS", ROOT / ".venv-peers/bin/python")
WIDTH = 1024
AGAINST_PEERS = ("actdim", "actdim, all", "dadapy", "skdim", "sklearn", "paper")
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")}
ROWS = {  # points x features: true ID, methods
    "10000x512": (20, AGAINST_PEERS),
    "10000x8192": (20, AGAINST_PEERS),
    "50000x512": (
        20,
        ("actdim", "actdim, all", "dadapy", "skdim", "sklearn"),
    ),  # the paper's procedure needs 40 GB here
    "10000x65536": (45, ("actdim", "actdim, all", "product", "symmetric product")),
    "10000x64": (10, ("actdim, all",)),
    "100000x64": (10, ("actdim, all",)),
    "1000000x64": (10, ("actdim, all",)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help=f"of {', '.join(ROWS)} (default: all)")
    parser.add_argument("--method", help=argparse.SUPPRESS)  # how this program calls itself
    arguments = parser.parse_args()
    if arguments.method:
        print(json.dumps(METHODS[arguments.method](arguments.rows[0])))
        return
    for python in (sys.executable, PEERS):
        print(f"{python}: OpenBLAS kernel {kernel(python)}")
    print("| points x features, ID | method | seconds | ratio | process | ID found | recall | peak memory |")
    print("|---|---|---|---|---|---|---|---|")
    for row in arguments.rows or ROWS:
        dimension, methods = ROWS[row]
        with tempfile.TemporaryDirectory() as folder:
            write_layer(Path(folder) / "layer.h5", *map(int, row.split("x")), dimension)
            table = {method: in_own_process(method, folder) for method in methods}
        for method, measured in table.items():
            ratio = measured["seconds"] / table[methods[0]]["seconds"]
            estimate, recall = (f"{measured[key]:.4g}" if key in measured else "" for key in ("id", "recall"))
            label = f"{row.replace('x', ' x ')}, {dimension}"
            times = f"{measured['seconds']:.2f} | {ratio:.1f} | {measured['process']:.1f}"
            print(
                f"| {label} | {method} | {times} | {estimate} | {recall} | {measured['gigabytes']:.2f} GB |", flush=True
            )
    if not arguments.rows:
        whole_process()


def write_layer(path, n, features, dimension, seed=0):
    """Write float16 activations (n, features) of a random ReLU network whose inputs have `dimension` dimensions."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(dimension, WIDTH)).astype(np.float32) / np.sqrt(dimension)
    with h5py.File(path, "w") as file:
        data = file.create_dataset("layers/x", (n, features), dtype=np.float16)
        inputs = rng.normal(size=(n, dimension)).astype(np.float32)
        seconds = [
            rng.normal(size=(WIDTH, min(4096, features - left))).astype(np.float32) / np.sqrt(WIDTH)
            for left in range(0, features, 4096)
        ]
        for top in range(0, n, 10_000):
            hidden = np.maximum(inputs[top : top + 10_000] @ first, 0)
            for number, second in enumerate(seconds):
                data[top : top + 10_000, 4096 * number : 4096 * (number + 1)] = np.maximum(hidden @ second, 0)


def in_own_process(method, folder):
    """Return {seconds, process, gigabytes, id, recall} of a method, measured in a process of its own."""
    python = PEERS if method in ("dadapy", "skdim") else sys.executable
    begun = time.monotonic()
    command = [python, __file__, "--method", method, Path(folder) / "layer.h5"]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT)
    if done.returncode:
        sys.exit(f"{method}: {done.stderr}")
    return {**json.loads(done.stdout.splitlines()[-1]), "process": time.monotonic() - begun}


def kernel(python):
    """Return the kernel that the OpenBLAS of a Python's numpy chooses for this processor."""
    program = "import numpy, threadpoolctl as t; print(*{i.get('architecture') for i in t.threadpool_info()})"
    done = subprocess.run([python, "-c", program], capture_output=True, text=True, env=ENVIRONMENT, check=True)
    return done.stdout.strip()


def timed(call, data, calls=3):
    """Return {seconds of the fastest call, gigabytes, **what it returns}; the peak memory includes the data."""
    durations = []
    for _ in range(calls):
        begun = time.monotonic()
        found = call(data)
        durations.append(time.monotonic() - begun)
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return {**found, "seconds": min(durations), "gigabytes": peak / 1e6}


def actdim(path):
    """The two nearest neighbors by `auto`, and TwoNN."""
    from actdim.estimators.twonn import twonn
    from actdim.neighbors.search import find_neighbors
    from actdim.storage.neighbor_lists import NeighborLists

    def call(points):
        indices, distances, report = find_neighbors(points, "auto", 2)
        return {"id": twonn(NeighborLists(distances, indices, {}))["id"], "recall": report["recall"]}

    with h5py.File(path) as file:
        return timed(call, file["layers/x"])


def actdim_all(path):
    """The same with 32 neighbors, the scale check, and both estimates."""
    from actdim.estimators.twonn import twonn
    from actdim.estimators.twonn_fit import twonn_fit
    from actdim.neighbors import decimation
    from actdim.neighbors.search import find_neighbors
    from actdim.storage.neighbor_lists import NeighborLists

    def call(points):
        indices, distances, report = find_neighbors(points, "auto", 32)
        lists = NeighborLists(distances, indices, decimation.decimate(points, indices, distances))
        twonn_fit(lists)
        return {"id": twonn(lists)["id"], "recall": report["recall"]}

    with h5py.File(path) as file:
        points = file["layers/x"]
        return timed(call, points, calls=3 if len(points) < 100_000 else 1)


def in_memory(path):
    """Return the points as the peers take them."""
    with h5py.File(path) as file:
        return file["layers/x"][:].astype(np.float32)


def dadapy(path):
    """DADApy's TwoNN on two threads, with its neighbor search as it comes."""
    from dadapy import Data

    def call(points):
        data = Data(points, maxk=2, n_jobs=2)
        data.compute_distances(maxk=2)
        return {"id": float(data.compute_id_2NN()[0])}

    points = in_memory(path)
    return timed(call, points, calls=3 if points.size < 1e7 else 1)


def skdim(path):
    """scikit-dimension's TwoNN as it comes."""
    from skdim.id import TwoNN

    points = in_memory(path)
    calls = 3 if points.size < 1e7 else 1
    return timed(lambda points: {"id": float(TwoNN().fit(points).dimension_)}, points, calls)


def sklearn(path):
    """TwoNN by maximum likelihood from scikit-learn's brute-force neighbors on two threads."""
    from sklearn.neighbors import NearestNeighbors

    def call(points):
        search = NearestNeighbors(n_neighbors=2, algorithm="brute", n_jobs=2).fit(points)
        distances, _ = search.kneighbors()
        return {"id": float(len(points) / np.log(distances[:, 1] / distances[:, 0]).sum())}

    points = in_memory(path)
    return timed(call, points, calls=3 if points.size < 1e7 else 1)


def paper(path):
    """The paper's procedure."""
    from scipy.spatial.distance import pdist, squareform

    def call(points):
        distances = squareform(pdist(points))
        rng = np.random.default_rng(0)
        return {"id": float(np.mean([regression(distances, rng) for _ in range(20)]))}

    return timed(call, in_memory(path), calls=1)


def regression(distances, rng, share=0.9):
    """Return TwoNN's regression estimate on a random subsample of the points."""
    kept = rng.choice(len(distances), int(share * len(distances)), replace=False)
    ordered = np.sort(distances[np.ix_(kept, kept)], axis=1)
    usable = (ordered[:, 1] > 0) & (ordered[:, 1] < ordered[:, 2])
    ratios = np.sort(np.log(ordered[usable, 2] / ordered[usable, 1]))
    lowest = ratios[: int(share * len(ratios))]
    y = -np.log(1 - np.arange(1, len(lowest) + 1) / len(ratios))
    return (lowest @ y) / (lowest @ lowest)


def product(path):
    """The bare float32 matrix product of the points with a copy of themselves, in numpy; finds no neighbors."""
    points = in_memory(path)
    copy = points.copy()
    return timed(lambda points: {"shape": (points @ copy.T).shape}, points)


def symmetric_product(path):
    """The same where numpy can see that it is symmetric, and makes half of it."""
    return timed(lambda points: {"shape": (points @ points.T).shape}, in_memory(path))


METHODS = {
    "actdim": actdim,
    "actdim, all": actdim_all,
    "dadapy": dadapy,
    "skdim": skdim,
    "sklearn": sklearn,
    "paper": paper,
    "product": product,
    "symmetric product": symmetric_product,
}


def whole_process():
    """Print the times of estimate_id.py on 10,000 points, whole processes, the fastest of five."""
    with tempfile.TemporaryDirectory() as folder:
        layer, lists = Path(folder) / "layer.h5", Path(folder) / "lists.h5"
        write_layer(layer, 10_000, 64, 10)
        find = ["scripts/find_neighbors.py", "--activations", layer, "--layer", "x", "--output", lists]
        subprocess.run([sys.executable, *find], cwd=ROOT, check=True, capture_output=True, env=ENVIRONMENT)
        commands = {"import numpy, h5py": ["-c", "import numpy, h5py"]}
        for estimator in ("twonn", "twonn_fit", "gride", "mle"):
            program = ["scripts/estimate_id.py", "--neighbors", lists, "--estimator", estimator]
            commands[f"estimate_id.py --estimator {estimator}"] = [*program, "--output", Path(folder) / "id.json"]
        print("\n| whole process, 10,000 points | seconds |\n|---|---|")
        for name, command in commands.items():
            print(f"| {name} | {min(duration(command) for _ in range(5)):.2f} |")


def duration(command):
    """Return the seconds that Python takes for a command."""
    begun = time.monotonic()
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True, env=ENVIRONMENT)
    return time.monotonic() - begun


if __name__ == "__main__":
    main()
