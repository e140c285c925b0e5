"""Downloads from a real server: they are complete or absent, and nothing is trained again because of them."""

import copy
import os
import shutil
import socket

import pandas as pd
import pytest
import torchvision
from actdim import registry
from actdim.datasets.dataset import data_set
from actdim.datasets.settings import DatasetSettings
from actdim.errors import UserError
from actdim.plugins import check_named
from conftest import STUDY, copy_project, serving
from download_dataset import download
from image_files import md5, pack_cifar, write_cifar, write_mnist, write_svhn
from test_image_datasets import assert_same, build

RUN = "results/tiny/weight_decay~0/seed~0"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A folder, and the address of a server that serves its files."""
    folder = tmp_path_factory.mktemp("server")
    with serving(folder) as address:
        yield folder, address


def resources(folder):
    """Return torchvision's table of MNIST's files, for the files in a folder."""
    return [(name, md5(folder / name)) for name, _ in torchvision.datasets.MNIST.resources]


def offer(name, server, scratch, monkeypatch):
    """Serve a data set as it is published; return its samples."""
    folder, address = server
    kind = getattr(torchvision.datasets, {"cifar10": "CIFAR10", "mnist": "MNIST", "svhn": "SVHN"}[name])
    if name == "cifar10":
        samples = write_cifar(scratch, kind, monkeypatch)
        pack_cifar(scratch, kind, folder, monkeypatch)
        monkeypatch.setattr(kind, "url", address + kind.filename)
    elif name == "svhn":
        samples = write_svhn(scratch / "svhn", kind, monkeypatch)
        shutil.copytree(scratch / "svhn", folder, dirs_exist_ok=True)
        table = {part: [address + file, file, checksum] for part, (_, file, checksum) in kind.split_list.items()}
        monkeypatch.setattr(kind, "split_list", table)
    else:
        samples = write_mnist(scratch, packed=True)
        shutil.copytree(scratch / "MNIST/raw", folder, dirs_exist_ok=True)
        monkeypatch.setattr(kind, "mirrors", [address])
        monkeypatch.setattr(kind, "resources", resources(folder))
    return samples


@pytest.mark.parametrize("name", ["cifar10", "mnist", "svhn"])
def test_download(name, server, tmp_path, monkeypatch):
    samples = offer(name, server, tmp_path, monkeypatch)
    download(name, tmp_path / "data")
    assert_same(build(name, tmp_path / "data"), samples)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["cifar10", "mnist", "svhn"])
@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_failed_download(name, harm, server, tmp_path, monkeypatch):
    """The last file is missing or truncated."""
    offer(name, server, tmp_path, monkeypatch)
    last = {"cifar10": "cifar-10-python.tar.gz", "mnist": "t10k-labels-idx1-ubyte.gz", "svhn": "test_32x32.mat"}[name]
    file = server[0] / last
    content = file.read_bytes()
    file.unlink()
    if harm == "cut":
        file.write_bytes(content[:-10])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=f"^{name} could not be downloaded .*; try again, or copy its files to") as line:
        download(name, tmp_path / "data")
    assert len(str(line.value).splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


def without_a_network(monkeypatch):
    """Send all requests of child processes to a port without a server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        for scheme in ("http", "https"):
            monkeypatch.setenv(f"{scheme}_proxy", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.delenv("no_proxy", raising=False)


def test_rule_without_a_network(project, monkeypatch):
    """Snakemake tries four times; the log has one line with the reason; no file is left that could be data."""
    without_a_network(monkeypatch)
    project.write({**STUDY, "dataset": {"name": "fashionmnist"}})
    done = project.run("snakemake", "--cores", "2")
    assert done.returncode == 1
    assert (done.stdout + done.stderr).count("Trying to restart") == 3
    log = (project.folder / "results/tiny/logs/download_dataset/fashionmnist.log").read_text()
    assert log.startswith("download_dataset.py: fashionmnist could not be downloaded (RuntimeError Error downloading ")
    assert len(log.splitlines()) == 1
    assert [file.name for file in (project.folder / "data").iterdir()] == [".fashionmnist.lock"]
    assert not list(project.folder.glob("results/**/*.pt"))


def test_a_folder_that_is_not_there(project):
    project.write({**STUDY, "dataset": {"name": "mnist", "folder": "/nowhere/mnist"}})
    done = project.run("snakemake", "--cores", "2")
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if "profile" not in line] == [
        "studies/tiny.yaml: dataset.folder: /nowhere/mnist: no such folder; leave out `folder` to have mnist in "
        "data/mnist, downloaded where it is missing"
    ]


def test_a_folder_of_ones_own(project, tmp_path):
    """Nothing is downloaded; two jobs read the folder."""
    write_mnist(tmp_path / "mine", sizes={"train": 200, "validation": 80})
    project.write({**STUDY, "dataset": {"name": "mnist", "folder": str(tmp_path / "mine")}, "figures": []})
    assert "download_dataset" not in project.planned()
    project.snakemake(f"{RUN}/activations/00004.h5")


STUDY_OF_MNIST = {
    **copy.deepcopy(STUDY),
    "dataset": {"name": "mnist", "train_size": 150, "label_noise": 0.2},
    "training": {**STUDY["training"], "class_weights": "balanced"},
    "grid": [{"weight_decay": [0]}],
    "figures": [],
}


def download_from(server, project, scratch):
    """Make a project's program download a few samples of MNIST from the server."""
    folder, address = server
    write_mnist(scratch, packed=True, sizes={"train": 200, "validation": 80})
    shutil.copytree(scratch / "MNIST/raw", folder, dirs_exist_ok=True)
    program = project.folder / "scripts/download_dataset.py"
    text = program.read_text()
    assert text.count("    import torchvision\n") == 1
    table = (
        f"    import torchvision\n    kind = torchvision.datasets.MNIST\n"
        f"    kind.mirrors, kind.resources = [{address!r}], {resources(folder)!r}\n"
    )
    program.write_text(text.replace("    import torchvision\n", table))


@pytest.fixture(scope="session")
def finished_mnist(make_once, tmp_path_factory):
    """A project that has downloaded MNIST and finished. Do not change it."""

    def make(project):
        copy_project(project.folder)
        folder = tmp_path_factory.mktemp("server")
        with serving(folder) as address:
            download_from((folder, address), project, tmp_path_factory.mktemp("published"))
            project.write(STUDY_OF_MNIST)
            project.snakemake()

    return make_once("finished_mnist", make)


@pytest.fixture
def done_mnist(finished_mnist, tmp_path):
    return finished_mnist.copy(tmp_path / "project")


def test_from_the_server_to_the_table(finished_mnist):
    assert (finished_mnist.folder / "data/mnist/MNIST/raw/train-images-idx3-ubyte").exists()
    summary = pd.read_csv(finished_mnist.folder / "results/tables/summary.csv")
    assert len(summary) == 1
    assert summary["llid"][0] > 0
    content = {"name": "mnist", "folder": str(finished_mnist.folder / "data/mnist")}
    settings = check_named(registry.DATASETS, content, "dataset", DatasetSettings)
    assert data_set(settings).sizes == {"train": 200, "validation": 80}
    assert finished_mnist.planned() == {}


@pytest.mark.parametrize("change", ["touched", "gone", "anew"])
def test_nothing_runs_again_whatever_happens_to_the_folder(change, done_mnist):
    data = done_mnist.folder / "data"
    if change == "touched":
        for path in [data, *data.rglob("*")]:
            os.utime(path)
    else:
        shutil.move(data, done_mnist.folder / "aside")
        if change == "anew":
            shutil.copytree(done_mnist.folder / "aside", data, copy_function=shutil.copy)
    assert done_mnist.planned() == {}


BEHIND = dict.fromkeys(
    [
        *("tabulate_id", "tabulate_measures", "tabulate_predictors", "tabulate_generalization"),
        *("plot_predictors", "plot_robustness", "plot_sign_errors", "describe_results"),
    ],
    1,
)


@pytest.mark.parametrize("there", [True, False])
def test_what_is_missing_is_made_again_and_no_more(there, done_mnist):
    """Estimates, dumps and trainings are deleted in turn, with and without the data set's folder."""
    if not there:
        shutil.rmtree(done_mnist.folder / "data")
    expected = dict(BEHIND)
    shutil.rmtree(done_mnist.folder / "results/tables")
    expected["tabulate_training"] = 1
    for folder, jobs in (
        ("id", {"estimate_id": 3, "estimate_pca": 1, "estimate_null": 1}),
        ("neighborhoods", {"measure_neighborhoods": 1}),
        ("neighbors", {"find_neighbors": 3}),
        ("activations", {"dump_activations": 1}),
        ("checkpoints", {"train": 1}),
    ):
        shutil.rmtree(done_mnist.folder / RUN / folder)
        expected |= jobs
        assert done_mnist.planned() == expected


def test_a_seed_that_joins_when_the_folder_is_gone(done_mnist):
    """Only the new seed is to be trained, and its log says that the data are missing."""
    shutil.rmtree(done_mnist.folder / "data")
    done_mnist.write({**STUDY_OF_MNIST, "seeds": [0, 1]})
    assert done_mnist.planned()["train"] == 1
    done = done_mnist.run("snakemake", "--cores", "2")
    assert done.returncode == 1
    log = (done_mnist.folder / RUN.replace("seed~0", "seed~1") / "logs/train/to~4.log").read_text()
    assert log.splitlines() == [
        "train.py: data/mnist: no such folder; download mnist to it by scripts/download_dataset.py --dataset mnist "
        "--output data/mnist, or copy its files there"
    ]


def test_results_copied_to_another_clone_without_data_or_records(done_mnist):
    """Only a new seed is trained there."""
    shutil.rmtree(done_mnist.folder / "data")
    shutil.rmtree(done_mnist.folder / ".snakemake")
    shutil.rmtree(done_mnist.folder / "results/tables")
    done_mnist.write({**STUDY_OF_MNIST, "seeds": [0, 1]})
    assert done_mnist.planned()["train"] == 1
