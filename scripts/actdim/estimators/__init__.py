"""Estimators of the intrinsic dimension (ID), a module each; registry.py lists them.

An estimator is a function of the neighbor lists of a layer (Lists: distances, indices, decimated) and of its own
keyword settings. It returns a dict: id, low and high (a 95 % interval that takes points as independent), n_dropped,
and further diagnostics; or it raises NoEstimate with the reason.
"""
