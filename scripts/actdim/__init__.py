"""The library behind the programs in scripts/, a package for each stop on the data's way.

A package imports only from those above it in this list: storage, datasets, models, training, activations, neighbors,
estimators, measures, study, tables, workflow. The single files next to them serve all: errors, folders, names,
registry, sweeps, validation, provenance, cli, threads and random_numbers come before storage, plugins after it,
notebook after estimators, figures after tables.
"""

__all__ = ["intrinsic_dimension"]


def __getattr__(name):
    """Import the function for notebooks when it is asked for: programs need only parts of the library."""
    if name in __all__:
        from actdim.notebook import intrinsic_dimension

        return intrinsic_dimension
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
