#!/usr/bin/env python
"""Train a grokking transformer and print the ID of its layers over training, read at different positions.

    python benchmarks/grokking.py                                              # the study grokking, for 6,000 steps
    python benchmarks/grokking.py --optimizer adam --weight-decay 1e-2         # weight decay as an L2 term of the loss
    python benchmarks/grokking.py --optimizer adam --weight-decay 1e-2 --embeddings 1    # as torch's own embeddings

What the arguments leave open is as in studies/grokking.yaml. A row of the table is the output of a module at some of
the four positions `a o b =`: at all of them together (flattened, as in the study), or at the last. IDs are
those of `twonn_fit`, the procedure of Brown et al. (2022), on the validation equations. Training takes about 4 minutes
on one core, the IDs a minute.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch
import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

from actdim import intrinsic_dimension
from actdim.models.transformer import transformer
from torch import nn

STEPS = [0, 250, 500, 1000, 1500, 2000, 3000, 4000, 5000, 6000]
LAYERS = ["blocks.0.attention", "blocks.0.mlp", "blocks.1.attention", "blocks.1.mlp", "final_norm"]
POSITIONS = 4
DEVIATION = 0.02  # of the embeddings, in the project's transformer


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--optimizer", choices=["adam", "adamw"], default="adamw")
    parser.add_argument("--weight-decay", type=float, default=1.0)
    parser.add_argument("--train-fraction", type=float, default=0.4)
    parser.add_argument(
        "--embeddings", type=float, default=DEVIATION, help="standard deviation of the initial embeddings"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", nargs="+", type=int, default=STEPS, help="checkpoints; training ends at the last")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        metrics = train(Path(folder), arguments)
        print(f"| {' | '.join(['layer', 'positions', *(f'step {step}' for step in arguments.steps)])} |")
        print("|---" * (2 + len(arguments.steps)) + "|")
        for split in ("train", "validation"):
            accuracies = [float(metrics[step][f"{split}_accuracy"]) for step in arguments.steps]
            print(f"| {split} accuracy | | {' | '.join(f'{value:.2f}' for value in accuracies)} |")
        for (layer, positions), ids in read_ids(Path(folder), arguments.steps).items():
            print(f"| `{layer}` | {positions} | {' | '.join(map(number, ids))} |", flush=True)


def train(folder, arguments):
    """Train a run and store its activations in a folder; return {step: row of metrics.csv}."""
    study = yaml.safe_load((ROOT / "studies/grokking.yaml").read_text())
    study["model"] |= {"name": "grokking:with_embeddings", "deviation": arguments.embeddings}
    study["dataset"]["train_fraction"] = arguments.train_fraction
    study["training"] |= {
        "optimizer": arguments.optimizer,
        "weight_decay": arguments.weight_decay,
        "steps": arguments.steps[-1],
    }
    study["checkpoints"] = arguments.steps
    (folder / "grokking.yaml").write_text(json.dumps(study))
    run("train.py", "--study", folder / "grokking.yaml", "--set", f"seed={arguments.seed}", "--output", folder / "run")
    for step in arguments.steps:
        dump = ["--layers", *LAYERS, "--dtype", "float32", "--output", folder / f"{step}.h5"]
        run("dump_activations.py", "--checkpoint", folder / f"run/{step:05d}.pt", *dump)
    with open(folder / "run/metrics.csv", newline="") as file:
        return {int(row["step"]): row for row in csv.DictReader(file)}


def run(program, *arguments):
    """Run a program of the project in this folder, where it finds `with_embeddings`."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    command = [sys.executable, ROOT / "scripts" / program, *arguments]
    subprocess.run(command, cwd=ROOT / "benchmarks", env=environment, stdout=subprocess.DEVNULL, check=True)


def with_embeddings(
    data, *, deviation: float, depth: int = 2, width: int = 128, heads: int = 4, dropout: float = 0.1
) -> nn.Module:
    """The project's transformer, whose embeddings begin with another standard deviation."""
    model = transformer(data, depth=depth, width=width, heads=heads, dropout=dropout)
    with torch.no_grad():
        for embedding in (model.token, model.position):
            embedding.weight *= deviation / DEVIATION
    return model


def read_ids(folder, steps):
    """Return {(layer, positions): the ID at each step, None where there is none}."""
    ids = {}
    for step in steps:
        with h5py.File(folder / f"{step}.h5") as file:
            for layer in LAYERS:
                values = np.asarray(file["layers"][layer])
                views = {"last": values}
                if layer != "final_norm":  # which is computed at the last position only
                    views = {"all": values, "last": values[:, -values.shape[1] // POSITIONS :]}
                for positions, points in views.items():
                    estimate = intrinsic_dimension(points, "twonn_fit")
                    ids.setdefault((layer, positions), []).append(estimate.id)
    return ids


def number(value):
    """Return an ID as text."""
    return "none" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    main()
