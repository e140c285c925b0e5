#!/usr/bin/env python
"""Store activations from files of the user's own as dump_activations.py stores those of a model.

Values that can be read where they are, such as those of .npy files of floats, are not copied.
"""

import argparse
from pathlib import Path

import numpy as np
from actdim import cli
from actdim.activations.imported import import_activations, read_labels
from actdim.cli import add_set, read_set
from actdim.errors import UserError
from actdim.provenance import digest_of, made_by
from actdim.study.own_activations import arrays_of_files, labels_array, sample_set
from actdim.study.study import load_own_run


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, type=Path, help="the YAML file of a study with activations.files")
    add_set(parser, "a wildcard of files that tells runs apart: model=resnet18")
    parser.add_argument("--at", type=int, default=0, help="the epoch or step (default: 0)")
    parser.add_argument("--split", choices=["validation", "train"], default="validation", help="(default: validation)")
    parser.add_argument("--expect", metavar="DIGEST", help="of the files and the settings, as planned")
    parser.add_argument("--output", required=True, type=Path, help="the HDF5 file")
    arguments = parser.parse_args()

    run, samples = load_own_run(arguments.study, read_set(arguments.set)), sample_set(arguments.at, arguments.split)
    if samples not in run.settings.files:
        raise UserError(f"{arguments.study}: activations.files: no files at {arguments.at} of {arguments.split}")
    files, counted = run.settings.files[samples], run.settings.counted(samples)
    if arguments.expect not in (None, digest_of(counted)):
        raise UserError(f"{arguments.study}, or a file that it names, has changed since the job was planned; run again")
    arrays = arrays_of_files(files)
    attributes = {
        "study": run.study,
        "chosen": run.chosen,
        "checkpoint": arguments.at,
        "split": arguments.split,
        **files.metrics,
        "made_by": made_by(__file__, settings=counted, libraries=("numpy", "h5py")),
    }
    labels, names = (read_labels(labels_array(files.labels)) if files.labels else None), run.settings.class_names
    if names:
        labels = np.searchsorted(names, labels)
        print(*(f"class {number}: {name}" for number, name in enumerate(names)), sep="\n")
    in_place = import_activations(arguments.output, arrays, labels, names, attributes)
    for layer, array in arrays.items():
        how = "not copied" if layer in in_place else f"copied from {array.dtype}"
        print(f"{layer}: {array.shape[0]} samples of shape {array.shape[1:]}, {array.name}, {how}")


if __name__ == "__main__":
    cli.run(main)
