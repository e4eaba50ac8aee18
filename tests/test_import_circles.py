"""No module of envs, vime or agents needs itself: imports inside functions and for type checkers alone count, too."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("envs", "vime", "agents")


def modules() -> dict[str, Path]:
    """Module name -> file; a package is named by its folder."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def imported(tree: ast.AST, known: set[str], name: str = "") -> set[str]:
    """The modules among `known` that the module `name` imports, with the packages that Python imports on the way."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {full if (full := f"{node.module}.{alias.name}") in known else node.module for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    parents = {module.rpartition(".")[0] for module in found}
    parents |= {module.rpartition(".")[0] for module in parents}
    own = {name[:i] for i, letter in enumerate(name) if letter == "."} | {name}
    return ((found | parents) & known) - own


def test_imports_are_found_wherever_they_stand():
    text = "if TYPE_CHECKING:\n import a\nimport b\ndef f():\n  if f:\n    from c import d\nclass K:\n  from e.f import g\n"
    assert imported(ast.parse(text), {"a", "b", "c", "c.d", "e", "e.f"}) == {"a", "b", "c", "c.d", "e", "e.f"}
    assert imported(ast.parse("from e.f import g"), {"e", "e.f"}, "e.h") == {"e.f"}  # its own package is imported already


def test_no_module_needs_itself():
    files = modules()
    assert len(files) > 200
    graph = {name: imported(ast.parse(file.read_text(encoding="utf-8")), set(files), name) for name, file in files.items()}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))
