"""What the statistics over pairs share: the sign of a difference, and sums over groups of pairs."""

import numpy as np
from scipy import sparse

TIE = 1e-12  # relative difference below which two means are equal: they are rounded


def signs(values, left, right):
    """Return the sign of values[left] - values[right]; 0 for a tie. values: (items, draws); returns (pairs, draws)."""
    first, second = values[left], values[right]
    difference = first - second
    tied = np.abs(difference) <= TIE * np.maximum(np.abs(first), np.abs(second))
    return np.where(tied, 0, np.sign(difference)).astype(np.float32)


def group_matrix(groups, n_pairs, weights=None):
    """Return the sparse matrix (groups, pairs) that sums over groups of pairs.

    groups: (pairs,) the group of each pair, numbered from 0; -1 for none. weights: of each pair; 1 where left out.
    """
    members = np.flatnonzero(groups >= 0)
    data = np.ones(len(members), np.float32) if weights is None else weights[members].astype(np.float32)
    shape = (groups.max(initial=-1) + 1, n_pairs)
    return sparse.csr_array((data, (groups[members], members)), shape=shape)


def number_groups(keys, chosen):
    """Return the group of each pair, (pairs,): pairs with equal rows of keys are one; -1 where not chosen."""
    groups = np.full(len(keys), -1)
    if chosen.any():
        groups[chosen] = np.unique(keys[chosen], axis=0, return_inverse=True)[1].ravel()
    return groups
