"""Image data sets: what is read is what was written, and a missing or corrupt file is reported in one line."""

import gzip

import numpy as np
import pytest
from actdim import registry
from actdim.datasets import imagefolder
from actdim.errors import UserError
from conftest import build_named
from image_files import write_cifar, write_mnist, write_svhn
from PIL import Image
from torchvision.datasets import CIFAR10, CIFAR100, SVHN, ImageFolder
from torchvision.transforms import CenterCrop, Compose, Resize


def build(name, folder, **settings):
    return build_named(registry.DATASETS, {"name": name, "folder": str(folder), **settings})


def write(name, folder, monkeypatch):
    """Write the data set `name` to a folder in its published format; return the samples."""
    if name.startswith("cifar"):
        return write_cifar(folder, CIFAR10 if name == "cifar10" else CIFAR100, monkeypatch)
    return write_svhn(folder, SVHN, monkeypatch) if name == "svhn" else write_mnist(folder, registry.DOWNLOADED[name])


def assert_same(data, samples):
    """Check that a DataSet has exactly these samples, in this order."""
    splits = data.load()
    for split, (images, labels) in samples.items():
        assert splits[split].inputs.dtype == np.uint8
        assert splits[split].labels.dtype == splits[split].index.dtype == np.int64
        assert splits[split].inputs.shape[1:] == data.shape
        np.testing.assert_array_equal(splits[split].inputs, images)
        np.testing.assert_array_equal(splits[split].labels, labels)
        np.testing.assert_array_equal(splits[split].index, np.arange(len(labels)))
    assert len(data.mean) == len(data.std) == data.shape[0]
    assert max(samples["train"][1]) == data.classes - 1


def one_line(data):
    """Return the one-line message of loading a DataSet."""
    with pytest.raises(UserError) as mistake:
        data.load()
    assert len(str(mistake.value).splitlines()) == 1
    return str(mistake.value)


@pytest.mark.parametrize("name", registry.DOWNLOADED)
def test_published_formats(name, tmp_path, monkeypatch):
    samples = write(name, tmp_path / "local", monkeypatch)
    assert_same(build(name, tmp_path / "local"), samples)


@pytest.mark.parametrize("name", ["mnist", "fashionmnist"])
def test_packed_files(name, tmp_path):
    samples = write_mnist(tmp_path, registry.DOWNLOADED[name], packed=True)
    before = sorted(tmp_path.rglob("*"))
    data = build(name, tmp_path)
    assert data.sizes == {"train": 60, "validation": 25}
    assert_same(data, samples)
    assert sorted(tmp_path.rglob("*")) == before


def test_published_sizes_before_there_are_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, sizes in {"mnist": (60000, 10000), "cifar100": (50000, 10000), "svhn": (73257, 26032)}.items():
        assert tuple(build_named(registry.DATASETS, {"name": name}).sizes.values()) == sizes


@pytest.mark.parametrize("name", registry.DOWNLOADED)
@pytest.mark.parametrize("harm", ["missing", "cut", "altered", "empty"])
def test_every_file_missing_or_damaged(name, harm, tmp_path, monkeypatch):
    write(name, tmp_path / "local", monkeypatch)
    files = [path for path in (tmp_path / "local").rglob("*") if path.is_file()]
    assert len(files) >= 2
    for file in files:
        content = file.read_bytes()
        if harm == "missing":
            file.unlink()
        elif harm == "altered":
            file.write_bytes(b"<html>" + content[6:])
        else:
            file.write_bytes(content[: len(content) // 2 if harm == "cut" else 0])
        line = one_line(build(name, tmp_path / "local"))
        assert file.name in line
        assert ("missing" if harm == "missing" else "corrupt") in line
        assert f"scripts/download_dataset.py --dataset {name} --output {tmp_path}/local" in line
        file.write_bytes(content)
    build(name, tmp_path / "local").load()


@pytest.mark.parametrize("cut", [0, 5, 300])
def test_damaged_packed_file(cut, tmp_path):
    write_mnist(tmp_path, packed=True)
    file = tmp_path / "MNIST/raw/t10k-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:cut])
    assert f"{file}: corrupt" in one_line(build("mnist", tmp_path))
    file.write_bytes(b"no archive at all")
    assert f"{file}: corrupt" in one_line(build("mnist", tmp_path))
    file.write_bytes(gzip.compress(b"no images"))
    assert "corrupt: MNIST/raw/t10k-images-idx3-ubyte.gz or " in one_line(build("mnist", tmp_path))


def test_labels_of_other_samples(tmp_path):
    write_mnist(tmp_path)
    (tmp_path / "MNIST/raw/train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3]))
    assert "60 images and 3 labels" in one_line(build("mnist", tmp_path))


@pytest.mark.parametrize("name", registry.DOWNLOADED)
def test_no_folder(name, tmp_path, monkeypatch):
    """A folder of the user's own must exist; the default one is downloaded."""
    with pytest.raises(UserError, match=f"^dataset.folder: elsewhere: no such folder; .* data/{name}"):
        build(name, "elsewhere")
    monkeypatch.chdir(tmp_path)
    assert f"data/{name}: no such folder; download {name} to it by" in one_line(build(name, f"data/{name}"))


def write_images(folder, ending):
    """Write ImageFolder's layout: colors, grays, a palette, transparency, several sizes, one image in a subfolder."""
    random = np.random.default_rng(0)
    modes = ["RGB", "L", "P", "RGBA"] if ending == "png" else ["RGB", "L", "CMYK", "RGB"]
    for split in ("train", "validation"):
        for name in ("cat", "dog"):
            place = folder / split / name
            (place / "more").mkdir(parents=True)
            for number, (mode, size) in enumerate(zip(modes, [(40, 24), (24, 24), (31, 50), (9, 5)], strict=True)):
                pixels = Image.fromarray(random.integers(256, size=(*size, 3), dtype=np.uint8)).convert(mode)
                pixels.save(place / ("more" if number == 2 else "") / f"{number}.{ending}")
            (place / "notes.txt").write_text("no image")


@pytest.mark.parametrize("ending", ["png", "jpg", "JPEG"])
def test_image_folder(ending, tmp_path):
    """The samples and order of torchvision's class, with its transforms."""
    write_images(tmp_path, ending)
    data = build("imagefolder", tmp_path, size=16)
    assert data.sizes == {"train": 8, "validation": 8}
    same = {split: ImageFolder(tmp_path / split, Compose([Resize(16), CenterCrop(16)])) for split in data.sizes}
    assert_same(
        data,
        {
            split: (np.stack([np.asarray(image) for image, _ in folder]).transpose(0, 3, 1, 2), folder.targets)
            for split, folder in same.items()
        },
    )


def test_images_of_the_right_size_are_read_as_they_are(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(2, 12, 12, 3), dtype=np.uint8)
    for split, image in zip(("train", "validation"), pixels, strict=True):
        (tmp_path / split / "one").mkdir(parents=True)
        Image.fromarray(image).save(tmp_path / split / "one/a.png")
    splits = build("imagefolder", tmp_path, size=12).load()
    for split, image in zip(("train", "validation"), pixels, strict=True):
        np.testing.assert_array_equal(splits[split].inputs[0], image.transpose(2, 0, 1))


@pytest.mark.parametrize("ending", ["png", "jpg"])
@pytest.mark.parametrize("kept", [0, 20, 0.5, -30])
def test_damaged_image(ending, kept, tmp_path):
    write_images(tmp_path, ending)
    file = tmp_path / f"validation/dog/0.{ending}"
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    assert one_line(build("imagefolder", tmp_path, size=16)).startswith(f"{file}: not an image that can be read")


@pytest.mark.parametrize(("ending", "dtype"), [("png", np.uint16), ("tif", np.uint16), ("tif", np.float32)])
def test_images_of_more_than_8_bits_are_refused(ending, dtype, tmp_path):
    """Pillow would clip them to 255 in the conversion to RGB."""
    write_images(tmp_path, "png")
    file = tmp_path / f"train/cat/a.{ending}"
    Image.fromarray(np.full((20, 20), 300, dtype)).save(file)
    line = one_line(build("imagefolder", tmp_path, size=16))
    assert line == f"{file}: an image of more than 8 bits a color; save it with 8"


def test_hidden_names_are_neither_classes_nor_images(tmp_path, capsys):
    """Notebooks and macOS leave them behind; they would be a class, or an image that cannot be read."""
    write_images(tmp_path, "png")
    before = build("imagefolder", tmp_path, size=16).load()
    assert capsys.readouterr().err == ""
    for split in ("train", "validation"):
        for hidden in (".ipynb_checkpoints/a.png", "cat/.thumbnails/a.png", "cat/more/._2.png", "dog/._0.png"):
            (tmp_path / split / hidden).parent.mkdir(exist_ok=True)
            (tmp_path / split / hidden).write_bytes(b"no image")
    (tmp_path / "train/cat/.DS_Store").write_bytes(b"no image, and not named like one")
    imagefolder.list_images.cache_clear()
    data = build("imagefolder", tmp_path, size=16)
    assert capsys.readouterr().err.splitlines() == [
        f"{tmp_path}/{split}: 4 hidden files or folders left out: "
        ".ipynb_checkpoints, cat/.thumbnails, cat/more/._2.png, ..."
        for split in ("train", "validation")
    ]
    assert data.classes == 2
    assert_same(data, {split: samples[:2] for split, samples in before.items()})


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_their_camera_was_held(ending, orientation, tmp_path):
    """The four quarters of an image are black, red, green and blue; each orientation says where the first row lies."""
    colors = np.array([[[0, 0, 0], [255, 0, 0]], [[0, 255, 0], [0, 0, 255]]], np.uint8)
    # EXIF 2.32, table 6: row 0 and column 0 of what is stored are at the top and left, top and right, ... of the image
    stored = {
        1: colors,
        2: colors[:, ::-1],
        3: colors[::-1, ::-1],
        4: colors[::-1],
        5: colors.swapaxes(0, 1),
        6: np.rot90(colors),
        7: np.rot90(colors, 2).swapaxes(0, 1),
        8: np.rot90(colors, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for split in ("train", "validation"):
        (tmp_path / split / "one").mkdir(parents=True)
        image = Image.fromarray(stored.repeat(16, axis=0).repeat(16, axis=1))
        image.save(tmp_path / f"{split}/one/a.{ending}", exif=exif)
    image = build("imagefolder", tmp_path, size=32).load()["train"].inputs[0]
    np.testing.assert_allclose(image[:, 8::16, 8::16].transpose(1, 2, 0).astype(int), colors, atol=60)


def test_folders_that_do_not_fit(tmp_path):
    write_images(tmp_path, "png")
    (tmp_path / "train/fox").mkdir()

    def line():
        imagefolder.list_images.cache_clear()
        with pytest.raises(UserError) as mistake:
            build("imagefolder", tmp_path)
        return str(mistake.value)

    assert line().startswith(f"dataset.folder: {tmp_path}/train/fox: no image in it")
    (tmp_path / "train/dog/0.png").rename(tmp_path / "train/fox/0.png")
    assert line() == f"dataset.folder: {tmp_path}/train has a class 'fox' and {tmp_path}/validation has none"
    (tmp_path / "train").rename(tmp_path / "training")
    assert line().startswith(f"dataset.folder: {tmp_path}/train: no such folder")
    (tmp_path / "train").mkdir()
    assert line().startswith(f"dataset.folder: {tmp_path}/train: should hold a folder for each class")
