"""Estimators of the intrinsic dimension (ID), a module each; registry.py lists them.

An estimator is a function of the NeighborLists of a layer (distances, indices, decimated) and of its own settings,
which are keyword arguments. It returns a dict: id; low and high, a 95 % interval that takes points as independent;
n_dropped; and further diagnostics, numbers or lists. Or it raises NoEstimate with the reason. What estimators share is
in ratios.py, and what is made of an estimate in result.py. The linear dimension (pca.py) is a function of the points.
"""
