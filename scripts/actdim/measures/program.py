"""What the programs that measure a checkpoint share: their options, and the file of a result."""

import argparse
from pathlib import Path

from actdim import plugins
from actdim.cli import add_expect, add_set
from actdim.provenance import made_by, settings_that_count
from actdim.storage.json_files import write_json


def checkpoint_parser(description, example):
    """Return a parser of --checkpoint, --set, --expect and --output; example: of a setting of the measure."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--checkpoint", required=True, type=Path, help="a checkpoint of train.py")
    add_set(parser, f"a setting of the measure: {example}")
    add_expect(parser)
    parser.add_argument("--output", required=True, type=Path, help="the JSON file")
    return parser


def write_result(path, result, program, trained, settings, libraries, **source):
    """Write the JSON file of what a program measured of a Trained, with its settings, source and making.

    result: plain values; program: path of the program; libraries: those that decide about the values; source: what the
    source states besides `trained.source`.
    """
    functions, counted = plugins.run_functions(trained.settings), settings_that_count(settings)
    about = {
        "settings": settings.model_dump(),
        "source": {**trained.source, **source},
        "made_by": made_by(program, *functions, settings=counted, libraries=libraries),
    }
    write_json(path, {**result, **about})
