"""The options of every run, which profiles/default works out: when a report is made, and when there are bars."""

import os
import pty
import subprocess
import sys

import pytest
import yte
from conftest import ROOT


@pytest.fixture
def options(monkeypatch):
    """A function that returns the options that the profile adds to a command, at a terminal or not."""

    def of_command(command, terminal=False):
        monkeypatch.setattr(sys, "argv", ["snakemake", *command.split()])
        monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
        with open(ROOT / "profiles/default/config.yaml") as file:
            return yte.process_yaml(file, require_use_yte=True)

    return of_command


@pytest.mark.parametrize(
    ("command", "makes_report"),
    [
        ("--cores 8", True),
        ("--cores 8 all", True),
        ("--profile slurm", True),
        ("--cores 8 -R train --config studies=[digits]", True),
        ("--cores 8 -n", False),
        ("--cores 8 --dry-run", False),
        ("--cores 8 --touch", False),
        ("--cores 8 plan", False),
        ("--cores 8 results/tables/id.csv", False),
        ("--cores 8 --until train", False),
        ("--cores 8 --omit-from plot_llid", False),
        ("--cores 8 --batch all=1/2", False),
        ("--report elsewhere.html", False),
    ],
)
def test_a_report_is_made_of_everything_or_not_at_all(command, makes_report, options):
    added = options(command)
    assert added.get("report-after-run", False) == makes_report
    assert added.get("report") == ("results/report.html" if makes_report else None)
    assert "logger" not in added


@pytest.mark.parametrize(
    ("command", "bars"),
    [("--cores 8", True), ("--cores 8 results/tables/id.csv", True), ("-n", False), ("plan", False)],
)
def test_bars_at_a_terminal(command, bars, options):
    assert options(command, terminal=True).get("logger") == (["rich"] if bars else None)


def run_at_a_terminal(project, *command):
    """Run a command with a terminal of 110 columns as its output; return all that it has written there."""
    ours, theirs = pty.openpty()
    environment = project.environment() | {"COLUMNS": "110", "TERM": "xterm"}
    process = subprocess.Popen(command, cwd=project.folder, env=environment, stdout=theirs, stderr=theirs)
    os.close(theirs)
    written = b""
    try:
        while part := os.read(ours, 1 << 16):
            written += part
    except OSError:  # Linux's way to say that the other end is closed
        pass
    assert process.wait() == 0
    return written.decode(errors="replace")


def test_a_run_at_a_terminal_and_one_in_a_file(done):
    files = [f"results/tiny/weight_decay~0/seed~0/id/twonn/00004/{layer}.json" for layer in ("input", "hidden1")]
    for file in files:
        (done.folder / file).unlink()
    shown = run_at_a_terminal(done, "snakemake", "--cores", "1", *files)
    assert "estimate id" in shown
    assert "-:--:--" in shown, "the time left, before it is known"
    assert "scripts/estimate_id.py" not in shown
    for file in files:
        (done.folder / file).unlink()
    said = done.snakemake(*files).stderr
    assert said.count("Shell command: scripts/estimate_id.py") == 2
    assert "\x1b" not in said
