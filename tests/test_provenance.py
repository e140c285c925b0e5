"""What counts as code and as settings: what a digest must not notice, and what it must."""

import importlib
import inspect
import json
import re

import pytest
from actdim import provenance, validation
from conftest import ROOT

LIBRARY = ROOT / "scripts/actdim"
SETTINGS = ("activations.settings", "datasets.settings", "training.settings", "measures.settings", "neighbors.settings")
CODE = '''"""A docstring."""
from actdim.errors import UserError
from actdim.names import INPUT
from actdim.storage.atomic import atomic_write


def estimate(values, path, parser, *, k: Annotated[int, Field(ge=1, description="neighbors to use")] = 3):
    """Return something."""
    parser.add_argument("--k", type=int, default=3, help="neighbors", metavar="N")
    if len(values) < 2:
        raise UserError(f"{path}: two values or more, not {len(values)}")
    if values[0] == INPUT:
        raise NoEstimate("the data have no dimension")
    print(f"{len(values)} values")
    with atomic_write(path) as file:
        return 2 * sum(values)
'''


@pytest.fixture
def digest_after(tmp_path):
    """Return a function: the digest of CODE after replacing texts in it."""

    def digest_after(*replacements):
        text = CODE
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        tree = provenance.ast.parse(text)
        normal = provenance.normal_form(tree, provenance.names_not_counted(tree))
        return provenance.digest_of(repr(normal), provenance.formats(tree))

    return digest_after


@pytest.mark.parametrize(
    "replacements",
    {
        "docstrings": [("A docstring", "Another"), ("Return something", "Return the estimate")],
        "comment": [("    with", "    # why\n    with")],
        "message of an error": [("two values or more, not {len(values)}", "too few values")],
        "reason of a missing value": [("the data have no dimension", "no dimension")],
        "log line": [('print(f"{len(values)} values")', 'print("values:", len(values), flush=True)')],
        "description of a setting": [(', description="neighbors to use"', "")],
        "no log line": [('    print(f"{len(values)} values")\n', "")],
        "help": [('help="neighbors", metavar="N"', 'help="how many neighbors"')],
        "a check more": [("    print", '    if path is None:\n        raise UserError("no path")\n    print')],
        "a helper in storage has another name": [("atomic_write", "write_safely")],
        "a helper in storage has moved": [("storage.atomic", "storage.disk_space")],
    }.items(),
    ids=lambda item: item[0],
)
def test_what_cannot_change_a_number_does_not_count(digest_after, replacements):
    assert digest_after(*replacements[1]) == digest_after()


@pytest.mark.parametrize(
    "replacements",
    {
        "arithmetic": [("2 * sum", "3 * sum")],
        "a default of an argument": [("default=3", "default=4")],
        "when there is no estimate": [("if values[0] == INPUT", "if values[1] == INPUT")],
        "no estimate becomes a refusal": [("raise NoEstimate", "raise UserError")],
        "a constant by which it decides": [("INPUT", "PCA")],
        "a check that also binds a name": [("len(values) < 2", "(n := len(values)) < 2")],
    }.items(),
    ids=lambda item: item[0],
)
def test_what_can_change_a_number_counts(digest_after, replacements):
    assert digest_after(*replacements[1]) != digest_after()


def test_a_format_counts(digest_after, monkeypatch):
    before = digest_after(("storage.atomic import atomic_write", "storage.hdf5 import atomic_write"))
    assert before != digest_after()
    monkeypatch.setattr(provenance, "constants", lambda module: {"FORMAT": 1_000, "INPUT": "input"})
    assert digest_after(("storage.atomic import atomic_write", "storage.hdf5 import atomic_write")) != before


def test_modules_that_do_not_count_exist_and_are_named_with_the_reason():
    for module, reason in provenance.NOT_COUNTED.items():
        path = LIBRARY.joinpath(*module.split("."))
        assert path.is_dir() or path.with_suffix(".py").exists(), module
        assert len(reason.split()) >= 3, module


@pytest.mark.parametrize(
    ("program", "entries", "counted", "not_counted"),
    [
        (
            "train.py",
            ("actdim.datasets.digits:digits", "actdim.models.mlp:mlp"),
            {"train.py", "actdim/training/step.py", "actdim/models/mlp.py", "actdim/datasets/digits.py"},
            "resnet18|storage|study|cli|neighbors|estimators|tables|workflow",
        ),
        (
            "dump_activations.py",
            ("actdim.datasets.digits:digits", "actdim.models.mlp:mlp"),
            {"actdim/activations/float16.py", "actdim/activations/dump.py", "actdim/models/layers.py"},
            "resnet18|storage|study|cli|neighbors|estimators|training/step|training/loop",
        ),
        (
            "estimate_id.py",
            ("actdim.estimators.twonn:twonn",),
            {"estimate_id.py", "actdim/estimators/twonn.py"},
            "gride|mle|storage|cli|training|models|datasets|exact",
        ),
    ],
)
def test_the_code_of_a_program(program, entries, counted, not_counted):
    digests = provenance.code_digests(program, *entries)
    assert counted <= digests.keys()
    assert not [module for module in digests if re.search(not_counted, module)]


def settings_classes():
    """Return the classes of settings whose values are part of a digest, {name: class}."""
    modules = [importlib.import_module(f"actdim.{name}") for name in SETTINGS]
    return {
        name: member
        for module in modules
        for name, member in vars(module).items()
        if inspect.isclass(member) and issubclass(member, validation.Settings) and member.__module__ == module.__name__
    }


def test_every_default_is_noted():
    """Otherwise a default that is changed later would rerun nothing; add a line for a new setting."""
    noted = json.loads((LIBRARY / "first_defaults.json").read_text())
    classes = settings_classes()
    for name in ("TrainingSettings", "DatasetSettings", "Augmentation", "Schedule", "Bottleneck", "Neighbors", *noted):
        fields = inspect.get_annotations(classes[name])
        own = [field for field in fields if not classes[name].model_fields[field].is_required()]
        assert list(noted[name]) == own, name


def test_settings_at_their_default_do_not_count_and_a_changed_default_does(monkeypatch):
    class Loop(validation.Settings):
        lr: float
        momentum: float = 0.0

    class LaterLoop(Loop):
        smoothing: float = 0.0

    assert provenance.settings_that_count(Loop(lr=0.1)) == {"lr": 0.1}
    assert provenance.settings_that_count(LaterLoop(lr=0.1)) == {"lr": 0.1}
    assert provenance.settings_that_count(LaterLoop(lr=0.1, smoothing=0.2)) == {"lr": 0.1, "smoothing": 0.2}
    monkeypatch.setattr(provenance, "first_defaults", lambda: {"Loop": {"momentum": 0.9}})  # it is 0 now
    assert provenance.settings_that_count(Loop(lr=0.1)) == {"lr": 0.1, "momentum": 0.0}
    assert provenance.settings_that_count(Loop(lr=0.1, momentum=0.9)) == {"lr": 0.1}
