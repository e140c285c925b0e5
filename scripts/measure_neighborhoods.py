#!/usr/bin/env python
"""Measure what neighbor lists tell besides the ID: overlaps with labels, layers and checkpoints, and local IDs."""

import argparse
from pathlib import Path

from actdim import cli
from actdim.measures.neighborhoods import measure_neighborhoods
from actdim.provenance import made_by
from actdim.storage.activations_file import read_labels_and_predictions
from actdim.storage.json_files import write_json
from actdim.storage.neighbor_lists import read_rows_and_lists
from actdim.tables.columns import METRICS_REASON


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--neighbors",
        required=True,
        nargs="+",
        type=Path,
        help="files of find_neighbors.py, one for each layer, from the first to the last",
    )
    parser.add_argument("--previous", type=Path, help="that of the last layer at the checkpoint before")
    parser.add_argument("--activations", required=True, type=Path, help="the file in which the neighbors were found")
    parser.add_argument("--output", required=True, type=Path, help="the JSON file")
    arguments = parser.parse_args()

    layers, sources = zip(*map(read_rows_and_lists, arguments.neighbors), strict=True)
    previous = read_rows_and_lists(arguments.previous)[0] if arguments.previous else None
    labels, predictions = read_labels_and_predictions(arguments.activations)
    result = measure_neighborhoods(layers, previous, labels, predictions, sources[-1].get(METRICS_REASON))
    about = {"source": sources[-1], "made_by": made_by(__file__, settings={}, libraries=("numpy", "h5py"))}
    write_json(arguments.output, {**result, **about})
    print(result)


if __name__ == "__main__":
    cli.run(main)
