"""MNIST (LeCun et al. 1998, doi:10.1109/5.726791) and Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747)."""

import contextlib
import gzip
import tempfile
import zlib
from pathlib import Path

from actdim.datasets.dataset import DataSet
from actdim.datasets.published import Folder, read, require_folder
from actdim.errors import UserError

SIZES = {"train": 60_000, "validation": 10_000}


FILES = {
    "train": ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
    "validation": ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
}


def mnist(*, folder: Folder = "data/mnist") -> DataSet:
    """Handwritten digits in gray, 28x28; validation is the published test part.

    folder: holds `MNIST/raw` with four files in the IDX format, unpacked or as .gz. Other images of that size and
    format can take their place.
    """
    return in_idx_format("mnist", "MNIST", folder, mean=(0.1307,), std=(0.3081,))


def fashionmnist(*, folder: Folder = "data/fashionmnist") -> DataSet:
    """Articles of clothing in gray, 28x28; validation is the published test part.

    folder: holds `FashionMNIST/raw` with four files in the IDX format, unpacked or as .gz.
    """
    return in_idx_format("fashionmnist", "FashionMNIST", folder, mean=(0.2860,), std=(0.3530,))


def in_idx_format(name, kind, folder, mean, std):
    """Return the DataSet that torchvision's class `kind` reads."""
    require_folder(name, folder)
    raw = Path(folder, kind, "raw")
    sizes = {split: count(found(raw / images), SIZES[split]) for split, (images, _) in FILES.items()}
    return DataSet((1, 28, 28), 10, sizes, load=lambda: load(name, kind, folder), mean=mean, std=std)


def found(path):
    """Return an IDX file, unpacked or .gz, as it lies there; the unpacked one where neither does."""
    packed = Path(f"{path}.gz")
    return packed if packed.exists() and not Path(path).exists() else Path(path)


def count(path, published):
    """Return the number of samples that an IDX file states; `published` where it cannot be read."""
    opened = gzip.open if path.suffix == ".gz" else open
    with contextlib.suppress(OSError, EOFError, zlib.error), opened(path, "rb") as content:
        return int.from_bytes(content.read(8)[4:]) or published
    return published


def load(name, kind, folder):
    """Return {split: Split} as torchvision's class `kind` reads it."""
    import torchvision

    files = {split: [found(Path(folder, kind, "raw", file)) for file in part] for split, part in FILES.items()}
    with unpacked(folder, kind, [file for part in files.values() for file in part]) as root:

        def make(split):
            published = getattr(torchvision.datasets, kind)(root, train=split == "train")
            images, labels = published.data.numpy(), published.targets.numpy()
            if images.shape[1:] != (28, 28) or (labels >= 10).any():
                raise ValueError(f"images of {images.shape[1:]} and labels to {labels.max()}, not (28, 28) and 9")
            return images[:, None], labels

        inside = {split: {str(file.relative_to(folder)): None for file in part} for split, part in files.items()}
        return read(name, folder, inside, make)


@contextlib.contextmanager
def unpacked(folder, kind, files):
    """Yield the folder that torchvision reads: `folder`, or a passing one where some of its `files` are .gz."""
    if not any(file.suffix == ".gz" for file in files):
        yield folder
        return
    with tempfile.TemporaryDirectory() as root:
        raw = Path(root, kind, "raw")
        raw.mkdir(parents=True)
        for file in files:
            if file.suffix == ".gz":
                (raw / file.stem).write_bytes(unpack(file))
            else:
                (raw / file.name).symlink_to(file.absolute())
        yield root


def unpack(file):
    """Return the content of a .gz file; UserError where it is damaged."""
    try:
        content = gzip.decompress(file.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{file}: damaged ({error}); put the published file in its place") from None
    if not content:
        raise UserError(f"{file}: damaged (nothing in it); put the published file in its place")
    return content
