"""A cache of the checked configuration and studies, for the jobs that Snakemake sends to a cluster.

Each of them starts one or two Snakemakes, which would spend most of their time importing torch to check the studies
again. Nothing rests on the cache: without it, they do that.
"""

import contextlib
from pathlib import Path

from pydantic import TypeAdapter

from actdim.errors import UserError
from actdim.provenance import digest_of
from actdim.storage.json_files import read_json, write_json
from actdim.study.config import Config
from actdim.study.study import Study
from actdim.validation import ALREADY_CHECKED

FOLDER = Path(".snakemake/actdim")


PLANNED = TypeAdapter(tuple[Config, dict[str, Study]])


def file_of(config):
    """Return the path that holds what follows from a configuration, as Snakemake has read it."""
    return FOLDER / f"planned-{digest_of(config)}.json"


def keep(config, checked, studies):
    """Write the Config and {name: Study} that follow from a configuration."""
    with contextlib.suppress(UserError, OSError):
        write_json(file_of(config), {"planned": PLANNED.dump_python((checked, studies), mode="json")})


def kept(config):
    """Return the Config and {name: Study} kept for a configuration; None if there are none."""
    with contextlib.suppress(UserError):
        return PLANNED.validate_python(read_json(file_of(config))["planned"], context=ALREADY_CHECKED)
