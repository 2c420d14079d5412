"""No module imports itself by way of others: in Python, where imports for types count, and on the page."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Set
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import omnireid

# A part that holds the whole it belongs to, for its type.
BELONGS = {
    "omnireid.gallery.cases": "omnireid.gallery.gallery",
    "omnireid.gallery.case_export": "omnireid.gallery.gallery",
}

SOURCE = Path(omnireid.__file__).parent
PAGE = SOURCE / "server" / "page"


def circle(imports: Mapping[str, Set[str]]) -> list[str]:
    """The modules of a circle; empty where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def python_imports(modules: Mapping[str, str]) -> dict[str, set[str]]:
    """Module → modules that it imports anywhere in it, of source by module."""
    imports: dict[str, set[str]] = {}
    for module, source in modules.items():
        names = set()
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                whole = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= (whole & modules.keys()) or {str(node.module)}
        imports[module] = (names & modules.keys()) - {module}
    return imports


def page_imports(modules: Mapping[str, str]) -> dict[str, set[str]]:
    pattern = r'(?:from|import|import\() ?"\./([\w.-]+)"'
    return {module: set(re.findall(pattern, source)) for module, source in modules.items()}


def test_python_modules_import_in_no_circle() -> None:
    modules = {}
    for path in SOURCE.rglob("*.py"):
        parts = [part for part in path.relative_to(SOURCE).with_suffix("").parts if part != "__init__"]
        # A package's own file only hands names on, when they are asked for.
        if path.name != "__init__.py":
            modules[".".join(["omnireid", *parts])] = path.read_text()
    imports = python_imports(modules)
    for module, other in BELONGS.items():
        assert circle(imports) != []
        imports[module] -= {other}
    assert circle(imports) == []


def test_page_modules_import_in_no_circle() -> None:
    modules = {path.name: path.read_text("utf-8") for path in PAGE.glob("*.js")}
    imports = page_imports(modules)
    assert set().union(*imports.values()) <= modules.keys()
    assert circle(imports) == []


def test_the_check_sees_circles() -> None:
    python = {"o.a": "from o.b import x", "o.b": "def f():\n    from o import c", "o.c": "import o.a"}
    assert set(circle(python_imports(python))) == {"o.a", "o.b", "o.c"}
    assert circle(python_imports({**python, "o.c": ""})) == []
    page = {"a.js": 'import { x } from "./b.js";', "b.js": 'const y = await import("./a.js");'}
    assert set(circle(page_imports(page))) == {"a.js", "b.js"}
