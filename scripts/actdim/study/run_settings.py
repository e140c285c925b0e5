"""The settings of one run: a study's sections, with the values that the grid gives them, checked."""

import functools
import sys

from actdim import plugins, registry
from actdim.errors import UserError
from actdim.training.settings import NAMED_SECTIONS, RunSettings, TrainingLength, TrainingSection
from actdim.validation import Settings, check, hint

SECTIONS = (*NAMED_SECTIONS, "training")


def make_run_settings(sections, chosen, where):
    """Return the RunSettings of a study's sections with the values chosen from its grid.

    sections: {section: {setting: value}} with dataset, model and training; chosen: {key of the grid: value} and "seed".
    Raises UserError that names `where`, the key and what would be right.
    """
    sections = {section: dict(sections[section]) for section in SECTIONS}
    # Names first, because they decide which other settings there are.
    for key in sorted(chosen.keys() - {"seed"}, key=lambda key: (not key.endswith(".name"), key)):
        section, setting = locate(key, sections, where)
        sections[section][setting] = chosen[key]
    model = check_section("model", sections["model"], where)
    sections["dataset"] = with_preprocessing(sections["dataset"], model, where)
    named = {"dataset": check_section("dataset", sections["dataset"], where), "model": model}
    training = check(TrainingSection, sections["training"], f"{where}: training").without_length()
    return check(RunSettings, {**named, "training": training, "seed": chosen.get("seed", 0)}, where)


def check_section(section, content, where):
    """Return the checked settings of the section dataset or model. Raises UserError."""
    table, base = NAMED_SECTIONS[section]
    return plugins.check_named(table, content, f"{where}: {section}", base)


def with_preprocessing(dataset, model, where):
    """Return the section dataset with the preprocessing of a model's pretrained weights where it states none.

    resize and size belong together: whoever states one of them has both.
    """
    function = plugins.load_function(registry.MODELS, model.name)
    wanted = function.preprocessing(model) if hasattr(function, "preprocessing") else {}
    if not wanted:
        return dataset
    table, base = NAMED_SECTIONS["dataset"]
    known = plugins.named_model(table, dataset, f"{where}: dataset", base).model_fields
    if not wanted.keys() <= known.keys():
        tell_preprocessing(f"{where}: dataset {dataset['name']}", model.weights, tuple(wanted.items()))
        return dataset
    if {"size", "resize"} & dataset.keys():
        del wanted["size"], wanted["resize"]
    return {**wanted, **dataset}


@functools.cache  # once, not for each run of a study
def tell_preprocessing(where, weights, wanted):
    """Say that a data set does not preprocess images as they were for pretrained weights."""
    settings = ", ".join(f"{key} {value}" for key, value in wanted)
    print(f"{where}: its images are not preprocessed as for weights {weights}, by {settings}", file=sys.stderr)


def locate(key, sections, where):
    """Return the (section, setting) that a key of the grid means: `weight_decay`, or `model.name`.

    Raises UserError where no section has the setting, or several have.
    """
    section, dot, setting = key.rpartition(".")
    if setting in TrainingLength.model_fields and section in ("", "training"):
        raise UserError(f"{where}: {key}: is the same for all runs of a study; state it in training")
    known = {"training": TrainingSection.model_fields}
    for name, (table, base) in NAMED_SECTIONS.items():
        known[name] = plugins.named_model(table, sections[name], f"{where}: {name}", base).model_fields
    matching = [name for name in known if setting in known[name] and (name == section or not dot)]
    if not matching:
        every = sorted({name for fields in known.values() for name in fields})
        raise UserError(f"{where}: {key}: no setting of dataset, model or training{hint(setting, every)}")
    if len(matching) > 1:
        choices = " or ".join(f"{name}.{setting}" for name in matching)
        raise UserError(f"{where}: {key}: could be {choices}; write one of them")
    return matching[0], setting


def chosen_value(key, settings):
    """Return the value that a RunSettings has for a key of the grid, as a number or a text.

    None where its model or data set has no such setting. A schedule stands for its name.
    """
    value = stated_value(key, {section: dict(getattr(settings, section)) for section in SECTIONS})
    return getattr(value, "name", "given") if isinstance(value, Settings) else value


def stated_value(key, sections):
    """Return the value of a key of the grid in {section: {setting: value}}; None where none has it."""
    section, dot, setting = key.rpartition(".")
    searched = [section] if dot else SECTIONS
    return next((sections[name][setting] for name in searched if setting in sections[name]), None)
