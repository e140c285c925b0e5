"""Mistakes in the config and in studies: one line each, before any job starts."""

import copy
import json
import math
import re

import pytest
import yaml
from actdim.errors import UserError
from actdim.study import study as studies
from actdim.study.config import ALL_ESTIMATORS
from actdim.study.yaml_files import read_yaml
from actdim.training.settings import RunSettings
from actdim.validation import check
from conftest import ROOT, STUDY
from snakemake.cli import parse_config
from snakemake.common.configfile import load_configfile
from snakemake.utils import update_config


def edited(path, value):
    """Return the tiny study with the setting at a dotted path replaced (None: removed)."""
    study = copy.deepcopy(STUDY)
    *sections, key = path.split(".")
    place = study
    for section in sections:
        place = place[section]
    if value is None:
        del place[key]
    else:
        place[key] = value
    return study


MISTAKES = [
    ("directions", {"at": [3]}, "directions.at: no checkpoint at 3; checkpoints has 2, 4"),
    ("directions", {"at": [4], "layers": ["nope"]}, "directions.layers: the model has no layer 'nope'; it has input, "),
    ("directions", {"at": [4], "layers": ["input"]}, "directions.layers: should be a module of the model, not 'input'"),
    ("directions", {"at": [4], "clamp": "max"}, "directions.clamp: input should be 'zero' or 'mean', not 'max'"),
    ("directions", {"layers": "all"}, "directions.at: missing"),
    (
        "functional_dimension",
        {"at": [4], "sample": 9},
        "functional_dimension.sample: unknown key; did you mean samples?",
    ),
    ("training.lrr", 0.1, "training.lrr: unknown key; did you mean lr?"),
    ("modle", {}, "modle: unknown key; did you mean model?"),
    ("training.lr", "fast", "training.lr: input should be a valid number"),
    ("training.lr", -1, "training.lr: input should be greater than 0, not -1"),
    ("training.lr", None, "training.lr: missing"),
    ("training.epochs", 2.5, "training.epochs.0: input should be a valid integer"),
    ("training.betas", [0.9, 5], "training.betas.1: input should be less than 1"),
    ("model.name", ["mlp"], "model.name: unknown name ['mlp']; known: convnet, mlp"),
    ("model", {"name": "mlp", "depth": 0}, "model.depth: input should be greater than or equal to 1"),
    ("activations.layers", 5, "activations.layers: input should be a valid list"),
    ("grid", [{"epochs": [2, 4]}], "epochs: is the same for all runs of a study; state it in training"),
    ("grid", [{"seed": [0, 1]}], "grid.seed: list seeds under the study's key seeds, not in the grid"),
    ("grid", [{"depth": [1, 2]}], "grid.depth: write model.depth"),
    ("grid", [{"weight_decay": [0, 1]}], "figures: llid: need a setting that takes three values or more"),
    ("training.epochs", [4, 2], "training: epochs should be one number or several that increase"),
    ("training.schedule", {"name": "cosine", "length": 2, "lenght": 3}, "training.schedule.lenght: unknown key"),
    (
        "training",
        {**STUDY["training"], "schedule": {"name": "cosine", "length": 3}},
        "length 3 should reach the end",
    ),
    ("training", {**STUDY["training"], "epochs": [2, 4], "schedule": "cosine"}, "a cosine over several stages states"),
    ("activations.at", [4, 4], "activations.at: names 4 twice"),
    ("training.steps", 10, "training: state either epochs or steps"),
    ("training.schedule", "steps", "training.schedule: write where the rate falls: {name: steps, at: [60, 120]"),
    ("training.bottleneck", {"layer": "hidden9", "width": 2}, "training.bottleneck.layer: the model has no layer"),
    ("training.class_weights", [1, 2], "training.class_weights: 2 weights for 10 classes; write one for each"),
    (
        "training.class_weights",
        "balance",
        "training.class_weights: should be balanced, or a list with a number above 0",
    ),
    ("training.class_weights", [0] * 10, "training.class_weights: should be balanced, or a list with a number above 0"),
    ("training.precision", "half", "training.precision: input should be 'auto', 'float32' or 'bfloat16'"),
    ("dataset.label_noise", 2, "dataset.label_noise: input should be less than or equal to 1"),
    ("dataset.augmentation", {"flip": True}, "dataset.augmentation: is for uint8 images, and digits has none"),
    ("dataset.augmentation", {"mirror": True}, "dataset.augmentation.mirror: unknown key"),
    ("training.schedule", "cosin", "training.schedule.name: input should be 'constant', 'cosine' or 'steps'"),
    ("dataset.name", "digist", "dataset.name: unknown name 'digist'; known: digits, modular, permutations"),
    ("dataset.train_size", 5000, "dataset.train_size: 5000, and digits has 897 for training"),
    (
        "dataset",
        {"name": "permutations", "elements": 3, "train_fraction": 0.01},
        "permutations has sizes {'train': 0, ",
    ),
    ("dataset", {"name": "mnist", "folder": "/nowhere"}, "dataset.folder: /nowhere: no such folder; leave out"),
    ("dataset", {"name": "svhn", "train_size": 10**6}, "dataset.train_size: 1000000, and svhn has 73257 for training"),
    ("dataset", {"name": "imagefolder"}, "dataset.folder: missing"),
    ("dataset", {"name": "imagefolder", "folder": "/nowhere"}, "dataset.folder: /nowhere/train: no such folder"),
    ("dataset", {"name": "imagefolder", "folder": "x", "std": [1, 1, 0]}, "dataset.std.2: input should be greater"),
    (
        "model.name",
        "resnet19",
        "model.name: unknown name 'resnet19'; known: convnet, mlp, resnet18, torchvision:*, transformer",
    ),
    ("model.widht", 3, "model.widht: unknown key; did you mean width?"),
    ("model", {"name": "transformer"}, "transformer: a transformer reads tokens"),
    ("activations.layers", ["hidden1", "hiden2"], "the model has no layer 'hiden2'; it has input, hidden1, hidden2"),
    ("activations.at", [3], "activations.at: no checkpoint at 3; checkpoints has 2, 4"),
    ("checkpoints", [2, 9], "checkpoints: training ends at epochs 4, before 9"),
    ("grid", [], "the grid is empty"),
    ("grid", [{"weight_decay": []}], "the grid is empty"),
    ("grid", [{"weight_decay": [0, 0.1]}, {"weight_decay": [0.1]}], "makes the run weight_decay~0.1/seed~0 a second"),
    ("grid", [{"weigth_decay": [0]}], "weigth_decay: no setting of dataset, model or training; did you mean weight"),
    ("grid", [{"name": ["mlp"]}], "name: could be dataset.name or model.name"),
    ("grid", [{"optimizer": ["sgd/../.."]}], "training.optimizer"),
    ("grid", [{"train_size": [None, 100]}], "grid.train_size: null, where the study has a value"),
    ("seeds", [0, 0], "a second time"),
    ("figures", ["lid"], "figures"),
    ("neighbors", {"method": "exakt"}, "neighbors.method: input should be 'auto', 'pynndescent', 'sketch' or 'exact'"),
]


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_mistakes_in_a_study(tmp_path, path, value, message):
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(edited(path, value)))
    config = studies.load_config({"studies": ["tiny"], "estimators": {"twonn": {}}})
    with pytest.raises(UserError) as mistake:
        studies.load_study("tiny", config, folder=tmp_path)
    assert message in str(mistake.value)
    assert str(mistake.value).startswith(f"{tmp_path}/tiny.yaml: ")
    assert len(str(mistake.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"studys": []}, "config.yaml: studys: unknown key; did you mean studies?"),
        ({"studies": []}, "config.yaml: studies"),
        ({"studies": ["../x"]}, "config.yaml: studies.0"),
        ({"directions": {"orders": 0}}, "directions.orders: input should be greater than or equal to 1, not 0"),
        ({"directions": {"at": [4]}}, "config.yaml: directions.at: unknown key"),
        ({"neighbors": {"k": 1}}, "config.yaml: neighbors.k: input should be greater than or equal to 2, not 1"),
        ({"estimators": {"twonnn": {}}}, "config.yaml: estimators.twonnn"),
        ({"estimators": {"twonn": {"fracton": 1}}}, "estimators.twonn.fracton: unknown key; did you mean fraction?"),
    ],
)
def test_mistakes_in_the_config(change, message):
    with pytest.raises(UserError) as mistake:
        studies.load_config({"studies": ["tiny"], "estimators": {"twonn": {}}} | change)
    assert message in str(mistake.value)


def test_snakemake_says_it_in_one_line_and_starts_nothing(project):
    project.write(edited("training.lrr", 0.1))
    done = project.run("snakemake", "--cores", "2")
    assert done.returncode == 1
    lines = [line for line in (done.stdout + done.stderr).splitlines() if "profile" not in line]
    assert lines == ["studies/tiny.yaml: training.lrr: unknown key; did you mean lr?"]
    assert not (project.folder / "results").exists()


def test_a_study_that_is_not_there(project):
    done = project.run("snakemake", "--cores", "2", "--config", "studies=[digit]")
    assert done.returncode == 1
    assert (
        "config.yaml: studies: no study 'digit' in studies/; it has cifar10, cifar100, digits, functional_dimension, "
        in done.stderr
    )


@pytest.mark.parametrize("study", [path.stem for path in (ROOT / "studies").glob("*.yaml")])
def test_the_studies_that_come_with_it(study):
    config = studies.load_config(read_yaml(ROOT / "config.yaml"))
    assert studies.load_study(study, config, ROOT / "studies").runs


def test_numbers_are_those_of_yaml_1_2(tmp_path):
    """PyYAML reads YAML 1.1: 1e-4 as a text, 010 as 8, and 1:30 and 1_000 as 90 and 1000."""
    path = tmp_path / "numbers.yaml"
    path.write_text("a: [1e-3, 1E5, .5, 1., 010, 0o17, 0x1F, -.inf, 1_000, 1:30, 1.2.3, 1e, true, null]")
    expected = [1e-3, 1e5, 0.5, 1.0, 10, 15, 31, -math.inf, "1_000", "1:30", "1.2.3", "1e", True, None]
    assert read_yaml(path) == {"a": expected}
    assert list(map(type, read_yaml(path)["a"])) == list(map(type, expected))


@pytest.mark.parametrize(
    ("text", "line", "key"),
    [
        ("lr: 1\nbatch_size: 2\nlr: 3\n", 3, "lr"),
        ("training:\n  lr: 1\n  epochs: 2\n  lr: 1\n", 4, "lr"),
        ("grid: [{lr: [1], lr: [2]}]", 1, "lr"),
    ],
)
def test_a_key_that_is_written_twice(tmp_path, text, line, key):
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(UserError) as mistake:
        read_yaml(tmp_path / "study.yaml")
    assert str(mistake.value) == f"{tmp_path}/study.yaml: line {line}: the key {key!r} is already there; write it once"


def test_a_key_may_override_one_that_is_merged(tmp_path):
    (tmp_path / "study.yaml").write_text("a: &a {lr: 1, seed: 0}\nb: {<<: *a, lr: 2}\n")
    assert read_yaml(tmp_path / "study.yaml")["b"] == {"lr": 2, "seed": 0}


def untyped(lists, *, k):
    """An estimator that does not say what kind of value its setting is."""


def test_numbers_in_config_yaml_and_on_the_command_line(tmp_path, monkeypatch):
    """Snakemake has readers of its own: YAML 1.1 for the file, texts alone for nested values of --config."""
    monkeypatch.setitem(ALL_ESTIMATORS, "mle", "test_config:untyped")
    (tmp_path / "config.yaml").write_text("studies: [tiny]\nestimators: {mle: {k: 1e1}}\n")
    content = load_configfile(tmp_path / "config.yaml")
    assert studies.load_config(content).estimators["mle"].k == 10.0
    for text, value in (("2e1", 20.0), ("20", 20), ("null", None), ("true", True), ("some", "some")):
        update_config(content, parse_config([f"estimators={{mle: {{k: {text}}}}}"]))
        assert studies.load_config(content).estimators["mle"].k == value


def test_a_key_that_is_twice_in_config_yaml(project):
    with open(project.folder / "config.yaml", "a") as file:
        file.write("studies: [digits]\n")
    done = project.run("snakemake", "-n")
    assert re.search(r"^config.yaml: line \d: the key 'studies' is already there; write it once$", done.stderr, re.M)


def test_scientific_notation_without_a_dot_is_a_number(tmp_path):
    """YAML 1.1 reads 1e-4 as a text."""
    (tmp_path / "tiny.yaml").write_text(
        "dataset: {name: digits}\nmodel: {name: mlp}\ntraining: {lr: 1e-1, batch_size: 10, epochs: 1}\n"
        "grid: [{weight_decay: [0, 1e-4, 1e-05]}]\ncheckpoints: [1]\nactivations: {at: [1]}\n"
    )
    config = studies.load_config({"studies": ["tiny"], "estimators": {"twonn": {}}})
    runs = studies.load_study("tiny", config, tmp_path).runs
    assert list(runs) == ["weight_decay~0/seed~0", "weight_decay~0.0001/seed~0", "weight_decay~1e-05/seed~0"]
    assert runs["weight_decay~0.0001/seed~0"].settings.training.weight_decay == 0.0001


def test_a_grid_key_overrides_any_setting(tmp_path):
    (tmp_path / "tiny.yaml").write_text(
        "dataset: {name: digits}\nmodel: {name: mlp}\ntraining: {lr: 0.1, batch_size: 10, epochs: 1}\n"
        "grid: [{train_size: [100, 200], model.name: [mlp], width: [8], optimizer: [sgd, adam]}]\n"
        "checkpoints: [1]\nactivations: {at: [1]}\nseeds: [3]\n"
    )
    config = studies.load_config({"studies": ["tiny"], "estimators": {"twonn": {}}})
    runs = studies.load_study("tiny", config, tmp_path).runs
    assert list(runs)[-1] == "train_size~200/model.name~mlp/width~8/optimizer~adam/seed~3"
    settings = list(runs.values())[-1].settings
    assert settings.dataset.train_size == 200
    assert settings.model.width == 8
    assert settings.training.optimizer == "adam"
    assert settings.seed == 3


def test_settings_are_the_same_object_after_being_stored(tmp_path):
    """Those of an older version, which lacks a setting, have its default; a value out of range is refused."""
    settings = write(tmp_path, training={"lr": 0.1, "batch_size": 10, "epochs": 1, "schedule": "cosine"}).runs["seed~0"]
    stored = json.loads(json.dumps(settings.settings.model_dump(mode="json")))
    assert check(RunSettings, stored, "file") == settings.settings
    del stored["training"]["momentum"], stored["training"]["schedule"]["warmup"], stored["model"]["dropout"]
    assert check(RunSettings, stored, "file") == settings.settings
    stored["model"]["width"] = 0
    with pytest.raises(UserError, match=r"file\.model\.width: input should be greater than or equal to 1, not 0"):
        check(RunSettings, stored, "file")


def test_the_stages_of_a_training(tmp_path):
    training = {"lr": 0.1, "batch_size": 10, "epochs": [0, 2, 5], "evaluate_every": 3}
    study = write(tmp_path, training=training, checkpoints=[0, 1], activations={"at": [5]})
    assert [(stage.previous, stage.until, stage.kept) for stage in study.stages] == [
        (None, 0, [0]),
        (0, 2, [1, 2]),
        (2, 5, [5]),
    ]
    assert [stage.evaluated(3) for stage in study.stages] == [[0], [1, 2], [3, 5]]
    assert study.stage_with(1) is study.stage_until(2) is study.stages[1]


def write(folder, **sections):
    """Write a study that trains one epoch; return it loaded."""
    study = {
        "dataset": {"name": "digits"},
        "model": {"name": "mlp"},
        "training": {"lr": 0.1, "batch_size": 10, "epochs": 1},
        "checkpoints": [1],
        "activations": {"at": [1]},
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(study | sections))
    config = studies.load_config({"studies": ["tiny"], "estimators": {"twonn": {}}})
    return studies.load_study("tiny", config, folder)


def test_models_with_different_settings_in_one_grid(tmp_path):
    grid = [{"model.depth": [1, 3], "model.name": ["mlp"]}, {"model.name": ["resnet18"], "width": [2]}]
    runs = write(tmp_path, grid=grid).runs
    assert list(runs) == [
        "model.depth~1/model.name~mlp/width~128/seed~0",
        "model.depth~3/model.name~mlp/width~128/seed~0",
        "model.depth~null/model.name~resnet18/width~2/seed~0",
    ]


def test_schedules_in_a_grid(tmp_path):
    runs = write(tmp_path, grid=[{"schedule": ["cosine", "constant"]}]).runs
    assert list(runs) == ["schedule~cosine/seed~0", "schedule~constant/seed~0"]
    assert [run.settings.training.schedule.name for run in runs.values()] == ["cosine", "constant"]


def test_default_figures_are_those_that_can_be_drawn(tmp_path):
    assert write(tmp_path).figures == ["id_over_depth", "scale_check"]
    assert "llid" not in write(tmp_path, grid=[{"weight_decay": [0, 1]}]).figures
    assert "llid" in write(tmp_path, grid=[{"weight_decay": [0, 1, 2]}]).figures
    assert "llid" not in write(tmp_path, grid=[{"optimizer": ["sgd", "adam", "adamw"]}]).figures


def test_a_list_of_modules_is_no_layer_and_what_a_module_reads_is(tmp_path):
    study = {"dataset": {"name": "modular"}, "model": {"name": "transformer"}}
    assert write(tmp_path, **study, activations={"at": [1], "layers": ["final_norm.input"]}).runs
    with pytest.raises(UserError) as error:
        write(tmp_path, **study, activations={"at": [1], "layers": ["blocks"]})
    line = "activations.layers: the model never calls 'blocks' as a module; name blocks.0 or blocks.1"
    assert str(error.value) == f"{tmp_path / 'tiny.yaml'}: {line}"


@pytest.mark.parametrize("key", ["activations.layers", "directions.layers", "training.bottleneck.layer"])
def test_a_module_that_is_called_several_times_is_no_layer(key, tmp_path):
    study = {
        "dataset": {"name": "cifar10"},
        "model": {"name": "torchvision:resnet18"},
        "training": {"lr": 0.1, "batch_size": 10, "epochs": 1},
        "activations": {"at": [1], "layers": ["layer1"]},
    }
    if key == "training.bottleneck.layer":
        study["training"]["bottleneck"] = {"layer": "layer1.0.relu", "width": 2, "weight": 0.1}
    else:
        study[key.partition(".")[0]] = {"at": [1], "layers": ["layer1.0.relu"]}
    line = f"{key}: the model computes 'layer1.0.relu' 2 times; name a layer that it computes once"
    with pytest.raises(UserError) as error:
        write(tmp_path, **study)
    assert str(error.value) == f"{tmp_path / 'tiny.yaml'}: {line}"


def test_the_command_line_replaces_sections(project, tmp_path):
    """What only config.yaml has is left out, and figures show the first estimator that the command line names."""
    project.write(neighbors={"method": "exact", "k": 16}, estimators={"twonn": {}, "mle": {"k": 8}})
    (tmp_path / "other.yaml").write_text("neighbors: {method: pynndescent}\n")
    given = ("--configfile", "../other.yaml", "--config", "estimators={gride: {n1: 4}, mle: {}}")
    commands = project.snakemake("-n", *given).stdout
    named = re.findall(r"estimate_id.py .* --estimator (\w+ .*?) +--output", commands)
    assert set(named) == {"gride --set n1=4", "mle "}
    assert set(re.findall(r"--estimator (\w+) --(?:unit|figures|output)", commands)) == {"gride"}
    assert "--method pynndescent" in commands
    assert "--k 16" not in commands
    assert "--method exact" not in commands
