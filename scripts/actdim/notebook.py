"""The intrinsic dimension of an array, for notebooks: the search and the estimators of the workflow in one call."""

from typing import NamedTuple

import numpy as np

from actdim import plugins, registry
from actdim.errors import UserError
from actdim.estimators import result
from actdim.neighbors.copies import find_distinct_neighbors
from actdim.neighbors.decimation import decimate
from actdim.neighbors.settings import Neighbors
from actdim.storage.neighbor_lists import NeighborLists
from actdim.validation import check


class IntrinsicDimension(NamedTuple):
    """An estimate of the intrinsic dimension (ID), or the reason why there is none."""

    id: float | None
    low: float | None  # of the 95 % interval
    high: float | None
    n_points: int
    n_copies: int  # exact copies of other points, which were left out
    recall: float | None  # of the first two neighbors; 1 after an exact search
    decimated: tuple  # ((points, id), ...) of random subsets of a half, a quarter and an eighth: the ID by scale
    reason: str | None = None


def intrinsic_dimension(points, estimator="twonn", *, method="auto", k=32, seed=0, **settings):
    """Estimate the intrinsic dimension of points, as the workflow does that of a layer.

    points: (n, features), or (n, ...), which is flattened to that: an array of numbers, which may be mapped from a
    file, an HDF5 data set or a torch tensor.
    estimator: a name in registry.ESTIMATORS, or module:function; settings: the estimator's own, such as fraction=0.9.
    method, k, seed: of the neighbor search, as in config.yaml.
    Returns an IntrinsicDimension. Raises ValueError where points are no array of numbers, or a setting is unknown.
    """
    try:
        function, settings = plugins.function_with_settings(
            registry.ESTIMATORS, estimator, settings, f"estimator {estimator}"
        )
        search = check(Neighbors, {"method": method, "k": k, "seed": seed}, "neighbors").model_dump()
        _, points, indices, distances, report = find_distinct_neighbors(as_points(points), **search)
    except UserError as error:
        raise ValueError(str(error)) from None
    lists = NeighborLists(distances, indices, decimate(points, indices, distances, seed))
    estimate = result.estimate_from_lists(function, lists, report, **settings.model_dump())
    return IntrinsicDimension(
        *(estimate[key] for key in ("id", "low", "high", "n_points")),
        n_copies=report["n_copies"],
        recall=report.get("recall"),
        decimated=tuple((subset["points"], subset["id"]) for subset in estimate.get("decimated", ())),
        reason=estimate.get("reason"),
    )


def as_points(values):
    """Return values as an array (n, features) of floats, without a copy where that is possible.

    An HDF5 data set of floats (n, features) stays one, to be read some columns at a time.
    Raises UserError where they are no array of numbers.
    """
    if hasattr(values, "detach"):  # a torch tensor; NumPy has no bfloat16
        values = values.detach().cpu()
        values = (values.float() if values.dtype.is_floating_point and values.element_size() < 4 else values).numpy()
    if not hasattr(values, "dtype"):
        values = np.asarray(values)
    if values.dtype.kind not in "fiub":
        raise UserError(f"points of type {values.dtype}; should be numbers")
    if values.ndim < 2:
        raise UserError(f"points of shape {values.shape}; should be (n, features)")
    if values.ndim == 2 and values.dtype.kind == "f" and values.dtype.itemsize <= 8:
        return values
    return np.asarray(values).reshape(len(values), -1).astype(np.float64, copy=False)
