"""Sweeps and combinations of settings among the rows of a table."""

from actdim.sweeps import find_sweeps, value_text, varied_settings


def sweeps(rows, settings):
    """Return [(name, setting, its rows)] of the sweeps among the rows of a study; see actdim.sweeps."""
    return [
        (name, setting, rows.iloc[indices]) for name, setting, indices in find_sweeps(settings_of_rows(rows, settings))
    ]


def combinations(rows, settings):
    """Return [(name, function that selects its rows from a table)] of the combinations of settings but the seed."""
    varied = varied_settings(settings_of_rows(rows, settings))
    if not varied:
        return [("all runs", lambda table: table)]
    return [
        (combination_name(values), selector(values))
        for values in settings_of_rows(rows[varied].drop_duplicates(), varied)
    ]


def combination_name(values):
    """Return {setting: value} for a reader: weight decay 0.01, dropout 0."""
    return ", ".join(f"{setting.replace('_', ' ')} {value_text(value)}" for setting, value in values.items())


def selector(values):
    """Return the function that selects the rows with {setting: value} from a table."""
    return lambda table: table[[row == values for row in settings_of_rows(table, list(values))]]


def settings_of_rows(rows, settings):
    """Return [{setting: value}] of the rows of a table, an empty cell as None."""
    return rows[settings].astype(object).where(rows[settings].notna(), None).to_dict("records")
