"""The JSON Schemas of studies and of config.yaml, for editors and for the documentation.

    cd scripts && python -m actdim.study.schema    # writes docs/schema/*.json

They follow from the pydantic models and from the signatures of the registered functions. Where a study may leave a
required setting of dataset, model or training to its grid, the schema does not require it.
"""

import json
from pathlib import Path

from pydantic.json_schema import models_json_schema

from actdim import plugins
from actdim.study.config import ALL_ESTIMATORS, Config
from actdim.study.study_file import OwnActivationsFile, StudyFile
from actdim.training.settings import NAMED_SECTIONS, TrainingSection
from actdim.validation import Settings

FOLDER = Path(__file__).resolve().parents[3] / "docs/schema"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
OWN_FUNCTION = r"^(?!torchvision:)[^:]+:[^:]+$"


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in schema_files().items():
        (FOLDER / name).write_text(text)


def schema_files():
    """Return {file name: content} of the schemas."""
    schemas = {
        "study.json": study_schema(),
        "own_activations.json": own_activations_schema(),
        "config.json": config_schema(),
    }
    return {name: json.dumps(schema, indent=2) + "\n" for name, schema in schemas.items()}


def study_schema():
    """Return the JSON Schema of a study's YAML file."""
    functions = {
        section: {name: plugins.settings_model(table, name, base) for name in table}
        for section, (table, base) in NAMED_SECTIONS.items()
    }
    bases = {section: base for section, (_, base) in NAMED_SECTIONS.items()}
    models = [TrainingSection, *bases.values(), *(model for known in functions.values() for model in known.values())]
    schema, references, definitions = schema_with(StudyFile, models)
    for section, base in bases.items():
        for name, model in functions[section].items():
            definitions[model]["properties"]["name"] |= registered_name(name)
        definitions[base]["properties"]["name"] |= {"pattern": OWN_FUNCTION}
        definitions[base] |= {"title": f"{section} of your own", "additionalProperties": True}
    for definition in definitions.values():
        leave_to_grid(definition)
    allowed = {
        section: {"anyOf": [references[model] for model in (*functions[section].values(), base)]}
        for section, base in bases.items()
    }
    for section, content in {**allowed, "training": references[TrainingSection]}.items():
        schema["properties"][section] = {"description": schema["properties"][section]["description"], **content}
    first = ("dataset", "model", "training", "grid", "seeds", "checkpoints", "activations", "neighbors")
    return finished(schema, "a study of actdim", first, last="figures")


def own_activations_schema():
    """Return the JSON Schema of the YAML file of a study whose activations are in files of the user's own."""
    schema, _, _ = schema_with(OwnActivationsFile, [])
    return finished(schema, "a study of own activations", ("activations", "neighbors"), last="figures")


def config_schema():
    """Return the JSON Schema of config.yaml."""
    models = {name: plugins.settings_model(ALL_ESTIMATORS, name, Settings) for name in ALL_ESTIMATORS}
    schema, references, _ = schema_with(Config, models.values())
    estimators = schema["properties"]["estimators"]
    estimators["properties"] = {name: references[model] for name, model in models.items()}
    estimators["additionalProperties"] = False
    estimators.pop("propertyNames", None)
    return finished(schema, "config.yaml of actdim", ("studies", "neighbors", "estimators"), last="tensorboard")


def schema_with(root, models):
    """Return the JSON Schema of a pydantic model with definitions of others, references to these, and definitions.

    The latter two are {model: {"$ref": ...}} and {model: what the reference refers to, for changes in place}.
    """
    references, schema = models_json_schema([(model, "validation") for model in (root, *models)])
    references = {model: reference for (model, _), reference in references.items()}
    names = {model: reference["$ref"].rpartition("/")[2] for model, reference in references.items()}
    top = schema["$defs"].pop(names[root])
    definitions = {model: schema["$defs"][names[model]] for model in models}
    return {"$schema": DIALECT, **top, "$defs": schema["$defs"]}, references, definitions


def registered_name(name):
    """Return what a schema says of a name in a table of registry.py; family:* stands for many names."""
    return {"pattern": f"^{name[:-1]}.+$"} if name.endswith(":*") else {"const": name}


def leave_to_grid(definition):
    """Require no setting of a section but the name of its function, because the grid may state the others."""
    for key in definition.pop("required", []):
        if key == "name":
            definition["required"] = [key]
        else:
            definition["properties"][key]["description"] += "; required, here or in the grid"


def finished(schema, title, first, last):
    """Return a schema with a title and its sections in order, without titles that only repeat a key."""
    sections = schema["properties"]
    order = [*first, *(name for name in sections if name not in (*first, last)), last]
    schema = without_titles({**schema, "properties": {name: sections[name] for name in order}})
    return schema | {"title": title}


def without_titles(schema):
    """Return a schema without the titles of properties."""
    if isinstance(schema, list):
        return [without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: without_titles(value) for key, value in schema.items()}
    for setting in plain.get("properties", {}).values():
        setting.pop("title", None)
    return plain


if __name__ == "__main__":
    main()
