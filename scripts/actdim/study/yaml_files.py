"""YAML files, read and checked for what cannot stand in a path or a message."""

import re
from pathlib import Path

import yaml

from actdim.errors import UserError

BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # would break a name, or the line of a message


def read_yaml(path):
    """Return the mapping that a YAML file holds; UserError where it is missing, damaged or something else."""
    try:
        content = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: should hold keys and values")
    check_texts(content, str(path))
    return content


def check_texts(content, where):
    """Raise UserError where a text in nested keys and values has a line break or another control character."""
    if isinstance(content, str) and BREAKS.search(content):
        raise UserError(f"{where}: {content!r} has a line break or another control character")
    parts = [*content, *content.values()] if isinstance(content, dict) else content
    for part in parts if isinstance(parts, list) else []:
        try:
            check_texts(part, where)
        except RecursionError:
            raise UserError(f"{where}: refers to itself") from None
