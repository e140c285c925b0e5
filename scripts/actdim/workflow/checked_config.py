"""The checked configuration and studies of a Snakemake, for the jobs that it sends to a cluster.

Each of them starts a Snakemake of its own, or two, which would spend most of its time importing torch to check the
studies again.
"""

from pathlib import Path

from pydantic import TypeAdapter

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
    write_json(file_of(config), {"planned": PLANNED.dump_python((checked, studies), mode="json")})


def kept(config):
    """Return the Config and {name: Study} kept for a configuration; None where none were."""
    file = file_of(config)
    return PLANNED.validate_python(read_json(file)["planned"], context=ALREADY_CHECKED) if file.exists() else None
