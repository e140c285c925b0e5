"""Where results lie. Wildcards in braces, as Snakemake writes them."""

import itertools
import re

from actdim.names import BY_CLASS, PCA
from actdim.study.runs import layers_of, modules_of

DOWNLOAD = "results/{study}/data/{dataset}.downloaded"


RUN = "results/{study}/{run}"


CHECKPOINTS = f"{RUN}/checkpoints/to~{{until}}"


ACTIVATIONS = f"{RUN}/activations/{{samples}}.h5"


NEIGHBORS = f"{RUN}/neighbors/{{samples}}/{{layer}}.h5"


ID = f"{RUN}/id/{{estimator}}/{{samples}}/{{layer}}.json"


DIRECTIONS = f"{RUN}/directions/{{at}}/{{layer}}.json"


FUNCTIONAL_DIMENSION = f"{RUN}/functional_dimension/{{at}}.json"


MADE_BY = {
    "train": CHECKPOINTS,
    "dump_activations": ACTIVATIONS,
    "find_neighbors": NEIGHBORS,
    "estimate_id": ID,
    "estimate_pca": ID,
    "ablate_directions": DIRECTIONS,
    "functional_dimension": FUNCTIONAL_DIMENSION,
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
            estimators, sample_sets(study.activations), layers_of(run, study.activations.layers)
        )
    ]


def last_layer_pca_files(study):
    """Return the principal components of the last layer of a study: one for each run and checkpoint, of one split."""
    shown = [samples for samples in sample_sets(study.activations) if not samples.endswith(BY_CLASS)]
    shown = [samples for samples in shown if dump_of(samples)[2] == "validation"] or shown
    return [
        ID.format(study=study.name, run=run.name, estimator=PCA, samples=samples, layer=layers[-1])
        for run in study.runs.values()
        for layers in [layers_of(run, study.activations.layers)]
        for samples in shown
    ]


def direction_files(study):
    """Return the measures of single directions of a study: one for each run, checkpoint and layer; none is usual."""
    probe = study.directions
    return [
        DIRECTIONS.format(study=study.name, run=run.name, at=f"{at:05d}", layer=layer)
        for run in study.runs.values()
        for at in (probe.at if probe else [])
        for layer in modules_of(run, probe.layers)
    ]


def functional_dimension_files(study):
    """Return the functional dimensions of a study: one for each run and checkpoint; none is usual."""
    at = study.functional_dimension.at if study.functional_dimension else []
    return [
        FUNCTIONAL_DIMENSION.format(study=study.name, run=run, at=f"{one:05d}")
        for run, one in itertools.product(study.runs, at)
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


def dump_of(samples):
    """Return (name, checkpoint, split) of the dump that holds a set of samples."""
    dump = samples.removesuffix(BY_CLASS)
    checkpoint, _, split = dump.partition("-")
    return dump, int(checkpoint), split or "validation"
