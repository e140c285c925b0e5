"""numba's cache of compiled code: corrupt, written by two processes at once, or without a writable folder."""

import os
import pickle
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from actdim.threads import import_numba
from conftest import ROOT

numba = import_numba()


def add_up(values):
    total = values[0] - values[0]
    for value in values:
        total += value
    return total


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """A function that compiles add_up as a new process would, with the cache in tmp_path / "cache"."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "cache"))
    return lambda: numba.njit(cache=True)(add_up)


def cache_files(folder, suffix):
    """Return the files of numba's cache with a suffix: nbi, indices, or nbc, compiled code."""
    return sorted((folder / "cache").rglob(f"*.{suffix}"))


def cut(content):
    return content[: len(content) // 2]


def replaced(content):
    return b"it was a dark and stormy night\n" * 40


def changed(content):
    """Return content with one bit changed in the second half, where compiled code is."""
    place = len(content) * 3 // 4
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def emptied(content):
    return b""


def other_pickle(content):
    return pickle.dumps("another")


@pytest.mark.parametrize("suffix", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [cut, replaced, changed, emptied, other_pickle])
def test_a_corrupt_cache_is_made_again(tmp_path, compiled, suffix, damage):
    values = np.arange(10.0)
    assert compiled()(values) == 45
    again = compiled()
    assert again(values) == 45
    assert sum(again.stats.cache_hits.values()) == 1, "there is a cache to damage"
    (file,) = cache_files(tmp_path, suffix)
    file.write_bytes(damage(file.read_bytes()))
    after = compiled()
    assert after(values) == 45
    assert not after.stats.cache_hits
    mended = compiled()
    assert mended(values) == 45
    assert sum(mended.stats.cache_hits.values()) == 1


def test_two_processes_that_save_at_once_keep_their_types_apart(compiled):
    """Both read the index when it is empty; the second saves all while the first is between index and code."""
    first, second = compiled(), compiled()
    cache_file = first._cache._cache_file
    save_data = cache_file._save_data

    def save_data_later(name, data):
        second._cache._cache_file._load_index = dict  # as it was before the first saved
        assert second(np.arange(10)) == 45
        save_data(name, data)

    cache_file._save_data = save_data_later
    assert first(np.arange(10.0)) == 45.0
    for values, total in ((np.arange(10), 45), (np.arange(10.0), 45.0), (np.full(4, 0.5), 2.0)):
        assert compiled()(values) == total


def test_two_types_of_one_function_have_files_of_their_own(tmp_path, compiled):
    for values in (np.arange(10), np.arange(10.0)):
        compiled()(values)
    names = {file.name for file in cache_files(tmp_path, "nbc")}
    shutil.rmtree(tmp_path / "cache")
    compiled()(np.arange(10.0))
    assert not names & {file.name for file in cache_files(tmp_path, "nbc")}


def test_without_a_writable_folder_nothing_is_kept(compiled, monkeypatch, capsys):
    locators = numba.core.caching.CacheImpl._locator_classes
    monkeypatch.setattr(numba.core.caching.CacheImpl, "_locator_classes", locators[-1:])
    assert compiled()(np.arange(10.0)) == 45
    assert "compiled code is not kept" in capsys.readouterr().out


@pytest.fixture
def shared_folder():
    """A folder that other users may read."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["exact", "pynndescent"])
def test_a_checkout_of_another_user_without_a_home(shared_folder, method):
    """Neither __pycache__ nor the home can be written, as for a user of a shared installation in a container."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(1500, 5)) @ rng.normal(size=(5, 2100))  # enough for compiled code
    with h5py.File(shared_folder / "a.h5", "w") as file:
        file["layers/x"] = points.astype(np.float32)
    shutil.copytree(ROOT / "scripts", shared_folder / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    (shared_folder / "out").mkdir(mode=0o777)
    (shared_folder / "out").chmod(0o777)
    user = []
    if os.getuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("as root this needs setpriv")
        user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
        if subprocess.run([*user, sys.executable, "-c", "import numba"], capture_output=True).returncode:
            pytest.skip("another user cannot run this Python")
    else:
        for path in (shared_folder / "scripts").rglob("*"):
            path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    command = [*user, sys.executable, shared_folder / "scripts/find_neighbors.py", "--activations", "a.h5"]
    command += ["--layer", "x", "--method", method, "--output", "out/n.h5"]
    environment = {"PATH": os.environ["PATH"], "HOME": "/dev/null", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=shared_folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    with h5py.File(shared_folder / "out/n.h5") as file:
        assert file["distances"].shape == (1500, 32)
        assert file.attrs["recall"] >= 0.99
