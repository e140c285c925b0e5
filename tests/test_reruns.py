"""What runs again after a change: the table of docs/how-to.md, line by line, against the real Snakemake."""

import ast
import copy
import os
import re
import shutil
import subprocess
import time

import pandas as pd
import yaml
from conftest import STUDY, copy_project

BEHIND_PREDICTORS = {"describe_results": 1, "tabulate_predictors": 1, "plot_predictors": 1}
BEHIND_MEASURES = {"tabulate_generalization": 1, "plot_robustness": 1, "plot_sign_errors": 1, **BEHIND_PREDICTORS}
BEHIND_SUMMARY = {"tabulate_measures": 1, **BEHIND_MEASURES}
BEHIND_ESTIMATES = {"tabulate_id": 1, "plot_llid": 1, "plot_id_over_depth": 1, "plot_scale_check": 1, **BEHIND_SUMMARY}
BEHIND_ESTIMATOR = {"estimate_id": 9, "estimate_null": 3, **BEHIND_ESTIMATES}
BEHIND_NEIGHBORS = {"estimate_id": 9, "measure_neighborhoods": 3, **BEHIND_ESTIMATES}
BEHIND_SEARCH = {"find_neighbors": 9, "estimate_null": 3, **BEHIND_NEIGHBORS}  # the null searches in its own points
BEHIND_DUMPS = {"estimate_pca": 3, **BEHIND_SEARCH}
BEHIND_TRAINING = {"dump_activations": 3, "tabulate_training": 1, **BEHIND_DUMPS}


def changed(**changes):
    """The tiny study with some of its sections changed."""
    study = copy.deepcopy(STUDY)
    for section, change in changes.items():
        study[section] = {**study[section], **change} if isinstance(change, dict) else change
    return study


def edit(project, path, old, new):
    """Replace a text that stands in a file once."""
    file = project.folder / path
    text = file.read_text()
    assert text.count(old) == 1, (path, old)
    file.write_text(text.replace(old, new))


def test_nothing_changed(done):
    assert done.planned() == {}


def test_touched_programs_modules_and_studies(done):
    now = time.time() + 10
    for file in [*done.folder.glob("scripts/**/*.py"), *done.folder.glob("rules/*"), *done.folder.glob("studies/*")]:
        os.utime(file, (now, now))
    os.utime(done.folder / "Snakefile", (now, now))
    os.utime(done.folder / "config.yaml", (now, now))
    assert done.planned() == {}


def test_comments_docstrings_and_formatting(done):
    for file in done.folder.glob("scripts/**/*.py"):
        text = file.read_text()
        docstring = ast.parse(text).body[0]
        lines = text.splitlines()
        lines[docstring.lineno - 1 : docstring.end_lineno] = ['"""Another docstring."""']
        file.write_text("\n".join([*lines, "# a comment"]))
    for file in done.folder.glob("rules/*.smk"):
        file.write_text("# a comment\n" + file.read_text().replace("\n\n\n", "\n\n\n\n"))
    subprocess.run(["ruff", "format", "--line-length", "60", "scripts"], cwd=done.folder, check=True)
    study = done.folder / "studies/tiny.yaml"
    study.write_text("# a comment\n" + yaml.safe_dump(yaml.safe_load(study.read_text()), default_flow_style=True))
    assert done.planned() == {}


class Reword(ast.NodeTransformer):
    """Give every message, log line and help text of a program or module other words."""

    def visit_Raise(self, node):
        if isinstance(node.exc, ast.Call) and node.exc.args:
            node.exc.args[0] = ast.Constant("other words")
        return node

    def visit_Call(self, node):
        self.generic_visit(node)
        if getattr(node.func, "id", None) == "print":
            node.args = [ast.Constant("other words")]
        if getattr(node.func, "attr", None) == "add_argument":
            node.keywords = [word for word in node.keywords if word.arg != "help"]
        return node


def test_messages_log_lines_and_help(done):
    reworded = 0
    for file in done.folder.glob("scripts/**/*.py"):
        before = ast.parse(file.read_text())
        after = ast.unparse(Reword().visit(ast.parse(file.read_text())))
        reworded += after != ast.unparse(before)
        file.write_text(after)
    assert reworded > 40
    assert done.planned() == {}


def test_helpers_that_store_plan_and_speak(done):
    """Renamed, moved or changed, they retrain nothing, nor does anything else run again."""
    for file in done.folder.glob("scripts/**/*.py"):
        file.write_text(re.sub(r"\batomic_write\b", "write_completely", file.read_text()))
    for module in ("storage/atomic.py", "workflow/resources.py", "cli.py", "errors.py"):
        with open(done.folder / "scripts/actdim" / module, "a") as file:
            file.write("\n\ndef another_helper():\n    return 1\n")
    assert done.planned() == {}


def test_new_setting_with_a_default(done):
    edit(
        done,
        "scripts/actdim/training/settings.py",
        "    threads: Count = ",
        "    label_smoothing: NonNegative = 0.0\n    threads: Count = ",
    )
    assert done.planned() == {}


def test_changed_default(done):
    edit(
        done, "scripts/actdim/training/settings.py", "    momentum: Rate = Field(0.0", "    momentum: Rate = Field(0.5"
    )
    assert done.planned() == BEHIND_TRAINING | {"train": 3}
    done.write(changed(training={"momentum": 0.0}))  # as it was trained
    assert done.planned() == {}


def test_fresh_clone_over_existing_results(done, tmp_path):
    clone = copy_project(tmp_path / "clone")
    clone.write()
    for file in clone.folder.rglob("*"):
        os.utime(file)
    for kept in ("results", ".snakemake"):
        (done.folder / kept).rename(clone.folder / kept)
    assert clone.planned() == {}


def test_fresh_clone_over_results_without_snakemakes_records(done, tmp_path):
    clone = copy_project(tmp_path / "clone")
    clone.write()
    (done.folder / "results").rename(clone.folder / "results")
    assert clone.planned() == {}


def test_estimator_setting(done):
    done.write(estimators={"twonn": {"fraction": 0.9}})
    assert done.planned() == BEHIND_ESTIMATOR


def test_estimator_code(done):
    edit(done, "scripts/actdim/estimators/twonn.py", "require_points(count)", "require_points(count + 1)")
    assert done.planned() == BEHIND_ESTIMATOR


def test_code_of_another_estimator(done):
    edit(done, "scripts/actdim/estimators/gride.py", "HIGHEST = 1e-3, 1e4", "HIGHEST = 1e-3, 1e5")
    assert done.planned() == {}


def test_second_estimator(done):
    done.write(estimators={"twonn": {}, "twonn_fit": {}})
    assert done.planned() == {"estimate_id": 9, **BEHIND_ESTIMATES}


def test_neighbor_method(done):
    done.write(neighbors={"method": "pynndescent"})
    assert done.planned() == BEHIND_SEARCH


def test_k(done):
    done.write(neighbors={"method": "exact", "k": 8})
    assert done.planned() == BEHIND_SEARCH


def test_neighbor_code(done):
    edit(done, "scripts/actdim/neighbors/audit.py", "AUDITED = 500", "AUDITED = 501")
    assert done.planned() == BEHIND_SEARCH


def test_another_epoch_to_dump(done):
    """What compares with the checkpoint before runs again at the one that is there."""
    done.write(changed(activations={"at": [2, 4]}))
    assert done.planned() == BEHIND_DUMPS | {"dump_activations": 3, "measure_neighborhoods": 6}


def test_training_samples_and_classes_too(done):
    """They join: what was measured stays, and nothing is trained."""
    done.write(changed(activations={"split": ["validation", "train"], "by_class": True}))
    assert done.planned() == BEHIND_ESTIMATES | {"dump_activations": 3, "find_neighbors": 27, "estimate_id": 27}


def test_principal_components_too(done):
    done.write(estimators={"twonn": {}, "pca": {}})
    assert done.planned() == BEHIND_ESTIMATES | {"estimate_pca": 6, "estimate_null": 3}  # pca is the first estimator


def test_layer_added_to_the_dump(done):
    done.write(changed(activations={"layers": ["input", "hidden1", "hidden2", "hidden2.0"]}))
    assert done.planned() == BEHIND_DUMPS | {"dump_activations": 3, "find_neighbors": 12, "estimate_id": 12}


def test_dump_code(done):
    edit(done, "scripts/actdim/activations/limits.py", "BATCH = 100", "BATCH = 90")
    assert done.planned() == BEHIND_DUMPS | {"dump_activations": 3}


def test_stage_appended(done):
    """The new stage goes on from the last checkpoint; the first is not trained again, and its results stay."""
    before = {file: file.stat().st_mtime_ns for file in done.folder.glob("results/tiny/*/*/checkpoints/to~4/*.pt")}
    assert len(before) == 3 * 2
    study = changed(training={"epochs": [4, 6]}, activations={"at": [4, 6]})
    done.write(study)
    assert done.planned() == BEHIND_TRAINING | {"train": 3}
    done.snakemake()
    assert before == {file: file.stat().st_mtime_ns for file in before}
    assert len(list(done.folder.glob("results/tiny/*/*/checkpoints/to~6/00006.pt"))) == 3
    assert done.planned() == {}


def test_kept_epoch_inside_a_finished_stage(done):
    done.write(changed(training={"epochs": [4, 6]}, checkpoints=[2, 4], activations={"at": [4, 6]}))
    done.snakemake()
    done.write(changed(training={"epochs": [4, 6]}, checkpoints=[2, 4, 5], activations={"at": [4, 6]}))
    assert done.planned() == BEHIND_TRAINING | {"train": 3}


def test_training_setting(done):
    done.write(changed(training={"lr": 0.05}))
    assert done.planned() == BEHIND_TRAINING | {"train": 3}


def test_model_setting(done):
    done.write(changed(model={"width": 8}))
    assert done.planned() == BEHIND_TRAINING | {"train": 3}


def test_data_set_setting(done):
    done.write(changed(dataset={"train_size": 299}))
    assert done.planned() == BEHIND_TRAINING | {"train": 3}


def test_data_set_code(done):
    edit(
        done, "scripts/actdim/datasets/digits.py", 'images, labels, SIZES["train"]', 'images, labels, SIZES["train"], 1'
    )
    assert done.planned() == BEHIND_TRAINING | {"train": 3}


def test_training_code(done):
    edit(done, "scripts/actdim/training/limits.py", "EVALUATED_SAMPLES = 1024", "EVALUATED_SAMPLES = 512")
    assert done.planned() == BEHIND_TRAINING | {"train": 3}


def test_model_code(done):
    edit(done, "scripts/actdim/models/mlp.py", "nn.ReLU()", "nn.GELU()")
    assert done.planned() == BEHIND_TRAINING | {"train": 3}


def test_code_of_another_model_or_data_set(done):
    edit(done, "scripts/actdim/models/resnet18.py", "nn.ReLU(inplace=True)", "nn.GELU()")
    edit(done, "scripts/actdim/datasets/modular.py", 'ge=3, description="a prime")] = 97', "ge=2)] = 89")
    edit(
        done,
        "scripts/actdim/registry.py",
        '"mlp": "actdim.models.mlp:mlp",',
        '"mlp": "actdim.models.mlp:mlp", "other": "x:y",',
    )
    assert done.planned() == {}


def test_seed_added(done):
    """New runs are trained; the others are not."""
    done.write(changed(seeds=[0, 1]))
    assert done.planned() == BEHIND_TRAINING | {
        "train": 3,
        "dump_activations": 3,
        "find_neighbors": 9,
        "estimate_id": 9,
    }


def test_another_study(done):
    """A study that joins costs its own jobs only."""
    done.write(changed(grid=[{"weight_decay": [0]}], figures=[]), name="second")
    done.write(studies=["tiny", "second"])
    assert done.planned() == BEHIND_TRAINING | {
        "train": 1,
        "dump_activations": 1,
        "find_neighbors": 3,
        "estimate_pca": 1,
        "estimate_null": 1,
        "measure_neighborhoods": 1,
        "estimate_id": 3,
    }


def test_figure_code(done):
    edit(done, "scripts/plot_llid.py", 'marker="o"', 'marker="s"')
    assert done.planned() == {"plot_llid": 1, "describe_results": 1}


def test_code_of_the_predictors(done):
    edit(done, "scripts/actdim/tables/predictors.py", "RESAMPLES = 2_000", "RESAMPLES = 3_000")
    assert done.planned() == BEHIND_PREDICTORS


def test_activations_that_are_not_kept(done):
    """Deleted when nothing needs them any more, and dumped again from the checkpoints when something does."""
    files = sorted(done.folder.glob("results/tiny/*/*/activations/*.h5"))
    before = pd.read_csv(done.folder / "results/tables/id.csv")["id"]
    done.write(changed(activations={"keep": False}))
    assert done.planned() == {}
    for file in files:
        file.unlink()
    assert done.planned() == {}
    done.write(changed(activations={"keep": False}), estimators={"twonn": {"fraction": 0.9}})
    assert not {"train", "dump_activations_for_a_while", "find_neighbors"} & done.planned().keys()
    done.write(changed(activations={"keep": False}), neighbors={"method": "exact", "seed": 1})
    assert done.planned() == BEHIND_DUMPS | {"dump_activations_for_a_while": 3}
    done.snakemake()
    assert not any(file.exists() for file in files)
    assert done.planned() == {}
    pd.testing.assert_series_equal(pd.read_csv(done.folder / "results/tables/id.csv")["id"], before)


def test_why_jobs_run_again_is_said_in_words(done):
    edit(done, "scripts/actdim/models/mlp.py", "nn.ReLU()", "nn.GELU()")
    done.write(changed(training={"lr": 0.05, "momentum": 0.5}), estimators={"twonn": {"fraction": 0.8}})
    said = done.snakemake("-n", "--quiet").stderr.splitlines()
    settings = "training.lr is 0.05 and was 0.1; training.momentum is 0.5 and was its default"
    assert f"tiny: train runs again for 3 results: {settings}; actdim/models/mlp.py has changed" in said
    assert "tiny: dump_activations runs again for 3 results: actdim/models/mlp.py has changed" in said
    assert "tiny: estimate_id runs again for 9 results: fraction is 0.8 and was its default" in said
    assert "tiny: estimate_null runs again for 3 results: fraction is 0.8 and was its default" in said


def test_results_say_themselves_what_made_them(done):
    """Without Snakemake's records, what was changed runs again, and no more."""
    shutil.rmtree(done.folder / ".snakemake")
    assert done.planned() == {}
    done.write(changed(training={"lr": 0.05}))
    assert done.planned() == BEHIND_TRAINING | {"train": 3}
    done.write(estimators={"twonn": {"fraction": 0.8}})
    assert done.planned() == BEHIND_ESTIMATOR
    done.snakemake()
    assert done.planned() == {}


def test_records_that_are_not_known(done):
    """Those of another version, or in a database: changes are told, and how to run the jobs again."""
    edit(done, "scripts/actdim/workflow/records.py", 'KNOWN_VERSION = "9.27."', 'KNOWN_VERSION = "9.0."')
    done.write(estimators={"twonn": {"fraction": 0.8}})
    told = done.snakemake("-n", "--quiet").stderr
    assert "tiny: estimate_id runs again for 9 results: fraction is 0.8 and was its default" in told
    assert "snakemake --forcerun RULE" in told
    assert "--forcerun" not in done.snakemake("-n", "--quiet", "--config", "estimators={twonn: {}}").stderr


def test_a_harmless_change_is_recorded_by_touch(done):
    edit(done, "scripts/actdim/models/mlp.py", "nn.ReLU()", "nn.ReLU(inplace=False)")
    assert done.planned()["train"] == 3
    done.snakemake("--touch")
    assert done.planned() == {}
    assert "runs again" not in done.snakemake("-n", "--quiet").stderr
    shutil.rmtree(done.folder / ".snakemake")  # which has the record
    assert done.planned()["train"] == 3
