"""Files that appear complete or not at all, also when two processes write the same one."""

import threading

import pytest
from actdim.storage.atomic import atomic_write


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("old")

    def fail():
        with atomic_write(path) as temporary:
            temporary.write_text("half")
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_second_writer_waits_for_the_first(tmp_path, capsys):
    """Then it writes its own, as another process would; nobody sees a mixture of both."""
    path, writing, seen = tmp_path / "x.txt", threading.Event(), []

    def write_slowly():
        with atomic_write(path) as temporary:
            temporary.write_text("first")
            writing.set()
            while not (said := capsys.readouterr().out):
                pass
            seen.append(said)

    first = threading.Thread(target=write_slowly)
    first.start()
    writing.wait()
    with atomic_write(path) as temporary:
        seen.append(path.read_text())
        temporary.write_text("second")
    first.join()
    assert seen == [f"waiting to write {path}: another process is doing so now\n", "first"]
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]
