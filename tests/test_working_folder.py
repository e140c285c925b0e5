"""A training's working folder: what is trained once is not trained again, and two trainings never share a folder."""

import errno
import fcntl
import json
import os
import platform
import shutil
import signal
import subprocess
import sys

import pytest
from actdim import provenance
from actdim.storage import file_locks
from conftest import ROOT
from faults.harness import content
from programs import run_program

KEPT = (0, 10, 20, 30)
NAMES = [*(f"{epoch:05d}.pt" for epoch in KEPT), "metrics.csv", "metrics.csv.sha256", "run.json"]
NOTHING = "nothing to train"


def write_study(path, kept=KEPT, lr=0.01):
    """Write a study of short trainings."""
    path.write_text(
        "dataset: {name: digits, train_size: 300}\nmodel: {name: mlp, dropout: 0.2}\n"
        f"training: {{optimizer: adamw, lr: {lr}, batch_size: 50, epochs: 30}}\ncheckpoints: {list(kept)}\n"
    )


def command(folder, *options):
    """The command line of a training in a test's folder."""
    arguments = ["--study", folder / "study.yaml", "--set", "weight_decay=0.1", "--output", folder / "to~30"]
    return list(map(str, [*arguments, *options]))


def train(folder, *options):
    """Train in a test's folder; return (exit status, standard output, standard error)."""
    done = run_program("train", *command(folder, *options))
    return done.returncode, done.stdout, done.stderr


def contents(folder):
    """What the files of an output hold."""
    return {file.name: content(file) for file in sorted(folder.iterdir())}


def inodes(folder):
    """The inodes of the checkpoints of an output."""
    return {file.name: file.stat().st_ino for file in folder.glob("*.pt")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A folder with a complete training; not to be changed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_study(folder / "study.yaml")
    status, said, mistake = train(folder)
    assert status == 0, mistake
    assert "training on cpu from epoch 0 to 30" in said
    return folder


@pytest.fixture
def trained(undisturbed, tmp_path):
    """A copy of it, with its hard links, for a test to change."""
    subprocess.run(["cp", "-a", f"{undisturbed}/.", tmp_path], check=True)
    return tmp_path


def corrupt(file):
    """Change a byte in the middle of a file, in place, so in all its hard links."""
    middle = file.stat().st_size // 2
    with open(file, "r+b") as opened:
        opened.seek(middle)
        byte = opened.read(1)[0]
        opened.seek(middle)
        opened.write(bytes([byte ^ 0xFF]))


def test_an_output_is_hard_links_and_comes_back_without_training(trained, undisturbed):
    output, working = trained / "to~30", trained / "to~30.training"
    assert sorted(file.name for file in output.iterdir()) == NAMES
    assert sorted(file.name for file in working.iterdir()) == sorted([*NAMES, "lock"])
    assert all((output / name).samefile(working / name) for name in NAMES)
    before = inodes(output)
    for _ in range(2):  # deleted, and still there
        status, said, mistake = train(trained)
        assert (status, mistake) == (0, "")
        assert said.startswith(NOTHING)
        assert inodes(output) == before
        assert contents(output) == contents(undisturbed / "to~30")
        shutil.rmtree(output)


@pytest.mark.parametrize("epoch", [0, 20, 30])
def test_a_corrupt_checkpoint_is_trained_again_from_the_one_before(epoch, trained, undisturbed):
    """Found when the output is made again, as the message that names the file advises; other files are untouched."""
    output = trained / "to~30"
    before = inodes(output)
    corrupt(output / f"{epoch:05d}.pt")
    shutil.rmtree(output)
    status, said, _ = train(trained)
    assert status == 0
    assert f"00{epoch:03d}.pt: corrupt" in said
    assert f"training on cpu from epoch {max(0, epoch - 10)} to {epoch}\n" in said
    assert {name for name, inode in inodes(output).items() if inode != before[name]} == {f"{epoch:05d}.pt"}
    assert contents(output) == contents(undisturbed / "to~30")


@pytest.mark.parametrize("name", ["run.json", "metrics.csv", "metrics.csv.sha256"])
def test_other_corrupt_files_are_written_again_without_training(name, trained, undisturbed):
    corrupt(trained / "to~30" / name)
    shutil.rmtree(trained / "to~30")
    status, said, _ = train(trained)
    assert status == 0
    assert said.startswith(NOTHING)
    assert contents(trained / "to~30") == contents(undisturbed / "to~30")


def test_a_corrupt_state_is_not_used(trained, undisturbed):
    working = trained / "to~30.training"
    shutil.rmtree(trained / "to~30")
    (working / "00030.pt").rename(working / "state.pt")
    corrupt(working / "state.pt")
    status, said, _ = train(trained)
    assert status == 0
    assert "state.pt: corrupt; not used" in said
    assert "training on cpu from epoch 20 to 30" in said
    assert contents(trained / "to~30") == contents(undisturbed / "to~30")


def test_one_more_epoch_to_keep_is_trained_from_the_one_before(trained):
    """And one less is not published; the rest stays as it is."""
    before = inodes(trained / "to~30")
    shutil.rmtree(trained / "to~30")
    write_study(trained / "study.yaml", kept=(0, 10, 15, 30))
    status, said, _ = train(trained)
    assert status == 0
    assert "training on cpu from epoch 10 to 15" in said
    after = inodes(trained / "to~30")
    assert after.pop("00015.pt") not in before.values()
    del before["00020.pt"]
    assert after == before
    rows = (trained / "to~30/metrics.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == [*map(str, range(31))]


def test_other_settings_start_at_the_beginning(trained, undisturbed):
    output = trained / "to~30"
    write_study(trained / "study.yaml", lr=0.02)
    assert train(trained) == (1, "", f"train.py: {output}: already there; choose another --output\n")
    assert contents(output) == contents(undisturbed / "to~30")
    shutil.rmtree(output)
    status, said, _ = train(trained)
    assert status == 0
    assert said.splitlines()[:2] == [
        f"{output}.training: from other settings or code; training starts at the beginning",
        "training on cpu from epoch 0 to 30",
    ]
    assert contents(output)["00030.pt"] != contents(undisturbed / "to~30")["00030.pt"]


def test_other_code_starts_at_the_beginning_but_another_torch_does_not(trained, monkeypatch):
    shutil.rmtree(trained / "to~30")
    monkeypatch.setattr(provenance, "version", lambda library: "99")
    assert NOTHING in train(trained)[1]
    shutil.rmtree(trained / "to~30")
    monkeypatch.setattr(provenance, "code_digests", lambda *_: {"train.py": "0123"})
    assert "training starts at the beginning" in train(trained)[1]


def test_an_output_without_its_working_folder_is_left_alone(trained, undisturbed):
    """As those of older versions are."""
    shutil.rmtree(trained / "to~30.training")
    assert train(trained)[2] == f"train.py: {trained}/to~30: already there; choose another --output\n"
    assert contents(trained / "to~30") == contents(undisturbed / "to~30")


@pytest.mark.slow
def test_a_second_training_waits_for_the_first_and_has_nothing_to_train(tmp_path, undisturbed):
    write_study(tmp_path / "study.yaml")
    program = [sys.executable, ROOT / "scripts/train.py", *command(tmp_path)]
    first = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "training on cpu from epoch 0 to 30\n"
    first.send_signal(signal.SIGSTOP)
    second = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
    waiting = f"waiting to train in {tmp_path}/to~30.training: another process is doing so now\n"
    assert second.stdout.readline() == waiting
    first.send_signal(signal.SIGCONT)
    assert first.wait() == second.wait() == 0
    assert second.stdout.read().startswith(NOTHING)
    assert contents(tmp_path / "to~30") == contents(undisturbed / "to~30")


def refuse(number):
    """A system call that a file system does not know."""

    def call(*_):
        raise OSError(number, os.strerror(number))

    return call


def test_without_hard_links_the_output_is_a_copy(tmp_path, undisturbed, monkeypatch):
    write_study(tmp_path / "study.yaml")
    monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    status, said, _ = train(tmp_path)
    assert status == 0
    assert "00030.pt: copied, because there are no hard links here" in said
    output = tmp_path / "to~30"
    assert contents(output) == contents(undisturbed / "to~30")
    corrupt(output / "00030.pt")
    assert contents(tmp_path / "to~30.training").items() >= contents(undisturbed / "to~30").items()
    shutil.rmtree(output)
    assert NOTHING in train(tmp_path)[1]
    assert contents(output) == contents(undisturbed / "to~30")


@pytest.fixture
def no_flock(monkeypatch):
    """A file system without flock."""
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    monkeypatch.setattr(file_locks, "POLL", 0.01)


def ended_process():
    """The number of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.usefixtures("no_flock")
def test_without_flock_a_file_is_the_lock(trained):
    working = trained / "to~30.training"
    owner = working / "lock.owner"
    owner.write_text(json.dumps({"host": platform.node(), "pid": ended_process()}))
    status, said, _ = train(trained)
    assert status == 0
    assert f"{working}: this file system has no flock; lock.owner is the lock" in said
    assert NOTHING in said
    assert not owner.exists()
    owner.write_text(json.dumps({"host": "elsewhere", "pid": 12}))
    status, _, mistake = train(trained)
    assert status == 1
    assert mistake == (
        f"train.py: {owner}: process 12 on elsewhere holds this lock; if that process has ended, delete this file\n"
    )


@pytest.mark.slow
@pytest.mark.usefixtures("no_flock")
def test_without_flock_a_living_process_is_waited_for(trained):
    owner = trained / "to~30.training/lock.owner"
    holder = subprocess.Popen(["sleep", "1"])
    owner.write_text(json.dumps({"host": platform.node(), "pid": holder.pid}))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that the holder, when it ends, is gone
    try:
        said = train(trained)[1]
    finally:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    assert f"waiting to train in {trained}/to~30.training: process {holder.pid} is doing so now" in said
    assert NOTHING in said
