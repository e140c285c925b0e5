"""The configuration: config.yaml, checked."""

from typing import Annotated, Literal

from pydantic import Field, SerializeAsAny, field_validator

from actdim import plugins, registry
from actdim.names import PCA
from actdim.neighbors.settings import Neighbors
from actdim.study.measures import MeasuresOfConfig
from actdim.study.runs import LONGEST_NAME
from actdim.study.yaml_files import check_texts, value_of_text
from actdim.validation import ALREADY_CHECKED, Settings, any_settings, check

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=LONGEST_NAME)]
ALL_ESTIMATORS = {**registry.ESTIMATORS, PCA: "actdim.estimators.pca:pca"}  # also the one that reads no neighbor lists


class Config(MeasuresOfConfig):
    """The configuration: which studies to run, and the defaults of the methods."""

    studies: Annotated[list[Name], Field(min_length=1)] = Field(
        description="names of the studies to run; each is a file studies/<name>.yaml"
    )
    neighbors: Neighbors = Field(Neighbors(), description="how to search for neighbors; a study may say otherwise")
    estimators: Annotated[dict[Literal[tuple(ALL_ESTIMATORS)], SerializeAsAny[Settings]], Field(min_length=1)] = Field(
        description="estimators of the intrinsic dimension, by name, with their settings; figures show the first"
    )
    tensorboard: bool = Field(False, description="write each run's training curves, LLID and PID for TensorBoard, too")

    @field_validator("estimators", mode="before")
    @classmethod
    def take_as_stored(cls, content, info):
        """Settings that were checked before they were stored are not checked again by their functions."""
        if info.context != ALREADY_CHECKED:
            return content
        return {name: any_settings(Settings).model_validate(settings) for name, settings in content.items()}


def load_config(content, where="config.yaml"):
    """Return the configuration as a Config, with the defaults of every estimator. Raises UserError."""
    check_texts(content, where)
    content = {key: value if key == "studies" else with_values_of_texts(value) for key, value in content.items()}
    if isinstance(estimators := content.get("estimators"), dict):
        content["estimators"] = {
            name: check(plugins.settings_model(ALL_ESTIMATORS, name, Settings), settings, f"{where}: estimators.{name}")
            if name in ALL_ESTIMATORS
            else settings
            for name, settings in estimators.items()
        }
    return check(Config, content, where)


def with_values_of_texts(content):
    """Return nested plain values with numbers for texts that are numbers in YAML 1.2, and so on.

    Snakemake reads 1e-3 as a text in config.yaml, and all nested values as texts in --config.
    """
    if isinstance(content, dict):
        return {key: with_values_of_texts(value) for key, value in content.items()}
    if isinstance(content, list):
        return [with_values_of_texts(value) for value in content]
    return value_of_text(content) if isinstance(content, str) else content
