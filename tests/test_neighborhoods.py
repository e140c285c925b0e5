"""Overlaps of neighborhoods and local IDs, against definitions written out, closed forms and scikit-learn."""

import json
import math

import h5py
import numpy as np
import pytest
from actdim.estimators.ratios import NoEstimate
from actdim.measures import neighborhoods
from conftest import ROOT
from programs import run_program
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors


def lists(points, rows=None, k=32):
    """Return (rows, indices, distances) of the nearest neighbors of some rows of points, by scikit-learn."""
    rows = np.arange(len(points)) if rows is None else rows
    distances, indices = NearestNeighbors(n_neighbors=k).fit(points[rows]).kneighbors()
    return rows, indices, distances


def test_label_overlap_is_the_mean_vote_of_nearest_neighbors():
    """Also with copies left out, after which lists count other rows."""
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(200, 3)), rng.integers(4, size=200)
    rows = np.flatnonzero(rng.random(200) < 0.8)
    found = neighborhoods.label_overlap(*lists(points, rows)[:2], labels)
    votes = 0
    for row in rows:
        others = rows[rows != row]
        model = KNeighborsClassifier(30).fit(points[others], labels[others])
        share = dict(zip(model.classes_, model.predict_proba(points[[row]])[0], strict=True))
        votes += share.get(labels[row], 0)
    assert found == pytest.approx(votes / len(rows))


def test_label_overlap_of_separate_classes_and_of_chance():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(5), 100)
    points = rng.normal(size=(500, 3))
    assert neighborhoods.label_overlap(*lists(points + 100 * labels[:, None])[:2], labels) == 1
    assert neighborhoods.label_overlap(*lists(points)[:2], labels) == pytest.approx(0.2, abs=0.03)


def test_neighborhood_overlap_is_the_share_of_common_neighbors():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(150, 3))
    first = lists(points)
    second = lists(points + 0.3 * rng.normal(size=points.shape), np.delete(np.arange(150), [3, 77]), k=20)
    shares = []
    for row in second[0]:
        one = set(first[0][first[1][list(first[0]).index(row), :20]])
        other = set(second[0][second[1][list(second[0]).index(row), :20]])
        shares.append(len(one & other) / 20)
    assert neighborhoods.neighborhood_overlap(first[:2], second[:2]) == pytest.approx(np.mean(shares))
    assert neighborhoods.neighborhood_overlap(second[:2], first[:2]) == pytest.approx(np.mean(shares))
    assert neighborhoods.neighborhood_overlap(first[:2], first[:2]) == 1
    unrelated = lists(rng.normal(size=(2000, 3))), lists(rng.normal(size=(2000, 3)))
    assert neighborhoods.neighborhood_overlap(*(part[:2] for part in unrelated)) == pytest.approx(0.015, abs=0.003)


def test_local_id_is_levina_and_bickels_without_bias():
    distances = np.sort(np.random.default_rng(0).random((5, 32)), axis=1)
    for row, found in zip(distances, neighborhoods.local_ids(distances), strict=True):
        assert found == pytest.approx(18 / math.fsum(math.log(row[19] / row[j]) for j in range(19)))


@pytest.mark.parametrize("d", [2, 7])
def test_local_ids_of_constant_density(d):
    """Volumes r^d are sums of exponential spacings: mean d, standard deviation d / sqrt(k - 3)."""
    volumes = np.random.default_rng(0).exponential(size=(20_000, 25)).cumsum(axis=1)
    ids = neighborhoods.local_ids(volumes ** (1 / d))
    assert neighborhoods.mean_local_id(ids) == pytest.approx(d, rel=0.01)
    assert neighborhoods.local_id_spread(ids) == pytest.approx(17**-0.5, rel=0.03)


def test_local_ids_that_are_undefined():
    equal = np.ones((20, 25))
    assert np.isnan(neighborhoods.local_ids(equal)).all()
    with pytest.raises(NoEstimate, match="0 samples, fewer than 10"):
        neighborhoods.mean_local_id(neighborhoods.local_ids(equal))
    with pytest.raises(NoEstimate, match="3 neighbors of 20 samples"):
        neighborhoods.local_ids(equal[:, :3])


def write_activations(path, points, labels, logits):
    with h5py.File(path, "w") as file:
        for name, values in points.items():
            file[f"layers/{name}"] = values
        if labels is not None:
            file["labels"] = labels
        if logits is not None:
            file["logits"] = logits


@pytest.mark.parametrize("stored", ["labels and logits", "labels", "neither"])
def test_program_on_files_of_ones_own(stored, tmp_path):
    """Misclassified samples lie in five dimensions, the others in two; two samples are copies."""
    rng = np.random.default_rng(0)
    wrong = np.arange(600) >= 300
    last = rng.normal(size=(600, 5)) * np.where(wrong[:, None], 1, [1, 1, 0, 0, 0]) + 100 * wrong[:, None]
    last[7] = last[5]
    labels = rng.integers(3, size=600)
    logits = np.eye(3)[(labels + wrong) % 3]
    first = last + rng.normal(size=last.shape)
    write_activations(
        tmp_path / "a.h5",
        {"first": first, "last": last},
        None if stored == "neither" else labels,
        logits if "logits" in stored else None,
    )
    for layer in ("first", "last"):
        search = {"activations": tmp_path / "a.h5", "layer": layer, "output": tmp_path / f"{layer}.h5"}
        assert run_program("find_neighbors", **search).returncode == 0
    neighbors = [tmp_path / "first.h5", tmp_path / "last.h5"]
    files = {"previous": neighbors[0], "activations": tmp_path / "a.h5", "output": tmp_path / "x.json"}
    done = run_program("measure_neighborhoods", "--neighbors", *neighbors, **files)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "x.json").read_text())
    assert 0.1 < result["layer_overlap"] < 0.9
    assert result["checkpoint_overlap"] == result["layer_overlap"]
    assert 2 < result["local_id_mean"] < 5
    assert (result["label_overlap"] is None) == (stored == "neither")
    if stored == "labels and logits":
        assert result["undefined"] == {}
        assert result["local_id_misclassified"] == pytest.approx(4.7, abs=0.4)
    else:
        assert result["local_id_misclassified"] is None
        assert result["undefined"]["local_id_misclassified"] == "no logits are stored"


@pytest.mark.parametrize(
    ("labels", "logits", "line"),
    [
        (
            np.zeros(40),
            None,
            "a.h5: /labels holds 40 labels; should be an integer for each of the 50 rows of the layers",
        ),
        (
            np.zeros(60),
            None,
            "a.h5: /labels holds 60 labels; should be an integer for each of the 50 rows of the layers",
        ),
        (np.full(50, 0.5), None, "a.h5: /labels holds 0.5 in row 0; should be an integer for each of the 50 rows of"),
        (np.full(50, b"cat"), None, "a.h5: /labels holds 50 labels of type text; should be an integer for each of the"),
        (None, np.zeros((40, 3)), "a.h5: /logits has shape (40, 3); should be (50, classes)"),
    ],
)
def test_labels_and_logits_of_other_samples(labels, logits, line, tmp_path):
    points = np.random.default_rng(0).normal(size=(50, 3))
    write_activations(tmp_path / "a.h5", {"x": points}, labels, logits)
    files = {"neighbors": tmp_path / "n.h5", "activations": tmp_path / "a.h5", "output": tmp_path / "x.json"}
    found = run_program("find_neighbors", activations=tmp_path / "a.h5", layer="x", output=tmp_path / "n.h5")
    assert found.returncode == 0, found.stderr
    done = run_program("measure_neighborhoods", **files)
    assert done.stderr.startswith(f"measure_neighborhoods.py: {tmp_path}/{line}")
    assert len(done.stderr.splitlines()) == 1
    write_activations(tmp_path / "b.h5", {"x": points[:40]}, None, None)
    done = run_program("measure_neighborhoods", **files | {"activations": tmp_path / "b.h5"})
    assert (
        done.stderr == f"measure_neighborhoods.py: {tmp_path}/n.h5: neighbors of 50 samples; {tmp_path}/b.h5 has 40\n"
    )


def test_what_is_not_taken_has_no_reason():
    rng = np.random.default_rng(0)
    layer, labels = lists(rng.normal(size=(50, 3))), rng.integers(2, size=50)
    result = neighborhoods.measure_neighborhoods([layer, layer], None, labels, labels, "labels of other classes")
    assert result["checkpoint_overlap"] is None
    assert result["layer_overlap"] == 1
    assert result["undefined"] == {"local_id_misclassified": "labels of other classes"}


def test_every_column_is_explained():
    text = (ROOT / "docs/method.md").read_text()
    for name in neighborhoods.measure_neighborhoods([lists(np.eye(40))], None, None, None):
        assert name == "undefined" or f"`{name}`" in text
