"""Batches: augmentation and normalization against torchvision's transforms."""

import numpy as np
import pytest
import torch
from actdim.datasets.device import Samples, normalize
from actdim.study.run_settings import make_run_settings
from actdim.training.augmentation import augment
from actdim.training.batches import draw_epoch, take_batch
from scipy.stats import chisquare, ks_2samp
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)


def pictures(n, size=32):
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (n, 3, size, size)).astype(np.uint8))


def samples(images):
    mean, std = (torch.tensor(values).view(3, 1, 1) * 255 for values in (MEAN, STD))
    return Samples(images, torch.arange(len(images)), mean, std)


def settings(n, **augmentation):
    study = {
        "dataset": {"name": "cifar10", "augmentation": augmentation},
        "model": {"name": "mlp"},
        "training": {"lr": 0.1, "batch_size": n, "epochs": 1},
    }
    return make_run_settings(study, {"seed": 3}, "test")


def test_normalization():
    images = pictures(5)
    theirs = v2.Compose([v2.ToDtype(torch.float32, scale=True), v2.Normalize(MEAN, STD)])(images)
    torch.testing.assert_close(normalize(images, samples(images)), theirs)


def test_other_inputs_stay_as_they_are():
    tokens = torch.randint(0, 9, (5, 4))
    assert normalize(tokens, Samples(tokens, torch.zeros(5), torch.zeros(0), torch.zeros(0))) is tokens


def test_rotation_is_torchvisions():
    """The same pixels for the same angles, except that a source halfway between two pixels may round differently."""
    images = pictures(50)
    degrees = torch.linspace(-15, 15, 50)
    ours = augment(images, 0, torch.zeros(50, 2, dtype=torch.long), None, torch.deg2rad(degrees))
    theirs = torch.stack([functional.rotate(i, d.item()) for i, d in zip(images, degrees, strict=True)])
    assert (ours == theirs).double().mean() > 0.999
    assert (ours[:, :, 0, 0] == 0).double().mean() > 0.8, "corners are black"


def test_crop_and_flip_are_torchvisions():
    """The 5 x 5 windows, flipped or not, are torchvision's and equally frequent."""
    image, n = pictures(1, size=6), 20_000
    batch, _ = take_batch(samples(image.expand(n, -1, -1, -1)), settings(n, crop=2, flip=True), step=0)
    padded = functional.pad(image, [2])
    windows = [functional.crop(padded, top, left, 6, 6) for top in range(5) for left in range(5)]
    outcomes = [normalize(w, samples(image)) for window in windows for w in (window, functional.hflip(window))]
    counts = [int((batch == outcome).flatten(1).all(1).sum()) for outcome in outcomes]
    assert sum(counts) == n
    assert chisquare(counts).pvalue > 1e-3


@pytest.mark.slow
def test_all_three_together_are_distributed_as_torchvisions():
    """Random projections of the altered image have the same distribution; with other ranges they do not."""
    image, n = pictures(1, size=16), 8000
    theirs = v2.Compose([v2.RandomCrop(16, padding=4), v2.RandomHorizontalFlip(), v2.RandomRotation(15)])
    torch.manual_seed(0)
    directions = torch.randn(3 * 16 * 16, 20)
    altered = torch.stack([theirs(image[0]) for _ in range(n)])
    expected = normalize(altered, samples(image)).flatten(1) @ directions

    def smallest_pvalue(**augmentation):
        batch, _ = take_batch(samples(image.expand(n, -1, -1, -1)), settings(n, **augmentation), step=0)
        projected = batch.flatten(1) @ directions
        return min(ks_2samp(a.numpy(), b.numpy()).pvalue for a, b in zip(projected.T, expected.T, strict=True))

    assert smallest_pvalue(crop=4, flip=True, rotation=15.0) > 1e-3 / 20
    assert smallest_pvalue(crop=3, flip=True, rotation=15.0) < 1e-6
    assert smallest_pvalue(crop=4, flip=False, rotation=15.0) < 1e-6
    assert smallest_pvalue(crop=4, flip=True, rotation=5.0) < 1e-6


def test_draws_depend_on_seed_and_epoch_alone():
    device = torch.device("cpu")
    first = draw_epoch(100, 3, 0, 4, 15.0, device)
    draw_epoch(100, 3, 1, 4, 15.0, device)
    for one, again in zip(first, draw_epoch(100, 3, 0, 4, 15.0, device), strict=True):
        assert torch.equal(one, again)
    for other in ((4, 0), (3, 1)):
        for one, another in zip(first, draw_epoch(100, *other, 4, 15.0, device), strict=True):
            assert not torch.equal(one, another)


@pytest.mark.parametrize("size", [7, 40])
def test_a_batch_holds_its_own_labels(size):
    images = torch.arange(100, dtype=torch.uint8).view(100, 1, 1, 1).expand(-1, 3, 8, 8)
    batch, labels = take_batch(samples(images), settings(size), step=1)
    assert len(labels) == size
    torch.testing.assert_close(batch, normalize(images[labels], samples(images)))
