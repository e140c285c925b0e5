"""Faults: what kills, fills, damages or confuses a run, and that nothing is lost. A package, beside tests/conftest.py."""
