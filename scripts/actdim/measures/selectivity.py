"""What a single unit tells about the class, and whether that says how much the model needs it (Morcos et al. 2018)."""

import itertools

import numpy as np
from scipy.stats import spearmanr
from sklearn.feature_selection import mutual_info_classif


def class_selectivity(activations, labels):
    """Return (units,) float64, each unit's class selectivity: (largest - rest) / (largest + rest), from 0 to 1.

    activations: (n, units); labels: (n,). `largest` is the largest of a unit's mean activations on each class, `rest`
    the mean of those on the other classes (Morcos et al. 2018, section 2). It is nan where the index means nothing: for
    a unit that is 0 on all samples or negative on any, and for all units where there is one class.
    """
    activations = np.asarray(activations, dtype=np.float64)
    classes = np.unique(labels)
    class_means = np.stack([activations[labels == label].mean(0) for label in classes])
    largest = class_means.max(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = (class_means.sum(0) - largest) / (len(classes) - 1)
        return np.where(activations.min(0) >= 0, (largest - rest) / (largest + rest), np.nan)


def mutual_information(activations, labels, seed):
    """Return (units,) float64: the mutual information in nats of each unit with the class.

    activations: (n, units); labels: (n,). Estimated by nearest neighbors (Ross 2014, doi:10.1371/journal.pone.0087357),
    as implemented in scikit-learn. nan where no class has two samples.
    """
    if np.unique(labels, return_counts=True)[1].max() < 2:
        return np.full(activations.shape[1], np.nan)
    return mutual_info_classif(activations, labels, discrete_features=False, random_state=seed)


def rank_correlations(columns):
    """Return {"<a> and <b>": Spearman's r} of every two of the columns {name: (units,)}, without units that are nan.

    None where fewer than three units are left or a column is constant.
    """
    correlations = {}
    for (a, x), (b, y) in itertools.combinations(columns.items(), 2):
        both = np.isfinite(x) & np.isfinite(y)
        varied = both.sum() >= 3 and np.ptp(x[both]) > 0 and np.ptp(y[both]) > 0
        correlations[f"{a} and {b}"] = spearmanr(x[both], y[both]).statistic.item() if varied else None
    return correlations
