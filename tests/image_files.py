"""Writers of small data sets in the formats in which they are published."""

import gzip
import hashlib
import pickle
import tarfile

import numpy as np
import scipy.io

SIZES = {"train": 60, "validation": 25}


def images_and_labels(shape, classes, sizes=SIZES, seed=0):
    """Return {split: (images (n, *shape) uint8, labels (n,))}, random, every class in the training labels."""
    random = np.random.default_rng(seed)
    return {
        split: (random.integers(256, size=(n, *shape), dtype=np.uint8), random.permutation(np.arange(n) % classes))
        for split, n in sizes.items()
    }


def md5(path):
    """Return the MD5 of a file."""
    return hashlib.md5(path.read_bytes()).hexdigest()


class PythonTwo(pickle._Pickler):
    """Pickles bytes as Python 2 pickled strings, as in the published files."""

    dispatch = dict(pickle._Pickler.dispatch)

    def save_string(self, text):
        self.write(pickle.BINSTRING + len(text).to_bytes(4, "little") + text)
        self.memoize(text)

    dispatch[bytes] = save_string


def write_cifar(folder, kind, monkeypatch):
    """Write CIFAR's pickles, and give torchvision's class their MD5s; return the samples."""
    fine = kind.__name__ == "CIFAR100"
    samples = images_and_labels((3, 32, 32), 100 if fine else 10, {"train": 100, "validation": 20})
    place = folder / kind.base_folder
    place.mkdir(parents=True)

    def write(name, content):
        with open(place / name, "wb") as file:
            PythonTwo(file, protocol=2).dump(content)
        return [name, md5(place / name)]

    def write_parts(names, images, labels):
        label = b"fine_labels" if fine else b"labels"
        parts = zip(names, np.split(images, len(names)), np.split(labels, len(names)), strict=True)
        return [write(name, {b"data": i.reshape(-1, 3072), label: part.tolist()}) for name, i, part in parts]

    monkeypatch.setattr(kind, "train_list", write_parts([name for name, _ in kind.train_list], *samples["train"]))
    monkeypatch.setattr(kind, "test_list", write_parts([name for name, _ in kind.test_list], *samples["validation"]))
    _, checksum = write(kind.meta["filename"], {kind.meta["key"].encode(): []})
    monkeypatch.setattr(kind, "meta", kind.meta | {"md5": checksum})
    return samples


def pack_cifar(folder, kind, archive, monkeypatch):
    """Pack the files of write_cifar as CIFAR is published, and give torchvision's class the MD5."""
    with tarfile.open(archive / kind.filename, "w:gz") as tar:
        tar.add(folder / kind.base_folder, kind.base_folder)
    monkeypatch.setattr(kind, "tgz_md5", md5(archive / kind.filename))


def write_mnist(folder, kind="MNIST", packed=False, sizes=SIZES):
    """Write IDX files, .gz or not; return the samples."""
    samples = images_and_labels((1, 28, 28), 10, sizes)
    raw = folder / kind / "raw"
    raw.mkdir(parents=True)
    for split, part in (("train", "train"), ("validation", "t10k")):
        for what, array in zip(("images-idx3", "labels-idx1"), samples[split], strict=True):
            array = array.astype(np.uint8).reshape(*array.shape[:1], *array.shape[2:])
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            content = header + array.tobytes()
            name = f"{part}-{what}-ubyte"
            (raw / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content) if packed else content)
    return samples


def write_svhn(folder, kind, monkeypatch):
    """Write .mat files, in which the label of the digit 0 is 10; return the samples."""
    samples = images_and_labels((3, 32, 32), 10)
    folder.mkdir(parents=True)
    table = dict(kind.split_list)
    for split, part in (("train", "train"), ("validation", "test")):
        images, labels = samples[split]
        url, name, _ = table[part]
        written = {"X": images.transpose(2, 3, 1, 0), "y": np.where(labels == 0, 10, labels)[:, None].astype(np.uint8)}
        scipy.io.savemat(folder / name, written, do_compression=True)
        table[part] = [url, name, md5(folder / name)]
    monkeypatch.setattr(kind, "split_list", table)
    return samples
