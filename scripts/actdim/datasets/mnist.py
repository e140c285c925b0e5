"""MNIST (LeCun et al. 1998, doi:10.1109/5.726791) and Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747)."""

import contextlib
import gzip
import tempfile
import zlib
from pathlib import Path

from actdim.datasets import DataSet
from actdim.datasets.published import read, require_folder
from actdim.errors import UserError

SIZES = {"train": 60_000, "validation": 10_000}
FILES = {
    "train": ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
    "validation": ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
}


def mnist(*, folder: str = "data/mnist") -> DataSet:
    """Handwritten digits in gray, 28x28; validation is the published test part.

    folder: holds `MNIST/raw` with four files in the IDX format, unpacked or as .gz. Other images of that size and
    format can take their place.
    """
    return in_idx_format("mnist", "MNIST", folder, mean=(0.1307,), std=(0.3081,))


def fashionmnist(*, folder: str = "data/fashionmnist") -> DataSet:
    """Articles of clothing in gray, 28x28; validation is the published test part.

    folder: holds `FashionMNIST/raw` with four files in the IDX format, unpacked or as .gz.
    """
    return in_idx_format("fashionmnist", "FashionMNIST", folder, mean=(0.2860,), std=(0.3530,))


def in_idx_format(name, kind, folder, mean, std):
    """Return the DataSet that torchvision's class `kind` reads."""
    require_folder(name, folder)
    raw = Path(folder, kind, "raw")
    sizes = {split: count(raw / images, SIZES[split]) for split, (images, _) in FILES.items()}
    return DataSet((1, 28, 28), 10, sizes, load=lambda: load(name, kind, folder), mean=mean, std=std)


def count(path, published):
    """Return the number of samples that an IDX file states, unpacked or .gz; `published` where it cannot be read."""
    for file, opened in ((path, open), (Path(f"{path}.gz"), gzip.open)):
        with contextlib.suppress(OSError, EOFError, zlib.error), opened(file, "rb") as content:
            return int.from_bytes(content.read(8)[4:]) or published
    return published


def load(name, kind, folder):
    """Return {split: Split} as torchvision's class `kind` reads it."""
    import torchvision

    files = {split: [f"{kind}/raw/{file}" for file in part] for split, part in FILES.items()}
    with unpacked(folder, [file for part in files.values() for file in part]) as root:

        def make(split):
            published = getattr(torchvision.datasets, kind)(root, train=split == "train")
            images, labels = published.data.numpy(), published.targets.numpy()
            if images.shape[1:] != (28, 28) or (labels >= 10).any():
                raise ValueError(f"images of {images.shape[1:]} and labels to {labels.max()}, not (28, 28) and 9")
            return images[:, None], labels

        return read(name, folder, {split: dict.fromkeys(part) for split, part in files.items()}, make)


@contextlib.contextmanager
def unpacked(folder, files):
    """Yield a folder with the files that torchvision reads: `folder`, or a passing one where some are there as .gz."""
    packed = {file for file in files if not Path(folder, file).exists() and Path(folder, f"{file}.gz").exists()}
    if not packed:
        yield folder
        return
    with tempfile.TemporaryDirectory() as root:
        for file in files:
            Path(root, file).parent.mkdir(parents=True, exist_ok=True)
            source = Path(folder, f"{file}.gz")
            if file not in packed:
                Path(root, file).symlink_to(Path(folder, file).absolute())
                continue
            try:
                Path(root, file).write_bytes(gzip.decompress(source.read_bytes()))
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise UserError(f"{source}: damaged ({error}); put the published file in its place") from None
        yield root
