#!/usr/bin/env python
"""Store the activations that a checkpoint's model has on the samples of a split."""

import argparse
from pathlib import Path

from actdim import cli, plugins
from actdim.activations.dump import dump
from actdim.activations.settings import dump_settings
from actdim.cli import add_expect
from actdim.datasets.dataset import data_set, load_samples
from actdim.datasets.device import on_device
from actdim.models.layers import layer_names
from actdim.provenance import made_by
from actdim.training.trained_model import load_trained


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", required=True, type=Path, help="a checkpoint of train.py")
    parser.add_argument("--split", choices=["validation", "train"], default="validation", help="(default: validation)")
    parser.add_argument("--layers", nargs="+", default=["all"], metavar="NAME", help="modules, or all (the default)")
    parser.add_argument("--dtype", choices=["auto", "float32"], default="auto", help="(default: float16 if harmless)")
    add_expect(parser)
    parser.add_argument("--output", required=True, type=Path, help="the HDF5 file")
    arguments = parser.parse_args()

    trained = load_trained(arguments.checkpoint, arguments.expect)
    layers = layer_names(trained.model, arguments.layers)
    split = load_samples(trained.settings.dataset, trained.settings.seed)[arguments.split]
    attributes = {
        **trained.source,
        "split": arguments.split,
        "made_by": made_by(
            __file__,
            *plugins.run_functions(trained.settings),
            settings=dump_settings(arguments.split, arguments.layers, arguments.dtype),
            libraries=("torch", "h5py"),
        ),
    }
    samples = on_device(split, data_set(trained.settings.dataset), trained.device)
    float32_layers = dump(
        arguments.output, trained.model, samples, split.index, layers, attributes, arguments.dtype == "float32"
    )
    print(f"{len(split.labels)} samples of {arguments.split}, layers {', '.join(layers)}")
    for layer in sorted(float32_layers):
        print(f"{layer}: stored as float32")


if __name__ == "__main__":
    cli.run(main)
