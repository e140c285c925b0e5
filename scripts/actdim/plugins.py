"""How to find and call the functions that a study names: those of registry.py, and the user's own."""

import functools
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from pydantic import create_model

from actdim import registry
from actdim.errors import UserError
from actdim.validation import Settings

OWN = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")  # module:function, the module maybe in packages


def place(table, name):
    """Return the module:function that a name stands for: an entry of the table, or itself where it is the user's own.

    Raises UserError that lists the known names.
    """
    key = entry(table, name)
    if key:
        return table[key]
    if not isinstance(name, str) or not OWN.fullmatch(name):
        raise UserError(f"unknown name {name!r}; known: {', '.join(table)}, or module:function of your own")
    return name


def entry(table, name):
    """Return the key of a name in a table: itself, or family:* for a name family:member; None where it has none."""
    if not isinstance(name, str):
        return None
    family = f"{name.partition(':')[0]}:*"
    return name if name in table else family if family in table else None


def find(table, name):
    """Return the function that a name stands for; the user's own modules lie in the working directory.

    For family:member it is what the family's function returns for the member.
    Raises UserError where there is no such module, or no such function in it.
    """
    module, _, function = place(table, name).partition(":")
    key = entry(table, name)
    if not key and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        imported = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise UserError(f"{name!r}: no module {error.name!r}, in {Path.cwd()} or installed") from None
    except (ImportError, SyntaxError) as error:
        raise UserError(f"{name!r}: module {module!r} cannot be imported: {error}") from None
    found = getattr(imported, function, None)
    if not callable(found):
        raise UserError(f"{name!r}: module {module!r} has no function {function!r}")
    return found(name.partition(":")[2]) if key and key.endswith(":*") else found


def code_of(settings):
    """Return the module:function of the data set and the model of a run: code that its jobs execute."""
    return place(registry.DATASETS, settings["dataset"]["name"]), place(registry.MODELS, settings["model"]["name"])


@functools.cache
def settings_of(function, base=Settings):
    """Return a pydantic model of a registered function's keyword settings, with `name` for the function's own.

    base: a pydantic model of the settings that every function of its kind takes.
    """
    settings = {
        key: tuple(
            otherwise if given is parameter.empty else given
            for given, otherwise in ((parameter.annotation, Any), (parameter.default, ...))
        )
        for key, parameter in inspect.signature(function, eval_str=True).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    return create_model(function.__name__, __base__=base, name=(str, ...), **settings)


def build(table, settings, *arguments):
    """Call the function that `settings["name"]` names with the positional `arguments` and the settings it takes.

    Raises UserError where the function refuses them by a ValueError, or there is no such file.
    """
    function = find(table, settings["name"])
    taken = inspect.signature(function).parameters.keys() & settings.keys()
    try:
        return function(*arguments, **{key: settings[key] for key in taken})
    except ValueError as error:
        raise UserError(f"{settings['name']}: {error}") from None
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""  # none where a download fills the disk
        raise UserError(f"{settings['name']}: {where}{error.strerror}") from None
