"""Street View House Numbers (Netzer et al. 2011, Reading digits in natural images with unsupervised learning)."""

from actdim.datasets.dataset import DataSet
from actdim.datasets.published import Folder, read, require_folder


def svhn(*, folder: Folder = "data/svhn") -> DataSet:
    """Digits cropped from photographs, in color, 32x32; validation is the published test part.

    folder: holds `train_32x32.mat` and `test_32x32.mat`. The label of the digit 0 is 0, which the files call 10.
    """
    require_folder("svhn", folder)
    return DataSet(
        shape=(3, 32, 32),
        classes=10,
        sizes={"train": 73_257, "validation": 26_032},
        load=lambda: load(folder),
        mean=(0.4377, 0.4438, 0.4728),
        std=(0.1980, 0.2010, 0.1970),
    )


def load(folder):
    """Return {split: Split} as torchvision reads it, which checks the MD5 of both files."""
    from torchvision.datasets import SVHN

    def read_split(split):
        published = SVHN(folder, split=published_names[split])
        return published.data, published.labels

    published_names = {"train": "train", "validation": "test"}
    files = {split: dict([SVHN.split_list[name][1:]]) for split, name in published_names.items()}
    return read("svhn", folder, files, read_split)
