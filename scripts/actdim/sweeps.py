"""Sweeps: runs in which a single setting varies.

The figures of a study, which are chosen by its grid, and the tables take the same sweeps from here.
"""

LEAST_VALUES = 3  # of the setting that a sweep varies


def find_sweeps(runs):
    """Return [(name, setting, indices of its runs)] of the sweeps among runs.

    runs: [{setting: value}]; None where a run's model lacks the setting, a value to hold fixed like any other.
    A sweep varies a number; all other settings but the seed are fixed. It is named after what it varies, and also after
    what it holds fixed where several sweeps vary the same setting.
    """
    varied = varied_settings(runs)
    sweeps = []
    for setting in varied:
        if not all(isinstance(run[setting], int | float | None) for run in runs):
            continue
        others = [other for other in varied if other != setting]
        groups = {}
        for index, run in enumerate(runs):
            groups.setdefault(tuple(run[other] for other in others), []).append(index)
        swept = [key for key, indices in groups.items() if enough_values(setting, [runs[index] for index in indices])]
        for values in sorted(swept, key=lambda values: list(map(sort_key, values))):
            fixed = ", ".join(f"{other}={value_text(value)}" for other, value in zip(others, values, strict=True))
            sweeps.append((f"{setting} at {fixed}" if len(swept) > 1 else setting, setting, groups[values]))
    return sweeps


def varied_settings(runs):
    """Return the settings that differ between runs, but not the seed."""
    settings = dict.fromkeys(setting for run in runs for setting in run)
    return [setting for setting in settings if setting != "seed" and len(values_of(setting, runs)) > 1]


def enough_values(setting, runs):
    """Tell whether a setting takes enough values in runs for a sweep."""
    return len(values_of(setting, runs)) >= LEAST_VALUES


def values_of(setting, runs):
    """Return the values of a setting that runs have."""
    return {run[setting] for run in runs} - {None}


def value_text(value):
    """Return a setting's value for a reader: 0.001, sgd, true, none."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return value if isinstance(value, str) else f"{value:g}"


def sort_key(value):
    """Return a key that sorts numbers before names, and None last."""
    return value is None, isinstance(value, str), value
