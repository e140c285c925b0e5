"""The table of measures: all that the workflow knows of them.

Its rules, targets, checks of a study, costs, tables, figures and texts follow from it. A new measure is an entry here,
a file in this package with its method, its program and its test; one that reads no checkpoint needs a rule, too.
"""

from collections.abc import Callable
from typing import NamedTuple

from actdim.measures import work
from actdim.measures.settings import Directions, FunctionalDimension, Norms
from actdim.names import PCA
from actdim.validation import Settings

SPECTRAL = ("unbiased_participation_ratio", "stable_rank", "rankme", "alpha_req")


def spectrum_values(result):
    """Return the columns of a result of estimate_pca."""
    return {"participation_ratio": result["id"], **{name: result.get(name) for name in SPECTRAL}}


class Measure(NamedTuple):
    """A measure besides LLID and PID.

    A study that names it in a section of its own says at which checkpoints (`at`) to take it, and of which layers
    (`layers`) where its path has a {layer}. One without settings is taken of all activations that a study stores.
    """

    name: str  # also the section in a study and in config.yaml
    rule: str  # also the program, scripts/<rule>.py
    path: str  # of a result in a run's folder: of each {at}, or each set of {samples}, and of each {layer}
    columns: dict[str, str]  # {column of measures.csv: its name for a reader}; of several layers, the mean
    values: Callable[[dict], dict]  # of the content of a result: {column: number, or None}
    settings: type[Settings] | None = None
    work: Callable | None = None  # see `work`
    pass_seconds: Callable | None = None  # see `work`; None: those of an evaluation
    by_estimator: bool = False  # whether it applies the estimator that tables show, by the study's neighbor search
    last_layer: bool = False  # of the layers, only the one that feeds the classifier


DIRECTIONS = Measure(
    "directions",
    rule="measure_directions",
    path="directions/{at}/{layer}.json",
    columns={
        "validation_ablation_area": "validation area under ablation",
        "train_ablation_area": "train area under ablation",
        "mean_selectivity": "mean selectivity",
    },
    values=lambda result: {
        **{f"{split}_ablation_area": result["area"][split] for split in ("validation", "train")},
        "mean_selectivity": result["mean_selectivity"],
    },
    settings=Directions,
    work=work.directions,
    pass_seconds=work.seconds_of_ablation,
)

FUNCTIONAL_DIMENSION = Measure(
    "functional_dimension",
    rule="measure_functional_dimension",
    path="functional_dimension/{at}.json",
    columns={"functional_dimension_over_bound": "functional dimension / bound"},
    values=lambda result: {"functional_dimension_over_bound": result["over_bound"]},
    settings=FunctionalDimension,
    work=work.functional_dimension,
)

SPECTRUM = Measure(
    "spectrum",
    rule="estimate_pca",
    path=f"id/{PCA}/{{samples}}/{{layer}}.json",
    columns={
        "participation_ratio": "participation ratio",
        "unbiased_participation_ratio": "unbiased participation ratio",
        "stable_rank": "stable rank",
        "rankme": "RankMe",
        "alpha_req": "alpha-ReQ",
    },
    values=lambda result: spectrum_values(result) if result["source"]["feeds_classifier"] else {},
    last_layer=True,
)

NULL = Measure(
    "null",
    rule="estimate_null",
    path="null/{samples}/{layer}.json",
    columns={"id_null": "null of LLID"},
    values=lambda result: {"id_null": result["id_null"]},
    by_estimator=True,
    last_layer=True,
)

NEIGHBORHOODS = Measure(
    "neighborhoods",
    rule="measure_neighborhoods",
    path="neighborhoods/{samples}.json",
    columns={
        "label_overlap": "label overlap",
        "layer_overlap": "overlap of layers",
        "checkpoint_overlap": "overlap of checkpoints",
        "local_id_mean": "mean local ID",
        "local_id_spread": "spread of local IDs",
        "local_id_misclassified": "local ID of misclassified samples",
    },
    values=lambda result: {name: result[name] for name in NEIGHBORHOODS.columns},
    last_layer=True,
)

NORMS = Measure(
    "norms",
    rule="measure_norms",
    path="norms/{at}.json",
    columns={
        "margin": "training margin",
        "log_spectral_norms": "log spectral norms",
        "log_spectral_norms_over_margin": "log spectral norms / margin",
        "log_frobenius_norms": "log Frobenius norms",
        "log_frobenius_norms_over_margin": "log Frobenius norms / margin",
        "log_path_norm": "log path norm",
        "log_path_norm_over_margin": "log path norm / margin",
        "distance_from_start": "distance from start",
        "parameters": "parameters",
    },
    values=lambda result: {name: result[name] for name in NORMS.columns},
    settings=Norms,
    work=work.norms,
)

MEASURES = {
    measure.name: measure for measure in (NULL, SPECTRUM, NEIGHBORHOODS, DIRECTIONS, FUNCTIONAL_DIMENSION, NORMS)
}
