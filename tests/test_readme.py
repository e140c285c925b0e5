"""What the README shows works as it stands there."""

import json
import re
import shlex

import numpy as np
import pandas as pd
import torch
import yaml
from conftest import ROOT
from PIL import Image
from torchvision import models

README = (ROOT / "README.md").read_text()


def blocks(language):
    """Return the README's code blocks of a language."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [text for name, text in fenced if name == language]


def test_study(project):
    """The study is valid, and all of its jobs can be planned."""
    (project.folder / "studies/mine.yaml").write_text(blocks("yaml")[0])
    done = project.snakemake("-n", "--quiet", "reason", "--config", "studies=[mine]")
    assert re.search(r"^train +10$", done.stdout, flags=re.MULTILINE)


def test_own_model_and_data(project):
    """A file in the working directory, and the workflow runs it to the end."""
    (project.folder / "mine.py").write_text(blocks("python")[0])
    dataset, model = re.findall(r"`(?:dataset|model): (\{name: mine:.*?\})`", README)
    project.write(
        {
            "dataset": yaml.safe_load(dataset),
            "model": yaml.safe_load(model),
            "training": {"lr": 0.5, "batch_size": 50, "epochs": 50},
            "checkpoints": [50],
            "activations": {"at": [50]},
            "figures": ["id_over_depth"],
        }
    )
    project.snakemake("results/tables/summary.csv", "results/figures/tiny/id_over_depth.png")
    table = pd.read_csv(project.folder / "results/tables/summary.csv")
    assert len(table) == 1
    assert table["validation_accuracy"][0] > 0.9
    assert 0.5 < table["llid"][0] < 3, "rings in the plane"


def test_pretrained_network(project):
    """The study as it stands can be planned; with weights in a file, for there is no network, its programs are run."""
    study = yaml.safe_load(blocks("yaml")[1])
    random = np.random.default_rng(0)
    for split, images in (("train", 1), ("validation", 30)):
        for name in ("cat", "dog"):
            folder = project.folder / study["dataset"]["folder"] / split / name
            folder.mkdir(parents=True)
            for number in range(images):
                Image.fromarray(random.integers(256, size=(240, 300, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    (project.folder / "studies/mine.yaml").write_text(yaml.safe_dump(study))
    done = project.snakemake("-n", "--quiet", "reason", "--config", "studies=[mine]")
    assert re.search(r"^find_neighbors +7$", done.stdout, flags=re.MULTILINE)
    torch.save(models.resnet50().state_dict(), project.folder / "resnet50.pth")
    study["model"]["weights"] = "resnet50.pth"
    (project.folder / "studies/mine.yaml").write_text(yaml.safe_dump(study))
    layers = study["activations"]["layers"]
    for command in (
        "scripts/train.py --study studies/mine.yaml --set seed=0 --output run",
        f"scripts/dump_activations.py --checkpoint run/00000.pt --layers {' '.join(layers)} --output a.h5",
        f"scripts/find_neighbors.py --activations a.h5 --layer {layers[-1]} --method exact --k 8 --output n.h5",
        "scripts/estimate_id.py --neighbors n.h5 --estimator twonn --output id.json",
    ):
        done = project.run(*command.split())
        assert done.returncode == 0, done.stderr
    assert json.loads((project.folder / "id.json").read_text())["id"] > 1


def test_the_papers_studies_can_be_planned(project):
    """With the studies that the command names: as many trainings as the text says."""
    command = shlex.split(next(block for block in blocks("") if "grokking_paper" in block))
    done = project.run(*command, "-n", "--quiet", "reason", "--", "results/tables/training.csv")
    assert re.search(r"^train +92$", done.stdout, flags=re.MULTILINE), done.stderr


def test_settings_of_training(project):
    """What is said in passing is accepted."""
    bottleneck = yaml.safe_load(re.search(r"`bottleneck: (\{.*?\})`", README)[1])
    schedule = yaml.safe_load(re.search(r"`(\{name: steps.*?\})`", README)[1])
    augmentation = yaml.safe_load(re.search(r"augmentation: (\{.*?\})", README)[1])
    study = yaml.safe_load(blocks("yaml")[0])
    study["training"] |= {"bottleneck": bottleneck, "schedule": schedule, "precision": "auto", "compile": True}
    study["dataset"] = {"name": "cifar10", "augmentation": augmentation}
    (project.folder / "studies/mine.yaml").write_text(yaml.safe_dump(study))
    project.snakemake("-n", "--config", "studies=[mine]")


def test_new_estimator(done):
    """A function and a line, and it is computed from the stored lists."""
    module, line = blocks("python")[1:]
    (done.folder / "scripts/actdim/estimators/median.py").write_text(module)
    registry = done.folder / "scripts/actdim/registry.py"
    registry.write_text(registry.read_text().replace("ESTIMATORS = {\n", "ESTIMATORS = {\n" + line))
    done.write(estimators={"twonn": {}, "median": {}})
    assert done.planned()["estimate_id"] == 9
    done.snakemake("results/tables/id.csv")
    table = pd.read_csv(done.folder / "results/tables/id.csv")
    ratio = table.query("estimator == 'median'")["id"].to_numpy() / table.query("estimator == 'twonn'")["id"].to_numpy()
    assert len(ratio) == 9
    assert 0.7 < ratio.min() <= ratio.max() < 1.4


def test_programs_by_hand(project):
    """The four commands, on a shorter training."""
    (project.folder / "studies/digits.yaml").write_text(
        "dataset: {name: digits}\nmodel: {name: resnet18, width: 2}\ncheckpoints: [40]\n"
        "training: {lr: 0.1, batch_size: 300, epochs: 40, evaluate_every: 40}\n"
    )
    shipped = yaml.safe_load((ROOT / "studies/digits.yaml").read_text())["checkpoints"]
    assert int(re.search(r"run/(\d+)\.pt", README)[1]) in shipped
    commands = next(block for block in blocks("") if "scripts/train.py" in block)
    for command in commands.strip().splitlines():
        done = project.run(*command.split())
        assert done.returncode == 0, done.stderr
    assert '"id": ' in (project.folder / "id.json").read_text()
