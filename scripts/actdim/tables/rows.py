"""Which rows of a table to show."""


def joined(reasons):
    """Return the reasons of each place in an index as one text, without what is empty."""
    reasons = reasons.dropna()
    return reasons.groupby(level=list(range(reasons.index.nlevels)), sort=False).agg("; ".join)


def shown_split(rows):
    """Return the rows of the validation split, or where there are none those of the training split."""
    return rows[rows["split"] == ("validation" if (rows["split"] == "validation").any() else "train")]


def last_checkpoint(rows):
    """Return the rows at the last checkpoint that any of them has."""
    return rows[rows["checkpoint"] == rows["checkpoint"].max()]
