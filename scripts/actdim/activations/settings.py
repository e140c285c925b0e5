"""The settings of a dump that count; see provenance.py."""

from actdim.provenance import settings_that_count
from actdim.validation import Settings


class Dump(Settings):
    """What a dump stores."""

    split: str
    layers: list[str]
    dtype: str = "auto"


def dump_settings(split, layers, dtype):
    """Return what made a dump, as far as it counts."""
    return settings_that_count(Dump(split=split, layers=layers, dtype=dtype))
