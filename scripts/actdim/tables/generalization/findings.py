"""What the tables of generalization show, in words: what holds of each measure, and what does not."""

import textwrap

from actdim.tables.columns import COIN
from actdim.tables.findings import WIDTH, listed
from actdim.tables.measures import MEASURE_COLUMNS

# What it reads of generalization.csv, and of generalization_comparisons.csv.
READ = (
    *("study", "measure", "target", "reason", "n_settings", "n_runs", "n_untrained", "smallest_correlation"),
    *("psi", "psi_low", "psi_high", "psi_q", "gain", "gain_low", "gain_high", "gain_q"),
    *("spearman_q", "partial_spearman_q", "sign_error_max", "sign_error_max_high", "sign_error_worst"),
)
READ_OF_COMPARISONS = ("study", "measure", "target", "other", "statistic", "difference_q")
LEVEL = 0.05  # of adjusted p-values


def describe_generalization(table, comparisons):
    """Say in words what the statistics of generalization show of each study and target.

    Something is said to hold only where the interval excludes no relation, and still does for the number of measures.
    """
    sections = [
        section(study, target, rows, comparisons.query("study == @study and target == @target"))
        for (study, target), rows in table.groupby(["study", "target"], sort=False)
    ]
    return "\n".join([introduction(), *sections])


def introduction():
    """Return how to read what follows."""
    text = (
        "Does a measure tell more than the settings? The statistics of generalization.csv, over settings, with 95 %"
        " intervals from resampling settings and the seeds within them. A measure is named only if its interval"
        " excludes no relation, also after adjustment for the number of measures (Benjamini and Hochberg). psi is"
        " Kendall's tau where one hyperparameter varies and all others are equal; the gain is that of predicting the"
        " target from settings and measure over settings alone; an environment is all pairs of runs that differ in one"
        " hyperparameter, between two of its values. Measures of validation samples describe the samples whose"
        " accuracy is the target."
    )
    return textwrap.fill(text, WIDTH) + "\n"


def section(study, target, rows, comparisons):
    """Return the text on a study and a target: a heading, and an item for each finding."""
    rows = rows.assign(name=[MEASURE_COLUMNS.get(name, name) for name in rows["measure"]])
    judged = rows[rows["psi_low"].notna()]
    if judged.empty:
        items = [f"No intervals: {listed(dict.fromkeys(rows['reason'].dropna())) or 'undefined'}."]
    else:
        items = [
            settings_text(judged),
            shown_text(judged, "psi", "Correlate where one hyperparameter varies (psi)"),
            *strongest(judged, comparisons),
            shown_text(judged, "gain", "Tell more than the settings do (gain)"),
            *only_pooled(judged),
            *environments(judged),
        ]
    heading = f"{study}: {target.replace('_', ' ')}, over settings"
    wrapped = [textwrap.fill(item, WIDTH, initial_indent="- ", subsequent_indent="  ") for item in items]
    return "\n".join([heading, "-" * len(heading), *wrapped, ""])


def settings_text(rows):
    """Return a sentence on how many settings there are, and what so many can show."""
    row = rows.loc[rows["n_settings"].idxmax()]
    left_out = f" {row['n_untrained']} runs did not reach the training loss and are left out." * bool(
        row["n_untrained"]
    )
    return (
        f"{row['n_settings']} settings, {row['n_runs']} runs: correlations below {row['smallest_correlation']:.2f}"
        f" would mostly go unseen.{left_out}"
    )


def shown_text(rows, statistic, beginning):
    """Return a sentence on the measures whose statistic is shown not to be 0, the largest first."""
    shown = rows[is_shown(rows, statistic)].sort_values(statistic, key=abs, ascending=False, kind="stable")
    if statistic == "gain":
        shown = shown[shown["gain"] > 0]
    return f"{beginning}: {listed([value_text(row, statistic) for _, row in shown.iterrows()]) or 'none is shown to'}."


def is_shown(rows, statistic):
    """Tell for which rows the interval of a statistic excludes 0, also after adjustment for the number of measures."""
    return rows[f"{statistic}_q"] < LEVEL


def value_text(row, statistic):
    """Return a measure with the value and the interval of a statistic."""
    value, low, high = (row[f"{statistic}{end}"] for end in ("", "_low", "_high"))
    return f"{row['name']} ({value:.2f}; {low:.2f} to {high:.2f})"


def strongest(rows, comparisons):
    """Return a sentence on the measure of the largest |psi|, and on those that cannot be told apart from it."""
    rows = rows.sort_values("psi", key=abs, ascending=False, kind="stable")
    best = rows.iloc[0]
    if len(rows) == 1 or not is_shown(rows, "psi").iloc[0]:
        return []
    of_psi = comparisons[comparisons["statistic"] == "psi"]
    apart = of_psi[of_psi["difference_q"] < LEVEL]
    weaker = {*apart.loc[apart["measure"] == best["measure"], "other"]}
    weaker |= {*apart.loc[apart["other"] == best["measure"], "measure"]}
    alike = rows.iloc[1:].loc[~rows["measure"].iloc[1:].isin(weaker), "name"]
    rest = f"{listed(alike)} cannot be told apart from it" if len(alike) else "all others are weaker"
    return [f"The largest |psi| is that of {best['name']}; {rest}."]


def only_pooled(rows):
    """Return a sentence on the measures whose correlation over all settings may come from the settings themselves."""
    pooled = is_shown(rows, "spearman")
    beyond_settings = (
        is_shown(rows, "psi") | is_shown(rows, "partial_spearman") | (is_shown(rows, "gain") & (rows["gain"] > 0))
    )
    names = rows.loc[pooled & ~beyond_settings, "name"]
    if names.empty:
        return []
    return [f"Correlate over all settings, but are not shown to tell more than the settings do: {listed(names)}."]


def environments(rows):
    """Return sentences on where measures are robust: better than a coin also in their worst environment."""
    rows = rows.dropna(subset="sign_error_max").sort_values("sign_error_max", kind="stable")
    if rows.empty:
        return ["Too few pairs of runs differ surely in the target to compare environments."]
    robust = rows["sign_error_max_high"] < COIN
    wrong = rows["sign_error_max"] >= COIN
    texts = {
        "Order more than half of the pairs rightly in every environment": rows[robust],
        "Do so here, but may not in others (the interval of the worst includes a half)": rows[~robust & ~wrong],
        "Order half of the pairs or more wrongly in some environment": rows[wrong],
    }
    return [
        f"{beginning}: {listed([worst_text(row) for _, row in group.iterrows()])}."
        for beginning, group in texts.items()
        if len(group)
    ]


def worst_text(row):
    """Return a measure with its worst environment."""
    return f"{row['name']} (worst {row['sign_error_max']:.2f}, {row['sign_error_worst']})"
