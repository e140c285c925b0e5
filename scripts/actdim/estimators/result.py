"""What an estimate is, and the JSON file that holds it.

An estimate is a dict of plain values: n_points; id, low and high, the estimate and its 95 % interval; n_dropped, the
number of points that it leaves out; and the estimator's own diagnostics. Where there is none, these four are None, and
`reason` says why.
"""

import numpy as np

from actdim.estimators.ratios import NoEstimate
from actdim.storage.json_files import write_json


def estimate(n_points, estimator, *data, **settings):
    """Return the estimate that an estimator makes from its data (neighbor lists, or points), of n_points points."""
    try:
        return {"n_points": n_points, **plain_values(estimator(*data, **settings))}
    except NoEstimate as reason:
        return missing_estimate(n_points, str(reason))


def estimate_from_lists(estimator, lists, report, **settings):
    """Return the estimate that an estimator makes from the NeighborLists of a search.

    report: of the search; its `reason`, if it has one, is why there are no neighbors.
    """
    n_points = len(lists.distances)
    if "reason" in report:
        return missing_estimate(n_points, report["reason"])
    return estimate(n_points, estimator, lists, **settings)


def missing_estimate(n_points, reason):
    """Return what stands in place of an estimate where there is none."""
    return {"n_points": n_points, "id": None, "low": None, "high": None, "n_dropped": None, "reason": reason}


def write_estimates(path, estimates, **attributes):
    """Write the JSON file of one layer's estimates and their attributes, and print the estimates.

    estimates: [(label, estimate)], where the label is a class, or None for all points together; attributes: plain
    values, such as the estimator, its settings and the source of the data. Eigenvalues are not printed.
    """
    for label, result in estimates:
        printed = {key: value for key, value in result.items() if key != "eigenvalues"}
        print(printed if label is None else f"class {label}: {printed}")
    if len(estimates) == 1 and estimates[0][0] is None:
        content = estimates[0][1]
    else:
        content = {"classes": [{"class": label, **result} for label, result in estimates]}
    write_json(path, {**content, **attributes})


def plain_values(value):
    """Return nested dicts and lists with NumPy's numbers as Python's."""
    if isinstance(value, dict):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain_values(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value
