"""What checksums guarantee for the files that have them."""

import fcntl
import sys

import h5py
import numpy as np
import pytest
from actdim.errors import UserError
from actdim.neighbors import exact
from actdim.storage import activations_file, hdf5
from actdim.storage.checksums import checksum_of
from actdim.storage.layer_reader import row_checksums
from actdim.threads import import_numba


def store(path, values):
    """Write a layer x as actdim does."""
    with hdf5.create_file(path) as file:
        hdf5.write_attributes(file, {"format": hdf5.FORMAT, "study": "tiny"})
        hdf5.write_checksum(file)
        labels = np.zeros(len(values), int)
        file["labels"], file["layers/x"] = labels, values
        hdf5.write_checksum(file["labels"], labels)
        activations_file.write_row_checksums(file["layers/x"], row_checksums(values))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_sums_of_rows_are_the_same_compiled_or_not_and_add_up(dtype, monkeypatch):
    values = np.random.default_rng(0).normal(size=(50, 31)).astype(dtype)
    import_numba()
    compiled = row_checksums(values)
    monkeypatch.delitem(sys.modules, "numba")
    plain = row_checksums(values)
    np.testing.assert_array_equal(compiled, plain)
    left, right = (np.ascontiguousarray(part) for part in np.split(values, [7], axis=1))
    np.testing.assert_array_equal(row_checksums(left) + row_checksums(right, 7), plain)
    assert len(set(plain.tolist())) == 50


@pytest.mark.parametrize("column", [0, 5, 30])
def test_a_layer_that_is_read_some_columns_at_a_time_is_checked(tmp_path, monkeypatch, column):
    monkeypatch.setattr(exact, "CHUNK_BYTES", 4 * 60 * 7)  # seven columns
    values = np.random.default_rng(0).normal(size=(60, 31)).astype(np.float16)
    store(tmp_path / "a.h5", values)
    with activations_file.open_layer(tmp_path / "a.h5", "x") as (points, _, _):
        assert len(exact.column_slices(points.shape)) > 1
        expected = exact.exact_neighbors(values, 3)
        for found, wanted in zip(exact.exact_neighbors(points, 3), expected, strict=True):
            np.testing.assert_array_equal(found, wanted)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["layers/x"][17, column] += 0.5
    with (
        activations_file.open_layer(tmp_path / "a.h5", "x") as (points, _, _),
        pytest.raises(UserError, match=r"a\.h5: /layers/x is corrupt: checksum mismatch"),
    ):
        exact.exact_neighbors(points, 3)


def test_what_could_not_be_checked_is_not_read(tmp_path):
    store(tmp_path / "a.h5", np.ones((10, 8), np.float16))
    with activations_file.open_layer(tmp_path / "a.h5", "x") as (points, _, _):
        assert points[3:5].shape == (2, 8)
        assert points[[1, 7]].shape == (2, 8)
        assert points[0].shape == (8,)
        for place in (np.s_[:, 4:], np.s_[:3, :4]):
            with pytest.raises(IndexError):
                points[place]


def test_a_file_of_someone_else_needs_no_checksum_but_ours_does(tmp_path):
    values = np.random.default_rng(0).normal(size=(10, 8)).astype(np.float16)
    with h5py.File(tmp_path / "theirs.h5", "w") as file:
        file["layers/x"] = values
        file["points"] = np.arange(10)
        file["points"].make_scale("points")
        file["layers/x"].dims[0].attach_scale(file["points"])
        file.attrs.update(
            note="{text}", author=np.bytes_(b"me"), format="of mine", names=["cat", "dog"], lr=0.1, loss=np.nan
        )
    with activations_file.open_layer(tmp_path / "theirs.h5", "x") as (points, labels, source):
        np.testing.assert_array_equal(points[:], values)
        assert labels is None
        assert source == {"lr": 0.1, "loss": None, "author": "me", "layer": "x"}
    store(tmp_path / "ours.h5", values)
    for lost in (
        lambda file: file.attrs.pop("checksum"),
        lambda file: file.pop("checksums"),
        lambda file: file["layers/x"].attrs.pop("checksum"),
        lambda file: file.attrs.update(study=np.bytes_(b"another")),
        lambda file: file["layers/x"].attrs.update(depth=3),
    ):
        (tmp_path / "x.h5").write_bytes((tmp_path / "ours.h5").read_bytes())
        with h5py.File(tmp_path / "x.h5", "a") as file:
            lost(file)
        with (
            pytest.raises(UserError, match=r"not a complete HDF5 file .*; if actdim made it, delete it and run snake"),
            activations_file.open_layer(tmp_path / "x.h5", "x"),
        ):
            pass


def test_a_file_in_use_is_not_called_damaged(tmp_path):
    store(tmp_path / "a.h5", np.ones((10, 8), np.float16))
    with open(tmp_path / "a.h5", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as HDF5 does for one that writes
        with (
            pytest.raises(UserError, match=r"a.h5: cannot be read now \(.*lock file.*\); if it stays so, delete it"),
            activations_file.open_layer(tmp_path / "a.h5", "x"),
        ):
            pass


def test_the_checksum_tells_values_types_and_shapes_apart():
    array = np.arange(6)
    different = [
        (),
        (array,),
        (array.reshape(2, 3),),
        (array.astype(np.int32),),
        (array[:3], array[3:]),
        (array.tolist(),),
        ("a", "b"),
        ("ab",),
    ]
    assert len({checksum_of(*parts) for parts in different}) == len(different)
    assert checksum_of({"a": 1, "b": 2}) == checksum_of({"b": 2, "a": 1})
