"""What the intervals of the table of predictors allow to say, in words."""

import textwrap

from actdim.tables.columns import ALL_RUNS
from actdim.tables.measures import MEASURE_COLUMNS
from actdim.tables.predictors import FEWEST_RESAMPLED

WIDTH = 100


NAMED = 3  # sweeps of a study; of more, several are counted


def reading(predictors):
    """Return a text that says, for each study and target of a predictors_table, what its intervals show.

    That a measure goes with a target is said where the interval of Spearman's r leaves out 0, and nothing else; two
    measures are told apart where the intervals of the size of their r do not overlap.
    """
    parts = [section(*of, rows) for of, rows in predictors.groupby(["study", "target"], sort=False)]
    return "\n".join([introduction(predictors), *parts])


def introduction(predictors):
    """Return how to take what follows."""
    intervals = int(predictors["spearman_low"].notna().sum())
    text = (
        "How the measures go with generalization: Spearman's r with its 95 % interval, from the runs of a study drawn"
        " anew with replacement. Even where nothing goes together, one interval in twenty leaves out 0; here are"
        f" {intervals}. Fewer than {FEWEST_RESAMPLED} runs have none, and nothing is said of them. Runs that differ in"
        " their seed alone count as any others. That two numbers go together over a grid of settings does not tell that"
        " one causes the other, and the areas under ablation are made of accuracies themselves."
    )
    return textwrap.fill(text, WIDTH) + "\n"


def section(study, target, rows):
    """Return the text on a study and a target: a heading, and an item for each thing to say."""
    read = rows[rows["spearman_low"].notna()].set_index("measure")
    overall, swept = read[read["sweep"] == ALL_RUNS], read[read["sweep"] != ALL_RUNS]
    if overall.empty:
        items = ["Too few runs, or values that do not vary: nothing can be said."]
    else:
        items = [*over_all_runs(overall), *strongest(overall), *within_sweeps(overall, swept), *checkpoints(overall)]
    heading = f"{study}: {target.replace('_', ' ')}"
    wrapped = [textwrap.fill(item, WIDTH, initial_indent="- ", subsequent_indent="  ") for item in items]
    return "\n".join([heading, "-" * len(heading), *wrapped, ""])


def over_all_runs(overall):
    """Return a sentence on the measures whose interval over all runs leaves out 0, and one on the others."""
    counts = sorted(set(overall["n"]))
    runs = f"Over all {counts[0]} runs" if len(counts) == 1 else f"Over all runs ({counts[0]} to {counts[-1]})"
    shown, others = overall[signs(overall) != 0], overall[signs(overall) == 0]
    if shown.empty:
        return [f"{runs} every interval holds 0: no measure is shown to go with it."]
    found = [
        f"{MEASURE_COLUMNS[row.Index]} ({row.spearman_r:.2f}; {row.spearman_low:.2f} to {row.spearman_high:.2f})"
        for row in by_strength(shown).itertuples()
    ]
    rest = [] if others.empty else [f"It holds 0 for {listed(map(MEASURE_COLUMNS.get, others.index))}."]
    return [f"{runs} the interval leaves out 0 for {listed(found)}.", *rest]


def strongest(overall):
    """Return a sentence on the measure of the largest |r| and those that cannot be told apart from it."""
    overall = by_strength(overall)
    best = overall.index[0]
    if len(overall) == 1 or signs(overall)[best] == 0:
        return []
    low, high = sizes(overall)
    alike = [MEASURE_COLUMNS[name] for name in overall.index[1:] if high[name] >= low[best]]
    apart = f"{listed(alike)} cannot be told apart from it" if alike else "every other is weaker"
    return [f"The largest |r| is that of {MEASURE_COLUMNS[best]}; {apart}."]


def within_sweeps(overall, swept):
    """Return sentences on where the sign over all runs is seen within single sweeps, too, and where it is not."""
    sweeps = swept[swept["n"] < overall["n"].reindex(swept.index)]
    if sweeps.empty:
        whole = listed(dict.fromkeys(swept["sweep"])) if len(swept) else None
        return [f"All runs are one sweep, of {whole}." if whole else "No single sweep has runs enough to look within."]
    patterns, partly = {}, []
    for measure, sign in signs(by_strength(overall)).items():
        found = by_sign(sweeps.loc[sweeps.index == measure])
        if sign:
            patterns.setdefault((found[sign], found[-sign], found[0]), []).append(MEASURE_COLUMNS[measure])
        elif found[1] or found[-1]:
            partly.append(f"{MEASURE_COLUMNS[measure]} ({part_text(found)})")
    return [
        *(f"{pattern_text(*kinds)}: {listed(measures)}." for kinds, measures in patterns.items()),
        *([f"Not over all runs, but in a part of them: {listed(partly)}."] if partly else []),
    ]


def by_sign(rows):
    """Return {1: sweeps whose interval is above 0, -1: those of which it is below, 0: those of which it holds 0}."""
    found = dict(zip(rows["sweep"], signs(rows), strict=True))
    return {sign: tuple(sweep for sweep in found if found[sweep] == sign) for sign in (1, -1, 0)}


def part_text(found):
    """Return in which sweeps a measure's sign is seen that is not seen over all runs; found: see by_sign."""
    total = sum(map(len, found.values()))
    named = [(name, found[sign]) for name, sign in (("positive", 1), ("negative", -1)) if found[sign]]
    return ", ".join(f"{name} within {those(sweeps, total)}" for name, sweeps in named)


def pattern_text(same, opposite, unseen):
    """Return in which sweeps the sign over all runs is seen, in which its opposite, in which neither."""
    total = len(same) + len(opposite) + len(unseen)
    if not total:
        return "No single sweep has runs enough to look within"
    if not same and not opposite:
        return f"Not seen within {those(unseen, total)}, so it may come from what differs between sweeps"
    if len(same) == total:
        return f"The same sign within {those(same, total)}"
    parts = [
        f"the same sign within {those(same, total)}{' only' if len(same) == 1 else ''}" if same else "",
        f"the opposite sign within {those(opposite, total)}" if opposite else "",
        f"not seen within {those(unseen, total)}" if unseen else "",
    ]
    text = ", ".join(filter(None, parts))
    return text[0].upper() + text[1:]


def those(sweeps, total):
    """Return the names of sweeps, or how many of all they are."""
    if total > NAMED and len(sweeps) > 1:
        return f"each of the {total} sweeps" if len(sweeps) == total else f"{len(sweeps)} of {total} sweeps"
    return f"the sweep{'s' if len(sweeps) > 1 else ''} of {listed(sweeps)}"


def checkpoints(overall):
    """Return a sentence on the checkpoints, where not all measures were taken at the same."""
    at = overall.groupby("checkpoint", sort=False).groups
    if len(at) == 1:
        return []
    parts = [f"{listed(map(MEASURE_COLUMNS.get, names))} at {checkpoint}" for checkpoint, names in at.items()]
    return [f"Taken at different checkpoints: {'; '.join(parts)}."]


def signs(rows):
    """Return 1 or -1 where the interval leaves out 0, 0 where it holds it."""
    return (rows["spearman_low"] > 0).astype(int) - (rows["spearman_high"] < 0).astype(int)


def sizes(rows):
    """Return (low, high): the interval of the size of r, whatever its sign."""
    ends = rows[["spearman_low", "spearman_high"]].abs()
    return ends.min(axis=1).where(signs(rows) != 0, 0), ends.max(axis=1)


def by_strength(rows):
    """Return rows from the largest |r| to the smallest."""
    return rows.sort_values("spearman_r", key=abs, ascending=False, kind="stable")


def listed(names):
    """Return names as a reader would list them: a, b and c."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
