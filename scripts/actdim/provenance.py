"""What made a result: digests of code by content, and the versions of the libraries."""

import ast
import functools
import hashlib
from importlib.metadata import version
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent.parent


TABLE = "actdim.registry"  # a run executes the entries that it names, not the table they stand in


@functools.cache
def code_digest(program, *entries):
    """Return a digest of the code of a program in scripts/, the library modules that it imports, and `entries`.

    entries: module:function that the program finds by name at run time (registry.MODELS["resnet18"], ...); the
    user's own modules lie in the working directory, and what they import from there counts too.
    The digest is taken over the syntax tree without docstrings: comments, formatting and file times do not count.
    """
    modules = [entry.partition(":")[0] for entry in entries]
    files = [SCRIPTS / program, *filter(None, map(module_file, modules))]
    seen = set()
    while files:
        file = files.pop()
        if file not in seen:
            seen.add(file)
            files.extend(imported(file))
    lines = sorted(f"{file.relative_to(root_of(file))} {file_digest(file)}" for file in seen)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


@functools.cache
def imported(file):
    """Return the library's and the user's own files that a file imports, wherever in it the import stands."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            folder = file.relative_to(root_of(file)).parts[: -node.level] if node.level else ()
            module = ".".join([*folder, *filter(None, [node.module])])
            names.update([module, *(f"{module}.{alias.name}" for alias in node.names)])
    names -= {"actdim", TABLE}
    if root_of(file) == SCRIPTS:
        names = {name for name in names if name.startswith("actdim.")}
    return [file for file in map(module_file, sorted(names)) if file]


def root_of(file):
    """Return the folder in which the name of a file's module begins: scripts/, or the user's working directory."""
    return SCRIPTS if file.is_relative_to(SCRIPTS) else Path.cwd()


def module_file(module):
    """Return the file of a module of this library or in the working directory, or None for any other name."""
    path = (SCRIPTS if module.startswith("actdim.") else Path.cwd()).joinpath(*module.split("."))
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()), None)


@functools.cache
def file_digest(file):
    """Return the digest of a file's syntax tree."""
    return hashlib.sha256(repr(normal_form(ast.parse(file.read_text()))).encode()).hexdigest()


def normal_form(node):
    """Return a syntax tree as nested tuples, the same for every Python version that can parse it.

    Empty fields are left out, for newer versions of Python add some; docstrings are no behavior.
    """
    if isinstance(node, list):
        return tuple(normal_form(item) for item in node)
    if not isinstance(node, ast.AST):
        return node
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node, clean=False):
        fields["body"] = fields["body"][1:]
    return (
        type(node).__name__,
        *((key, normal_form(value)) for key, value in fields.items() if value not in (None, []) and key != "kind"),
    )


def made_by(program, *entries, libraries=()):
    """Return what a result should say of its making: program, code digest, versions of the libraries it rests on."""
    program = Path(program).name
    versions = {library: version(library) for library in libraries}
    return {"program": program, "code": code_digest(program, *entries), **versions}
