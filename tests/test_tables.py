"""Tables of estimates with known results."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from actdim.storage.json_files import write_json
from actdim.tables.columns import CHECKPOINT_METRICS
from actdim.tables.correlations import correlate, correlations_table
from actdim.tables.id import id_table
from actdim.tables.missing import describe_copies
from actdim.tables.summary import summary_table
from actdim.tables.sweeps import combinations, sweeps
from programs import run_program
from scipy import stats


def estimates(value=lambda weight_decay, dropout, seed, layer, at: 1.0):
    """Return the JSON contents of a study: two sweeps that share their first run, two seeds, two checkpoints."""
    settings = [(w, 0.0) for w in (0.0, 0.01, 0.1)] + [(0.0, d) for d in (0.1, 0.2)]
    return [
        {
            "id": value(w, d, seed, layer, at),
            "low": 0.5,
            "high": 1.5,
            "n_points": 100,
            "n_dropped": 0,
            "recall": 1.0,
            "estimator": "twonn",
            "source": {
                "study": "made",
                "chosen": {"weight_decay": w, "dropout": d, "seed": seed},
                "checkpoint": at,
                "layer": layer,
                "depth": depth,
                "feeds_classifier": layer == "pool",
                "train_accuracy": 1.0,
                "validation_accuracy": 0.9 - w,
                "train_loss": 0.1,
                "validation_loss": 0.2,
                "weight_norm": 3.0,
                "split": "validation",
            },
        }
        for w, d in settings
        for seed in (0, 1)
        for at in (1, 2)
        for depth, layer in enumerate(("input", "stem", "pool"))
    ]


def by_layer(w, d, seed, layer, at):
    """Return 50 for the input, 20 + seed for the stem, 10 - 30 w - 20 d for the pool."""
    return {"input": 50.0, "stem": 20.0 + seed, "pool": 10 - 30 * w - 20 * d}[layer]


def test_summary():
    ids, settings = id_table(estimates(by_layer))
    assert settings == ["weight_decay", "dropout", "seed"]
    summary = summary_table(ids, settings)
    assert len(summary) == 5 * 2 * 2
    row = summary.query("weight_decay == 0.1 and dropout == 0 and seed == 1 and checkpoint == 2").iloc[0]
    assert row.llid == pytest.approx(7)
    assert (row.pid, row.pid_layer) == (21, "stem"), "the data are no layer"
    assert row.pid_over_llid == pytest.approx(3)
    assert row.validation_accuracy == pytest.approx(0.8)
    fixed = ["llid", "pid", "pid_layer", "pid_over_llid", *CHECKPOINT_METRICS]
    assert set(fixed) | {"study", "seed", "checkpoint", "estimator"} <= set(summary.columns)


def test_correlations_by_sweep():
    ids, settings = id_table(estimates(by_layer))
    table = correlations_table(summary_table(ids, settings), settings)
    assert set(table.sweep) == {"weight_decay", "dropout", "all"}
    llid = table.query("sweep == 'weight_decay' and x == 'weight_decay' and y == 'llid'").iloc[0]
    assert (llid.pearson_r, llid.spearman_r, llid.n) == (pytest.approx(-1), pytest.approx(-1), 6)
    ratio = table.query("sweep == 'weight_decay' and x == 'pid_over_llid'").iloc[0]
    w, seed = np.repeat([0, 0.01, 0.1], 2), np.tile([0, 1], 3)
    expected = stats.spearmanr((20 + seed) / (10 - 30 * w), 0.9 - w)
    assert ratio.spearman_r == pytest.approx(expected.statistic)
    assert ratio.spearman_p == pytest.approx(2 / 6), "of three settings"
    assert len(table.query("sweep == 'all'")) == 3


def test_sweeps_at_several_fixed_values_are_named_after_them():
    rows = [
        {"weight_decay": w, "train_fraction": f, "seed": 0, "llid": 1.0} for w in (0, 1, 2) for f in (0.1, 0.2, 0.3)
    ]
    names = [name for name, _, _ in sweeps(pd.DataFrame(rows), ["weight_decay", "train_fraction", "seed"])]
    assert names == [f"weight_decay at train_fraction={f}" for f in (0.1, 0.2, 0.3)] + [
        f"train_fraction at weight_decay={w}" for w in (0, 1, 2)
    ]


def test_studies_with_different_settings_share_a_table():
    """A setting that a study does not vary is empty in its rows; no value is lost."""
    other = estimates(by_layer)[:12]  # one setting, two seeds, two checkpoints
    for estimate in other:
        estimate["source"]["study"] = "other"
        estimate["source"]["chosen"] = {"optimizer": "sgd", "seed": estimate["source"]["chosen"]["seed"]}
    ids, settings = id_table([*estimates(by_layer), *other])
    assert settings == ["weight_decay", "dropout", "optimizer", "seed"]
    summary = summary_table(ids, settings)
    assert summary.query("study == 'other'").weight_decay.isna().all()
    assert summary[["llid", "pid", "pid_over_llid"]].notna().all(axis=None)
    assert set(correlations_table(summary, settings).query("study == 'made'").sweep) == {
        "weight_decay",
        "dropout",
        "all",
    }


def test_a_setting_that_is_a_name():
    rows = pd.DataFrame({"optimizer": ["sgd", "adam", "adamw"], "weight_decay": [0, 1, 2], "seed": 0})
    assert [name for name, _, _ in sweeps(rows[["optimizer", "seed"]], ["optimizer", "seed"])] == []
    names = [name for name, _ in combinations(rows, ["optimizer", "weight_decay", "seed"])]
    assert names == [
        "optimizer sgd, weight decay 0",
        "optimizer adam, weight decay 1",
        "optimizer adamw, weight decay 2",
    ]


def test_a_setting_that_is_true_or_false():
    rows = pd.DataFrame({"batch_norm": [True] * 3 + [False] * 3, "weight_decay": [0, 1, 2] * 2, "seed": 0})
    names = [name for name, _, _ in sweeps(rows, list(rows.columns))]
    assert names == ["weight_decay at batch_norm=false", "weight_decay at batch_norm=true"]
    assert combinations(rows, list(rows.columns))[0][0] == "batch norm true, weight decay 0"


def test_runs_of_a_model_that_lacks_a_setting():
    """They are a sweep like any other, and their combinations have their rows."""
    rows = pd.DataFrame(
        {
            "model.name": ["mlp"] * 3 + ["resnet18"] * 6,
            "dropout": [None] * 3 + [0.1] * 3 + [0.2] * 3,
            "weight_decay": [0, 1, 2] * 3,
            "batch_norm": [None] * 3 + [True] * 6,
            "seed": 0,
        }
    )
    settings = list(rows.columns)
    found = {name: runs.index.tolist() for name, _, runs in sweeps(rows, settings)}
    assert found == {
        "weight_decay at model.name=mlp, dropout=none": [0, 1, 2],
        "weight_decay at model.name=resnet18, dropout=0.1": [3, 4, 5],
        "weight_decay at model.name=resnet18, dropout=0.2": [6, 7, 8],
    }
    chosen = {name: select(rows).index.tolist() for name, select in combinations(rows, settings)}
    assert chosen["model.name mlp, dropout none, weight decay 1"] == [1]
    assert sorted(row for selected in chosen.values() for row in selected) == list(range(9))


def test_missing_values_are_empty_and_harm_no_other():
    def some(w, d, seed, layer, at):
        return None if layer == "pool" and w == 0.01 else by_layer(w, d, seed, layer, at)

    ids, settings = id_table(estimates(some))
    summary = summary_table(ids, settings)
    lost = summary.query("weight_decay == 0.01")
    assert lost.llid.isna().all()
    assert lost.pid_over_llid.isna().all()
    assert (lost.pid >= 20).all()
    assert summary.query("weight_decay != 0.01").llid.notna().all()
    table = correlations_table(summary, settings)
    assert table.query("sweep == 'weight_decay' and y == 'llid'").iloc[0].n == 4


def test_copies_are_told_by_study(tmp_path):
    rows = [("x", "a", 10, 0), ("x", "b", 8, 2), ("x", "c", 9, 1), ("y", "a", 10, 0), ("y", "pca", 10, None)]
    table = pd.DataFrame(rows, columns=["study", "layer", "n_points", "n_copies"])
    table.assign(checkpoint=4, estimator="twonn").to_csv(tmp_path / "id.csv", index=False)
    (line,) = describe_copies(tmp_path)
    assert line == (
        "x: exact copies of points are left out of the ID, layer b c, estimator twonn, checkpoint 4: "
        "up to 2 of 10 points, layer b at 4; the column `n_copies` of id.csv counts them"
    )


def test_training_samples_classes_and_fewer_points():
    """These have rows of their own in the table of IDs; LLID and PID are for each split, and not for classes."""
    made = estimates(by_layer)
    for estimate in made:
        estimate["decimated"] = [{"points": 50, "id": 9.0}, {"points": 25, "id": 8.0}, {"points": 12, "id": None}]
    others = estimates(lambda *key: 2 * by_layer(*key))
    classes = estimates()
    for other, one in zip(others, classes, strict=True):
        other["source"]["split"] = "train"
        one["classes"] = [{"class": label, "id": 99.0 + label, "n_points": 10} for label in (0, 1)]
    ids, settings = id_table([*made, *others, *classes])
    assert len(ids) == 4 * len(made)
    assert ids[["id_half", "id_quarter"]].dropna().drop_duplicates().to_numpy().tolist() == [[9.0, 8.0]]
    assert ids.id_eighth.isna().all()
    assert set(ids["class"].dropna()) == {0, 1}
    summary = summary_table(ids, settings)
    assert summary.pid.max() < 99
    by_split = summary.groupby("split")["llid"].sum()
    assert by_split["train"] == pytest.approx(2 * by_split["validation"])
    table = correlations_table(summary, settings)
    assert table.groupby("split")["n"].max().to_dict() == {"train": 10, "validation": 10}


def test_no_value_at_all():
    ids, settings = id_table(estimates(lambda *_: None))
    summary = summary_table(ids, settings)
    assert summary.llid.isna().all()
    assert summary.pid.isna().all()
    assert correlations_table(summary, settings).pearson_r[:2].isna().all()


def test_the_tables_do_not_depend_on_the_order_of_the_files():
    one = id_table(estimates(by_layer))[0]
    other = id_table(estimates(by_layer)[::-1])[0]
    pd.testing.assert_frame_equal(one, other)


def test_without_the_layer_that_feeds_the_classifier_the_table_says_so():
    ids, settings = id_table([one for one in estimates(by_layer) if one["source"]["layer"] != "pool"])
    summary = summary_table(ids, settings)
    assert summary["llid"].isna().all()
    assert (summary["pid_layer"] == "stem").all()
    assert set(summary["reason"]) == {"LLID: the layer that feeds the classifier is not measured"}


def test_columns_of_the_real_tables(finished):
    """The names of columns that users rely on, in files of a real run."""
    folder = finished.folder / "results/tables"
    columns = {
        name: list(pd.read_csv(folder / f"{name}.csv").columns)
        for name in ("id", "summary", "correlations", "training")
    }
    assert columns["id"][:15] == [
        "study",
        "weight_decay",
        "seed",
        "checkpoint",
        "layer",
        "depth",
        "estimator",
        "id",
        "low",
        "high",
        "n_points",
        "n_dropped",
        "recall",
        "recall_k",
        "n_copies",
    ]
    assert columns["id"][15:] == ["split", "class", "id_half", "id_quarter", "id_eighth", "reason"]
    assert columns["summary"] == [
        "study",
        "weight_decay",
        "seed",
        "checkpoint",
        "estimator",
        "llid",
        "llid_low",
        "llid_high",
        "pid",
        "pid_layer",
        "pid_over_llid",
        "train_accuracy",
        "validation_accuracy",
        "train_loss",
        "validation_loss",
        "weight_norm",
        "split",
        "reason",
    ]
    assert columns["training"][:5] == ["study", "weight_decay", "seed", "checkpoint", "learning_rate"]
    assert columns["correlations"] == [
        "study",
        "sweep",
        "estimator",
        "checkpoint",
        "x",
        "y",
        "pearson_r",
        "pearson_p",
        "spearman_r",
        "spearman_p",
        "n",
        "n_settings",
        "split",
    ]


def test_figures_and_report_of_the_real_workflow(finished):
    for name in ("llid", "id_over_depth", "scale_check"):
        assert (finished.folder / f"results/figures/tiny/{name}.svg").read_text().startswith("<?xml")
        assert (finished.folder / f"results/figures/tiny/{name}.png").read_bytes().startswith(b"\x89PNG")
    report = (finished.folder / "results/report.html").read_text()
    assert "llid.svg" in report
    assert "correlations.csv" in report
    assert "Weight decay: mean last-layer ID " in report
    assert "System Message" not in report, "a mistake in report/workflow.rst or results/overview.rst"


@pytest.mark.parametrize("content", ["", 'damaged,\n"x'])
def test_damaged_tables(tmp_path, content):
    (tmp_path / "s.csv").write_text(content)
    figure = {"study": "x", "estimator": "twonn", "svg": tmp_path / "x.svg", "png": tmp_path / "x.png"}
    done = run_program("plot_llid", summary=tmp_path / "s.csv", **figure)
    assert done.returncode == 1
    assert done.stderr.startswith(f"plot_llid.py: {tmp_path}/s.csv: ")
    assert len(done.stderr.splitlines()) == 1


def test_an_id_that_changes_with_scale_is_no_peak():
    """Grokking's first attention layer: 64 from all points, 20 from a quarter of them."""

    def scaled(estimate):
        layer, points = estimate["source"]["layer"], (50, 25, 12)
        ids = {"stem": (10.0, 8.0, 6.0), "pool": (5.0, 5.1, 5.2), "input": (50.0, 50.0, 50.0)}[layer]
        ids = (36.0, 20.0, 11.7) if estimate["id"] == 64 else ids
        return {**estimate, "decimated": [{"points": n, "id": of} for n, of in zip(points, ids, strict=True)]}

    made = estimates(lambda w, d, seed, layer, at: {"stem": 64.0 if w == 0.1 else 11.0}.get(layer, 5.0))
    ids, settings = id_table([scaled(estimate) for estimate in made])
    summary = summary_table(ids, settings)
    unstable = summary["weight_decay"] == 0.1
    assert (summary.loc[unstable, "pid_layer"] == "pool").all()
    assert (summary.loc[~unstable, "pid_layer"] == "stem").all()
    said = "PID without stem: its ID is 20 from a quarter of the points and 64 from all"
    assert (summary.loc[unstable, "reason"] == said).all()
    assert summary.loc[~unstable, "reason"].isna().all()


@pytest.mark.parametrize(("settings", "p"), [(3, 2 / 6), (4, 2 / 24), (8, 2 / 40320)])
def test_p_of_few_settings_counts_permutations(settings, p):
    """In perfect order, two permutations in n! are as extreme; two seeds of a setting change nothing."""
    x = pd.Series(np.arange(settings, dtype=float))
    for repeats in (1, 2):
        found = correlate(x.repeat(repeats), -(x**2).repeat(repeats), np.arange(settings).repeat(repeats))
        assert found["spearman_p"] == pytest.approx(p)
        assert found["pearson_p"] == pytest.approx(p)
        assert found["n_settings"] == settings


def test_p_of_two_settings_is_empty():
    x = pd.Series([0.0, 0.1, 1.0, 1.1])
    found = correlate(x, 2 * x, [0, 0, 1, 1])
    assert found["pearson_r"] == pytest.approx(1)
    assert found["pearson_p"] is None


@pytest.fixture
def own_estimate(tmp_path):
    """A function that estimates the ID of points in a file of the user's own, with these attributes of the file."""

    def estimate(name="e", program="estimate_id", of_layer=(), **attributes):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["layers/fc"] = np.random.default_rng(0).normal(size=(200, 5))
            file.attrs.update(attributes)
            file["layers/fc"].attrs.update(of_layer)
        layer, output = {"activations": tmp_path / "a.h5", "layer": "fc"}, tmp_path / f"{name}.json"
        if program == "estimate_pca":
            assert run_program(program, **layer, output=output).returncode == 0
        else:
            assert run_program("find_neighbors", **layer, output=tmp_path / "n.h5").returncode == 0
            neighbors = {"neighbors": tmp_path / "n.h5", "estimator": "twonn"}
            assert run_program("estimate_id", **neighbors, output=output).returncode == 0
        return output

    return estimate


SOURCE = {"study": "mine", "chosen": "{}", "checkpoint": 7, "split": "validation"}
LAYER = {"depth": 1, "feeds_classifier": True}


def tabulate_id(folder, *files):
    tables = {name: folder / f"{name}.csv" for name in ("id", "summary", "correlations")}
    return run_program("tabulate_id", lines=map(str, files), **tables)


def test_estimates_of_ones_own_activations(own_estimate, tmp_path):
    """Tables need to know what they are of; the file of activations can say it."""
    file = own_estimate()
    done = tabulate_id(tmp_path, file)
    assert done.returncode == 1
    assert done.stderr == (
        f"tabulate_id.py: {file}: made from a file that does not say study (text), chosen (JSON, such as {{}}), "
        "checkpoint (integer), split (text), depth (integer), feeds_classifier (true or false); "
        "state them as attributes of the file of activations, or of the layer in it\n"
    )
    file = own_estimate(**SOURCE | {"checkpoint": "seven"}, of_layer=LAYER)
    assert "does not say checkpoint (integer);" in tabulate_id(tmp_path, file).stderr
    file = own_estimate(**SOURCE, of_layer=LAYER)
    done = tabulate_id(tmp_path, file)
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(tmp_path / "summary.csv")
    assert summary[["study", "checkpoint", "pid_layer"]].to_numpy().tolist() == [["mine", 7, "fc"]]
    assert summary["llid"][0] == json.loads(file.read_text())["id"]
    again = own_estimate("again", **SOURCE, of_layer=LAYER)
    assert tabulate_id(tmp_path, file, again).stderr == (
        f"tabulate_id.py: {again}: has the layer, checkpoint and estimator of {file}, too; leave one of them out\n"
    )


@pytest.mark.parametrize("content", ['{"id": 5.0}', "[5.0]", '{"source": {}, "estimator": "twonn"}'])
def test_json_that_is_no_result_is_not_to_be_deleted(content, tmp_path):
    (tmp_path / "e.json").write_text(content)
    done = tabulate_id(tmp_path, tmp_path / "e.json")
    assert done.stderr == (
        f"tabulate_id.py: {tmp_path}/e.json: not a result of actdim, which states its format and a checksum\n"
    )


def test_results_of_other_programs(own_estimate, tmp_path):
    estimate, spectrum = own_estimate(**SOURCE), own_estimate("pca", "estimate_pca", **SOURCE)
    summary = summary_table(*id_table(estimates()))
    summary.to_csv(tmp_path / "summary.csv", index=False)
    options = {"summary": tmp_path / "summary.csv", "estimator": "twonn", "output": tmp_path / "m.csv"}
    write_json(tmp_path / "d.json", {"made_by": {"program": "measure_directions.py"}, "source": {}})
    for file, line in {
        estimate: "made by estimate_id.py; should be made by estimate_null.py or ",
        spectrum: "made from a file that does not say depth (integer), feeds_classifier (true or false); ",
        tmp_path / "d.json": "made from a file that does not say study (text), chosen ",
    }.items():
        done = run_program("tabulate_measures", lines=[str(file)], **options)
        assert done.stderr.startswith(f"tabulate_measures.py: {file}: {line}")
        assert len(done.stderr.splitlines()) == 1
    done = tabulate_id(tmp_path, tmp_path / "d.json")
    assert done.stderr.endswith(
        "d.json: made by measure_directions.py; should be made by estimate_id.py or estimate_pca.py\n"
    )


@pytest.fixture
def plot(tmp_path):
    """A function that runs the program of a figure on tables, {name: table}; it returns the finished process."""

    def plot(program, of_study=True, **tables):
        figure = {"svg": tmp_path / "x.svg", "png": tmp_path / "x.png"}
        figure |= {"study": "made", "estimator": "twonn"} if of_study else {}
        for name, table in tables.items():
            table.to_csv(tmp_path / f"{name}.csv", index=False)
        return run_program(program, **figure, **{name: tmp_path / f"{name}.csv" for name in tables})

    return plot


IDS, _ = id_table(estimates(by_layer))
SUMMARY = summary_table(*id_table(estimates(by_layer)))
TRAINING = pd.DataFrame({"study": "made", "weight_decay": 0.1, "dropout": 0.0, "seed": 0, "checkpoint": [1, 2]})
TRAINING = TRAINING.assign(train_accuracy=0.5, validation_accuracy=0.5)
PREDICTORS = pd.DataFrame(
    {"study": "made", "sweep": "all", "measure": ["llid", "pid"], "target": "validation_accuracy"}
)
PREDICTORS = PREDICTORS.assign(n=6, spearman_r=0.5, spearman_low=0.1, spearman_high=0.9)


@pytest.mark.parametrize(
    ("program", "tables", "line"),
    [
        ("plot_scale_check", {"id": IDS.drop(columns="n_points")}, "id.csv: has no column n_points"),
        ("plot_id_over_depth", {"id": IDS.iloc[:0]}, "id.csv: has no rows"),
        ("plot_id_over_depth", {"id": IDS.assign(layer=None)}, "id.csv: line 2: layer is empty"),
        (
            "plot_llid",
            {"summary": SUMMARY.assign(llid="ten")},
            "summary.csv: line 2: llid is 'ten'; should be a number",
        ),
        ("plot_llid", {"summary": SUMMARY.assign(split=None)}, "summary.csv: line 2: split is empty"),
        (
            "plot_grokking",
            {"summary": SUMMARY, "training": TRAINING.drop(columns=["dropout", "weight_decay"])},
            "training.csv: has no column weight_decay, dropout",
        ),
        (
            "plot_grokking",
            {"summary": SUMMARY.drop(columns="llid_low"), "training": TRAINING},
            "summary.csv: has no column llid_low",
        ),
        ("plot_predictors", {"predictors": PREDICTORS.iloc[:0]}, "predictors.csv: has no rows"),
        (
            "plot_predictors",
            {"predictors": PREDICTORS.assign(measure="llid")},
            "predictors.csv: line 3: another line has the same study, sweep, measure, target",
        ),
    ],
)
def test_figures_name_what_a_table_lacks(program, tables, line, plot, tmp_path):
    """A table without a checksum is the user's own, which is not to be deleted."""
    done = plot(program, of_study=program != "plot_predictors", **tables)
    assert done.returncode == 1
    assert done.stderr == f"{program}.py: {tmp_path}/{line}\n"


@pytest.mark.slow
def test_figures_of_a_study_with_one_setting_and_without_accuracies(plot):
    one = SUMMARY[(SUMMARY["weight_decay"] == 0) & (SUMMARY["dropout"] == 0)].drop(columns=["weight_decay", "dropout"])
    for summary in (one, one.assign(validation_accuracy=None), SUMMARY.assign(validation_accuracy=None)):
        done = plot("plot_pid_over_llid", summary=summary)
        assert done.returncode == 0, done.stderr
    some = SUMMARY.assign(validation_accuracy=SUMMARY["validation_accuracy"].where(SUMMARY["weight_decay"] < 0.1))
    for summary in (some, SUMMARY.assign(validation_accuracy=None)):
        done = plot("plot_pid", summary=summary)
        assert done.returncode == 0, done.stderr
