"""The library behind the programs in scripts/: one module for each thing the workflow does."""
