"""What the neighbors of samples tell besides the ID: labels, other layers, other checkpoints, and single points.

The overlap of two lists of k neighbors of a sample is the fraction of them that both have. Copies of a sample have no
list; of two layers, samples count that have one in both.
"""

import functools
from itertools import pairwise

import numpy as np

from actdim.estimators.ratios import MIN_POINTS, NoEstimate

NEIGHBORS = 30  # of a sample, for overlaps (Doimo et al. 2020, Hierarchical nucleation in deep neural networks)
NEIGHBORS_OF_LOCAL_ID = 20  # of a sample


def label_overlap(rows, indices, labels):
    """Return the mean fraction of the nearest neighbors that have the label of their sample (Doimo et al. 2020).

    rows: (m,) the samples that have lists; indices: (m, k), which count them; labels: (n,) of all samples.
    Raises NoEstimate where there is no neighbor.
    """
    nearest = enough(indices)[:, :NEIGHBORS]
    labels = labels[rows]
    return (labels[nearest] == labels[:, None]).mean()


def neighborhood_overlap(first, second):
    """Return the mean fraction of the nearest neighbors that two searches of the same samples share.

    first, second: (rows, indices) as in label_overlap. k is the smaller of the two and NEIGHBORS.
    """
    k = min(NEIGHBORS, *(enough(indices).shape[1] for _, indices in (first, second)))
    _, *places = np.intersect1d(first[0], second[0], return_indices=True)
    lists = [rows[indices[place, :k]] for (rows, indices), place in zip((first, second), places, strict=True)]
    if not len(lists[0]):
        raise NoEstimate("no sample has neighbors in both")
    together = np.sort(np.concatenate(lists, axis=1), axis=1)
    return (together[:, 1:] == together[:, :-1]).sum() / (k * len(together))


def local_ids(distances):
    """Return the ID at each point, (m,), from its nearest neighbors alone; nan where they are equally far.

    (k - 2) / sum over j < k of log(T_k / T_j), T_j the distance to the j-th neighbor, k = NEIGHBORS_OF_LOCAL_ID or
    fewer: the estimate of Levina and Bickel (2004) at a point without its bias. Where the density is constant its
    standard deviation is d / sqrt(k - 3), which a spread over points contains.
    Raises NoEstimate for fewer than four neighbors.
    """
    distances = enough(distances, 4)[:, :NEIGHBORS_OF_LOCAL_ID].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        sums = np.log(distances[:, -1:] / distances[:, :-1]).sum(axis=1)
        return np.where((sums > 0) & np.isfinite(sums), (distances.shape[1] - 2) / sums, np.nan)


def mean_local_id(ids):
    """Return the mean of local IDs; NoEstimate for fewer than MIN_POINTS."""
    ids = ids[np.isfinite(ids)]
    if len(ids) < MIN_POINTS:
        raise NoEstimate(f"{len(ids)} samples, fewer than {MIN_POINTS}")
    return ids.mean()


def local_id_spread(ids):
    """Return the standard deviation of local IDs over their mean; NoEstimate for fewer than MIN_POINTS."""
    mean = mean_local_id(ids)
    return ids[np.isfinite(ids)].std() / mean


def enough(lists, fewest=1):
    """Return lists (m, k); NoEstimate where k is below the fewest neighbors, or there is no sample."""
    if not len(lists) or lists.shape[1] < fewest:
        raise NoEstimate(f"{lists.shape[1]} neighbors of {len(lists)} samples")
    return lists


def measure_neighborhoods(layers, previous, labels, predictions, no_predictions=None):
    """Return the measures of a run's neighbor lists as plain values, and `undefined`: {measure: why it is None}.

    layers: [(rows, indices, distances)], from the first layer to the last; previous: that of the last layer at the
    checkpoint before, or None, which leaves out checkpoint_overlap; labels, predictions: (n,) of all samples, or None.
    no_predictions: why predictions mean nothing, if they do.
    """
    rows, indices, distances = layers[-1]
    ids = functools.cache(lambda: local_ids(distances))

    def layer_overlap():
        overlaps = [neighborhood_overlap(first[:2], second[:2]) for first, second in pairwise(layers)]
        return np.mean(require(overlaps or None, "only one layer"))

    def checkpoint_overlap():
        return neighborhood_overlap(previous[:2], (rows, indices))

    def local_id_misclassified():
        known = require(None if no_predictions else predictions, no_predictions or "no logits are stored")
        wrong = known != require(labels, "no labels are stored")
        return mean_local_id(ids()[wrong[rows]])

    measures = {
        "label_overlap": lambda: label_overlap(rows, indices, require(labels, "no labels are stored")),
        "layer_overlap": layer_overlap,
        "checkpoint_overlap": checkpoint_overlap,
        "local_id_mean": lambda: mean_local_id(ids()),
        "local_id_spread": lambda: local_id_spread(ids()),
        "local_id_misclassified": local_id_misclassified,
    }
    values, undefined = dict.fromkeys(measures), {}
    for name, measure in measures.items():
        if name == "checkpoint_overlap" and previous is None:
            continue
        try:
            values[name] = float(measure())
        except NoEstimate as reason:
            undefined[name] = str(reason)
    return {**values, "undefined": undefined}


def require(data, reason):
    """Return data; NoEstimate with the reason where it is None."""
    if data is None:
        raise NoEstimate(reason)
    return data
