"""The library behind the programs in scripts/, a package for each stop on the data's way.

A package imports only from those above it in this list: storage, datasets, models, training, activations, neighbors,
estimators, measures, study, tables, workflow. The single files beside them are for all: errors, names, registry,
validation, provenance, cli and threads come before storage, plugins after it, figures after tables.
"""
