"""Fixtures of the tests with faults. Long tests are marked `slow_faults`; `make test-faults` runs them too."""

import subprocess

import pytest
from conftest import copy_project, serving
from test_download import download_from

from faults.harness import write_studies


@pytest.fixture(scope="session")
def every_rule(tmp_path_factory):
    """A project whose studies use every rule; it has not run. Do not change it."""
    folder = tmp_path_factory.mktemp("server")
    with serving(folder) as address:
        project = copy_project(tmp_path_factory.mktemp("every_rule") / "project")
        download_from((folder, address), project, tmp_path_factory.mktemp("published"))
        write_studies(project)
        yield project


@pytest.fixture(scope="session")
def undisturbed(every_rule, tmp_path_factory):
    """The same project after a complete run without faults. Do not change it."""
    project = every_rule.copy(tmp_path_factory.mktemp("undisturbed") / "project")
    project.snakemake()
    return project


@pytest.fixture
def fresh(every_rule, tmp_path):
    """A copy of the project whose studies use every rule, for a test to run and disturb."""
    return every_rule.copy(tmp_path / "project")


@pytest.fixture
def mount():
    """A function that mounts something with options of the command `mount`; the end of the test unmounts it."""
    mounted = []

    def one(folder, *options):
        folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(["mount", *options, folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield one
    for folder in reversed(mounted):
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def disk(mount):
    """A function that mounts a tmpfs with the given options at a folder."""
    return lambda folder, options: mount(folder, "-t", "tmpfs", "-o", options, "tmpfs")


@pytest.fixture
def read_only(mount):
    """A function that makes a folder read-only, even for root."""

    def one(folder):
        mount(folder, "--bind", folder)
        subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)

    return one
