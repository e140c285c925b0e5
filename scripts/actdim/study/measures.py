"""The sections that choose measures: how to take them, in config.yaml; and at which checkpoints, in a study."""

from pydantic import Field, create_model

from actdim.measures.table import MEASURES
from actdim.models.summary import summarize_model
from actdim.names import INPUT
from actdim.study.runs import check_modules
from actdim.validation import OneOrMore, Settings, Units, fill_in


def purpose(settings):
    """Return what a class of settings is for, as its docstring says, for use in a sentence."""
    text = settings.__doc__.rstrip(".")
    return text[0].lower() + text[1:]


def section_of_study(measure):
    """Return the pydantic model of a measure's section in a study: its settings, and where to take it."""
    place = {"at": (Units, Field(description="checkpoints to measure, all of them kept ones"))}
    if "{layer}" in measure.path:
        layers = Field(["all"], description="modules to measure; all: those that the model lists")
        place["layers"] = (OneOrMore[str], layers)
    return create_model(
        f"{measure.settings.__name__}Section", __base__=measure.settings, __doc__=measure.settings.__doc__, **place
    )


SECTIONS = {name: section_of_study(measure) for name, measure in MEASURES.items() if measure.settings}

MeasuresOfConfig = create_model(
    "MeasuresOfConfig",
    __base__=Settings,
    **{
        name: (
            MEASURES[name].settings,
            Field(
                MEASURES[name].settings(), description=f"{purpose(MEASURES[name].settings)}, in studies that say where"
            ),
        )
        for name in SECTIONS
    },
)

# What a study's file states of its measures, and what is taken with the defaults of the configuration.
MeasureSections = create_model(
    "MeasureSections",
    __base__=Settings,
    **{
        name: (section | None, Field(None, description=f"{purpose(MEASURES[name].settings)}, and where; null: nowhere"))
        for name, section in SECTIONS.items()
    },
)


def choose_measures(file, config, runs, where):
    """Return the MeasureSections of a StudyFile with the settings of a Config where it states none.

    Raises UserError where the model of one of the `runs` lacks a layer.
    """
    stated = {name: section for name in SECTIONS if (section := getattr(file, name))}
    chosen = MeasureSections(**{name: fill_in(section, getattr(config, name)) for name, section in stated.items()})
    for name in stated:
        for run in runs if "layers" in SECTIONS[name].model_fields else []:
            check_modules(run.settings, getattr(chosen, name).layers, f"{where}: {name}.layers")
    return chosen


def modules_of(run, names):
    """Return the names of the modules of a run's model, without the input, that a measure's section names."""
    return [name for name in summarize_model(run.settings, names).layers if name != INPUT]
