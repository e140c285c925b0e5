"""MNIST (LeCun et al. 1998, doi:10.1109/5.726791) and Fashion-MNIST (Xiao et al. 2017, arXiv 1708.07747)."""

import contextlib
import functools
import gzip
import tempfile
import zlib
from pathlib import Path
from typing import Annotated

from actdim.datasets.dataset import DataSet
from actdim.datasets.published import Folder, default_folder, read, require_folder
from actdim.errors import UserError
from actdim.storage.watched_files import Watched

SIZES = {"train": 60_000, "validation": 10_000}


FILES = {
    "train": ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
    "validation": ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
}


def own_files(name, class_name, folder):
    """Return the paths of the four files in a folder; none for the default one, to which they are downloaded."""
    if Path(folder) == default_folder(name):
        return []
    files = (existing_file(Path(folder, class_name, "raw", file)) for names in FILES.values() for file in names)
    return [str(file) for file in files if file.exists()]  # loading tells which are missing


def mnist(
    *, folder: Annotated[Folder, Watched(functools.partial(own_files, "mnist", "MNIST"))] = "data/mnist"
) -> DataSet:
    """Handwritten digits in gray, 28x28; validation is the published test part.

    folder: holds `MNIST/raw` with four files in the IDX format, unpacked or as .gz. Other images of that size and
    format can take their place.
    """
    return in_idx_format("mnist", "MNIST", folder, mean=(0.1307,), std=(0.3081,))


def fashionmnist(
    *,
    folder: Annotated[
        Folder, Watched(functools.partial(own_files, "fashionmnist", "FashionMNIST"))
    ] = "data/fashionmnist",
) -> DataSet:
    """Articles of clothing in gray, 28x28; validation is the published test part.

    folder: holds `FashionMNIST/raw` with four files in the IDX format, unpacked or as .gz.
    """
    return in_idx_format("fashionmnist", "FashionMNIST", folder, mean=(0.2860,), std=(0.3530,))


def in_idx_format(name, class_name, folder, mean, std):
    """Return the DataSet that a class of torchvision reads."""
    require_folder(name, folder)
    raw = Path(folder, class_name, "raw")
    sizes = {split: count_samples(existing_file(raw / images), SIZES[split]) for split, (images, _) in FILES.items()}
    return DataSet((1, 28, 28), 10, sizes, load=lambda: load(name, class_name, folder), mean=mean, std=std)


def existing_file(path):
    """Return the path of an IDX file, or of its .gz if only that exists."""
    packed = Path(f"{path}.gz")
    return packed if packed.exists() and not Path(path).exists() else Path(path)


def count_samples(path, published):
    """Return the number of samples that an IDX file states; `published` where it cannot be read."""
    opened = gzip.open if path.suffix == ".gz" else open
    with contextlib.suppress(OSError, EOFError, zlib.error), opened(path, "rb") as content:
        return int.from_bytes(content.read(8)[4:]) or published
    return published


def load(name, class_name, folder):
    """Return {split: Split} as a class of torchvision reads it."""
    import torchvision

    raw = Path(folder, class_name, "raw")
    files = {split: [existing_file(raw / file) for file in names] for split, names in FILES.items()}
    with unpacked(folder, class_name, [file for paths in files.values() for file in paths]) as root:

        def read_split(split):
            published = getattr(torchvision.datasets, class_name)(root, train=split == "train")
            images, labels = published.data.numpy(), published.targets.numpy()
            if images.shape[1:] != (28, 28) or (labels >= 10).any():
                raise ValueError(f"images of {images.shape[1:]} and labels to {labels.max()}, not (28, 28) and 9")
            return images[:, None], labels

        no_md5 = {split: {str(file.relative_to(folder)): None for file in paths} for split, paths in files.items()}
        return read(name, folder, no_md5, read_split)


@contextlib.contextmanager
def unpacked(folder, class_name, files):
    """Yield the folder that torchvision reads: `folder`, or a temporary one where some of its `files` are .gz."""
    if not any(file.suffix == ".gz" for file in files):
        yield folder
        return
    with tempfile.TemporaryDirectory() as root:
        raw = Path(root, class_name, "raw")
        raw.mkdir(parents=True)
        for file in files:
            if file.suffix == ".gz":
                (raw / file.stem).write_bytes(unpack(file))
            else:
                (raw / file.name).symlink_to(file.absolute())
        yield root


def unpack(file):
    """Return the content of a .gz file; UserError where it is corrupt."""
    try:
        content = gzip.decompress(file.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{file}: corrupt ({error}); put the published file in its place") from None
    if not content:
        raise UserError(f"{file}: corrupt (it is empty); put the published file in its place")
    return content
