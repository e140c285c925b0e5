"""How results lie on disk: files that appear complete or not at all, checksums, HDF5, and what to say of a full disk.

Nothing here changes a number, so no module of this package is part of a program's code digest (see provenance.py).
"""
