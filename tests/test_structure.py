"""The library's layout: which package may import from which, and a description in each package."""

import ast

import pytest
from conftest import ROOT

LIBRARY = ROOT / "scripts/actdim"
# Each may import from those before it; see scripts/actdim/__init__.py.
ORDER = [
    *(
        "errors",
        "folders",
        "names",
        "registry",
        "sweeps",
        "validation",
        "provenance",
        "cli",
        "numba_cache",
        "threads",
        "random_numbers",
    ),
    *(
        "storage",
        "plugins",
        "datasets",
        "models",
        "training",
        "activations",
        "neighbors",
        "estimators",
        "notebook",
        "measures",
    ),
    *("study", "tables", "figures", "workflow"),
]
FILES = sorted(file for file in LIBRARY.rglob("*.py") if file != LIBRARY / "__init__.py")


def package_of(file):
    """Return the name in ORDER that a library file belongs to."""
    return file.relative_to(LIBRARY).parts[0].removesuffix(".py")


def modules_imported(file):
    """Return the library's modules that a file imports, wherever in it the import stands: {"storage.hdf5", ...}."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.removeprefix("actdim.") for alias in node.names if alias.name.startswith("actdim"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "actdim":
            place = node.module.removeprefix("actdim").lstrip(".")
            names = [alias.name for alias in node.names]
            parts = [f"{place}.{name}".lstrip(".") for name in names]
            found.update(part if is_module(part) else place for part in parts)
    return found


def is_module(name):
    """Tell whether a dotted name is a module or a package of the library."""
    path = LIBRARY.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(LIBRARY)))
def test_a_package_imports_only_from_those_before_it(file):
    own = ORDER.index(package_of(file))
    later = [module for module in modules_imported(file) if ORDER.index(module.split(".")[0]) > own]
    assert not later


def test_modules_of_a_package_do_not_import_each_other_in_a_circle():
    imports = {
        ".".join(file.relative_to(LIBRARY).with_suffix("").parts).removesuffix(".__init__"): modules_imported(file)
        for file in FILES
    }
    done = set()

    def visit(module, path):
        assert module not in path, " -> ".join([*path, module])
        if module not in done:
            for other in imports.get(module, set()):
                visit(other, [*path, module])
            done.add(module)

    for module in imports:
        visit(module, [])


def test_every_package_says_what_lives_there():
    for package in [LIBRARY, *(path for path in LIBRARY.iterdir() if path.is_dir() and path.name != "__pycache__")]:
        assert len(ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or "") > 60, package
