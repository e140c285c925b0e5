"""Functions that a study names: those of registry.py, and the user's own. How they are loaded, checked and called."""

import functools
import importlib
import inspect
import re
import sys
from typing import Any

from pydantic import create_model

from actdim import registry
from actdim.errors import UserError
from actdim.folders import own_folders
from actdim.validation import Named, Settings, check

OWN = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")  # module:function; the module may lie in packages


def qualified_name(table, name):
    """Return the module:function that a name stands for: its entry in a table of registry.py, or a user's own function.

    Raises UserError that lists the known names.
    """
    key = table_key(table, name)
    if key:
        return table[key]
    if not isinstance(name, str) or not OWN.fullmatch(name):
        raise UserError(f"unknown name {name!r}; known: {', '.join(table)}, or module:function of your own")
    return name


def table_key(table, name):
    """Return the key of a name in a table: the name, or family:* for a name family:member; None where it has none."""
    if not isinstance(name, str):
        return None
    family = f"{name.partition(':')[0]}:*"
    return name if name in table else family if family in table else None


def load_function(table, name):
    """Return the function that a name stands for. A user's own modules lie in one of folders.own_folders.

    For family:member it is what the family's function returns for the member.
    Raises UserError where there is no such module, or no such function in it.
    """
    module, _, function_name = qualified_name(table, name).partition(":")
    key = table_key(table, name)
    folders = [] if key else [str(folder) for folder in own_folders()]
    sys.path[:] = [*folders, *(folder for folder in sys.path if folder not in folders)]
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        places = ", ".join([*folders, "installed"])
        raise UserError(f"{name!r}: no module {error.name!r}; looked in {places}") from None
    except (ImportError, SyntaxError) as error:
        raise UserError(f"{name!r}: module {module!r} cannot be imported: {error}") from None
    function = getattr(imported, function_name, None)
    if not callable(function):
        raise UserError(f"{name!r}: module {module!r} has no function {function_name!r}")
    return function(name.partition(":")[2]) if key and key.endswith(":*") else function


def run_functions(settings):
    """Return the module:function of the data set and of the model that a run's settings name."""
    return (
        qualified_name(registry.DATASETS, settings.dataset.name),
        qualified_name(registry.MODELS, settings.model.name),
    )


def settings_model(table, name, base=Named):
    """Return the pydantic model of the settings of a function: those of `base` and its own keyword-only parameters.

    base: a subclass of Named with the settings that every function of the table takes.
    Raises UserError where the name stands for no function.
    """
    return signature_model(load_function(table, name), base)


@functools.cache
def signature_model(function, base):
    """Return a pydantic model of a function's keyword-only parameters, which extends `base`."""
    settings = {
        key: (
            Any if parameter.annotation is parameter.empty else parameter.annotation,
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for key, parameter in keyword_parameters(function).items()
    }
    summary = (inspect.getdoc(function) or "").partition("\n\n")[0].replace("\n", " ")
    return create_model(function.__name__, __base__=base, __doc__=summary or None, **settings)


def keyword_parameters(function):
    """Return {name: inspect.Parameter} of the keyword-only parameters of a function."""
    parameters = inspect.signature(function, eval_str=True).parameters
    return {key: parameter for key, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}


def function_with_settings(table, name, settings, where):
    """Return the function that a name stands for, and {key: value} checked as its settings: (function, Settings).

    Raises UserError, with a line for each mistake, which begins with `where` for one in the settings.
    """
    schema = settings_model(table, name, Settings)
    return load_function(table, name), check(schema, settings, where)


def check_named(table, content, where, base=Named):
    """Return a mapping with a function's `name` and settings as an instance of the function's `settings_model`.

    Raises UserError with a line for each mistake, which begins with `where`.
    """
    return check(named_model(table, content, where, base), content, where)


def named_model(table, content, where, base=Named):
    """Return the `settings_model` of the function that a mapping has the `name` of.

    Raises UserError, which begins with `where`, for a missing or unknown name.
    """
    if "name" not in content:
        raise UserError(f"{where}.name: missing; known: {', '.join(table)}")
    try:
        return settings_model(table, content["name"], base)
    except UserError as error:
        raise UserError(f"{where}.name: {error}") from None


def build(table, settings, *arguments):
    """Return what the function `settings.name` returns for the positional `arguments` and its own settings.

    Raises UserError where the function refuses them by a ValueError, or there is no such file.
    """
    function = load_function(table, settings.name)
    try:
        return function(*arguments, **{key: getattr(settings, key) for key in keyword_parameters(function)})
    except ValueError as error:
        raise UserError(f"{settings.name}: {error}") from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""  # none where a download fills the disk
        raise UserError(f"{settings.name}: {where}{error.strerror}") from None
