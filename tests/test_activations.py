"""Activations files against what the model computes."""

import h5py
import numpy as np
import pytest
import torch
from actdim.activations.dump import dump
from actdim.activations.float16 import as_float16, surely_fits
from actdim.datasets.dataset import DataSet, Split
from actdim.datasets.device import on_device
from actdim.errors import UserError
from actdim.estimators.twonn import twonn
from actdim.models import layers
from actdim.models.layers import forward, layer_names
from actdim.neighbors.search import find_neighbors
from actdim.storage.activations_file import open_layer
from actdim.storage.neighbor_lists import NeighborLists
from torch import nn


class Odd(nn.Module):
    """A model with an in-place operation after a layer, and with layers that run out of order."""

    layers = ("second", "first")

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(6, 4), nn.Linear(5, 6)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        return self.head(self.first(self.second(x).relu_()))


@pytest.fixture(autouse=True)
def _narrow_layers_may_be_float16(monkeypatch):
    """The models here are narrow."""
    monkeypatch.setattr("actdim.activations.dump.NARROW", 0)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Odd()


def samples(n=1203, scale=1.0):
    rng = np.random.default_rng(0)
    inputs = (scale * rng.normal(size=(n, 5))).astype(np.float32)
    return Split(inputs, rng.integers(0, 3, n), np.arange(n) + 7)


def store(path, model, split, layers, attributes):
    """Dump the activations of a model on a split."""
    data = DataSet(shape=(5,), classes=3, sizes={}, load=dict)
    return dump(path, model, on_device(split, data, "cpu"), split.index, layers, attributes)


def read_layer(path, layer):
    """Return the points of a layer."""
    with open_layer(path, layer) as (points, _, _):
        return points[:]


def test_file_holds_what_the_model_computes(model, tmp_path):
    split = samples()
    store(tmp_path / "a.h5", model, split, ["input", "first", "second"], {"study": "odd"})
    second = model.second(torch.from_numpy(split.inputs)).detach().numpy()
    with h5py.File(tmp_path / "a.h5") as file:
        np.testing.assert_array_equal(file["layers/input"][:], split.inputs.astype(np.float16))
        np.testing.assert_allclose(file["layers/second"][:], second, rtol=1e-3, atol=1e-3)
        assert (file["layers/second"][:] < 0).any(), "captured before the operation in place"
        with torch.no_grad():
            np.testing.assert_allclose(file["logits"][:], model(torch.from_numpy(split.inputs)), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(file["labels"][:], split.labels)
        np.testing.assert_array_equal(file["sample_index"][:], split.index)
        assert {name: layer.attrs["depth"] for name, layer in file["layers"].items()} == {
            "input": 0,
            "second": 1,
            "first": 2,
        }
        assert list(file["layers/first"].attrs["shape"]) == [4]
        assert file["layers/first"].attrs["feeds_classifier"]
        assert not file["layers/second"].attrs["feeds_classifier"]
        assert file.attrs["study"] == b"odd"


@pytest.mark.parametrize("largest", [1e5, 1e30])
def test_a_value_too_large_for_float16_is_kept(model, tmp_path, largest):
    """Only that layer is stored as float32, although the value is in the last batch."""
    split = samples()
    split.inputs[-1] = largest
    assert store(tmp_path / "a.h5", model, split, ["input", "second"], {}) == {"input", "second"}
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["layers/input"].dtype == np.float32
    assert store(tmp_path / "b.h5", model, samples(), ["input", "second"], {}) == set()
    np.testing.assert_array_equal(read_layer(tmp_path / "a.h5", "input"), split.inputs)
    with torch.no_grad():
        second = model.second(torch.from_numpy(split.inputs)).numpy()
    assert (second < 0).any(), "captured before the operation in place"
    np.testing.assert_allclose(read_layer(tmp_path / "a.h5", "second"), second, rtol=1e-5, atol=1e-5)


def test_the_shape_of_a_layer_is_stated(tmp_path):
    """In float16 and in float32."""
    images = np.random.default_rng(0).normal(size=(30, 2, 4, 4)).astype(np.float32)
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 2))
    for scale in (1, 1e6):
        split = Split(scale * images, np.zeros(30, int), np.arange(30))
        store(tmp_path / "a.h5", model, split, ["0", "1"], {})
        with h5py.File(tmp_path / "a.h5") as file:
            assert list(file["layers/0"].attrs["shape"]) == [3, 2, 2]
            assert file["layers/0"].shape == (30, 12)


class Attentive(nn.Module):
    """An LSTM and an attention, which return several tensors, and a ReLU that is called twice."""

    def __init__(self):
        super().__init__()
        self.lstm, self.attention = nn.LSTM(5, 8, batch_first=True), nn.MultiheadAttention(8, 2, batch_first=True)
        self.relu, self.head = nn.ReLU(), nn.Linear(8, 3)

    def forward(self, x):
        x = self.relu(self.lstm(x)[0])
        return self.head(self.relu(self.attention(x, x, x, need_weights=False)[0]))[:, -1]


def test_of_several_tensors_the_first_is_measured(capsys):
    layers.say_first_is_measured.cache_clear()
    model, inputs = Attentive().eval(), torch.randn(2, 4, 5)
    _, outputs = forward(model, inputs, ["lstm", "attention", "attention.input"])
    with torch.no_grad():
        states = model.lstm(inputs)[0]
        torch.testing.assert_close(outputs["lstm"], states)
        torch.testing.assert_close(outputs["attention.input"], states.relu())
        torch.testing.assert_close(outputs["attention"], model.attention(*[states.relu()] * 3)[0])
    assert capsys.readouterr().err.splitlines() == [
        f"layer {name}: returns several values; the first tensor is measured" for name in ("lstm", "attention")
    ]


def test_a_layer_that_is_computed_several_times_is_refused():
    with pytest.raises(UserError, match="the model computes 'relu' 2 times; name a layer that it computes once"):
        forward(Attentive(), torch.zeros(2, 4, 5), ["relu"])


def test_a_layer_without_a_tensor_is_refused():
    model = nn.Sequential(nn.Identity(), nn.Identity())
    with pytest.raises(UserError, match="'0' has values of type str, and no tensor"):
        forward(model, "text", ["0"])


def test_values_that_are_strided_in_memory_are_stored(tmp_path):
    """Of an output and of the logits: a position of all."""
    model = nn.Sequential(nn.Unflatten(1, (5, 1)), nn.Linear(1, 3), Last())
    split = samples(n=120)
    store(tmp_path / "a.h5", model, split, ["2"], {})
    with h5py.File(tmp_path / "a.h5") as file, torch.no_grad():
        expected = model[:2](torch.from_numpy(split.inputs))[:, -1]
        np.testing.assert_array_equal(file["logits"][:], expected)
        np.testing.assert_allclose(file["layers/2"][:], expected, rtol=1e-3, atol=1e-3)


class Last(nn.Module):
    """The last position."""

    def forward(self, x):
        return x[:, -1]


@pytest.mark.parametrize(("scale", "offset"), [(1e-6, 0), (1e-3, 10)])
def test_values_that_float16_would_blur_are_kept(model, tmp_path, scale, offset):
    """Tiny values, and values close together but far from 0: float16 would change their neighbors."""
    split = samples(scale=scale)
    split = split._replace(inputs=split.inputs + np.float32(offset))
    assert store(tmp_path / "a.h5", model, split, ["input"], {}) == {"input"}
    np.testing.assert_array_equal(read_layer(tmp_path / "a.h5", "input"), split.inputs)


def test_what_fits_float16_is_known_at_a_glance_or_by_looking_closer(monkeypatch):
    """Against the rounding error, summed in float64."""
    monkeypatch.setattr("actdim.activations.float16.CACHE_VALUES", 1000)  # three rows at a time
    drawn = np.random.default_rng(0).normal(size=(50, 300)).astype(np.float32)
    seen = set()
    for scale in np.geomspace(1e-8, 1e6, 29, dtype=np.float32):
        for offset in np.array([0, 1, 2, 5, 30, 1000], np.float32):
            values = scale * (drawn + offset)
            with np.errstate(over="ignore"):
                lost = np.square(values.astype(np.float16).astype(float) - values).sum()
            fits = lost <= 1e-6 * np.square(values - values.mean(0, dtype=float)).sum()
            at_a_glance = surely_fits(torch.from_numpy(values))
            assert as_float16(torch.from_numpy(values), torch.from_numpy(values)).fits == fits
            assert fits or not at_a_glance
            seen.add((bool(fits), at_a_glance))
    assert seen == {(True, True), (True, False), (False, False)}


def test_infinite_activations_stay_infinite(model, tmp_path):
    split = samples()
    split.inputs[3] = np.inf
    assert store(tmp_path / "a.h5", model, split, ["input"], {}) == set()
    assert np.isinf(read_layer(tmp_path / "a.h5", "input")[3]).all()


def test_nothing_half_written_stays(model, tmp_path):
    with pytest.raises(RuntimeError):
        store(tmp_path / "a.h5", model, samples()._replace(inputs=np.ones((20, 4), np.float32)), ["input"], {})
    assert list(tmp_path.iterdir()) == []


def test_unknown_layer(model):
    with pytest.raises(UserError, match=r"no layer 'third'; it has input, second, first"):
        layer_names(model, ["third"])


def test_hooks_are_removed(model):
    forward(model, torch.zeros(2, 5), ["first"])
    assert not model.first._forward_hooks


def damaged(path, change):
    """Write a valid file and damage it."""
    with h5py.File(path, "w") as file:
        file["layers/x"] = np.zeros((10, 2))
    change(path)
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "no such file"),
        (lambda path: path.write_bytes(b""), "not a complete HDF5 file"),
        (lambda path: path.write_bytes(path.read_bytes()[:500]), "not a complete HDF5 file"),
        (lambda path: h5py.File(path, "a").attrs.update(format=0), "format 0, not 2"),
        (lambda path: h5py.File(path, "w").close(), "no layer 'x'; it has no /layers"),
    ],
)
def test_damaged_files(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        read_layer(damaged(tmp_path / "a.h5", change), "x")


# Rounding beside the distances to the nearest neighbors


def collapsed(width, deviation, n=2000):
    """Return (n, width) float32: ten classes, two-dimensional within each, as far apart as `deviation` says."""
    rng = np.random.default_rng(0)
    classes = rng.integers(10, size=n)
    centers = np.maximum(rng.normal(size=(10, width)), 0) + 1
    planes = np.stack([np.linalg.qr(rng.normal(size=(width, 2)))[0] for _ in range(10)])
    points = centers[classes] + deviation * np.einsum("nwd,nd->nw", planes[classes], rng.normal(size=(n, 2)))
    return points.astype(np.float32), classes


def stored(points, tmp_path):
    """Dump points as the input of a model; return the float type and the values in the file."""
    model = torch.nn.Linear(points.shape[1], 3)
    data = DataSet(shape=points.shape[1:], classes=3, sizes={}, load=dict)
    split = Split(points, np.zeros(len(points), np.int64), np.arange(len(points)))
    dump(tmp_path / "a.h5", model, on_device(split, data, "cpu"), split.index, ["input"], {})
    with h5py.File(tmp_path / "a.h5") as file:
        return file["layers/input"].dtype, file["layers/input"][:]


def id_of(points):
    """Return the ID of points by TwoNN."""
    indices, distances, _ = find_neighbors(points, "exact", 2)
    return twonn(NeighborLists(distances, indices, {}))["id"]


@pytest.mark.slow
@pytest.mark.parametrize("width", [128, 2048])
@pytest.mark.parametrize("deviation", [3e-3, 0.03, 0.3])
@pytest.mark.parametrize("by_class", [False, True])
def test_collapsed_classes_keep_their_distances(tmp_path, width, deviation, by_class):
    """In float16 the ID would be 2.2 to 3.8, or the data would seem discrete; the order of samples changes nothing."""
    points, classes = collapsed(width, deviation)
    order = np.argsort(classes) if by_class else slice(None)
    dtype, values = stored(points[order], tmp_path)
    assert dtype == np.float32
    assert id_of(values) == pytest.approx(id_of(points[order])) == pytest.approx(2, rel=0.1)


def test_a_curve_in_relu_features_keeps_its_distances(tmp_path):
    rng = np.random.default_rng(0)
    points = np.maximum(rng.normal(size=(2000, 1)) @ rng.normal(size=(1, 2048)) + rng.normal(size=2048), 0)
    dtype, values = stored(points.astype(np.float32), tmp_path)
    assert dtype == np.float32
    assert id_of(values) == pytest.approx(1, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dimension"), [(512, 10), (4096, 20)])
def test_other_layers_are_float16_with_the_same_id(tmp_path, width, dimension):
    rng = np.random.default_rng(0)
    points = np.maximum(rng.normal(size=(2000, dimension)) @ rng.normal(size=(dimension, width)), 0).astype(np.float32)
    points[1000:1100] = points[:100]  # copies have no distance to keep
    dtype, values = stored(points, tmp_path)
    assert dtype == np.float16
    distinct = np.r_[:1000, 1100:2000]
    assert id_of(values[distinct]) == pytest.approx(id_of(points[distinct]), rel=1e-3)


def test_narrow_layers_are_float32_and_so_are_all_if_asked(model, tmp_path, monkeypatch):
    monkeypatch.setattr("actdim.activations.dump.NARROW", 1024)
    split, data = samples(), DataSet(shape=(5,), classes=3, sizes={}, load=dict)
    assert store(tmp_path / "a.h5", model, split, ["first"], {}) == set()
    assert read_layer(tmp_path / "a.h5", "first").dtype == np.float32
    monkeypatch.setattr("actdim.activations.dump.NARROW", 0)
    dump(tmp_path / "b.h5", model, on_device(split, data, "cpu"), split.index, ["first"], {}, float32=True)
    assert read_layer(tmp_path / "b.h5", "first").dtype == np.float32
