"""Effective dimensions that the spectrum of points gives: of eigenvalues v_1 >= v_2 >= ... of their covariance.

Each is 1 for points on a line and d for points that vary equally in d orthogonal directions.
"""

import numpy as np

from actdim.estimators.ratios import NoEstimate

FIRST, LAST = 11, 500  # eigenvalues that the power law is fitted to (Stringer et al. 2019)
FEWEST_FITTED = 10


def participation_ratio(variances):
    """Return (sum v)^2 / sum v^2 (Gao et al. 2017)."""
    return variances.sum() ** 2 / (variances**2).sum()


def unbiased_participation_ratio(variances, n, fourth_powers):
    """Return the participation ratio whose numerator and denominator are unbiased for any distribution of the points.

    variances: eigenvalues of the sample covariance S, with divisor n - 1; fourth_powers: the sum over points of
    |x - mean|^4. The sample covariance of n points in many dimensions has a participation ratio below n, whatever the
    points. With Q = fourth_powers / (n - 1), the following is unbiased up to one factor, which cancels in the ratio
    (Himeno and Yamada 2014, Estimations for some functions of covariance matrix in high dimension):
        (tr C)^2: 2 tr S^2 + (n^2 - 3 n + 1) (tr S)^2 - n Q
        tr C^2:   (n - 1)(n - 2) tr S^2 + (tr S)^2 - n Q
    Raises NoEstimate for fewer than 4 points, or where the estimate of tr C^2 is not above 0.
    """
    if n < 4:
        raise NoEstimate(f"only {n} points")
    trace, squares, kurtosis = variances.sum(), (variances**2).sum(), n * fourth_powers / (n - 1)
    numerator = 2 * squares + (n**2 - 3 * n + 1) * trace**2 - kurtosis
    denominator = (n - 1) * (n - 2) * squares + trace**2 - kurtosis
    if not denominator > 1e-9 * n**2 * squares:
        raise NoEstimate("too few points to tell the spectrum from noise")
    return numerator / denominator


def stable_rank(variances):
    """Return sum v / v_1, the squared ratio of Frobenius and spectral norm (Rudelson and Vershynin 2007)."""
    return variances.sum() / variances.max()


def rankme(singular_values):
    """Return exp of the entropy of the singular values, as shares of their sum, of points not centered.

    Garrido et al. 2023, RankMe.
    """
    shares = singular_values[singular_values > 0] / singular_values.sum()
    return np.exp(-(shares * np.log(shares)).sum())


def alpha_req(variances):
    """Return alpha of v_i ~ i^-alpha (Agrawal et al. 2022), fitted as Stringer et al. (2019, Nature) do.

    A line through log v_i over log i for i of FIRST to LAST, weighted by 1 / i, so that every scale counts alike.
    Eigenvalues of 0 are left out. Raises NoEstimate where fewer than FEWEST_FITTED eigenvalues are left.
    """
    fitted = variances[FIRST - 1 : LAST]
    fitted = fitted[fitted > 0]
    if len(fitted) < FEWEST_FITTED:
        raise NoEstimate(f"{np.count_nonzero(variances)} eigenvalues, fewer than {FIRST + FEWEST_FITTED - 1}")
    ranks = np.arange(FIRST, FIRST + len(fitted))
    slope, _ = np.polyfit(np.log(ranks), np.log(fitted), 1, w=ranks**-0.5)
    return -slope
