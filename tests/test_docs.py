"""The documentation: the site builds, links lead somewhere, and every example works as it stands there."""

import importlib
import json
import re
import shlex
import subprocess
import sys
import tomllib

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from actdim.errors import UserError
from actdim.measures.settings import Directions, FunctionalDimension, Norms
from actdim.study.config import Config, load_config
from actdim.study.study import load_config_and_studies, load_study
from actdim.study.study_file import Activations, StudyFile
from actdim.tables.generalization.columns import check_runs, tell_columns
from actdim.tables.generalization.table import generalization_tables
from actdim.training.settings import TrainingSection
from actdim.workflow import changes
from conftest import ROOT
from PIL import Image
from snakemake import cli
from test_structure import ORDER
from torchvision import models

PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/*.md"))]
}
EVERYTHING = "\n".join(PAGES.values())
BLOCKS = re.findall(r"^```([^\n]*)\n(.*?)^```$", EVERYTHING, flags=re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, text in BLOCKS if not language for line in text.splitlines()]
SNIPPETS = sorted({span for span in re.findall(r"`([a-z_]+: [^`]+)`", EVERYTHING) if "mine:" not in span})
ORDINARY = ("git clone", "source ", "python3 -m venv", ".venv/bin/pip install", "tensorboard ", "cp ", "diff ", "#")


def block(language, containing):
    """Return the one code block of a language that contains a text."""
    (found,) = {text for name, text in BLOCKS if name == language and containing in text}
    return found


def heading_anchors(page):
    """Return the anchors of a page's headings, as GitHub and the site make them."""
    headings = re.findall(r"^#+ (.*)$", PAGES[page], flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.slow
def test_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--quiet", "docs", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "how-to.html").exists()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_links_of_pages_outside_the_site_lead_somewhere(page):
    links = [link for link in re.findall(r"\]\(([^)]+)\)", PAGES[page]) if not link.startswith("http")]
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        assert (ROOT / path).exists(), link
        assert not anchor or anchor in heading_anchors(path), link


def test_readme_is_short():
    assert len(PAGES["README.md"].splitlines()) <= 120


def test_versions_agree():
    (version, date), *_ = re.findall(r"^## (\S+) - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == version
    assert (str(cited["version"]), str(cited["date-released"])) == (version, date)


def test_the_table_of_packages_is_in_the_order_of_imports():
    table = PAGES["CONTRIBUTING.md"].partition("| package | content |\n")[2].partition("\n\n")[0]
    named = [name for row in table.splitlines() for name in re.findall(r"`(\w+)/?`", row.split("|")[1])]
    assert named == ORDER


@pytest.mark.parametrize("command", sorted(set(COMMANDS)))
def test_command(command):
    """Each command names what there is; those of the section on programs are run by another test."""
    words = shlex.split(command, comments=True)
    if not words or command.startswith(ORDINARY):
        return
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert set(words[1:]) <= set(targets)
    elif words[0] == "snakemake":
        parser = cli.get_argument_parser([f"{ROOT}/profiles/default"])
        arguments = parser.parse_args(words[1:])
        assert set(arguments.targets) <= {"plan"}
        assert all((ROOT / name / "config.yaml").exists() for name in arguments.profile or [])
        stated = dict(pair.split("=", 1) for pair in arguments.config or [])
        shipped = yaml.safe_load((ROOT / "config.yaml").read_text())
        load_config(shipped | {key: yaml.safe_load(value) for key, value in stated.items()})
    else:
        command = [sys.executable, ROOT / words[0], "--help"]
        options = re.findall(r"--[a-z-]+", subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        assert {word for word in words if word.startswith("--")} <= set(options)


@pytest.mark.parametrize(("last_epoch", "runs"), [(30, 10), (40, 16)])
def test_study(last_epoch, runs, tmp_path):
    """The README's study and that of the page on studies."""
    (tmp_path / "mine.yaml").write_text(block("yaml", f"at: [{last_epoch}], split"))
    assert len(load_study("mine", Config(studies=["mine"], estimators={"twonn": {}}), tmp_path).runs) == runs


def test_mistakes_read_as_the_text_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    study = block("yaml", "epochs: 30")
    config = Config(studies=["mine"], estimators={"twonn": {}})
    for line, (old, new) in zip(
        block("text", "did you mean").splitlines(),
        [("momentum:", "momentun:"), ("at: [30]", "at: [25]")],
        strict=True,
    ):
        (tmp_path / "studies/mine.yaml").write_text(study.replace(old, new))
        with pytest.raises(UserError, match=f"^{re.escape(line)}$"):
            load_study("mine", config)


def test_reasons_to_run_again_read_as_the_text_says():
    job = changes.Job("digits", "estimate_id", "", {"fraction": 0.9}, {}, [])
    differences = list(changes.differing({"settings": {}, "code": {}}, job))
    shown = block("text", "runs again for").strip()
    assert changes.line(job.study, job.rule, changes.in_words(differences), 112) == shown


def test_tables_of_settings_are_those_of_the_schemas(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs")
    page = importlib.import_module("settings_tables").current_page()
    assert page == PAGES["docs/studies.md"], "run python docs/settings_tables.py"


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_settings_named_in_the_text(snippet, tmp_path, monkeypatch):
    """What the text says that a study or config.yaml can hold is accepted there."""
    if "pets" in snippet:
        write_images(tmp_path / "pets")
    (tmp_path / "cifar10").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(ROOT / "scripts")
    study = {
        "dataset": {"name": "cifar10"},
        "model": {"name": "resnet18" if "stage" in snippet else "mlp", "width": 2},
        "training": {"lr": 0.1, "batch_size": 64, "epochs": 200},
        "activations": {},
    }
    config = {"studies": ["mine"], "estimators": {"twonn": {}}}
    for key, value in yaml.safe_load(snippet.replace("/elsewhere", str(tmp_path))).items():
        if key in ("dataset", "training"):
            study[key] |= value
        elif key in StudyFile.model_fields:
            study[key] = value
        elif key in TrainingSection.model_fields:
            study["training"][key] = value
        elif key in Activations.model_fields:
            study["activations"][key] = value
        elif key in Config.model_fields:
            config[key] = value
        elif key in ("train_size", "label_noise"):
            study["dataset"][key] = value
        elif key == "fraction":
            config["estimators"]["twonn"][key] = value
        else:
            section = next(name for name, of in PROBES.items() if key in of.model_fields)
            config.setdefault(section, {})[key] = value
    epochs = study["training"]["epochs"]
    end = epochs[-1] if isinstance(epochs, list) else epochs
    study["activations"].setdefault("at", [end])
    read = [at for section in ("activations", *PROBES) if section in study for at in study[section]["at"]]
    study["checkpoints"] = sorted({end, *read})
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(study))
    load_study("mine", load_config(config), tmp_path)


PROBES = {"directions": Directions, "functional_dimension": FunctionalDimension, "norms": Norms}


def write_images(folder):
    """Write a few photographs as dataset imagefolder reads them: an image for training, 30 for validation, a class."""
    random = np.random.default_rng(0)
    for split, images in (("train", 1), ("validation", 30)):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for number in range(images):
                image = Image.fromarray(random.integers(256, size=(72, 90, 3), dtype=np.uint8))
                image.save(folder / split / name / f"{number}.png")


def test_own_model_and_data(project):
    """A file in the working directory, and the workflow runs it to the end."""
    (project.folder / "mine.py").write_text(block("python", "def rings"))
    dataset, model = re.findall(r"`(?:dataset|model): (\{name: mine:.*?\})`", EVERYTHING)
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


def test_the_notebook_example_prints_what_the_page_says(capsys):
    exec(block("python", "intrinsic_dimension(points"), {})
    assert capsys.readouterr().out == block("text", "95 % interval 4")


@pytest.mark.slow
def test_pretrained_network(project):
    """The programs run, with weights in a file, because there is no network, and with smaller images."""
    text = block("yaml", "torchvision:resnet50")
    study = yaml.safe_load(text)
    write_images(project.folder / study["dataset"]["folder"])
    torch.save(models.resnet50().state_dict(), project.folder / "resnet50.pth")
    smaller = text.replace("DEFAULT", "resnet50.pth").replace("folder: pets", "folder: pets, size: 64")
    (project.folder / "studies/mine.yaml").write_text(smaller)
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


@pytest.mark.slow
def test_the_papers_studies_train_as_many_networks_as_the_text_says(monkeypatch):
    monkeypatch.chdir(ROOT)
    stated = shlex.split(block("", "grokking_paper"))[-1].removeprefix("studies=")
    config = {"studies": yaml.safe_load(stated), "estimators": {"twonn": {}}}
    _, studies = load_config_and_studies(config)
    assert f"trains {sum(len(study.runs) for study in studies.values())} networks" in PAGES["docs/how-to.md"]


def test_new_estimator(done):
    """A function and a line, and it is computed from the stored lists."""
    (done.folder / "scripts/actdim/estimators/median.py").write_text(block("python", "def median"))
    registry = done.folder / "scripts/actdim/registry.py"
    line = block("python", '"median": ')
    registry.write_text(registry.read_text().replace("ESTIMATORS = {\n", "ESTIMATORS = {\n" + line))
    done.write(estimators={"twonn": {}, "median": {}})
    finished = done.snakemake("results/tables/id.csv")
    rules = re.findall(r"^(\w+) +(\d+)$", finished.stdout + finished.stderr, flags=re.MULTILINE)
    assert dict(rules) == {"estimate_id": "9", "tabulate_id": "1", "total": "10"}
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
    commands = block("", "scripts/train.py")
    assert int(re.search(r"run/(\d+)\.pt", commands)[1]) in shipped
    for command in commands.strip().splitlines():
        done = project.run(*command.split())
        assert done.returncode == 0, done.stderr
    assert '"id": ' in (project.folder / "id.json").read_text()


@pytest.mark.slow
def test_measures_of_an_own_table_are_judged_as_the_text_says(tmp_path):
    """The three blocks of the page, in the order in which a reader runs them."""
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")

    def run(*command):
        return subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=True)

    run("-c", block("python", 'to_csv("runs.csv"'))
    run(*block("", "scripts/tabulate_generalization.py").split())
    assert run("-c", block("python", "generalization.csv")).stdout == block("text", "sign_error_max")


def test_every_column_of_generalization_is_explained():
    runs = pd.DataFrame({"study": "made", "lr": [1, 2, 3], "measure": [1.0, 2, 3], "gap": [1.0, 3, 2]})
    columns = tell_columns(runs, ["lr"], ["measure"], ["gap"])
    tables = generalization_tables(check_runs(runs, columns), columns)
    named = set(re.findall(r"`(\w+)`", PAGES["docs/generalization.md"]))
    for column in tables.generalization.columns[3:]:
        assert re.sub("_(low|high|q)$", "", column) in named, column
