"""The result files of estimates and measures, read for the tables."""

from actdim.errors import UserError
from actdim.storage.json_files import read_json

# What the tables need of a result's source: {key: (type, its name for a reader)}.
CHECKPOINT_KEYS = {"study": (str, "text"), "chosen": (dict, "JSON, such as {}"), "checkpoint": (int, "integer")}
LAYER_KEYS = {
    **CHECKPOINT_KEYS,
    "split": (str, "text"),
    "layer": (str, "text"),
    "depth": (int, "integer"),
    "feeds_classifier": (int, "true or false"),
}
ESTIMATES = ("estimate_id.py", "estimate_pca.py")


def read_estimates(paths):
    """Return the contents of estimates' JSON files.

    Raises UserError that names the file where one is no estimate, lacks what tables need, or repeats another.
    """
    estimates, known = [], {}
    for path in paths:
        estimate = read_result(path, ESTIMATES, LAYER_KEYS)
        place = (*(str(estimate["source"][key]) for key in LAYER_KEYS), estimate["estimator"], "classes" in estimate)
        if place in known:
            raise UserError(
                f"{path}: has the layer, checkpoint and estimator of {known[place]}, too; leave one of them out"
            )
        known[place] = path
        estimates.append(estimate)
    return estimates


def read_result(path, programs, needed):
    """Return the content of a result's JSON file.

    programs: names, one of which should have made it; needed: {key of its source: (type, name of the type)}.
    Raises UserError that names the file where another program made it, or its source lacks what is needed.
    """
    content = read_json(path)
    program = content.get("made_by", {}).get("program")
    if program not in programs:
        raise UserError(f"{path}: made by {program}; should be made by {' or '.join(programs)}")
    source = content.get("source", {})
    missing = [f"{key} ({name})" for key, (kind, name) in needed.items() if not isinstance(source.get(key), kind)]
    if missing:
        raise UserError(
            f"{path}: made from a file that does not say {', '.join(missing)}; "
            "state them as attributes of the file of activations, or of the layer in it"
        )
    return content
