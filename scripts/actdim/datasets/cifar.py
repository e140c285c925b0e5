"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009, Learning multiple layers of features from tiny images).

Means and deviations are those of the public code of Brown et al. 2022 (arXiv 2211.13239). The deviations of CIFAR-10
are not those of the training pixels, which are 0.2470, 0.2435 and 0.2616.
"""

from actdim.datasets.dataset import DataSet
from actdim.datasets.published import Folder, read, require_folder

SIZES = {"train": 50_000, "validation": 10_000}


def cifar10(*, folder: Folder = "data/cifar10") -> DataSet:
    """Color images of 10 kinds of things, 32x32; validation is the published test batch.

    folder: holds `cifar-10-batches-py` with the pickles of the Python version.
    """
    require_folder("cifar10", folder)
    return DataSet(
        shape=(3, 32, 32),
        classes=10,
        sizes=SIZES,
        load=lambda: load("cifar10", "CIFAR10", folder),
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
    )


def cifar100(*, folder: Folder = "data/cifar100") -> DataSet:
    """Color images of 100 kinds of things (the fine labels), 32x32; validation is the published test part.

    folder: holds `cifar-100-python` with the pickles of the Python version.
    """
    require_folder("cifar100", folder)
    return DataSet(
        shape=(3, 32, 32),
        classes=100,
        sizes=SIZES,
        load=lambda: load("cifar100", "CIFAR100", folder),
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
    )


def load(name, class_name, folder):
    """Return {split: Split} as a class of torchvision reads it, which checks the MD5 of every file."""
    import torchvision

    reader = getattr(torchvision.datasets, class_name)

    def read_split(split):
        published = reader(folder, train=split == "train")
        return published.data.transpose(0, 3, 1, 2), published.targets

    meta = [reader.meta["filename"], reader.meta["md5"]]
    listed = {"train": [*reader.train_list, meta], "validation": [*reader.test_list, meta]}
    files = {split: {f"{reader.base_folder}/{file}": md5 for file, md5 in entries} for split, entries in listed.items()}
    return read(name, folder, files, read_split)
