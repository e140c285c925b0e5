"""Command-line arguments that several programs share."""

import json

from actdim.errors import UserError


def add_set(parser, what):
    """Add the repeatable option `--set KEY=VALUE` to a parser."""
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=f"{what}; may be repeated")


def read_set(pairs):
    """Return {key: value} of `KEY=VALUE` texts; a value is a number, true, false, null or else a text."""
    settings = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise UserError(f"--set {pair}: should be KEY=VALUE")
        try:
            settings[key] = json.loads(text)
        except ValueError:
            settings[key] = text
    return settings
