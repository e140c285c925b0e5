"""What the statistics over pairs share: ranks, the sign of a difference, and sums over groups of pairs."""

import numpy as np
from scipy import sparse

TIE = 1e-12  # relative difference below which two means are equal: they are rounded


def dense_ranks(values):
    """Return the ranks of values (items, draws) in each draw, from 0, equal for a tie, without gaps."""
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    scale = np.maximum(np.abs(ordered[1:]), np.abs(ordered[:-1]))
    steps = np.diff(ordered, axis=0) > TIE * scale
    ranks = np.zeros(values.shape, np.int32)
    np.put_along_axis(ranks, order, np.concatenate([ranks[:1], np.cumsum(steps, axis=0, dtype=np.int32)]), axis=0)
    return ranks


def signs(ranks, left, right):
    """Return the sign of ranks[left] - ranks[right], (pairs, draws); 0 for a tie."""
    return np.sign(ranks[left] - ranks[right]).astype(np.float32)


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
