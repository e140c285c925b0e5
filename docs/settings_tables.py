#!/usr/bin/env python
"""Write the tables of settings in docs/studies.md from the JSON schemas in docs/schema.

    python docs/settings_tables.py

Everything after the marker in the page is replaced. A test checks that the page is up to date.
"""

import json
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PAGE = DOCS / "studies.md"
MARKER = "<!-- Everything below is written by docs/settings_tables.py from docs/schema/*.json. -->\n"
TO_GRID = "; required, here or in the grid"
LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
KINDS = {"integer": "integer", "number": "number", "string": "text", "boolean": "`true` or `false`", "null": "`null`"}


def main():
    PAGE.write_text(current_page())


def current_page():
    """Return the text of the page with the tables as the schemas have them now."""
    written_by_hand = PAGE.read_text().partition(MARKER)[0]
    study, own_activations, config = (
        json.loads((DOCS / f"schema/{name}.json").read_text()) for name in ("study", "own_activations", "config")
    )
    blocks = [
        "## Keys of a study",
        *settings_blocks(study, study["$defs"], defaults=config),
        "## Keys of a study of own activations",
        "[I have activations](own_activations.md) has examples.",
        *settings_blocks(own_activations, own_activations["$defs"], defaults=config),
        "## Keys of config.yaml",
        *settings_blocks(config, config["$defs"]),
    ]
    return written_by_hand + MARKER + "\n" + "\n\n".join(blocks) + "\n"


def settings_blocks(schema, definitions, path="", defaults=None, level=3):
    """Return the Markdown of an object's settings, then of the objects among them, as a list of blocks.

    path: what stands before a key in a heading; level: of the headings. defaults: the schema of config.yaml, whose
    sections a study can override: keys that both have are described there alone.
    """
    blocks = [table(schema["properties"], schema.get("required", []), definitions)]
    for key, value in schema["properties"].items():
        value = resolved(value, definitions)
        variants = objects(value, definitions)
        if variants:
            blocks += [f"{'#' * level} {path}{key}", sentence(value["description"])]
        if len(variants) > 1:
            blocks += variant_blocks(key, variants, definitions, level)
        elif variants and key in (defaults or {"properties": {}})["properties"]:
            blocks += override_blocks(key, variants[0], definitions, defaults)
        elif variants:
            blocks += settings_blocks(variants[0], definitions, f"{path}{key}.", level=level + 1)
    return blocks


def variant_blocks(key, variants, definitions, level):
    """Return the Markdown of a section whose settings depend on its name: those of all names, then of each."""
    *named, common = variants  # the last is that of the user's own functions
    blocks = settings_blocks(common, definitions, f"{key}.", level=level + 1)
    for variant in named:
        name = variant["properties"]["name"]
        blocks.append(
            f"{'#' * (level + 1)} {key}: {name.get('const') or name['pattern'].strip('^$').replace('.+', '*')}"
        )
        blocks += [sentence(variant["description"])] if "description" in variant else []
        own = {key: value for key, value in variant["properties"].items() if key not in common["properties"]}
        if own:
            blocks.append(table(own, variant.get("required", []), definitions))
    return blocks


def override_blocks(key, schema, definitions, defaults):
    """Return the Markdown of a section of a study that config.yaml has, too."""
    shared = resolved(defaults["properties"][key], defaults["$defs"])["properties"]
    own = {key: value for key, value in schema["properties"].items() if key not in shared}
    same = f"the keys of `{key}` in [config.yaml](#keys-of-configyaml)"
    if not own:
        return [f"It has {same}."]
    return [table(own, schema.get("required", []), definitions), f"It also has {same}."]


def objects(value, definitions):
    """Return the schemas of objects with named keys that a setting can be: none for numbers, texts and lists."""
    value = resolved(value, definitions)
    found = [
        found for key in ("anyOf", "oneOf") for option in value.get(key, []) for found in objects(option, definitions)
    ]
    return found or ([value] if value.get("properties") else [])


def resolved(value, definitions):
    """Return a schema, or the definition that it refers to."""
    if "$ref" not in value:
        return value
    return definitions[value["$ref"].rpartition("/")[2]] | {
        key: stated for key, stated in value.items() if key != "$ref"
    }


def table(properties, required, definitions):
    """Return the table of settings."""
    rows = ["| key | value | default | meaning |", "|---|---|---|---|"]
    for key, value in properties.items():
        value = resolved(value, definitions)
        text = value["description"].removeprefix("Return ").removesuffix(".")
        if key in required or text.endswith(TO_GRID):
            default = "required"
        elif objects(value, definitions) and value.get("default") is not None:
            default = "see below"
        else:
            default = f"`{yaml_text(value['default'])}`" if "default" in value else ""
        rows.append(f"| `{key}` | {kind(value, definitions)} | {default} | {text.removesuffix(TO_GRID)} |")
    return "\n".join(rows)


def kind(value, definitions):
    """Return what a setting can be, in words."""
    value = resolved(value, definitions)
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(kind(option, definitions) for option in value["anyOf"]))
    if value["type"] == "array":
        return f"list of: {kind(value.get('items') or value['prefixItems'][0], definitions) or 'values'}"
    if value["type"] == "object":
        return "settings"
    limits = [f"{words} {value[key]:g}" for key, words in LIMITS.items() if key in value]
    return " ".join([KINDS[value["type"]], ", ".join(limits)]).strip()


def sentence(text):
    """Return a description as a sentence; that of a function is the first line of its docstring."""
    text = text.removeprefix("Return ").removesuffix(".")
    return f"{text[0].upper()}{text[1:]}."


def yaml_text(value):
    """Return a default as one would write it in YAML."""
    if isinstance(value, list):
        return f"[{', '.join(map(yaml_text, value))}]"
    return value if isinstance(value, str) else json.dumps(value)


if __name__ == "__main__":
    main()
