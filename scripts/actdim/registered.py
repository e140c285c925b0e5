"""How to find and call the functions that registry.py and the table of estimators name."""

import importlib
import inspect

from pydantic import ConfigDict, create_model

from actdim import registry
from actdim.errors import UserError


def find(table, name):
    """Return the function that the entry `name` of a table stands for: it has its module's last name.

    Raises UserError that lists the known names.
    """
    if not isinstance(name, str) or name not in table:
        raise UserError(f"unknown name {name!r}; known: {', '.join(table)}")
    return getattr(importlib.import_module(table[name]), name)


def modules_of(settings):
    """Return the modules of the data set and the model that a run's settings name: code that its jobs execute."""
    return registry.DATASETS[settings["dataset"]["name"]], registry.MODELS[settings["model"]["name"]]


def settings_of(function):
    """Return a pydantic model of a registered function's keyword settings, with `name` for the function's own."""
    settings = {
        key: (parameter.annotation, ... if parameter.default is parameter.empty else parameter.default)
        for key, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    return create_model(
        function.__name__, __config__=ConfigDict(extra="forbid", allow_inf_nan=False), name=(str, ...), **settings
    )


def build(table, settings, *arguments):
    """Call the function that `settings["name"]` names with the positional `arguments` and the other settings.

    Raises UserError where the function refuses them by a ValueError.
    """
    keywords = {key: value for key, value in settings.items() if key != "name"}
    try:
        return find(table, settings["name"])(*arguments, **keywords)
    except ValueError as error:
        raise UserError(f"{settings['name']}: {error}") from None
