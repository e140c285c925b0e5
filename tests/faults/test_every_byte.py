"""Every byte of small HDF5 files is changed, one at a time: what is read is the same, or one line names the file."""

import numpy as np
import pytest
from actdim.errors import UserError
from actdim.neighbors.decimation import decimate
from actdim.neighbors.search import find_neighbors
from actdim.storage import activations_file, hdf5, neighbor_lists
from actdim.storage.atomic import atomic_write
from actdim.storage.layer_reader import row_checksums

POINTS = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float16)
LABELS = np.arange(12) % 2


def write_activations(path):
    with atomic_write(path) as beside, hdf5.create_file(beside) as file:
        hdf5.write_attributes(file, {"format": hdf5.FORMAT, "study": "tiny", "checkpoint": 4})
        hdf5.write_checksum(file)
        file["labels"], file["layers/x"] = LABELS, POINTS
        hdf5.write_checksum(file["labels"], LABELS)
        hdf5.write_attributes(file["layers/x"], {"depth": 1, "feeds_classifier": True})
        activations_file.write_row_checksums(file["layers/x"], row_checksums(POINTS))


def write_neighbors(path, by_class=False):
    groups = {"classes/0": POINTS[::2], "classes/1": POINTS[1::2]} if by_class else {"/": POINTS}
    with atomic_write(path) as beside, hdf5.create_file(beside) as file:
        for name, points in groups.items():
            indices, distances, report = find_neighbors(points, "exact", 3)
            decimated = decimate(points, indices, distances, 0)
            neighbor_lists.write_lists(
                file.require_group(name), np.arange(len(indices)), indices, distances, decimated, report
            )
        neighbor_lists.complete_file(file, {"study": "tiny"})


def read_activations(path):
    with activations_file.open_layer(path, "x") as (points, labels, source):
        return repr((points[:].tolist(), labels.tolist(), source))


def read_neighbors(path):
    found, about = neighbor_lists.read_neighbors(path)
    lists = [
        (label, *(part.tolist() for part in (of.distances, of.indices, *of.decimated.values())), list(of.decimated))
        for label, of, _ in found
    ]
    return repr((lists, [report for _, _, report in found], about))


@pytest.mark.slow_faults
@pytest.mark.parametrize(
    ("write", "read"),
    [
        (write_activations, read_activations),
        (write_neighbors, read_neighbors),
        (lambda path: write_neighbors(path, by_class=True), read_neighbors),
    ],
    ids=["activations", "neighbors", "neighbors by class"],
)
def test_every_byte(write, read, tmp_path, capsys):
    path = tmp_path / "x.h5"
    write(path)
    content, expected, found = path.read_bytes(), read(path), 0
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :])
        said = ""
        try:
            assert read(path) == expected, f"byte {at}"
        except UserError as error:
            said = str(error)
            found += 1
        remedy = "snakemake again" in said or "no layer 'x'; it has " in said  # a name has no checksum
        assert not said or (str(path) in said and remedy), (at, said)
    assert found > len(content) / 10
    with capsys.disabled():
        print(f"\n{len(content)} bytes, each changed: {found} found, {len(content) - found} without effect")
