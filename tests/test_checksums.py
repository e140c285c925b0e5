"""What checksums guarantee for the files that have them."""

import errno
import fcntl
import os
import shutil
import subprocess
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
from conftest import ROOT


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
            pytest.raises(UserError, match=r"corrupt \(.*\); delete it and run snakemake again"),
            activations_file.open_layer(tmp_path / "x.h5", "x"),
        ):
            pass


def test_a_file_in_use_is_not_called_damaged(tmp_path):
    store(tmp_path / "a.h5", np.ones((10, 8), np.float16))
    with open(tmp_path / "a.h5", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # as HDF5 does for one that writes
        with (
            pytest.raises(UserError, match=r"a.h5: cannot be read now \(.*lock file.*\); try again"),
            activations_file.open_layer(tmp_path / "a.h5", "x"),
        ):
            pass


WITHOUT_FLOCK = """
#include <errno.h>
#include <stdlib.h>
int flock(int file, int operation) { errno = atoi(getenv("FLOCK_ERRNO")); return -1; }
"""


@pytest.fixture(scope="module")
def without_flock(tmp_path_factory):
    """A library that makes flock fail, as it does on a file system that has none, in programs that preload it."""
    compiler = shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("flock")
    (folder / "flock.c").write_text(WITHOUT_FLOCK)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", folder / "flock.so", folder / "flock.c"], check=True)
    return folder / "flock.so"


def read_without_flock(library, path, number, **environment):
    """Open layer x of a file in a process where flock fails with an error number; return what it prints."""
    code = f"""if True:
        from actdim.storage.activations_file import open_layer
        try:
            with open_layer({str(path)!r}, "x") as (points, *_):
                print(points[:].sum())
        except Exception as error:
            print(type(error).__name__, error)
    """
    environment |= {"LD_PRELOAD": str(library), "FLOCK_ERRNO": str(number), "PYTHONPATH": str(ROOT / "scripts")}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True)
    return done.stdout.strip() + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_locks(tmp_path, without_flock, number):
    """The file is read; where the environment insists on a lock, the message says so and advises nothing worse."""
    store(tmp_path / "a.h5", np.ones((10, 8), np.float16))
    assert read_without_flock(without_flock, tmp_path / "a.h5", number) == "80.0"
    said = read_without_flock(without_flock, tmp_path / "a.h5", number, HDF5_USE_FILE_LOCKING="TRUE")
    assert said.startswith(f"UserError {tmp_path}/a.h5: its file system has no locks (")
    assert said.endswith("; unset HDF5_USE_FILE_LOCKING, or set it to FALSE")


@pytest.mark.skipif(sys.platform != "linux", reason="LD_PRELOAD")
def test_a_lock_of_another_process_is_no_missing_lock(tmp_path, without_flock):
    store(tmp_path / "a.h5", np.ones((10, 8), np.float16))
    said = read_without_flock(without_flock, tmp_path / "a.h5", errno.EAGAIN)
    assert said.endswith("; try again")


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ENOTCONN])
def test_a_disk_out_of_reach_is_no_corrupt_file(tmp_path, monkeypatch, number):
    store(tmp_path / "a.h5", np.ones((10, 8), np.float16))
    with activations_file.open_layer(tmp_path / "a.h5", "x") as (points, *_):

        def fail(*_):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(points, "data", type("Unreachable", (), {"__getitem__": fail, "name": "/layers/x"})())
        with pytest.raises(UserError, match=r"a.h5: /layers/x: cannot be read now \(.*\); try again$"):
            points[:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.create_group("layers/x/inner"), "/layers/x is a group; should be a data set"),
        (lambda file: file.create_dataset("layers/x", data=np.array([["a"]], "S1")), "/layers/x holds text; should"),
        (lambda file: file.create_dataset("layers", data=np.ones(3)), "no layer 'x'; it has no /layers"),
    ],
)
def test_a_layer_that_is_no_array_of_numbers(tmp_path, change, message):
    with h5py.File(tmp_path / "theirs.h5", "w") as file:
        change(file)
    with (
        pytest.raises(UserError, match=message) as raised,
        activations_file.open_layer(tmp_path / "theirs.h5", "x"),
    ):
        pass
    assert "delete" not in str(raised.value)


def test_another_format_is_no_reason_to_delete(tmp_path):
    store(tmp_path / "a.h5", np.ones((10, 8), np.float16))
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file.attrs["format"] = 1
    with (
        pytest.raises(UserError, match="format 1, not 2: another version of actdim wrote it") as raised,
        activations_file.open_layer(tmp_path / "a.h5", "x"),
    ):
        pass
    assert "delete" not in str(raised.value)


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
