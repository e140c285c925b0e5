"""The table of all measures, the correlations by study and sweep, and the text that describes them."""

import copy
import io
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from actdim.errors import UserError
from actdim.measures.table import MEASURES
from actdim.storage.json_files import write_json
from actdim.tables import measures, predictors
from actdim.tables.columns import CHECKPOINT_METRICS
from actdim.tables.findings import describe_findings
from actdim.tables.id import id_table
from actdim.tables.summary import summary_table
from conftest import ROOT, STUDY
from test_tables import by_layer, estimates

SPECTRUM = ["participation_ratio", "unbiased_participation_ratio", "stable_rank", "rankme", "alpha_req"]
NORMS = [*MEASURES["norms"].columns]
NEIGHBORHOODS = [*MEASURES["neighborhoods"].columns]
ABLATION = ["validation_ablation_area", "train_ablation_area", "mean_selectivity"]


def through_csv(table):
    """Return a table as it is read after being written as CSV."""
    return pd.read_csv(io.StringIO(table.to_csv(index=False)))


def summarized(change=lambda estimate: None):
    """Return the summary of test_tables' study after a change to each estimate."""
    made = estimates(by_layer)
    for estimate in made:
        change(estimate)
    return through_csv(summary_table(*id_table(made)))


def source(at=2, study="made", **chosen):
    """Return what a measure's file says about its run and checkpoint."""
    metrics = {"train_accuracy": 1.0, "validation_accuracy": 0.5, "train_loss": 0.1, "validation_loss": 2.0}
    chosen = {"weight_decay": 0.01, "dropout": 0, "seed": 1} | chosen
    return {"study": study, "chosen": chosen, "checkpoint": at, **metrics, "weight_norm": 7.0, "unit": "epochs"}


def made_by(rule):
    """Return what a result says about the program that made it."""
    return {"made_by": {"program": f"{rule}.py"}}


def ablated(layer, validation, selectivity=0.25, **of):
    """Return the content of a file of one layer's single directions."""
    area = {"train": 0.9, "validation": validation}
    return {
        **{"area": area, "mean_selectivity": selectivity, "layer": layer, "source": source(**of)},
        **made_by("measure_directions"),
    }


def components(ratio, feeds_classifier=True, **of):
    """Return the content of a file of a layer's principal components."""
    spectrum = {"unbiased_participation_ratio": 8.0, "stable_rank": 3.0, "rankme": 20.0, "alpha_req": None}
    return {
        **{"id": ratio, **spectrum, "undefined": {"alpha_req": "9 eigenvalues, fewer than 20"}},
        **{"source": source(**of) | {"feeds_classifier": feeds_classifier}, **made_by("estimate_pca")},
    }


def dimension(over_bound, **of):
    """Return the content of a file of a functional dimension."""
    return {"over_bound": over_bound, "source": source(**of), **made_by("measure_functional_dimension")}


def test_every_measure_is_a_column_and_empty_where_it_was_not_taken():
    table = measures.measures_table(summarized(), "twonn", [])
    assert list(table) == [
        *("study", "weight_decay", "dropout", "seed", "checkpoint", "estimator"),
        *("llid", "pid", "pid_over_llid", "train_llid", "train_pid", "train_pid_over_llid", "llid_over_null"),
        *("id_null", *SPECTRUM, *NEIGHBORHOODS, *ABLATION, "functional_dimension_over_bound", *NORMS),
        *("weight_norm", "train_accuracy", "validation_accuracy", "train_loss", "validation_loss"),
        *("generalization_gap", "reason"),
    ]
    assert len(table) == 5 * 2 * 2
    assert table[[*measures.OTHER_COLUMNS]].isna().all(axis=None)
    row = table.query("weight_decay == 0.1 and seed == 1 and checkpoint == 2").iloc[0]
    assert (row.llid, row.pid_over_llid) == pytest.approx((7, 3))
    assert row.generalization_gap == pytest.approx(0.2)


def test_probes_join_the_row_of_their_run_and_checkpoint():
    """However numbers are written; the mean is over the layers that have a value."""
    probes = [ablated("stem", 0.2), ablated("pool", 0.6, None), dimension(0.1, dropout=0.0)]
    probes += [components(7.5), components(30.0, feeds_classifier=False)]
    before, table = (measures.measures_table(summarized(), "twonn", some) for some in ([], probes))
    assert len(table) == len(before)
    row = table[table["mean_selectivity"].notna()]
    assert row[["weight_decay", "dropout", "seed", "checkpoint"]].to_numpy().tolist() == [[0.01, 0, 1, 2]]
    assert row[[*measures.OTHER_COLUMNS]].to_numpy()[0] == pytest.approx(
        [np.nan, 7.5, 8, 3, 20, np.nan, *[np.nan] * 6, 0.4, 0.9, 0.25, 0.1, *[np.nan] * 9], nan_ok=True
    )
    assert row["reason"].item().startswith("alpha-ReQ: 9 eigenvalues, fewer than 20")
    assert row["llid"].item() == pytest.approx(9.7)
    assert row["validation_accuracy"].item() == pytest.approx(0.89), "as the summary says"
    rest = table.drop(columns=[*measures.OTHER_COLUMNS, "reason"])
    pd.testing.assert_frame_equal(rest, before.drop(columns=[*measures.OTHER_COLUMNS, "reason"]), check_dtype=False)


def test_probes_of_other_checkpoints_and_studies_have_rows_of_their_own():
    """These rows have accuracies but no IDs."""
    other = dimension(0.3, study="other") | {"source": source(study="other", at=5, optimizer="sgd")}
    other["source"]["chosen"] = {"optimizer": "sgd", "seed": 0}
    table = measures.measures_table(summarized(), "twonn", [ablated("stem", 0.2, at=3), other])
    assert len(table) == 22
    alone = table[table["llid"].isna()].set_index("study")
    assert alone.loc["made", ["checkpoint", "validation_ablation_area", "weight_norm"]].tolist() == [3, 0.2, 7]
    assert alone.loc["other", ["optimizer", "functional_dimension_over_bound"]].tolist() == ["sgd", 0.3]
    assert alone["generalization_gap"].tolist() == [0.5, 0.5]
    assert list(table)[1:5] == ["weight_decay", "dropout", "optimizer", "seed"]


def test_a_diverged_run_harms_no_other():
    def diverge(estimate):
        if estimate["source"]["chosen"]["weight_decay"] == 0.1:
            estimate["id"] = None
            estimate["source"] |= dict.fromkeys([*CHECKPOINT_METRICS])

    lost = ablated("stem", None, None, weight_decay=0.1) | {"area": {"train": None, "validation": None}}
    lost["source"] |= dict.fromkeys([*CHECKPOINT_METRICS])
    table = measures.measures_table(summarized(diverge), "twonn", [lost, ablated("stem", 0.2)])
    of_lost = table["weight_decay"] == 0.1
    assert (
        table.loc[of_lost, [*measures.MEASURE_COLUMNS, *CHECKPOINT_METRICS, "generalization_gap"]].isna().all(axis=None)
    )
    assert table.loc[~of_lost, ["llid", "generalization_gap"]].notna().all(axis=None)
    assert table["validation_ablation_area"].notna().sum() == 1
    found = predictors.predictors_table(through_csv(table))
    assert found.query("measure == 'llid'").n.max() == 8


def test_the_training_split_of_a_study_that_has_no_other():
    table = summarized()
    table.loc[table["llid"] < 9, "split"] = "train"
    assert measures.measures_table(table, "twonn", [])["llid"].min() > 9, "it has validation samples"
    table["split"] = "train"
    assert len(measures.measures_table(table, "twonn", [])) == 20


def test_ids_of_training_samples_are_measures_of_their_own():
    """In their run's row, whatever the order of the rows; a run without them has none."""
    validation = summarized()
    train = validation.assign(split="train", llid=validation["llid"] / 2, pid=validation["pid"] + 1)
    train["pid_over_llid"] = train["pid"] / train["llid"]
    some = pd.concat([train[5:][::-1], validation], ignore_index=True)
    table = measures.measures_table(some, "twonn", []).dropna(subset="train_llid")
    assert len(table) == 15
    for column, expected in (("llid", table["llid"] / 2), ("pid", table["pid"] + 1)):
        pd.testing.assert_series_equal(table[f"train_{column}"], expected, check_names=False)
    assert table["train_pid_over_llid"].tolist() == pytest.approx(table["train_pid"] / table["train_llid"])
    alone = measures.measures_table(train, "twonn", [])
    assert alone["llid"].tolist() == alone["train_llid"].tolist()


def test_an_estimator_that_the_summary_lacks():
    with pytest.raises(UserError, match="no rows of the estimator gride"):
        measures.measures_table(summarized(), "gride", [])


def runs(rng, study="made", **values):
    """Return rows of measures.csv: two sweeps of 8 runs that share the first; LLID correlates with both targets."""
    settings = [(w, 0.0) for w in (0, 1, 2, 3)] + [(0.0, d) for d in (0.1, 0.2, 0.3)]
    rows = pd.DataFrame(
        [{"study": study, "weight_decay": w, "dropout": d, "seed": s} for w, d in settings for s in (0, 1)]
    )
    strength = rows["weight_decay"] + 10 * rows["dropout"]
    rows = rows.assign(checkpoint=2, estimator="twonn", **dict.fromkeys(measures.MEASURE_COLUMNS, np.nan))
    rows["validation_accuracy"] = 0.9 + 0.01 * strength + 0.001 * rng.random(len(rows))
    rows["generalization_gap"] = 1 - rows["validation_accuracy"]
    return rows.assign(llid=10 - strength + 0.1 * rng.random(len(rows)), **values)


def test_correlations_by_study_sweep_measure_and_target():
    rng = np.random.default_rng(0)
    table = runs(rng, pid=rng.random(14))
    early = table.assign(checkpoint=1, weight_norm=table["llid"])
    other = runs(rng, "other")[:2]
    found = predictors.predictors_table(pd.concat([early, table, other], ignore_index=True))
    assert list(found) == [
        *("study", "sweep", "measure", "target", "checkpoint", "n", "n_settings"),
        *("pearson_r", "pearson_low", "pearson_high", "spearman_r", "spearman_low", "spearman_high"),
        *("kendall_tau", "kendall_low", "kendall_high"),
    ]
    llid = found.query("study == 'made' and measure == 'llid'").set_index(["sweep", "target"])
    assert set(llid.index) == {(s, t) for s in ("all", "weight_decay", "dropout") for t in predictors.TARGETS}
    assert llid["n"].to_dict() == {(s, t): 14 if s == "all" else 8 for s, t in llid.index}
    assert llid.loc[("all", "validation_accuracy"), "spearman_high"] < 0
    assert llid.loc[("all", "generalization_gap"), "kendall_low"] > 0
    assert llid.drop("all", level="sweep")["spearman_high"].isna().all(), "of four settings, with two seeds each"
    at = found.query("study == 'made' and sweep == 'all'").groupby("measure")["checkpoint"].first()
    assert (at["llid"], at["pid"], at["weight_norm"]) == (2, 2, 1), "the last at which it was taken"
    assert pd.isna(at["mean_selectivity"])
    assert found.query("measure == 'mean_selectivity'").n.max() == 0
    assert found.query("study == 'other'")["spearman_r"].isna().all()
    pd.testing.assert_frame_equal(found, predictors.predictors_table(pd.concat([early, table, other])))


def made_predictors(*rows):
    """Return the predictors of one study and target from rows of (sweep, measure, n, r, low, high)."""
    columns = ["sweep", "measure", "n", "spearman_r", "spearman_low", "spearman_high"]
    table = pd.DataFrame(rows, columns=columns)
    return table.assign(study="made", target="validation_accuracy", checkpoint=2)


def items(table):
    """Return the items of the text on one study and target, each as one line."""
    *_, section = describe_findings(table).split("\n\n")
    _, _, text = section.split("\n", 2)
    return [" ".join(item.split()) for item in text.removeprefix("- ").split("\n- ")]


def test_the_reading_says_what_the_intervals_allow():
    table = made_predictors(
        ("all", "llid", 14, -0.9, -0.98, -0.7),
        ("all", "pid", 14, 0.5, 0.2, 0.75),
        ("all", "weight_norm", 14, 0.3, 0.1, 0.6),
        ("all", "mean_selectivity", 14, 0.1, -0.3, 0.5),
        ("weight_decay", "llid", 8, -0.9, -1, -0.6),
        ("dropout", "llid", 8, 0.1, -0.5, 0.6),
        ("weight_decay", "pid", 8, 0.3, -0.5, 0.7),
        ("dropout", "pid", 8, 0.3, -0.5, 0.7),
        ("weight_decay", "weight_norm", 8, 0.8, 0.5, 0.9),
        ("dropout", "weight_norm", 8, -0.8, -0.9, -0.5),
        ("weight_decay", "mean_selectivity", 8, 0, -0.5, 0.5),
        ("dropout", "mean_selectivity", 8, 0.7, 0.4, 1),
        ("dropout at weight_decay=9", "mean_selectivity", 4, 1, None, None),
    )
    assert items(table) == [
        "Over all 14 runs, the interval excludes 0 for LLID (-0.90; -0.98 to -0.70), PID (0.50; 0.20 to 0.75) and"
        " weight norm (0.30; 0.10 to 0.60).",
        "It includes 0 for mean selectivity.",
        "The largest |r| is that of LLID; its interval overlaps with that of PID.",
        "The same sign within the sweep of weight_decay, no clear sign within the sweep of dropout: LLID.",
        "No clear sign within the sweeps of weight_decay and dropout, so differences between sweeps may be the cause:"
        " PID.",
        "The same sign within the sweep of weight_decay, the opposite sign within the sweep of dropout: weight norm.",
        "Not over all runs, but within single sweeps: mean selectivity (positive within the sweep of dropout).",
    ]


def test_the_reading_of_one_sweep_and_of_several_checkpoints():
    table = made_predictors(
        ("all", "llid", 8, -0.9, -0.98, -0.7),
        ("all", "pid", 6, 0.1, -0.2, 0.4),
        ("weight_decay", "llid", 8, -0.9, -0.98, -0.7),
        ("weight_decay", "pid", 6, 0.1, -0.2, 0.4),
    )
    table["checkpoint"] = [2, 1, 2, 1]
    assert items(table) == [
        "Over all runs (6 to 8), the interval excludes 0 for LLID (-0.90; -0.98 to -0.70).",
        "It includes 0 for PID.",
        "The largest |r| is that of LLID; the intervals of all others are below its interval.",
        "All runs belong to one sweep, of weight_decay.",
        "Measured at different checkpoints: LLID at 2; PID at 1.",
    ]


def test_the_reading_claims_nothing_without_intervals():
    few = made_predictors(("all", "llid", 5, -1.0, None, None), ("weight_decay", "llid", 5, -1.0, None, None))
    assert items(few) == ["No intervals: too few runs, or values that do not vary."]
    unclear = made_predictors(("all", "llid", 9, -0.3, -0.8, 0.3), ("all", "pid", 9, 0.9, -0.1, 1))
    assert items(unclear)[:2] == [
        "Over all 9 runs, every interval includes 0: no measure is shown to correlate with it.",
        "No single sweep has enough runs for an interval.",
    ]


def test_programs_on_probes_of_the_real_workflow(finished, tmp_path):
    """Probes of a real run, at a checkpoint with IDs and one without: one table, one text, one figure."""
    folder = finished.folder / "results/tables"
    table = pd.read_csv(folder / "measures.csv")
    assert table[["llid", "pid", "participation_ratio", "weight_norm", "generalization_gap"]].notna().all(axis=None)
    assert table[[*ABLATION, "functional_dimension_over_bound"]].isna().all(axis=None)
    assert "too few runs" in (folder / "predictors.txt").read_text()
    assert "predictors.txt" in (finished.folder / "results/report.html").read_text()
    assert pd.read_csv(folder / "predictors.csv").query("sweep == 'weight_decay'").n.max() == 3

    of_run = json.loads(next(finished.folder.glob("results/tiny/weight_decay~0.01/**/id/**/input.json")).read_text())
    for at in (2, 4):
        probe = dimension(0.5) | {"source": copy.deepcopy(of_run["source"]) | {"checkpoint": at}}
        write_json(tmp_path / f"{at}.json", probe)
    command = (
        f"printf '%s\\n' {tmp_path}/*.json | scripts/tabulate_measures.py --summary {folder}/summary.csv"
        f" --estimator twonn --output {tmp_path}/m.csv && scripts/tabulate_predictors.py --measures {tmp_path}/m.csv"
        f" --predictors {tmp_path}/p.csv --findings {tmp_path}/p.txt && scripts/plot_predictors.py"
        f" --predictors {tmp_path}/p.csv --svg {tmp_path}/p.svg --png {tmp_path}/p.png"
    )
    done = finished.run("bash", "-c", command)
    assert done.returncode == 0, done.stderr
    joined = pd.read_csv(tmp_path / "m.csv")
    assert len(joined) == len(table) + 1
    assert joined.query("weight_decay == 0.01").functional_dimension_over_bound.tolist() == [0.5, 0.5]
    assert joined.query("checkpoint == 2").llid.isna().all()
    assert (tmp_path / "p.svg").read_text().startswith("<?xml")


def test_a_figure_of_five_studies(project, tmp_path):
    rng = np.random.default_rng(0)
    table = pd.concat([runs(rng, f"study{i}", pid=rng.random(14)) for i in range(4)] + [runs(rng, "few")[:2]])
    predictors.predictors_table(table).to_csv(tmp_path / "p.csv", index=False)
    command = f"scripts/plot_predictors.py --predictors {tmp_path}/p.csv --svg {tmp_path}/p.svg --png {tmp_path}/p.png"
    done = project.run(*command.split())
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_measures_of_checkpoints_in_the_workflow(done):
    """A job for each checkpoint; a study's setting comes before the configuration's; a changed one reruns it alone."""
    study = STUDY | {
        "directions": {"at": [4], "layers": ["hidden2"], "orders": 2},
        "functional_dimension": {"at": [2, 4], "samples": 20},
    }

    def planned(study):
        done.write(study, functional_dimension={"samples": 30, "split": "validation"})
        planned = done.planned()
        assert not {"train", "dump_activations", "find_neighbors", "estimate_id"} & planned.keys()
        return [planned.get(rule, 0) for rule in ("measure_directions", "measure_functional_dimension")]

    assert planned(study) == [3, 6]
    run = "results/tiny/weight_decay~0/seed~0"
    files = [f"{run}/functional_dimension/{at:05d}.json" for at in (2, 4)]
    done.snakemake(f"{run}/directions/00004/hidden2.json", *files)
    for at, name in zip((2, 4), files, strict=True):
        result = json.loads((done.folder / name).read_text())
        assert result["samples"] == 20
        assert (result["source"]["checkpoint"], result["source"]["split"]) == (at, "validation")
    assert planned(study) == [2, 4]
    assert planned(study | {"functional_dimension": {"at": [2, 4], "samples": 10}}) == [2, 6]
    assert planned(study | {"directions": study["directions"] | {"orders": 3}}) == [3, 4]


ENTRY = '''

class BiasNorm(Settings):
    """How to measure the norm of the biases."""

    order: int = 2


MEASURES["bias_norm"] = Measure(
    "bias_norm",
    rule="measure_bias_norm",
    path="bias_norm/{at}.json",
    columns={"bias_norm": "norm of the biases"},
    values=lambda result: {"bias_norm": result["norm"]},
    settings=BiasNorm,
    work=lambda *_: work.Work(passes=0, flops=0, memory=0),
)
'''
PROGRAM = """#!/usr/bin/env python
import argparse
from pathlib import Path

import torch
from actdim import cli, plugins
from actdim.cli import add_expect, add_set, read_set
from actdim.measures.table import BiasNorm
from actdim.provenance import made_by, settings_that_count
from actdim.storage.json_files import write_json
from actdim.training.trained_model import load_trained
from actdim.validation import check


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--output", type=Path)
    add_set(parser, "a setting")
    add_expect(parser)
    arguments = parser.parse_args()
    settings = check(BiasNorm, read_set(arguments.set), "--set")
    trained = load_trained(arguments.checkpoint, arguments.expect)
    biases = [values.flatten() for name, values in trained.model.named_parameters() if name.endswith("bias")]
    norm = torch.cat(biases).norm(settings.order).item()
    made = made_by(__file__, *plugins.run_functions(trained.settings), settings=settings_that_count(settings))
    write_json(arguments.output, {"norm": norm, "source": trained.source, "made_by": made})


if __name__ == "__main__":
    cli.run(main)
"""


FIGURE = """#!/usr/bin/env python
from actdim import cli
from actdim.figures import parse_arguments, plt, save_figure, select_rows
from actdim.tables.files import read_csv


def main():
    arguments = parse_arguments("", "measures")
    rows = select_rows(read_csv(arguments.measures, "bias_norm"), study=arguments.study)
    figure, axis = plt.subplots()
    axis.plot(rows["checkpoint"], rows["bias_norm"], "o")
    save_figure(figure, arguments)


if __name__ == "__main__":
    cli.run(main)
"""


def write_program(project, name, text):
    program = project.folder / f"scripts/{name}.py"
    program.write_text(text)
    program.chmod(0o755)


def test_a_new_measure_and_its_figure_are_an_entry_and_a_program_each(done):
    """Rules, the section of a study, targets, columns, correlations and the place in the report follow."""
    scripts = done.folder / "scripts"
    with open(scripts / "actdim/measures/table.py", "a") as table:
        table.write(ENTRY)
    write_program(done, "measure_bias_norm", PROGRAM)
    entry = 'Figure("grokking", '
    figures = (scripts / "actdim/study/figures.py").read_text()
    assert figures.count(entry) == 1
    figures = figures.replace(entry, f'Figure("biases", "Norm of the biases", ("measures",)),\n        {entry}')
    (scripts / "actdim/study/figures.py").write_text(figures)
    write_program(done, "plot_biases", FIGURE)
    (done.folder / "report/biases.rst").write_text("The norm of the biases.\n")
    done.write(STUDY | {"bias_norm": {"at": [2, 4], "order": 1}, "figures": [*STUDY["figures"], "biases"]})
    planned = done.planned()
    assert (planned["measure_bias_norm"], planned["plot_biases"]) == (6, 1)
    assert not {"train", "dump_activations", "find_neighbors", "estimate_id"} & planned.keys()
    done.snakemake("results/tables/predictors.csv", "results/figures/tiny/biases.svg")
    assert "<svg" in (done.folder / "results/figures/tiny/biases.svg").read_text()
    table = pd.read_csv(done.folder / "results/tables/measures.csv")
    assert len(table) == 6
    assert (table["bias_norm"] > 0).all()
    predictors = pd.read_csv(done.folder / "results/tables/predictors.csv")
    assert predictors.query("measure == 'bias_norm'")["spearman_r"].notna().any()
    done.write(STUDY | {"bias_norm": {"at": [2, 4], "ordre": 1}})
    refused = done.run("snakemake", "-n")
    assert "bias_norm.ordre: unknown key; did you mean order?" in refused.stderr + refused.stdout


def test_planning_does_not_import_torch():
    """Importing it takes seconds, and each job on a cluster starts a Snakemake."""
    modules = "actdim.study.study, actdim.study.targets, actdim.measures.table, actdim.workflow.resources"
    code = f"import sys, {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT / "scripts", check=True)
