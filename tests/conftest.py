"""Fixtures: copies of the project with a tiny study, and the real Snakemake run on them."""

import contextlib
import fcntl
import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import threadpoolctl
import torch  # noqa: F401 (its threads are limited too)
import warm_snakemake
import yaml
from actdim import plugins, registry
from actdim.datasets.settings import DatasetSettings

ROOT = Path(__file__).resolve().parent.parent
STUDY = {
    "dataset": {"name": "digits", "train_size": 300},
    "model": {"name": "mlp", "width": 16},
    "training": {"lr": 0.1, "batch_size": 50, "epochs": 4},
    "grid": [{"weight_decay": [0, 0.01, 0.1]}],
    "checkpoints": [2, 4],
    "activations": {"at": [4]},
    "figures": ["llid", "id_over_depth", "scale_check"],
}


def build_named(table, settings, *arguments):
    """Call the function that settings name, as a study states them."""
    return plugins.build(table, plugins.check_named(table, settings, "test"), *arguments)


def dataset_settings(**settings):
    """Return the checked settings of a data set."""
    return plugins.check_named(registry.DATASETS, settings, "dataset", DatasetSettings)


RUN_SNAKEMAKE = {"project", "make_once", "every_rule", "slurm"}  # fixtures


def pytest_configure():
    """Leave a core to each process of the tests."""
    threadpoolctl.threadpool_limits(1)


def pytest_collection_modifyitems(items):
    """Mark the tests that run Snakemake, by their fixtures."""
    for item in items:
        if RUN_SNAKEMAKE & set(item.fixturenames):
            item.add_marker("snakemake")


class Project:
    """A folder with the project's code and a tiny study."""

    def __init__(self, folder):
        self.folder = folder

    def copy(self, folder):
        """Copy the project to a folder, which may exist; return the copy."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Project(folder)

    def write(self, study=STUDY, name="tiny", **config):
        """Write a study, and a config.yaml that names only this study."""
        config = {"studies": [name], "neighbors": {"method": "exact", "k": 32}, "estimators": {"twonn": {}}} | config
        (self.folder / "config.yaml").write_text(yaml.safe_dump(config))
        (self.folder / f"studies/{name}.yaml").write_text(yaml.safe_dump(study))

    def environment(self, base=os.environ):
        """Return the environment of a command, with this Python's programs first."""
        return base | {"PATH": f"{Path(sys.executable).parent}:{base['PATH']}"}

    def run(self, *command):
        """Run a command in the folder; return the finished process with its output as text."""
        if command[0] == "snakemake":
            return warm_snakemake.run(self.folder, self.environment(), *command[1:])
        return subprocess.run(command, cwd=self.folder, env=self.environment(), capture_output=True, text=True)

    def snakemake(self, *arguments):
        """Run Snakemake; fail the test with its output if it fails."""
        done = self.run("snakemake", "--cores", "2", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def planned(self):
        """Return {rule: number of jobs} that Snakemake would run."""
        done = self.snakemake("-n", "--quiet", "reason")
        if "Nothing to be done" in done.stdout + done.stderr:
            return {}
        lines = done.stdout.splitlines()
        rows = [line.split() for line in lines]
        table = rows[next(i for i, row in enumerate(rows) if row == ["job", "count"]) + 2 :]
        jobs = {row[0]: int(row[1]) for row in table[: next(i for i, row in enumerate(table) if row[:1] == ["total"])]}
        return {rule: count for rule, count in jobs.items() if rule != "all"}


def copy_project(folder):
    """Copy the files that git tracks or would track to a folder, with their times."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return Project(folder)


@pytest.fixture
def project(tmp_path):
    """A project in which nothing has run yet."""
    fresh = copy_project(tmp_path / "project")
    fresh.write()
    return fresh


@pytest.fixture(scope="session")
def make_once(tmp_path_factory):
    """A function that makes a project once for all processes of the tests, which wait for it: make_once(name, make)."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def make_or_find(name, make):
        with open(shared / f"{name}.lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            project = Project(shared / name)
            if not project.folder.exists():
                shutil.rmtree(shared / f"{name}.part", ignore_errors=True)
                make(Project(shared / f"{name}.part"))
                (shared / f"{name}.part").rename(project.folder)
        return project

    return make_or_find


@pytest.fixture(scope="session")
def finished(make_once):
    """A project whose tiny study is complete. Do not change it."""

    def make(project):
        copy_project(project.folder)
        project.write()
        project.snakemake()

    return make_once("finished", make)


@pytest.fixture
def done(finished, tmp_path):
    """A copy of the finished project that a test may change."""
    return finished.copy(tmp_path / "project")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files without logging."""

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(folder):
    """Serve the files of a folder; yield the address."""
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_port}/"
    served.shutdown()
