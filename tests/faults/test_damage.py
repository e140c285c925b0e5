"""Corrupt files: a program that reads one gives the same result, or one line that says what to make again."""

import io
import json
import os
import random
import shlex
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from actdim.storage import atomic, json_files
from actdim.training import checkpoints
from conftest import STUDY
from programs import run_program

from faults import harness

RUN = "run"  # the run whose files are damaged; the others vary weight decay
GRID = {RUN: 0, "middle": 0.01, "strong": 0.1}
STAGES = [f"{run}/to~{until}" for run in GRID for until in (1, 2)]
LAST = f"{RUN}/to~2/00002.pt"
IDS = [f"{run}/{of}-{layer}.json" for run in GRID for of in ("twonn", "pca") for layer in ("hidden1", "hidden2")]
PROBES = [
    f"{RUN}/{probe}.json" for probe in ("pca-hidden2", "null", "neighborhoods", "directions", "dimension", "norms")
]
NEIGHBORHOODS = f"measure_neighborhoods --neighbors {RUN}/n.h5 --activations {RUN}/a.h5 --output out/neighborhoods.json"
NULL = f"estimate_null --spectrum {RUN}/pca-hidden2.json --estimator twonn --output out/null.json"
TABLES = "--id out/id.csv --summary out/summary.csv --correlations out/correlations.csv"
FIGURE = "--study tiny --estimator twonn --svg out/x.svg --png out/x.png"
MEASURES = "tabulate_measures --summary tables/summary.csv --estimator twonn --output out/measures.csv"
GROKKING = f"plot_grokking --summary tables/summary.csv --training tables/training.csv {FIGURE}"
PREDICTORS = "tabulate_predictors --measures tables/measures.csv --predictors out/predictors.csv --findings out/x.txt"

# (file to damage, command that reads it, files whose names the command reads from standard input)
READERS = [
    (f"{RUN}/to~1/00001.pt", f"train --study tiny.yaml --set weight_decay=0 --continue {RUN}/to~1 --output out/to~2"),
    (LAST, f"dump_activations --checkpoint {LAST} --output out/x.h5"),
    (LAST, f"measure_directions --checkpoint {LAST} --layer hidden2 --set orders=2 --output out/x.json"),
    (LAST, f"measure_functional_dimension --checkpoint {LAST} --set samples=3 --output out/x.json"),
    (LAST, f"measure_norms --checkpoint {LAST} --output out/x.json"),
    (f"{RUN}/a.h5", f"find_neighbors --activations {RUN}/a.h5 --layer input --output out/x.h5"),
    (f"{RUN}/a.h5", f"find_neighbors --activations {RUN}/a.h5 --layer input --method pynndescent --output out/x.h5"),
    (f"{RUN}/a.h5", f"find_neighbors --activations {RUN}/a.h5 --layer input --method sketch --output out/x.h5"),
    (f"{RUN}/a.h5", f"find_neighbors --activations {RUN}/a.h5 --layer input --by-class --output out/x.h5"),
    (f"{RUN}/a.h5", f"estimate_pca --activations {RUN}/a.h5 --layer input --output out/x.json"),
    (f"{RUN}/a.h5", f"estimate_pca --activations {RUN}/a.h5 --layer input --by-class --output out/x.json"),
    (f"{RUN}/n.h5", f"estimate_id --neighbors {RUN}/n.h5 --estimator twonn --output out/x.json"),
    (f"{RUN}/c.h5", f"estimate_id --neighbors {RUN}/c.h5 --estimator mle --output out/x.json"),
    (f"{RUN}/pca-hidden2.json", NULL),
    (f"{RUN}/n.h5", NEIGHBORHOODS),
    (f"{RUN}/a.h5", NEIGHBORHOODS),
    (f"{RUN}/twonn-hidden2.json", f"tabulate_id {TABLES}", *IDS),
    (f"{RUN}/twonn-hidden2.json", f"write_events --checkpoints {RUN}/to~2 --output out/x", f"{RUN}/twonn-hidden2.json"),
    *((probe, MEASURES, *PROBES) for probe in PROBES),
    (f"{RUN}/to~2/run.json", "tabulate_training --output out/training.csv", *STAGES),
    (f"{RUN}/to~2/metrics.csv", "tabulate_training --output out/training.csv", *STAGES),
    (f"{RUN}/to~2/metrics.csv", f"write_events --checkpoints {RUN}/to~2 --output out/x"),
    ("tables/summary.csv", f"plot_llid --summary tables/summary.csv {FIGURE}"),
    ("tables/summary.csv", f"plot_pid --summary tables/summary.csv {FIGURE}"),
    ("tables/summary.csv", f"plot_pid_over_llid --summary tables/summary.csv {FIGURE}"),
    ("tables/summary.csv", GROKKING),
    ("tables/training.csv", GROKKING),
    ("tables/summary.csv", MEASURES),
    ("tables/id.csv", f"plot_id_over_depth --id tables/id.csv {FIGURE}"),
    ("tables/id.csv", f"plot_scale_check --id tables/id.csv {FIGURE}"),
    ("tables/measures.csv", PREDICTORS),
    ("tables/measures.csv", "tabulate_generalization --measures tables/measures.csv --output out/generalization.csv"),
    ("tables/predictors.csv", "plot_predictors --predictors tables/predictors.csv --svg out/x.svg --png out/x.png"),
]
NAMES = [f"{command.split(' --')[0]}, {path}" for path, command, *_ in READERS]


def run(command, *lines):
    """Run a program by its command line; return (exit status, standard error)."""
    done = run_program(*shlex.split(command), lines=lines)
    return done.returncode, done.stderr.rstrip("\n")


def do(command, *lines):
    """Run a program that should succeed."""
    status, said = run(command, *lines)
    assert status == 0, (command, said)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A working directory with a file of every kind, made by the programs themselves."""
    before, folder = Path.cwd(), tmp_path_factory.mktemp("made")
    os.chdir(folder)
    training = {**STUDY["training"], "epochs": [1, 2]}
    study = STUDY | {"training": training, "checkpoints": [1, 2], "activations": {"at": [2]}}
    Path("tiny.yaml").write_text(yaml.safe_dump(study))
    for name, weight_decay in GRID.items():
        train = f"train --study tiny.yaml --set weight_decay={weight_decay}"
        do(f"{train} --until 1 --output {name}/to~1")
        do(f"{train} --continue {name}/to~1 --output {name}/to~2")
        do(f"dump_activations --checkpoint {name}/to~2/00002.pt --output {name}/a.h5")
        for layer in ("hidden1", "hidden2"):
            search = f"--activations {name}/a.h5 --layer {layer}"
            do(f"find_neighbors {search} --output {name}/n.h5")
            do(f"estimate_id --neighbors {name}/n.h5 --estimator twonn --output {name}/twonn-{layer}.json")
            do(f"estimate_pca {search} --output {name}/pca-{layer}.json")
    do(f"find_neighbors --activations {RUN}/a.h5 --layer hidden2 --by-class --output {RUN}/c.h5")
    do(NULL.replace("out/", f"{RUN}/"))
    do(NEIGHBORHOODS.replace("out/", f"{RUN}/"))
    do(f"measure_directions --checkpoint {LAST} --layer hidden2 --set orders=2 --output {RUN}/directions.json")
    do(f"measure_functional_dimension --checkpoint {LAST} --set samples=3 --output {RUN}/dimension.json")
    do(f"measure_norms --checkpoint {LAST} --output {RUN}/norms.json")
    do(f"tabulate_id {TABLES.replace('out/', 'tables/')}", *IDS)
    do("tabulate_training --output tables/training.csv", *STAGES)
    do(MEASURES.replace("out/", "tables/"), *PROBES)
    do(PREDICTORS.replace("out/", "tables/"))
    yield folder
    os.chdir(before)


def cut(content, share):
    """Return the first part of a file's content."""
    return content[: int(share * len(content))]


def flipped(content, at, mask):
    """Return a file's content with some bits of one byte flipped."""
    return content[:at] + bytes([content[at] ^ mask]) + content[at + 1 :]


def faults(content, flips, seed=0):
    """Yield (description, damaged content) of a file: cut, with one changed byte (`flips` times), or replaced."""
    for share in (0, 0.1, 0.5, 0.9):
        yield f"cut to {share}", cut(content, share)
    yield "without its last byte", content[:-1]
    yield "with 1,000 bytes of zeros", content[: len(content) // 2] + bytes(1000) + content[len(content) // 2 + 1000 :]
    yield "text", b"it was a dark and stormy night\n" * 40
    yield "brackets", b"[" * 100_000
    draw = random.Random(seed)
    for _ in range(flips):
        at, mask = draw.randrange(len(content)), draw.choice([0xFF, 1 << draw.randrange(8)])
        yield f"byte {at} changed by {mask}", flipped(content, at, mask)


def results(folder):
    """Return what a program has written, without the times it took."""
    return {
        str(path.relative_to(folder)): harness.content(path) for path in sorted(folder.rglob("*")) if path.is_file()
    }


def judge(path, command, lines, damaged, what, expected):
    """Run a program on a damaged file; return "found" if one line names it, "same" if the result is the same."""
    original = Path(path).read_bytes()
    shutil.rmtree("out", ignore_errors=True)
    try:
        Path(path).write_bytes(damaged)
        status, said = run(command, *lines)
    finally:
        Path(path).write_bytes(original)
    if status == 0:
        assert results(Path("out")) == expected, f"{command}: {path} {what}: a wrong result"
        return "same"
    assert len(said.splitlines()) == 1, (what, said)
    assert path in said, (what, said)
    assert "snakemake again" in said or (what == "older" and "not a result of actdim" in said), (what, said)
    assert what != "older" or "delete" not in said, said
    left = [left for left in Path("out").rglob("*") if left.is_file() and ".training" not in str(left)]
    assert not left, what
    return "found"


def try_all(reader, flips, seed=0):
    """Return, as text, how many faults in the file of a reader were found and how many changed nothing."""
    path, command, *lines = reader
    shutil.rmtree("out", ignore_errors=True)
    do(command, *lines)
    expected = results(Path("out"))
    assert expected
    tried = faults(Path(path).read_bytes(), flips, seed)
    counts = Counter(judge(path, command, lines, damaged, what, expected) for what, damaged in tried)
    assert counts["found"] >= 7, "what is cut, or is something else"
    return f"damage: {command.split()[0]}, {path}: {counts['found']} found, {counts['same']} without effect"


@pytest.mark.parametrize("reader", READERS, ids=NAMES)
def test_a_damaged_file_is_named_or_changes_nothing(made, reader):
    print(try_all(reader, flips=12))


@pytest.mark.slow_faults
@pytest.mark.parametrize("reader", READERS, ids=NAMES)
def test_damaged_in_many_places(made, reader, capsys):
    counts = try_all(reader, flips=500, seed=1)
    with capsys.disabled():
        print(f"\n{counts}")


def older(path):
    """Return the content of a file as an older version of actdim would have written it."""
    if path.endswith(".pt"):
        content = io.BytesIO()
        torch.save(torch.load(path, weights_only=True) | {"format": 1}, content)
        return content.getvalue()
    if path.endswith(".json"):
        content = json.loads(Path(path).read_text())
        return json.dumps({key: value for key, value in content.items() if key not in ("format", "checksum")}).encode()
    shutil.copy(path, "older.h5")
    with h5py.File("older.h5", "a") as file:
        file.attrs["format"] = 1
    return Path("older.h5").read_bytes()


@pytest.mark.parametrize(
    "reader", [reader for reader in READERS if not reader[0].endswith(".csv")], ids=lambda reader: reader[1].split()[0]
)
def test_an_older_file_is_named(made, reader):
    path, command, *lines = reader
    assert judge(path, command, lines, older(path), "older", None) == "found"


@pytest.mark.parametrize("kind", ["checkpoint", "json"])
def test_a_file_of_another_format_with_a_right_checksum_is_named(made, kind, monkeypatch):
    if kind == "checkpoint":
        monkeypatch.setattr(checkpoints, "FORMAT", 99)
        checkpoints.save("x.pt", {})
        command = "dump_activations --checkpoint x.pt --output out/x.h5"
    else:
        monkeypatch.setattr(json_files, "FORMAT", 99)
        json_files.write_json("x.json", {})
        command = f"tabulate_id {TABLES}"
    monkeypatch.undo()
    status, said = run(command, "x.json")
    assert status == 1
    assert "format" in said
    assert "2" in said
    assert len(said.splitlines()) == 1


def swap(values):
    """Swap two values of a row."""
    row = np.flatnonzero(values[:, 0] != values[:, 1])[0]
    values[row, [0, 1]] = values[row, [1, 0]]


def swap_rows(values):
    """Swap two rows."""
    values[[0, 5]] = values[[5, 0]]


def opposite(values):
    """Change one bit of two values in a row in opposite directions, so that their sum stays."""
    bits = values.view(np.uint16)
    row, bit = next(
        (row, bit) for row in range(len(bits)) for bit in range(8) if (bits[row, 0] ^ bits[row, 1]) >> bit & 1
    )
    bits[row, :2] ^= np.uint16(1 << bit)


def shift(values):
    """Shift all values of a row by one."""
    values[7] = np.roll(values[7], 1)


@pytest.mark.parametrize("change", [swap, swap_rows, opposite, shift])
@pytest.mark.parametrize("program", ["find_neighbors", "find_neighbors --by-class", "estimate_pca"])
def test_values_that_change_places_are_found(made, change, program):
    """A plain sum would not change."""
    shutil.copy(f"{RUN}/a.h5", "x.h5")
    with h5py.File("x.h5", "a") as file:
        values = file["layers/hidden1"][:]
        before = values.copy()
        change(values)
        assert (values != before).any()
        file["layers/hidden1"][:] = values
    status, said = run(f"{program} --activations x.h5 --layer hidden1 --output out/x")
    assert status == 1
    expected = f"x.h5: /layers/hidden1 is corrupt: checksum mismatch; {atomic.REMAKE}"
    assert said == f"{program.split()[0]}.py: {expected}"


def test_a_table_that_a_user_changed(made):
    """The checksum, in the format of sha256sum, tells; without it the table counts as the user's own."""
    done = subprocess.run(["sha256sum", "--check", "id.csv.sha256"], cwd="tables", capture_output=True, text=True)
    assert done.stdout == "id.csv: OK\n"
    shutil.copytree("tables", "own", dirs_exist_ok=True)
    lines = Path("own/id.csv").read_text().splitlines()
    Path("own/id.csv").write_text("\n".join(lines[:-1]))
    command = f"plot_id_over_depth --id own/id.csv {FIGURE}"
    _, said = run(command)
    assert said.startswith("plot_id_over_depth.py: own/id.csv: does not match id.csv.sha256; ")
    assert "; if you changed the table, delete own/id.csv.sha256, else " in said
    Path("own/id.csv.sha256").unlink()
    do(command)
    Path("own/id.csv").write_text("it was a dark and stormy night\n")
    status, said = run(command)
    assert status == 1
    assert said.startswith("plot_id_over_depth.py: own/id.csv: has no column study, checkpoint, layer, ")
