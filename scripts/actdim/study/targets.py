"""Where results lie. Wildcards in braces, as Snakemake writes them."""

import itertools
import re

from actdim.measures.table import MEASURES
from actdim.names import BY_CLASS
from actdim.study.measures import modules_of

DOWNLOAD = "results/{study}/data/{dataset}.downloaded"


RUN = "results/{study}/{run}"


CHECKPOINTS = f"{RUN}/checkpoints/to~{{until}}"


ACTIVATIONS = f"{RUN}/activations/{{samples}}.h5"


NEIGHBORS = f"{RUN}/neighbors/{{samples}}/{{layer}}.h5"


ID = f"{RUN}/id/{{estimator}}/{{samples}}/{{layer}}.json"


MADE_BY = {
    "train": CHECKPOINTS,
    "dump_activations": ACTIVATIONS,
    "import_activations": ACTIVATIONS,
    "find_neighbors": NEIGHBORS,
    "estimate_id": ID,
    **{measure.rule: f"{RUN}/{measure.path}" for measure in MEASURES.values()},
}  # what the jobs of a run make


def wildcards_of(rule, path):
    """Return {wildcard: value} of the path that a rule of MADE_BY makes."""
    parts = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(MADE_BY[rule]))
    return re.fullmatch(parts.replace("(?P<run>[^/]+)", "(?P<run>.+)"), path).groupdict()


def checkpoint_folders(study, runs=None):
    """Return the checkpoint folders of some runs of a study (None: of all): one for each run and stage."""
    return [
        CHECKPOINTS.format(study=study.name, run=run, until=stage.until)
        for run, stage in itertools.product(study.runs if runs is None else runs, study.stages)
    ]


def id_files(study, estimators):
    """Return the estimates of a study: one for each run, estimator, set of samples and layer."""
    return [
        ID.format(study=study.name, run=run.name, estimator=estimator, samples=samples, layer=layer)
        for run in study.runs.values()
        for estimator, samples, layer in itertools.product(
            estimators, sample_sets(study.activations), study.layers_of(run)
        )
    ]


def measure_files(study):
    """Return the result files of all measures that a study takes; see measures.table."""
    return [
        path
        for run, measure in itertools.product(study.runs.values(), MEASURES.values())
        for path in files_of_measure(study, run, measure)
    ]


def files_of_measure(study, run, measure):
    """Return the result files of a measure of a run: for each checkpoint or set of samples, and each layer."""
    path = f"{RUN}/{measure.path}"
    if not measure.settings:
        last = study.last_layer_of(run)
        places = {
            "samples": shown_sample_sets(study.activations),
            "layer": [last] * bool(last) if measure.last_layer else study.layers_of(run),
        }
    elif settings := getattr(study.measures, measure.name):
        layers = modules_of(run, settings.layers) if "{layer}" in path else [""]
        places = {"at": [f"{at:05d}" for at in settings.at], "layer": layers}
    else:
        return []
    return [
        path.format(study=study.name, run=run.name, **dict(zip(places, values, strict=True)))
        for values in itertools.product(*places.values())
    ]


def sample_sets(activations):
    """Return the names of the sets of samples that a study measures, each a checkpoint, a split, all or by class.

    00100 are the validation samples at 100, 00100-train those of training, 00100-classes each class by itself.
    """
    dumped = [
        f"{at:05d}{'' if split == 'validation' else f'-{split}'}"
        for at, split in itertools.product(activations.at, activations.split)
    ]
    return dumped + [f"{samples}{BY_CLASS}" for samples in dumped if activations.by_class]


def shown_sample_sets(activations):
    """Return the sets of samples of one split that are not by class: the split that tables of runs show."""
    together = [samples for samples in sample_sets(activations) if not samples.endswith(BY_CLASS)]
    return [samples for samples in together if dump_of(samples)[2] == "validation"] or together


def dump_of(samples):
    """Return (name, checkpoint, split) of the dump that holds a set of samples."""
    dump = samples.removesuffix(BY_CLASS)
    checkpoint, _, split = dump.partition("-")
    return dump, int(checkpoint), split or "validation"
