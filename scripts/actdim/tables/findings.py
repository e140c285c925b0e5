"""What the intervals of the table of predictors show, in words."""

import textwrap

from actdim.tables.columns import ALL_RUNS
from actdim.tables.measures import MEASURE_COLUMNS
from actdim.tables.predictors import FEWEST_RESAMPLED

WIDTH = 100
NAMED = 3  # sweeps of a study that are named; more are counted


def describe_findings(predictors):
    """Return a text that says, for each study and target of a predictors_table, what its intervals show.

    A measure is said to correlate with a target only where the interval of Spearman's r excludes 0. One measure is said
    to correlate more strongly than another only where the intervals of their |r| do not overlap.
    """
    sections = [section(*key, rows) for key, rows in predictors.groupby(["study", "target"], sort=False)]
    return "\n".join([introduction(predictors), *sections])


def introduction(predictors):
    """Return how to read what follows."""
    intervals = int(predictors["spearman_low"].notna().sum())
    text = (
        "How the measures correlate with generalization: Spearman's r over the runs of a study, with a 95 % interval"
        " from resampling its settings, each with all its seeds. Even with no true correlation, about 1 interval in 20"
        f" excludes 0, and more with few settings; this table has {intervals}. Fewer than {FEWEST_RESAMPLED} settings"
        " have no interval, and nothing is said of them. A correlation over a grid of settings does not tell that one"
        " quantity causes the other, and the areas under ablation are computed from accuracies themselves."
    )
    return textwrap.fill(text, WIDTH) + "\n"


def section(study, target, rows):
    """Return the text on a study and a target: a heading, and an item for each finding."""
    rows = rows[rows["spearman_low"].notna()].set_index("measure")
    overall, swept = rows[rows["sweep"] == ALL_RUNS], rows[rows["sweep"] != ALL_RUNS]
    if overall.empty:
        items = ["No intervals: too few runs, or values that do not vary."]
    else:
        items = [*over_all_runs(overall), *strongest(overall), *within_sweeps(overall, swept), *checkpoints(overall)]
    heading = f"{study}: {target.replace('_', ' ')}"
    wrapped = [textwrap.fill(item, WIDTH, initial_indent="- ", subsequent_indent="  ") for item in items]
    return "\n".join([heading, "-" * len(heading), *wrapped, ""])


def over_all_runs(overall):
    """Return a sentence on the measures whose interval over all runs excludes 0, and one on the others."""
    counts = sorted(set(overall["n"]))
    runs = f"Over all {counts[0]} runs" if len(counts) == 1 else f"Over all runs ({counts[0]} to {counts[-1]})"
    clear, unclear = overall[signs(overall) != 0], overall[signs(overall) == 0]
    if clear.empty:
        return [f"{runs}, every interval includes 0: no measure is shown to correlate with it."]
    correlated = [
        f"{MEASURE_COLUMNS[row.Index]} ({row.spearman_r:.2f}; {row.spearman_low:.2f} to {row.spearman_high:.2f})"
        for row in by_strength(clear).itertuples()
    ]
    others = [] if unclear.empty else [f"It includes 0 for {listed_measures(unclear.index)}."]
    return [f"{runs}, the interval excludes 0 for {listed(correlated)}.", *others]


def strongest(overall):
    """Return a sentence on the measure of the largest |r|, and on those whose interval of |r| overlaps with its."""
    overall = by_strength(overall)
    best = overall.index[0]
    if len(overall) == 1 or signs(overall)[best] == 0:
        return []
    low, high = interval_of_size(overall)
    overlapping = [name for name in overall.index[1:] if high[name] >= low[best]]
    if overlapping:
        those = "that" if len(overlapping) == 1 else "those"
        rest = f"its interval overlaps with {those} of {listed_measures(overlapping)}"
    else:
        rest = "the intervals of all others are below its interval"
    return [f"The largest |r| is that of {MEASURE_COLUMNS[best]}; {rest}."]


def within_sweeps(overall, swept):
    """Return sentences on whether the sign over all runs is also seen within single sweeps."""
    partial = swept[swept["n"] < overall["n"].reindex(swept.index)]
    if partial.empty and len(swept):
        return [f"All runs belong to one sweep, of {listed(dict.fromkeys(swept['sweep']))}."]
    if partial.empty:
        return ["No single sweep has enough runs for an interval."]
    patterns, only_in_sweeps = {}, []
    for measure, sign in signs(by_strength(overall)).items():
        sweeps = sweeps_by_sign(partial.loc[partial.index == measure])
        if sign:
            patterns.setdefault((sweeps[sign], sweeps[-sign], sweeps[0]), []).append(measure)
        elif sweeps[1] or sweeps[-1]:
            only_in_sweeps.append(f"{MEASURE_COLUMNS[measure]} ({signs_text(sweeps)})")
    sentences = [f"{pattern_text(*pattern)}: {listed_measures(measures)}." for pattern, measures in patterns.items()]
    if only_in_sweeps:
        sentences.append(f"Not over all runs, but within single sweeps: {listed(only_in_sweeps)}.")
    return sentences


def sweeps_by_sign(rows):
    """Return {1: sweeps whose interval is above 0, -1: those below 0, 0: those whose interval includes 0}."""
    sweeps = dict(zip(rows["sweep"], signs(rows), strict=True))
    return {sign: tuple(name for name in sweeps if sweeps[name] == sign) for sign in (1, -1, 0)}


def signs_text(sweeps):
    """Return within which sweeps a measure correlates, and with which sign; sweeps: see sweeps_by_sign."""
    total = sum(map(len, sweeps.values()))
    signs_seen = [(name, sweeps[sign]) for name, sign in (("positive", 1), ("negative", -1)) if sweeps[sign]]
    return ", ".join(f"{name} within {sweeps_text(seen, total)}" for name, seen in signs_seen)


def pattern_text(same, opposite, unclear):
    """Return within which sweeps the sign is that over all runs, within which the opposite, and where it is unclear."""
    total = len(same) + len(opposite) + len(unclear)
    if not total:
        return "No single sweep has enough runs for an interval"
    if not same and not opposite:
        return f"No clear sign within {sweeps_text(unclear, total)}, so differences between sweeps may be the cause"
    groups = (("the same sign", same), ("the opposite sign", opposite), ("no clear sign", unclear))
    text = ", ".join(f"{sign} within {sweeps_text(sweeps, total)}" for sign, sweeps in groups if sweeps)
    return text[0].upper() + text[1:]


def sweeps_text(sweeps, total):
    """Return the names of some of a study's sweeps, or how many they are of how many."""
    if total > NAMED and len(sweeps) > 1:
        return f"each of the {total} sweeps" if len(sweeps) == total else f"{len(sweeps)} of {total} sweeps"
    return f"the sweep{'s' if len(sweeps) > 1 else ''} of {listed(sweeps)}"


def checkpoints(overall):
    """Return a sentence on the checkpoints, if not all measures were taken at the same one."""
    measures = overall.groupby("checkpoint", sort=False).groups
    if len(measures) == 1:
        return []
    texts = [f"{listed_measures(names)} at {checkpoint}" for checkpoint, names in measures.items()]
    return [f"Measured at different checkpoints: {'; '.join(texts)}."]


def signs(rows):
    """Return 1 or -1 where the interval excludes 0, and 0 where it includes it."""
    return (rows["spearman_low"] > 0).astype(int) - (rows["spearman_high"] < 0).astype(int)


def interval_of_size(rows):
    """Return (low, high): the interval of |r|."""
    ends = rows[["spearman_low", "spearman_high"]].abs()
    return ends.min(axis=1).where(signs(rows) != 0, 0), ends.max(axis=1)


def by_strength(rows):
    """Return rows from the largest |r| to the smallest."""
    return rows.sort_values("spearman_r", key=abs, ascending=False, kind="stable")


def listed_measures(names):
    """Return the names of measures, as columns, in a list for a reader."""
    return listed(MEASURE_COLUMNS[name] for name in names)


def listed(names):
    """Return names as a reader would list them: a, b and c."""
    names = list(names)
    if not names:
        return ""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
