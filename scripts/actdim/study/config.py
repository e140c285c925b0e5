"""The configuration: config.yaml, checked."""

from typing import Annotated, Literal

from pydantic import Field

from actdim import plugins, registry
from actdim.estimators.pca import pca
from actdim.measures.settings import Directions, FunctionalDimension
from actdim.names import PCA
from actdim.neighbors.settings import Neighbors
from actdim.study.runs import LONGEST
from actdim.study.yaml_files import check_texts
from actdim.validation import Settings, check

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=LONGEST)]


class Config(Settings):
    """config.yaml."""

    studies: Annotated[list[Name], Field(min_length=1)]
    neighbors: Neighbors = Neighbors()
    directions: Directions = Directions()
    functional_dimension: FunctionalDimension = FunctionalDimension()
    estimators: Annotated[dict[Literal[(*registry.ESTIMATORS, PCA)], dict], Field(min_length=1)]
    tensorboard: bool = False  # write event files, too


def load_config(content, where="config.yaml"):
    """Return the configuration as a Config; every estimator's settings filled in. Raises UserError."""
    check_texts(content, where)
    config = check(Config, with_nulls(content), where)
    for name, settings in config.estimators.items():
        schema = plugins.settings_of(pca if name == PCA else plugins.find(registry.ESTIMATORS, name))
        checked = check(schema, {"name": name, **settings}, f"{where}: estimators.{name}")
        config.estimators[name] = checked.model_dump(exclude={"name"})
    return config


def with_nulls(content):
    """Return nested plain values with None for the text null, as which Snakemake's --config reads it."""
    if isinstance(content, dict):
        return {key: with_nulls(value) for key, value in content.items()}
    return None if content == "null" else content
