"""What an estimate says, and its JSON file."""

import numpy as np

from actdim.estimators import NoEstimate
from actdim.files import write_json


def estimate(n_points, estimator, *data, **settings):
    """Return what an estimator says of its data, as plain values: a number, or the reason why there is none."""
    try:
        return {"n_points": n_points, **plain(estimator(*data, **settings))}
    except NoEstimate as reason:
        return without(n_points, str(reason))


def without(n_points, reason):
    """Return what stands for an estimate where there is none."""
    return {"n_points": n_points, "id": None, "low": None, "high": None, "n_dropped": None, "reason": reason}


def write(path, results, **about):
    """Write the JSON of one layer's estimate, whole or not at all, with what it is about.

    results: [(label, estimate)]; a label is a class, or None for all points together. Prints the estimates.
    """
    for label, result in results:
        print(result if label is None else f"class {label}: {result}")
    alone = len(results) == 1 and results[0][0] is None
    content = results[0][1] if alone else {"classes": [{"class": label, **result} for label, result in results]}
    write_json(path, {**content, **about})


def plain(value):
    """Return nested dicts and lists with numpy's numbers as Python's."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
