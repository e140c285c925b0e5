"""Models and data sets from elsewhere: torchvision's, with trained weights, and the user's own modules."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from actdim import registry
from actdim.activations.dump import dump
from actdim.datasets.dataset import DataSet, Split, data_set, load_samples
from actdim.datasets.device import normalize, on_device
from actdim.errors import UserError
from actdim.models.build import build_model
from actdim.models.layers import forward, layer_names
from actdim.models.summary import compute_summary, summarize_model
from actdim.models.torchvision_models import why_no_accuracy
from actdim.study.run_settings import make_run_settings
from conftest import STUDY, build_named, dataset_settings
from PIL import Image
from torchvision import models

COLOR = DataSet(shape=(3, 32, 32), classes=4, sizes={"train": 40, "validation": 60}, load=dict)
MINE = """
import numpy as np
from actdim.datasets import DataSet, Split

import shades


def patches(*, classes: int = 4) -> DataSet:
    def load():
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (100, 3, 32, 32)).astype(np.uint8) // shades.DIVISOR
        labels, index = rng.integers(0, classes, 100), np.arange(100)
        parts = {"train": slice(0, 40), "validation": slice(40, 100)}
        return {name: Split(images[part], labels[part], index[part]) for name, part in parts.items()}

    sizes = {"train": 40, "validation": 60}
    return DataSet((3, 32, 32), classes, sizes, load, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
"""


def make(name, data=COLOR, **settings):
    return build_named(registry.MODELS, {"name": name, **settings}, data)


def trained(tmp_path, classes=4):
    """Write the weights of a resnet18; return the file and the model."""
    torch.manual_seed(5)
    model = models.resnet18(num_classes=classes)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    return str(tmp_path / "weights.pth"), model.eval()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "vgg11", "densenet121", "mobilenet_v2"])
def test_the_last_layer_is_what_the_classifier_reads(name):
    model = make(f"torchvision:{name}").eval()
    images = torch.randn(2, 3, 32, 32)
    layers = layer_names(model, ["all"])
    logits, outputs = forward(model, images, layers)
    assert list(outputs) == layers
    classifier = [module for module in model.modules() if isinstance(module, torch.nn.Linear)][-1]
    torch.testing.assert_close(classifier(outputs[layers[-1]]), logits)


def test_trained_weights_are_torchvisions(tmp_path):
    file, model = trained(tmp_path)
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(make("torchvision:resnet18", weights=file).eval()(images), model(images))


def prefixed(state, prefix):
    return {f"{prefix}{key}": value for key, value in state.items()}


def ours(state):
    """Return a state dict with the keys of our checkpoints, where the classifier is a part of its module."""
    return {key.replace("fc.", "fc.linear."): value for key, value in state.items()}


FILES = {
    "state_dict": lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"state": {}, "param_groups": []}},
    "the only one": lambda state: {"epoch": 3, "network": state},
    "model of several": lambda state: {"model": state, "ema": prefixed(state, "ema.")},
    "DataParallel": lambda state: prefixed(state, "module."),
    "torch.compile": lambda state: {"state_dict": prefixed(state, "_orig_mod.")},
    "both": lambda state: prefixed(state, "module._orig_mod."),
    "Lightning": lambda state: {"state_dict": prefixed(state, "net.") | {"loss.weight": torch.ones(4)}},
    "our checkpoint": lambda state: {"model": ours(state), "random": {"cpu": torch.get_rng_state(), "cuda": []}},
}


@pytest.mark.parametrize("kind", FILES)
def test_weights_as_training_programs_save_them(kind, tmp_path):
    file, model = trained(tmp_path)
    torch.save(FILES[kind](model.state_dict()), file)
    images = torch.randn(2, 3, 32, 32)
    measured = make("torchvision:resnet18", weights=file).eval()
    torch.testing.assert_close(measured(images), model(images))
    assert measured.no_accuracy is None


REFUSED = {
    "several": (
        lambda state: {"first": state, "second": state},
        "holds several state dicts, first, second, under the keys first, second; save one alone",
    ),
    "none": (lambda state: {"epoch": 3}, "holds no state dict, under the keys epoch; save one alone"),
    "twice": (
        lambda state: prefixed(state, "query.") | prefixed(state, "key."),
        "holds the model several times, under query., key.; save one alone",
    ),
    "larger": (
        lambda state: models.resnet34(num_classes=4).state_dict(),
        "is of another model: layer1.2.conv1.weight, layer1.2.bn1.weight, layer1.2.bn1.bias does not fit",
    ),
    "module": (
        lambda state: torch.nn.Linear(2, 2),
        "holds more than tensors and plain values; save model.state_dict() alone",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_weights_that_are_refused(kind, tmp_path):
    file, model = trained(tmp_path)
    content, line = REFUSED[kind]
    torch.save(content(model.state_dict()), file)
    with pytest.raises(UserError) as error:
        make("torchvision:resnet18", weights=file)
    assert str(error.value).endswith(f"torchvision:resnet18: weights: {file} {line}")


def test_trained_weights_for_other_classes_get_a_fresh_classifier(tmp_path):
    file, model = trained(tmp_path, classes=1000)
    ours = make("torchvision:resnet18", weights=file).eval()
    images = torch.randn(2, 3, 32, 32)
    logits, outputs = forward(ours, images, ["layer4"])
    assert logits.shape == (2, 4)
    _, theirs = forward(model, images, ["layer4"])
    torch.testing.assert_close(outputs["layer4"], theirs["layer4"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("resnet19", {}, "torchvision:resnet19: unknown to torchvision; it has resnet18"),
        ("resnet18", {"weights": "IMAGENET"}, "no file 'IMAGENET' and no weights of that name: IMAGENET1K_V1, DEFAULT"),
        ("vgg11", {"weights": "resnet"}, "weights: .*weights.pth is of another model"),
        ("resnet18", {"weights": "text"}, "weights: .*text.pth holds no state dict"),
        ("squeezenet1_0", {}, "has no linear classifier"),
    ],
)
def test_mistakes_about_a_torchvision_model(tmp_path, name, settings, message):
    (tmp_path / "text.pth").write_text("weights")
    files = {"resnet": trained(tmp_path)[0], "text": str(tmp_path / "text.pth")}
    settings = {key: files.get(value, value) for key, value in settings.items()}
    with pytest.raises(UserError, match=message):
        make(f"torchvision:{name}", **settings)


def pictures(folder, names=("cat", "dog")):
    """Write an image of each class for both splits; return the image of each class for training."""
    random = np.random.default_rng(0)
    for split in ("validation", "train"):
        images = {name: Image.fromarray(random.integers(256, size=(90, 70, 3), dtype=np.uint8)) for name in names}
        for name, image in images.items():
            (folder / split / name).mkdir(parents=True)
            image.save(folder / split / name / "0.png")
    return images


def settings_of(dataset, model):
    """Return the RunSettings of a study that trains nothing."""
    return make_run_settings({"dataset": dataset, "model": model, "training": {"epochs": 0}}, {}, "test")


def named(name, **settings):
    return {"name": f"torchvision:{name}", "weights": "DEFAULT", **settings}


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("resnet50", (232, 224)), ("efficientnet_b2", (288, 288)), ("inception_v3", (342, 299))],
)
def test_images_are_preprocessed_as_for_the_weights(name, sizes, tmp_path):
    """What the model reads is what torchvision's own transforms give, and the run's settings say how."""
    images = pictures(tmp_path)
    settings = settings_of({"name": "imagefolder", "folder": str(tmp_path)}, named(name)).dataset
    assert (settings.resize, settings.size) == sizes
    data = data_set(settings)
    samples = on_device(load_samples(settings, 0)["train"], data, torch.device("cpu"))
    transforms = models.get_model_weights(name).DEFAULT.transforms()
    expected = torch.stack([transforms(image) for image in images.values()])
    torch.testing.assert_close(normalize(samples.inputs, samples), expected, rtol=1e-5, atol=1e-5)


def test_a_study_may_preprocess_otherwise(tmp_path):
    pictures(tmp_path)
    folder = {"name": "imagefolder", "folder": str(tmp_path)}
    smaller = settings_of({**folder, "size": 64}, named("efficientnet_b2")).dataset
    assert (smaller.size, smaller.resize, smaller.interpolation) == (64, None, "bicubic")
    plain = settings_of({**folder, "mean": [0.5, 0.5, 0.5], "interpolation": "bilinear"}, named("efficientnet_b2"))
    assert (plain.dataset.mean, plain.dataset.interpolation, plain.dataset.size) == ((0.5,) * 3, "bilinear", 288)
    assert settings_of(folder, {"name": "torchvision:resnet50"}).dataset.resize is None
    copy = named("resnet50", weights="elsewhere/resnet50-0676ba61.pth")  # as torchvision publishes IMAGENET1K_V1
    assert settings_of(folder, copy).dataset.resize == 256
    with pytest.raises(UserError, match=r"dataset.resize: 32 is less than size, 64; should be as large or larger"):
        data_set(settings_of({**folder, "size": 64, "resize": 32}, named("resnet50")).dataset)


def test_a_data_set_that_cannot_preprocess_as_for_the_weights_says_so(capsys):
    for _ in range(2):
        assert settings_of({"name": "cifar10"}, named("resnet50")).dataset.folder == "data/cifar10"
    assert capsys.readouterr().err == (
        "test: dataset cifar10: its images are not preprocessed as for weights DEFAULT, by resize 232, size 224, "
        "interpolation bilinear, mean (0.485, 0.456, 0.406), std (0.229, 0.224, 0.225)\n"
    )


IMAGENET = models.ResNet18_Weights.IMAGENET1K_V1
FOLDERS = ("n01440764", *(f"n{number:08}" for number in range(2_000_000, 2_000_998)), "n15075141")


@pytest.mark.parametrize(
    ("classes", "names", "head", "entry", "why"),
    [
        (4, (), torch.ones(4, 2), None, None),
        (4, (), torch.ones(9, 2), None, "the classifier is untrained: weights W is for 9 classes, not 4"),
        (4, (), None, None, "the classifier is untrained: weights W has none"),
        (1000, (), torch.full((1000, 2), torch.nan), IMAGENET, "the classifier is untrained: weights W has none"),
        (1000, IMAGENET.meta["categories"], torch.ones(1000, 2), IMAGENET, None),
        (1000, FOLDERS, torch.ones(1000, 2), IMAGENET, None),
        (
            1000,
            (),
            torch.ones(1000, 2),
            IMAGENET,
            "weights W is for the classes of ImageNet, and the data set has others or no class_names",
        ),
    ],
)
def test_when_the_accuracy_of_trained_weights_means_nothing(classes, names, head, entry, why):
    assert why_no_accuracy(COLOR._replace(classes=classes, class_names=names), "W", head, entry) == why


def test_metrics_of_classes_that_a_network_lacks_are_empty(own, tmp_path):
    """With the reason in each table; what needs no accuracy is there."""
    trained(tmp_path, classes=7)
    study = yaml.safe_load((own.folder / "studies/tiny.yaml").read_text())
    study["activations"]["layers"] = ["layer4.1", "fc.features"]
    study |= {"directions": {"at": [0], "layers": ["layer4"], "orders": 2}, "seeds": [0, 1]}
    own.write(study)
    own.snakemake()
    why = f"the classifier is untrained: weights {tmp_path}/weights.pth is for 7 classes, not 4"
    tables = {
        name: pd.read_csv(own.folder / f"results/tables/{name}.csv") for name in ("summary", "training", "measures")
    }
    for table in tables.values():
        metrics = [name for name in table if name.endswith(("_loss", "_accuracy", "_gap", "_area"))]
        assert len(metrics) >= 4
        assert table[metrics].isna().all(axis=None)
        assert all(f"losses and accuracies: {why}" in reason.split("; ") for reason in table["reason"])
    assert tables["summary"]["llid"].notna().all()
    assert tables["measures"][["mean_selectivity", "participation_ratio", "weight_norm"]].notna().all(axis=None)
    said = own.run("snakemake", "--cores", "1", "--forcerun", "tabulate_training").stderr
    assert f"2 of 2 rows of training.csv, checkpoint 0: losses and accuracies: {why}" in said


def test_gray_images_are_refused():
    with pytest.raises(UserError, match=r"reads color images .* samples of shape \(1, 8, 8\)"):
        make("torchvision:resnet18", COLOR._replace(shape=(1, 8, 8)))


@pytest.fixture
def own(project, tmp_path):
    """A project whose study measures pretrained weights on the user's own data set."""
    (project.folder / "mine.py").write_text(MINE)
    (project.folder / "shades.py").write_text("DIVISOR = 1\n")
    file, _ = trained(tmp_path)
    project.write(
        {
            "dataset": {"name": "mine:patches"},
            "model": {"name": "torchvision:resnet18", "weights": file},
            "training": {"epochs": 0},
            "checkpoints": [0],
            "activations": {"at": [0], "layers": ["layer1", "layer4.1", "fc.features"]},
            "figures": ["id_over_depth"],
        }
    )
    return project


def test_a_pretrained_network_is_measured(own, tmp_path):
    """From weights in a file to LLID and PID; its activations are those that torchvision's model computes."""
    own.snakemake("results/tables/summary.csv")
    summary = pd.read_csv(own.folder / "results/tables/summary.csv")
    assert len(summary) == 1
    assert summary["llid"][0] > 1
    _, model = trained(tmp_path)
    seen = {}
    model.layer1.register_forward_hook(lambda module, inputs, output: seen.update(output=output.flatten(1)))
    with h5py.File(own.folder / "results/tiny/seed~0/activations/00000.h5") as file:
        images = np.random.default_rng(0).integers(0, 256, (100, 3, 32, 32))[file["sample_index"][:]]
        with torch.no_grad():
            logits = model((torch.from_numpy(images).float() / 255 - 0.5) / 0.25)
        torch.testing.assert_close(torch.from_numpy(file["logits"][:]), logits, rtol=1e-4, atol=1e-4)
        stored = torch.from_numpy(file["layers/layer1"][:]).float()
        torch.testing.assert_close(stored, seen["output"], rtol=2e-3, atol=2e-3)
        assert [name for name, layer in file["layers"].items() if layer.attrs["feeds_classifier"]] == ["fc.features"]
    # its own code, and what that imports, is code of the run; a comment is not
    (own.folder / "shades.py").write_text("DIVISOR = 1  # as they are\n")
    own.snakemake("results/tables/summary.csv", "-n")
    assert "train" not in own.planned()
    (own.folder / "shades.py").write_text("DIVISOR = 2\n")
    assert own.planned()["train"] == 1


WHOLE = Split(np.zeros((30, 3, 4, 4), np.uint8), np.arange(30) % 4, np.arange(30))
FAULTS = {  # of the training samples, or of what the data set says of itself
    "short": (
        lambda: WHOLE._replace(labels=WHOLE.labels[:25]),
        r"train: labels are int64 \(25,\); should be .* \(30,\)",
    ),
    "few": (
        lambda: Split(*(part[:20] for part in WHOLE)),
        r"train: inputs are uint8 \(20, 3, 4, 4\); should be uint8 \(30",
    ),
    "int32": (lambda: WHOLE._replace(labels=WHOLE.labels.astype(np.int32)), "train: labels are int32"),
    "floats": (lambda: WHOLE._replace(inputs=WHOLE.inputs / 255), "train: inputs are float64 .*; should be uint8"),
    "classes": (lambda: WHOLE._replace(labels=WHOLE.labels + 1), "train: labels from 1 to 4; should be from 0 to 3"),
    "ignored": (lambda: WHOLE._replace(labels=WHOLE.labels - 100), "train: labels from -100 to -97"),
    "lists": (lambda: WHOLE._replace(labels=list(WHOLE.labels)), "train: labels should be an array of numpy, not list"),
    "pairs": (lambda: tuple(WHOLE[:2]), "train: inputs should be an array of numpy, not NoneType"),
    "test": (lambda: WHOLE, "should load a Split of train and one of validation"),
    "none": (
        lambda: WHOLE,
        r"has sizes {'train': 30, 'validation': 0}; should have samples of train and of validation",
    ),
    "deviation": (lambda: WHOLE, "should be images .channels, height, width., a mean and std of each"),
    "number": (lambda: WHOLE, "returns int; should return actdim.datasets.DataSet"),
}


def faulty(*, fault: str) -> DataSet:
    """A data set with a fault."""
    other = "test" if fault == "test" else "validation"
    return (
        7
        if fault == "number"
        else DataSet(
            shape=(3, 4, 4),
            classes=4,
            sizes={"train": 30, "validation": 0 if fault == "none" else 30},
            load=lambda: {"train": FAULTS[fault][0](), other: WHOLE},
            mean=(0.5,) * 3,
            std=(0.25,) * (1 if fault == "deviation" else 3),
        )
    )


@pytest.mark.parametrize("fault", FAULTS)
def test_a_data_set_that_is_not_what_it_says(fault):
    dataset = dataset_settings(name="test_own:faulty", fault=fault)
    with pytest.raises(UserError, match=f"^dataset.*test_own:faulty.*{FAULTS[fault][1]}"):
        load_samples(dataset, seed=0)


class Sequence(torch.nn.Module):
    """A model whose outputs have positions, not samples, as their first dimension."""

    def __init__(self, classes):
        super().__init__()
        self.positions = torch.nn.Linear(16, 5)
        self.total = torch.nn.Flatten(0)
        self.classifier = torch.nn.Linear(15, classes)

    def forward(self, x):
        x = self.positions(x.flatten(2).transpose(0, 1))
        self.total(x)
        return self.classifier(x.transpose(0, 1).flatten(1))


MODELS = {
    "positions": (lambda classes: Sequence(classes), ["positions"], r"'positions' returns \(3, 5, 5\) for 5 samples"),
    "total": (lambda classes: Sequence(classes), ["total"], r"'total' returns \(75,\) for 5 samples; name a"),
    "logits": (lambda classes: Sequence(classes - 1), ["classifier"], r"returns torch.float32 \(5, 3\) for 5 samples"),
    "none": (lambda classes: None, ["classifier"], "returns NoneType; should return a torch.nn.Module"),
    "lazy": (lambda classes: torch.nn.LazyLinear(classes), ["weight"], "has lazy modules; state the sizes"),
    "several": (lambda classes: torch.nn.LSTM(16, classes), ["input"], "returns tuple for 5 samples"),
}


def odd_model(data, *, kind: str):
    """A model that cannot be measured."""
    return MODELS[kind][0](data.classes)


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_that_cannot_be_measured(kind, monkeypatch):
    monkeypatch.setattr("actdim.models.summary.SAMPLES", 5)
    shape = (16,) if kind in ("several", "lazy") else (3, 4, 4)
    data = COLOR._replace(shape=shape, sizes=None, load=None)
    with pytest.raises(UserError, match=MODELS[kind][2]):
        compute_summary(json.dumps({"name": "test_own:odd_model", "kind": kind}), data, tuple(MODELS[kind][1]))


class Encoder(torch.nn.Module):
    """Token 0 is padding, and is hidden from attention."""

    def __init__(self, classes):
        super().__init__()
        self.embedding = torch.nn.Embedding(9, 8)
        layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder, self.head = torch.nn.TransformerEncoder(layer, 2), torch.nn.Linear(8, classes)

    def forward(self, tokens):
        hidden = self.encoder(self.embedding(tokens), src_key_padding_mask=tokens == 0)
        return self.head(hidden)[:, -1]


def encoder(data):
    """A model with the encoder of torch."""
    return Encoder(data.classes)


def padded() -> DataSet:
    """A data set of tokens."""
    return DataSet(shape=(5,), classes=3, sizes={"train": 6, "validation": 6}, load=dict, vocabulary=9)


PADDED = {"dataset": {"name": "test_own:padded"}, "model": {"name": "test_own:encoder"}, "training": {"epochs": 0}}


def test_an_encoder_with_a_padding_mask(tmp_path):
    """Its parts are computed as in training, also the attention, of whose tensors the first is stored."""
    settings = make_run_settings(PADDED, {}, "test")
    layers = ["encoder.layers.0.self_attn", "encoder.layers.1.linear2", "encoder"]
    summary = summarize_model(settings, layers)
    assert (summary.layers, summary.feeds_classifier) == (dict.fromkeys(layers, 5 * 8), "encoder")
    torch.manual_seed(0)
    model, tokens = build_model(settings).eval(), torch.randint(9, (40, 5))
    split = Split(tokens.numpy(), np.arange(40) % 3, np.arange(40))
    samples = on_device(split, padded(), torch.device("cpu"))
    dump(tmp_path / "a.h5", model, samples, split.index, layers, {})
    with h5py.File(tmp_path / "a.h5") as file, torch.no_grad():
        hidden, padding = model.embedding(tokens), tokens == 0
        attended, _ = model.encoder.layers[0].self_attn(hidden, hidden, hidden, key_padding_mask=padding)
        seen = torch.from_numpy(file[f"layers/{layers[0]}"][:])
        torch.testing.assert_close(seen, attended.flatten(1))
        torch.testing.assert_close(torch.from_numpy(file["logits"][:]), model(tokens))


def test_a_part_of_an_attention_that_is_no_module_of_its_own():
    line = (
        "activations.layers: the model never calls 'encoder.layers.0.self_attn.out_proj' as a module; "
        "name encoder.layers.0.self_attn"
    )
    with pytest.raises(UserError) as error:
        summarize_model(make_run_settings(PADDED, {}, "test"), ["encoder.layers.0.self_attn.out_proj"])
    assert str(error.value) == line


def volumes(data):
    """A model of volumes."""
    return torch.nn.Sequential(torch.nn.Conv3d(1, 2, 2), torch.nn.Flatten(), torch.nn.Linear(54, data.classes))


def volume_data() -> DataSet:
    """A data set of volumes."""
    return DataSet(shape=(1, 4, 4, 4), classes=3, sizes={"train": 6, "validation": 6}, load=dict)


def test_a_model_of_volumes():
    study = {"model": {"name": "test_own:volumes"}, "dataset": {"name": "test_own:volume_data"}}
    model = build_model(make_run_settings(study | {"training": {"epochs": 0}}, {}, "test"))
    assert model(torch.randn(2, 1, 4, 4, 4)).shape == (2, 3)


FICKLE = """
import torch


class Fickle(torch.nn.Linear):
    def forward(self, inputs):
        rows = torch.arange(10, device=inputs.device)
        return super().forward(inputs.flatten(1).put_(rows, torch.zeros(10, device=inputs.device)))


def fickle(data):
    return Fickle(64, data.classes)
"""


def test_a_model_that_is_not_deterministic_is_refused(project):
    (project.folder / "mine.py").write_text(FICKLE)
    project.write({**STUDY, "model": {"name": "mine:fickle"}, "activations": {"at": [4], "layers": ["input"]}})
    assert project.run("snakemake", "--cores", "2").returncode == 1
    log = next(project.folder.glob("results/tiny/*/*/logs/train/*.log")).read_text()
    assert log.splitlines()[-1] == (
        "train.py: the model's put_ has no deterministic implementation on this device; replace it in the model"
    )
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("dataset", "model", "message"),
    [
        ("mine:nothing", "mlp", "dataset.name: 'mine:nothing': module 'mine' has no function 'nothing'"),
        ("yours:patches", "mlp", "dataset.name: 'yours:patches': no module 'yours'; looked in "),
        ("patches", "mlp", "or module:function of your own"),
        ("digits", "torchvision:resnet18", "reads color images"),
        ("mine:patches", "torchvision:swin_v2_t", None),
        ("mine:patches", "torchvision:alexnet", "model: torchvision:alexnet cannot read these data: "),
    ],
)
def test_mistakes_about_own_modules(project, dataset, model, message):
    """Each is reported in one line before any job starts."""
    (project.folder / "mine.py").write_text(MINE)
    (project.folder / "shades.py").write_text("DIVISOR = 1\n")
    project.write(
        {
            "dataset": {"name": dataset},
            "model": {"name": model},
            "training": {"epochs": 0},
            "checkpoints": [0],
            "activations": {"at": [0]},
        }
    )
    done = project.run("snakemake", "-n", "--cores", "1")
    if message is None:
        assert done.returncode == 0, done.stderr
    else:
        said = [line for line in done.stderr.splitlines() if "tiny.yaml" in line]
        assert done.returncode == 1
        assert len(said) == 1
        assert message in said[0], said
