"""What the README shows works as it stands there."""

import re

import pandas as pd
import yaml
from conftest import ROOT

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


def test_new_model(project):
    """A function and a line, and the workflow runs it to the end."""
    module, line = blocks("python")[:2]
    (project.folder / "scripts/actdim/models/perceptron.py").write_text(module)
    registry = project.folder / "scripts/actdim/registry.py"
    registry.write_text(registry.read_text().replace("MODELS = {\n", "MODELS = {\n" + line))
    project.write(
        {
            "dataset": {"name": "digits", "train_size": 200},
            "model": {"name": "perceptron", "width": 9},
            "training": {"lr": 0.1, "batch_size": 50, "epochs": 1},
            "checkpoints": [1],
            "activations": {"at": [1]},
            "figures": ["id_over_depth"],
        }
    )
    project.snakemake("results/tables/summary.csv", "results/figures/tiny/id_over_depth.png")
    assert (project.folder / "results/tables/summary.csv").read_text().count("\n") == 2


def test_new_estimator(done):
    """A function and a line, and it is computed from the stored lists."""
    module, line = blocks("python")[2:]
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
