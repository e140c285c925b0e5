#!/usr/bin/env python
"""Store the activations that a checkpoint's model has on the samples of a split."""

import argparse
import json
from pathlib import Path

import torch
from actdim import checkpoints, errors, registered
from actdim.activations import dump, layer_names
from actdim.batches import on_device
from actdim.datasets import data_set, load_samples
from actdim.provenance import made_by
from actdim.steps import build_model
from actdim.training import keep_memory, make_deterministic


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, help="a checkpoint of train.py")
    parser.add_argument("--split", choices=["validation", "train"], default="validation", help="(default: validation)")
    parser.add_argument("--layers", nargs="+", default=["all"], metavar="NAME", help="modules, or all (the default)")
    parser.add_argument("--output", required=True, type=Path, help="the HDF5 file")
    arguments = parser.parse_args()

    state = checkpoints.load(arguments.checkpoint)
    run = json.loads(state["run"])
    settings = run["settings"]
    make_deterministic(settings["training"]["threads"])
    keep_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build_model(settings, device)
    model.load_state_dict(state["model"])
    layers = layer_names(model, arguments.layers)
    split = load_samples(settings)[arguments.split]
    unit, metrics = max(state["metrics"].items())
    attributes = {
        "study": run["study"],
        "chosen": json.dumps(run["chosen"]),
        "settings": json.dumps(settings),
        "unit": run["unit"],
        "checkpoint": unit,
        "split": arguments.split,
        **{name: value for name, value in metrics.items() if name != "learning_rate"},
        "made_by": json.dumps(
            made_by(
                __file__,
                *registered.code_of(settings),
                libraries=("torch", "h5py"),
            )
        ),
    }
    samples = on_device(split, data_set(settings), device)
    single = dump(arguments.output, model, samples, split.index, layers, attributes)
    print(f"{len(split.labels)} samples of {arguments.split}, layers {', '.join(layers)}")
    for layer in sorted(single):
        print(f"{layer}: stored as float32, for float16 would lose too much")


if __name__ == "__main__":
    errors.run(main)
