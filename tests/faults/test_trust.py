"""No file that the workflow reads runs code, and no name leads out of its folders."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from actdim.errors import UserError
from actdim.storage.checksums import append_checksum
from actdim.study import study as studies
from conftest import ROOT, STUDY
from image_files import write_cifar
from test_config import edited
from torchvision.datasets import CIFAR10

WRITTEN = "written_by_a_stranger"
NAMES = [
    "../x",
    "/etc/x",
    "a/b",
    "",
    ".",
    "..",
    "a\nb",
    "x" * 300,
    "x" * 5000,
    " a b ",
    "'",
    '"',
    "{x}",
    "%s",
    "*",
    "~",
]
NAMES += [f"; touch {WRITTEN}", f"$(touch {WRITTEN})", f"`touch {WRITTEN}`", "nä", "日本", "-x", "a\0b", "a\u2028b"]


class Stranger:
    """An object that writes a file when it is unpickled."""

    def __reduce__(self):
        return os.system, (f"touch {WRITTEN}",)


@pytest.fixture(autouse=True)
def nothing_is_written(tmp_path, monkeypatch):
    """Check after each test that no foreign code ran."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.rglob(WRITTEN))


def run(program, *arguments):
    """Run a program; return its one line on standard error."""
    done = subprocess.run([sys.executable, ROOT / f"scripts/{program}.py", *arguments], capture_output=True, text=True)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


def test_the_stranger_would_be_noticed(tmp_path):
    pickle.loads(pickle.dumps(Stranger()))
    (tmp_path / WRITTEN).unlink()


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("dump_activations", ["--checkpoint", "run/00001.pt", "--output", "x.h5"]),
        ("train", ["--study", "tiny.yaml", "--until", "2", "--continue", "run", "--output", "x"]),
    ],
)
def test_a_checkpoint_runs_no_code(program, arguments):
    Path("run").mkdir()
    torch.save({"format": 2, "run": Stranger()}, "run/00001.pt")
    append_checksum("run/00001.pt")
    Path("tiny.yaml").write_text(yaml.safe_dump(STUDY))
    assert "run/00001.pt: not a checkpoint; " in run(program, *arguments)


def load(study, **config):
    """Load a study from the working directory."""
    Path("tiny.yaml").write_text(yaml.safe_dump(study, allow_unicode=True))
    return studies.load_study(
        "tiny", studies.load_config({"studies": ["tiny"], "estimators": {"twonn": {}}} | config), "."
    )


def pretrained(weights):
    """Return the tiny study with a network of torchvision."""
    data = {"name": "imagefolder", "folder": "images", "size": 32}
    return STUDY | {"dataset": data, "model": {"name": "torchvision:resnet18", "weights": weights}}


@pytest.fixture
def images():
    """Write images for a network of torchvision."""
    from PIL import Image

    for split in ("train", "validation"):
        for name in ("cat", "dog"):
            Path("images", split, name).mkdir(parents=True)
            for number in range(4):
                Image.new("RGB", (32, 32)).save(f"images/{split}/{name}/{number}.png")


@pytest.mark.parametrize("zipped", [True, False])
def test_pretrained_weights_run_no_code(images, zipped, monkeypatch):
    """Neither weights at a path, nor weights in torch's cache under a name of torchvision."""
    torch.hub.set_dir("hub")
    Path("hub/checkpoints").mkdir(parents=True)
    for file in ("weights.pth", "hub/checkpoints/resnet18-f37072fd.pth"):
        torch.save({"fc.weight": Stranger()}, file, _use_new_zipfile_serialization=zipped)
    from actdim.models.torchvision_models import state_of
    from torchvision.models import ResNet18_Weights

    for weights in ("weights.pth", "IMAGENET1K_V1"):
        with pytest.raises(ValueError, match=r"holds (no state dict|more than tensors)"):
            state_of(ResNet18_Weights, weights)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_damaged_weights_are_named(share):
    from actdim.models.torchvision_models import state_of
    from torchvision.models import ResNet18_Weights

    torch.save(torch.nn.Linear(100, 10).state_dict(), "weights.pth")
    content = Path("weights.pth").read_bytes()
    Path("weights.pth").write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"weights: weights\.pth"):
        state_of(ResNet18_Weights, "weights.pth")
    at = len(content) // 2  # in the middle of a number
    Path("weights.pth").write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    with pytest.raises(ValueError, match=r"weights: weights\.pth is damaged, at "):
        state_of(ResNet18_Weights, "weights.pth")


@pytest.mark.parametrize("part", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_pickle_of_cifar_is_read_only_if_it_is_the_published_one(tmp_path, monkeypatch, part):
    from actdim.datasets.cifar import cifar10

    write_cifar(tmp_path / "data", CIFAR10, monkeypatch)
    (tmp_path / "data/cifar-10-batches-py" / part).write_bytes(pickle.dumps(Stranger()))
    with pytest.raises(UserError, match=rf"{part}: corrupt: its MD5 is not that of the published file"):
        cifar10(folder=str(tmp_path / "data")).load()


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [touch %s]", "!!python/name:os.system"])
@pytest.mark.parametrize("file", ["config.yaml", "studies/tiny.yaml"])
def test_yaml_runs_no_code(project, file, tag):
    path = project.folder / file
    path.write_text(f"{path.read_text()}\nother: {tag.replace('%s', WRITTEN)}\n")
    done = project.run("snakemake", "-n", "--cores", "1")
    assert done.returncode == 1
    assert not list(project.folder.rglob(WRITTEN))


PLACES = {
    "config.studies": lambda name: load(STUDY, studies=[name]),
    "config.estimators": lambda name: load(STUDY, estimators={name: {}}),
    "activations.layers": lambda name: load(edited("activations.layers", [name])),
    "directions.layers": lambda name: load(edited("directions", {"at": [4], "layers": [name]})),
    "training.bottleneck": lambda name: load(edited("training.bottleneck", {"layer": name, "width": 2})),
    "dataset.name": lambda name: load(edited("dataset.name", name)),
    "dataset.folder": lambda name: load(edited("dataset", {"name": "mnist", "folder": f"nowhere/{name}"})),
    "imagefolder": lambda name: load(edited("dataset", {"name": "imagefolder", "folder": f"nowhere/{name}"})),
    "model.name": lambda name: load(edited("model.name", name)),
    "a module": lambda name: load(edited("model.name", f"{name}:function")),
    "a function": lambda name: load(edited("model.name", f"json:{name}")),
    "torchvision": lambda name: load(edited("model.name", f"torchvision:{name}")),
    "a grid's key": lambda name: load(edited("grid", [{name: [1]}])),
    "a grid's value": lambda name: load(edited("grid", [{"optimizer": [name]}])),
    "a grid's function": lambda name: load(edited("grid", [{"model.name": [name]}])),
    "figures": lambda name: load(edited("figures", [name])),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
@pytest.mark.parametrize("place", PLACES)
def test_a_strange_name_is_one_line(place, name):
    with pytest.raises(UserError) as mistake:
        PLACES[place](name)
    assert len(str(mistake.value).splitlines()) == 1


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:20])
def test_weights_of_a_strange_name(images, name):
    if name:  # nothing: fresh ones
        with pytest.raises(UserError, match=r"weights: no file|a line break|file name too long") as mistake:
            load(pretrained(f"nowhere/{name}"))
        assert len(str(mistake.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["../x", "a/b", "..", "a b", f"$(touch {WRITTEN})", "-x", "x" * 300, "a'b"])
def test_modules_of_a_model_that_cannot_name_files(name, monkeypatch):
    monkeypatch.syspath_prepend(".")
    monkeypatch.delitem(sys.modules, "strange", raising=False)
    Path("strange.py").write_text(
        "import torch\n\n\nclass Network(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        f"        self.layers = ({name!r},)\n        self._modules[{name!r}] = torch.nn.Linear(64, 10)\n\n"
        "    def forward(self, x):\n"
        f"        return self._modules[{name!r}](x.flatten(1))\n\n\n"
        "def network(data):\n    return Network()\n"
    )
    with pytest.raises(UserError, match="cannot name files") as mistake:
        load(STUDY | {"model": {"name": "strange:network"}})
    assert len(str(mistake.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["../x", f"$(touch {WRITTEN})"])
def test_snakemake_refuses_strange_studies_before_it_plans(project, name):
    project.write(name="tiny", studies=[name])
    done = project.run("snakemake", "-n", "--cores", "1")
    assert done.returncode == 1
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "profile" not in line]
    assert len(lines) == 1
    assert lines[0].startswith("config.yaml: studies.0: ")
    assert not list(project.folder.rglob(WRITTEN))


def test_names_in_files_that_are_read_name_no_file_that_is_written(tmp_path):
    """A foreign file with a study called ../../x."""
    Path("work").mkdir()
    os.chdir("work")
    rng = np.random.default_rng(0)
    with h5py.File("a.h5", "w") as file:
        file["layers/x"], file["labels"] = rng.normal(size=(60, 4)), np.arange(60) % 2
        file.attrs.update(study="../../x", split="../y", unit="/z", checkpoint=1, chosen='{"seed": 0, "../k": "../v"}')
        file["layers/x"].attrs.update(depth=1, feeds_classifier=True)
    figure = ["--estimator", "twonn", "--svg", "out/x.svg", "--png", "out/x.png"]
    for program, *arguments in (
        ("find_neighbors", "--activations", "a.h5", "--layer", "x", "--output", "out/n.h5"),
        ("estimate_id", "--neighbors", "out/n.h5", "--estimator", "twonn", "--output", "out/id.json"),
        ("tabulate_id", "--id", "out/id.csv", "--summary", "out/s.csv", "--correlations", "out/c.csv"),
        ("plot_scale_check", "--id", "out/id.csv", "--study", "../../x", *figure),
    ):
        command = [sys.executable, ROOT / f"scripts/{program}.py", *arguments]
        done = subprocess.run(command, input="out/id.json", capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"work"}
    assert {path.name for path in Path().iterdir()} == {"a.h5", "out"}
