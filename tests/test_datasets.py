"""Data sets against the arithmetic they stand for."""

import itertools

import numpy as np
import pytest
from actdim import registry
from actdim.errors import UserError
from conftest import build_named
from sklearn.datasets import load_digits


def load(**settings):
    return build_named(registry.DATASETS, settings).load()


def everything(split):
    """Return all samples of a data set in its own order."""
    index = np.concatenate([split["train"].index, split["validation"].index])
    order = np.argsort(index)
    assert sorted(index) == list(range(len(index)))
    return [
        np.concatenate([getattr(split[part], what) for part in ("train", "validation")])[order]
        for what in ("inputs", "labels")
    ]


def test_digits():
    split = load(name="digits")
    assert len(split["train"].labels) == 897
    assert len(split["validation"].labels) == 900
    images, labels = everything(split)
    true = load_digits()
    np.testing.assert_array_equal(labels, true.target)
    assert np.corrcoef(images.ravel(), true.data.ravel())[0, 1] == pytest.approx(1, abs=1e-6)
    assert split["train"].inputs.mean() == pytest.approx(0, abs=1e-5)
    assert split["train"].inputs.std() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("operation", "holds", "count"),
    [
        ("sum", lambda a, b, c: (a + b - c) % 97 == 0, 97 * 97),
        ("subtraction", lambda a, b, c: (a - b - c) % 97 == 0, 97 * 97),
        ("division", lambda a, b, c: (c * b - a) % 97 == 0, 97 * 96),
    ],
)
def test_modular(operation, holds, count):
    split = load(name="modular", operation=operation, train_fraction=0.3)
    tokens, labels = everything(split)
    assert len({tuple(row) for row in tokens}) == len(tokens) == count
    assert holds(tokens[:, 0], tokens[:, 2], labels).all()
    assert set(tokens[:, 1]) == {97}
    assert set(tokens[:, 3]) == {98}
    assert len(split["train"].labels) == round(0.3 * count)


def test_permutations():
    tokens, labels = everything(load(name="permutations", elements=4))
    group = list(itertools.permutations(range(4)))
    assert len(tokens) == 24 * 24
    for (a, _, b, _), c in zip(tokens, labels, strict=True):
        assert tuple(group[a][group[b][x]] for x in range(4)) == group[c]


def test_the_split_is_the_same_for_every_run():
    first, second = load(name="digits"), load(name="digits")
    np.testing.assert_array_equal(first["validation"].index, second["validation"].index)


def test_modulus_must_be_prime():
    with pytest.raises(UserError, match="modulus 96 is not prime"):
        build_named(registry.DATASETS, {"name": "modular", "modulus": 96})
