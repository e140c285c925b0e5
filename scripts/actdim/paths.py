"""Where results lie. Wildcards in braces, as Snakemake writes them."""

import itertools

from actdim.studies import layers_of

RUN = "results/{study}/{run}"
CHECKPOINTS = f"{RUN}/checkpoints/to~{{until}}"
ACTIVATIONS = f"{RUN}/activations/{{checkpoint}}.h5"
NEIGHBORS = f"{RUN}/neighbors/{{checkpoint}}/{{layer}}.h5"
ID = f"{RUN}/id/{{estimator}}/{{checkpoint}}/{{layer}}.json"


def checkpoint_folders(study):
    """Return the checkpoint folders of a study: one for each run and stage."""
    return [
        CHECKPOINTS.format(study=study.name, run=run, until=until)
        for run, until in itertools.product(study.runs, study.stages)
    ]


def id_files(study, estimators):
    """Return the estimates of a study: one for each run, estimator, dumped checkpoint and layer."""
    return [
        ID.format(study=study.name, run=run.name, estimator=estimator, checkpoint=f"{at:05d}", layer=layer)
        for run in study.runs.values()
        for estimator, at, layer in itertools.product(
            estimators, study.activations.at, layers_of(run, study.activations.layers)
        )
    ]
