"""What the resamples of a statistic say: its 95 % interval, and how unlikely the value of no relation is."""

import numpy as np
from scipy import stats

FEWEST_SETTINGS = 6  # that have an interval
INTERVAL = [2.5, 97.5]  # percentiles


def interval(resampled):
    """Return (low, high) of resampled values; nan where more than half are undefined."""
    values = resampled[np.isfinite(resampled)]
    if 2 * len(values) < len(resampled) or not len(values):
        return np.nan, np.nan
    return tuple(np.percentile(values, INTERVAL).tolist())


def p_value(resampled, null=0):
    """Return twice the smaller share of resampled values on either side of `null`; nan where there is no interval.

    It is below 0.05 where the interval leaves `null` out.
    """
    values = resampled[np.isfinite(resampled)]
    if 2 * len(values) < len(resampled) or not len(values):
        return np.nan
    return min(1.0, 2 * (1 + min((values <= null).sum(), (values >= null).sum()).item()) / (1 + len(values)))


def adjust(p_values):
    """Return p-values adjusted for their number after Benjamini and Hochberg (1995), nan where one is nan."""
    p_values = np.array(p_values, float)
    known = np.isfinite(p_values)
    p_values[known] = stats.false_discovery_control(p_values[known]) if known.any() else 0
    return p_values.tolist()


def smallest_correlation(n_settings):
    """Return the smallest correlation that so many settings show, at 5 %, in 80 of 100 studies; nan below 4.

    By Fisher's transformation, tanh((z_0.975 + z_0.8) / sqrt(n - 3)).
    """
    if n_settings < 4:
        return np.nan
    return float(np.tanh((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) / np.sqrt(n_settings - 3)))
