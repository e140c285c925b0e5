"""The JSON Schemas for editors and for the page of all keys."""

import copy
import json

import jsonschema
import pytest
from actdim.study import schema
from actdim.study.yaml_files import read_yaml
from conftest import ROOT, STUDY


def mistakes(content, name):
    """Return what a committed schema says about the content of a file."""
    rules = json.loads((ROOT / "docs/schema" / name).read_text())
    jsonschema.Draft202012Validator.check_schema(rules)
    return [error.message for error in jsonschema.Draft202012Validator(rules).iter_errors(content)]


def test_the_committed_schemas_are_current():
    for name, text in schema.schema_files().items():
        remedy = "run: cd scripts && python -m actdim.study.schema && python ../docs/settings_tables.py"
        assert (ROOT / "docs/schema" / name).read_text() == text, remedy


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "studies").glob("*.yaml")), ROOT / "config.yaml"], ids=lambda p: p.stem
)
def test_the_files_that_come_with_it_name_a_schema_and_follow_it(path):
    named = path.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
    assert mistakes(read_yaml(path), (path.parent / named).name) == []
    assert (path.parent / named).exists()


@pytest.mark.parametrize(
    ("section", "content", "message"),
    [
        ("training", {"lr": 0.1, "batch_size": 50, "epoch": 4}, "'epoch' was unexpected"),
        ("training", {"lr": -1, "batch_size": 50, "epochs": 4}, "-1 is less than or equal to the minimum of 0"),
        ("training", {"lr": 1, "batch_size": 5, "epochs": [2, 4], "schedule": "cosin"}, "'cosin' is not valid"),
        ("model", {"name": "mlp", "widht": 3}, "is not valid under any of the given schemas"),
        ("model", {"name": "mpl"}, "is not valid under any of the given schemas"),
        ("activations", {"at": [4], "split": "test"}, "'test' is not valid under any of the given schemas"),
        ("directions", {"at": [4], "clamp": "max"}, "is not valid under any of the given schemas"),
        ("training", {"epochs": [2, 4], "schedule": "cosine"}, None),
        ("model", {"name": "mine:net", "rate": 3}, None),
        ("model", {"name": "torchvision:resnet18", "weights": "DEFAULT"}, None),
        ("activations", {"at": [4], "split": "train", "layers": ["hidden1"]}, None),
    ],
)
def test_what_an_editor_says_of_a_study(section, content, message):
    said = mistakes(copy.deepcopy(STUDY) | {section: content}, "study.json")
    assert len(said) == (0 if message is None else 1)
    assert all(message in line for line in said)


def test_every_key_is_described():
    def properties(part):
        if isinstance(part, dict):
            yield from part.get("properties", {}).items()
            yield from (item for value in part.values() for item in properties(value))
        elif isinstance(part, list):
            yield from (item for value in part for item in properties(value))

    for name in schema.schema_files():
        rules = json.loads((ROOT / "docs/schema" / name).read_text())
        definitions = rules["$defs"]
        for key, value in properties(rules):
            described = value if "description" in value else definitions[value["$ref"].rpartition("/")[2]]
            assert len(described["description"]) > 5, key
