"""What made a result: digests of the code that computed it, of the settings that count, and library versions.

A digest must change when a number can change, and only then, because Snakemake runs a job again whose digest changed.

Code. The digest of a program covers the program and the library modules that it imports, directly or not, except those
in NOT_COUNTED. Each file is reduced to its syntax tree without what cannot change a number: comments, docstrings and
formatting; the text of messages (of exceptions, print, warnings, assertions and command-line help); checks that do
nothing but refuse (`if ...: raise UserError(...)`); import statements of the library; and the names of what comes from
modules that do not count. Constants of actdim.names count by value, and so does the FORMAT of a storage module.

Settings. `settings_that_count` leaves out settings at their default, so that a new setting reruns nothing. "Default" is
the first that the setting had, which first_defaults.json notes, so that a changed default reruns what used it.
"""

import ast
import functools
import hashlib
import inspect
import json
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel

from actdim.folders import SCRIPTS, own_folders

# Modules and packages that cannot change a number, and why. What only they import does not count either.
NOT_COUNTED = {
    "errors": "exceptions without behavior",
    "folders": "finds files, whose content counts by itself",
    "names": "its constants count by value, where they are used",
    "registry": "a job runs the entry that a study names, and the module of that entry counts",
    "validation": "refuses settings or lets them pass; their values count by themselves",
    "plugins": "calls the function that a study names, with settings that count by themselves",
    "provenance": "states what made a result",
    "cli": "reads arguments, which are parameters of the job, and words mistakes",
    "numba_cache": "keeps compiled code, and compiles again what is not as it was",
    "threads": "sets the number of threads, on which no result depends",
    "storage": "stores values as they are; a format that changes has another number, which counts",
    "study": "turns YAML into settings, which count by themselves",
    "workflow": "tells Snakemake what jobs need and what they will cost",
    "activations.settings": "states settings, whose values count by themselves",
    "datasets.settings": "states which settings there are; their values count by themselves",
    "measures.program": "reads options, whose values count by themselves, and writes what was measured",
    "measures.settings": "states which settings there are; their values count by themselves",
    "measures.work": "tells what jobs need and what they will cost",
    "neighbors.settings": "states which settings there are; their values count by themselves",
    "training.resume": "finds which checkpoints are there already; a run's settings and code say what is in them",
    "training.settings": "states which settings there are; their values count by themselves",
    "models.summary": "finds shapes for the plan, without data or weights",
}
DESCRIPTIONS = {"help", "description", "metavar"}  # keyword arguments with text for a reader
DESCRIBED = {"add_argument", "ArgumentParser", "add_set", "Field"}  # of functions of argparse and pydantic
MESSAGES = {"print", "warn"}  # functions whose calls, as statements, only tell something
ENDING = {"UserError", "NoSpace"}  # exceptions that end a program, so that there is no result


def code_digest(program, *entries):
    """Return a digest of the code of a program in scripts/; see `code_digests`."""
    return digest_of_code(code_digests(program, *entries))


def digest_of_code(digests):
    """Return the digest of what `code_digests` returns; it does not change where a module has another name."""
    return digest_of(sorted(digests.values()))


@functools.cache
def code_digests(program, *entries):
    """Return {module: digest} of a program in scripts/, the library modules that count, and `entries`.

    entries: module:function that the program finds by name at run time (registry.MODELS["resnet18"], ...). What a
    user's own modules import from the user's folders counts too; see folders.py.
    """
    modules = [entry.partition(":")[0] for entry in entries]
    files = [SCRIPTS / program, *filter(None, map(module_file, modules))]
    digests = {}
    while files:
        file = files.pop()
        name = str(file.relative_to(root_of(file)))
        if name not in digests:
            digests[name] = file_digest(file)
            files.extend(imported(file))
    return dict(sorted(digests.items()))


def counts(module):
    """Tell whether a module of the library, such as actdim.storage.hdf5, can change a number; see NOT_COUNTED."""
    parts = module.removeprefix("actdim").lstrip(".").split(".")
    return parts != [""] and not any(".".join(parts[:end]) in NOT_COUNTED for end in range(1, len(parts) + 1))


@functools.cache
def imported(file):
    """Return the user's own files, and those of the library that count, that a file imports anywhere in it."""
    modules = {module for node in ast.walk(syntax_tree(file)) for module in modules_of(node, file)}
    if root_of(file) == SCRIPTS:
        modules = {module for module in modules if module.startswith("actdim.")}
    modules = {module for module in modules if module != "actdim" and (not is_library(module) or counts(module))}
    return [path for path in map(module_file, sorted(modules)) if path]


def modules_of(node, file):
    """Return the names of modules that an import statement may mean; [] for any other node of a file's syntax tree."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        folder = file.relative_to(root_of(file)).parts[: -node.level] if node.level else ()
        module = ".".join([*folder, *filter(None, [node.module])])
        return [module, *(f"{module}.{alias.name}" for alias in node.names)]
    return []


def is_library(module):
    """Tell whether a module's name is that of the library or of a part of it."""
    return module.split(".")[0] == "actdim"


def root_of(file):
    """Return the folder in which the name of a file's module begins: scripts/, or a folder of the user's modules."""
    return next(folder for folder in (SCRIPTS, *own_folders()) if file.is_relative_to(folder))


def module_file(module):
    """Return the file of a module of this library or of the user, or None for any other name."""
    folders = [SCRIPTS] if is_library(module) else own_folders()
    paths = [folder.joinpath(*module.split(".")) for folder in folders]
    files = [file for path in paths for file in (path.with_suffix(".py"), path / "__init__.py")]
    return next((file for file in files if file.exists()), None)


@functools.cache
def syntax_tree(file):
    """Return the syntax tree of a file."""
    return ast.parse(file.read_text())


@functools.cache
def file_digest(file):
    """Return the digest of what counts in a file."""
    tree = syntax_tree(file)
    return digest_of(repr(normal_form(tree, names_not_counted(tree))), formats(tree))


def names_not_counted(tree):
    """Return {name: what stands for it} of the names that a file imports from modules that do not count.

    A constant of actdim.names stands for its value, so that a constant can get another name.
    """
    replaced = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and is_library(node.module or ""):
            for alias in node.names:
                if node.module == "actdim.names":
                    replaced[alias.asname or alias.name] = constants("actdim.names")[alias.name]
                elif not counts(node.module) or not counts(f"{node.module}.{alias.name}"):
                    replaced[alias.asname or alias.name] = "not counted"
    return replaced


def formats(tree):
    """Return the FORMAT numbers of the storage modules that a file imports, sorted."""
    modules = {
        module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("actdim.storage")
        for module in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))
    }
    return sorted(constants(module)["FORMAT"] for module in modules if "FORMAT" in constants(module))


@functools.cache
def constants(module):
    """Return {name: value} of the literal constants that a library module defines."""
    file = module_file(module)
    values = {}
    for node in syntax_tree(file).body if file else []:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                values[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue  # computed
    return values


def normal_form(node, replaced):
    """Return what counts in a syntax tree as nested tuples, the same for every Python version that can parse it.

    replaced: {name: what stands for it}. Empty fields are left out, because newer versions of Python add some.
    """
    if isinstance(node, list):
        return tuple(normal_form(item, replaced) for item in node if not is_text_only(item))
    if not isinstance(node, ast.AST):
        return node
    if isinstance(node, ast.Name) and node.id in replaced:
        return "name", replaced[node.id]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in replaced:
        return normal_form(node.value, replaced)
    fields = {key: value for key, value in ast.iter_fields(node) if value not in (None, []) and key != "kind"}
    if (
        isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and ast.get_docstring(node, clean=False) is not None
    ):
        fields["body"] = fields["body"][1:]
    fields |= without_messages(node)
    return type(node).__name__, *((key, normal_form(value, replaced)) for key, value in fields.items())


def without_messages(node):
    """Return the fields of a node of a syntax tree that hold text for a reader, without that text."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        return {"exc": node.exc.func, "cause": []}
    if isinstance(node, ast.Assert):
        return {"msg": []}
    if isinstance(node, ast.Call) and called_name(node) in ENDING:
        return {"args": [], "keywords": []}
    if isinstance(node, ast.Call) and called_name(node) in DESCRIBED:
        return {"keywords": [keyword for keyword in node.keywords if keyword.arg not in DESCRIPTIONS]}
    return {}


def is_text_only(node):
    """Tell whether a statement can only tell something or refuse, or imports from the library."""
    if isinstance(node, ast.ImportFrom):
        return is_library(node.module or "")
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return called_name(node.value) in MESSAGES
    if isinstance(node, ast.If) and len(node.body) == 1 and not node.orelse and isinstance(node.body[0], ast.Raise):
        binds = any(isinstance(part, ast.NamedExpr) for part in ast.walk(node.test))
        raised = node.body[0].exc
        return not binds and isinstance(raised, ast.Call) and called_name(raised) in ENDING
    return False


def called_name(call):
    """Return the name of the function that a call in a syntax tree calls, without what stands before its last dot."""
    return getattr(call.func, "attr", getattr(call.func, "id", None))


def settings_that_count(settings):
    """Return those of checked settings that are not at their first default, as nested plain values.

    settings: a pydantic model. A default in the signature of a function that a study names counts with the code of that
    function.
    """
    counted = {}
    for name, field in type(settings).model_fields.items():
        value = plain(getattr(settings, name))
        if field.is_required() or value != first_default(type(settings), name):
            counted[name] = value
    return counted | plain(settings.model_extra or {})


def first_default(model, name):
    """Return the first default of a field of a pydantic model, as plain values; its default now where none is noted."""
    defined_by = next(base for base in model.__mro__ if name in inspect.get_annotations(base))
    noted = first_defaults().get(defined_by.__name__, {})
    return noted[name] if name in noted else plain(model.model_fields[name].get_default(call_default_factory=True))


def plain(value):
    """Return a setting as plain values, of nested settings those that count."""
    if isinstance(value, BaseModel):
        return settings_that_count(value)
    return json.loads(json.dumps(value, default=str))


@functools.cache
def first_defaults():
    """Return {class of settings: {setting: the first default that it had}}."""
    return json.loads(Path(__file__).with_name("first_defaults.json").read_text())


def digest_of(*parts):
    """Return a short text that changes with the content of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def made_by(program, *entries, settings, libraries=()):
    """Return what a result says of its making: program, settings that count, code, and versions of libraries."""
    program = Path(program).name
    versions = {library: version(library) for library in libraries}
    return {"program": program, "settings": settings, "code": code_digests(program, *entries), **versions}
