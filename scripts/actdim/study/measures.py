"""The sections that choose measures: how to take them, in config.yaml; and at which checkpoints, in a study."""

from pydantic import create_model

from actdim.measures.table import MEASURES
from actdim.study.runs import check_layers
from actdim.validation import OneOrMore, Settings, Units, check


def settings_of_study(measure):
    """Return the pydantic model of a measure's section in a study: its settings, and where to take it."""
    place = {"at": (Units, ...)}
    if "{layer}" in measure.path:
        place["layers"] = (OneOrMore[str], ["all"])
    return create_model(f"{measure.settings.__name__}OfStudy", __base__=measure.settings, **place)


SECTIONS = {name: settings_of_study(measure) for name, measure in MEASURES.items() if measure.settings}

MeasuresOfConfig = create_model(
    "MeasuresOfConfig",
    __base__=Settings,
    **{name: (MEASURES[name].settings, MEASURES[name].settings()) for name in SECTIONS},
)

# As a study's file has them: with only those settings that differ from the configuration's.
MeasuresOfFile = create_model("MeasuresOfFile", __base__=Settings, **dict.fromkeys(SECTIONS, (dict | None, None)))

MeasuresOfStudy = create_model(
    "MeasuresOfStudy", __base__=Settings, **{name: (schema | None, None) for name, schema in SECTIONS.items()}
)


def choose_measures(file, config, runs, where):
    """Return the MeasuresOfStudy that a study's file asks for; None stands for a measure that it does not name.

    file: MeasuresOfFile; config: MeasuresOfConfig, the settings that the file does not state; runs: those of the study.
    Raises UserError where a setting is wrong, or a run's model lacks a layer.
    """
    chosen = {}
    for name, schema in SECTIONS.items():
        stated = getattr(file, name)
        if stated is None:
            continue
        settings = check(schema, {**getattr(config, name).model_dump(), **stated}, f"{where}: {name}")
        for run in runs if "layers" in schema.model_fields else []:
            check_layers(run, settings.layers, f"{where}: {name}.layers")
        chosen[name] = settings
    return MeasuresOfStudy(**chosen)
