"""What an estimate says, and its JSON file.

Estimators of the intrinsic dimension (ID), a module each; the table is in registry.py.

An estimator is a function of the neighbor lists of a layer (hdf5.Lists: distances, indices, decimated) and of its own
keyword settings. It returns a dict: id, low and high (the 95 % interval of its law, which takes points as
independent), n_dropped, and what else it knows, numbers or lists; or raises NoEstimate with the reason.
"""

import numpy as np

from actdim.storage.json_files import write_json


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

    results: [(label, estimate)]; a label is a class, or None for all points together. Prints the estimates, without
    their eigenvalues.
    """
    for label, result in results:
        shown = {key: value for key, value in result.items() if key != "eigenvalues"}
        print(shown if label is None else f"class {label}: {shown}")
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


FEWEST = 10  # usable points
MOST_TIES = 0.01  # of the points, at which the first two neighbors are equally far


LEVEL = 0.95


TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)


class NoEstimate(Exception):
    """The data allow no estimate; the text is the reason that the tables show."""


def require(count):
    """Raise NoEstimate where too few usable points are left."""
    if count < FEWEST:
        raise NoEstimate(f"{count} usable points, fewer than {FEWEST}")


def require_continuous(distances):
    """Raise NoEstimate where the first two neighbors are equally far at more points than in continuous data.

    distances: (n, k). In continuous data mu = r2 / r1 follows a Pareto law with exponent d (Facco et al. 2017, eq. 2),
    by which a tie in float32, mu < 1 + 2^-23, happens at d 2^-23 of the points: 1 in 84,000 for d = 100. Among integers
    and rounded values ties are far more frequent than MOST_TIES. A single tie is no evidence.
    """
    if distances.shape[1] < 2:
        raise NoEstimate("fewer than two neighbors a point")
    r1, r2 = distances[:, 0], distances[:, 1]
    ties = np.count_nonzero((r1 == r2) & (r1 > 0) & np.isfinite(r1))
    if ties > max(1, MOST_TIES * len(r1)):
        raise NoEstimate(f"r1 = r2 at {ties} of {len(r1)} points: the data are discrete")


def log_ratios(distances, n1=1):
    """Return (log mu of the points with r1 > 0, the number of the others), mu = r2 / r1, from distances (n, k).

    r1 and r2 are the distances to the neighbors n1 and 2 n1. Raises NoEstimate for too few usable points.
    """
    if distances.shape[1] < 2 * n1:
        raise NoEstimate("fewer than two neighbors a point")
    r1, r2 = distances[:, n1 - 1].astype(np.float64), distances[:, 2 * n1 - 1].astype(np.float64)
    usable = (r1 > 0) & np.isfinite(r2)
    ratios = np.log(r2[usable] / r1[usable])
    require(len(ratios))
    return ratios, int((~usable).sum())


def decimated_too(decimated, estimate):
    """Return the estimates on fewer points, [{points, id, low, high}]: fewer lie farther apart, at a larger scale.

    decimated: {part: distances (n // part, 2)}; estimate: a function of such distances.
    """
    estimates = []
    for distances in decimated.values():
        try:
            found = estimate(distances)
        except NoEstimate:
            found = dict.fromkeys(("id", "low", "high"))
        estimates.append({"points": len(distances), **{key: found[key] for key in ("id", "low", "high")}})
    return estimates
