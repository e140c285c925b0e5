"""Faults: what kills, fills, damages or confuses a run. A package, beside tests/conftest.py."""
