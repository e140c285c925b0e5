"""Settings as options of the programs: only those that count, so that a new setting with a default reruns nothing."""

import json
import shlex

from actdim.names import BY_CLASS
from actdim.provenance import settings_that_count


def set_options(settings):
    """Return {setting: value} as options: --set weight_decay=0.001 --set seed=0."""
    pairs = [f"{key}={json.dumps(value)}" for key, value in settings.items() if value is not None]
    return " ".join(f"--set {shlex.quote(pair)}" for pair in pairs)


def search_options(neighbors, samples):
    """Return the options of a search for neighbors in a set of samples."""
    options = [f"--{key} {value}" for key, value in settings_that_count(neighbors).items()]
    return " ".join([*options, *(["--by-class"] if samples.endswith(BY_CLASS) else [])])


def measure_options(settings, layer=None):
    """Return the options of a measure of a checkpoint; layer: the one to measure, where the measure takes one."""
    return f"--layer {layer} {set_options(how_measured(settings))}" if layer else set_options(how_measured(settings))


def how_measured(settings):
    """Return the settings of a measure that count, without those that say where a study takes it."""
    return {key: value for key, value in settings_that_count(settings).items() if key not in ("at", "layers")}


def test_samples_options(studies):
    """Return how many samples the validation accuracy of each of {name: Study} rests on, the fewest of any run."""
    fewest = {
        name: min(study.shapes_of(run).sizes["validation"] for run in study.runs.values())
        for name, study in studies.items()
        if not study.has_own_activations  # their accuracies may be of other samples
    }
    return " ".join(f"--test-samples {shlex.quote(f'{name}={samples}')}" for name, samples in fewest.items())
