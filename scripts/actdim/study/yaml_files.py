"""YAML files: read with numbers as YAML 1.2 has them, and checked for what cannot stand in a path or a message."""

import re
from pathlib import Path

import yaml

from actdim.errors import UserError

# Control characters, line breaks and lone surrogates: they would break a file's name, or the line of a message.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
INT, FLOAT, BOOL, NULL = (f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "bool", "null"))


class Loader(yaml.SafeLoader):
    """PyYAML's loader, which reads YAML 1.1, with the numbers of YAML 1.2 and no key twice in a mapping.

    1e-3 is a number (a text in YAML 1.1), 010 is 10 (8 in YAML 1.1), and 1:30 and 1_000 are texts (90 and 1000).
    See https://yaml.org/spec/1.2.2/#1032-tag-resolution.
    """

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in (INT, FLOAT)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_mapping_node(self, anchor):
        """Refuse a key that the mapping has already."""
        node = super().compose_mapping_node(anchor)
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and (key.tag, key.value) in keys:
                raise RepeatedKey(key.value, key.start_mark.line + 1)
            keys.add((key.tag, key.value) if isinstance(key, yaml.ScalarNode) else key)
        return node

    def construct_yaml_int(self, node):
        """Return an integer: decimal, or 0o17, or 0x1F."""
        text = self.construct_scalar(node)
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)

    def construct_yaml_float(self, node):
        """Return a float; .inf and .nan are what YAML calls float's inf and nan."""
        return float(re.sub(r"\.(inf|nan)$", r"\1", self.construct_scalar(node), flags=re.IGNORECASE))


Loader.add_implicit_resolver(INT, re.compile(r"[-+]?[0-9]+$|0o[0-7]+$|0x[0-9a-fA-F]+$"), list("-+0123456789"))
Loader.add_implicit_resolver(
    FLOAT,
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$|[-+]?\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$"),
    list("-+.0123456789"),
)
Loader.add_constructor(INT, Loader.construct_yaml_int)
Loader.add_constructor(FLOAT, Loader.construct_yaml_float)


class RepeatedKey(ValueError):
    """A mapping has a key a second time, in the line `line`."""

    def __init__(self, key, line):
        super().__init__(key)
        self.key, self.line = key, line


def read_yaml(path):
    """Return the mapping that a YAML file holds; UserError where it is missing, damaged or something else."""
    try:
        content = yaml.load(Path(path).read_text(), Loader)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except RepeatedKey as error:
        raise UserError(f"{path}: line {error.line}: the key {error.key!r} is already there; write it once") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: should hold keys and values")
    check_texts(content, str(path))
    return content


def value_of_text(text):
    """Return the number, boolean or null that a plain text stands for in YAML, or the text itself."""
    loader = Loader("")
    tag = loader.resolve(yaml.ScalarNode, text, (True, False))
    return loader.construct_object(yaml.ScalarNode(tag, text)) if tag in (INT, FLOAT, BOOL, NULL) else text


def check_texts(content, where):
    """Raise UserError where a text in nested keys and values has a line break or another control character."""
    if isinstance(content, str) and UNPRINTABLE.search(content):
        raise UserError(f"{where}: {content!r} has a line break or another control character")
    parts = [*content, *content.values()] if isinstance(content, dict) else content
    for part in parts if isinstance(parts, list) else []:
        try:
            check_texts(part, where)
        except RecursionError:
            raise UserError(f"{where}: refers to itself") from None
