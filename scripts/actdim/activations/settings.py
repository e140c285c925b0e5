"""The settings of a dump that count; see provenance.py."""


def dump_settings(split, layers, dtype):
    """Return what made a dump: its split and layers, and its type where it is not the default."""
    return {"split": split, "layers": layers, **({} if dtype == "auto" else {"dtype": dtype})}
