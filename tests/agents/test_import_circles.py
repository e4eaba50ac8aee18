"""No module under agents/ needs itself: imports inside functions count, those for type checkers alone do not."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def imported(tree: ast.AST, known: set[str]) -> set[str]:
    """The modules among `known` that a module's code imports."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {name for name in (node.module, *(f"{node.module}.{a.name}" for a in node.names)) if name in known}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name in known}
        else:
            found |= imported(node, known)
    return found


def graph(folder: Path) -> dict[str, set[str]]:
    files = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in folder.rglob("*.py")}
    files = {name: file for name, file in files.items() if not name.endswith("__init__")}
    return {name: imported(ast.parse(file.read_text()), set(files)) for name, file in files.items()}


def test_imports_are_found_wherever_they_stand_but_not_those_for_types():
    text = "if TYPE_CHECKING:\n import a\nimport b\ndef f():\n  if f:\n    from c import d\nclass K:\n  from e import g\n"
    assert imported(ast.parse(text), {"a", "b", "c.d", "e"}) == {"b", "c.d", "e"}


def test_no_module_of_the_explanations_needs_itself():
    part = ("agents.explanation", "agents.trajectories.trajectory")
    edges = {name: needs for name, needs in graph(ROOT / "agents").items() if name.startswith(part)}
    assert len(edges) > 30
    try:
        list(TopologicalSorter({name: needs & set(edges) for name, needs in edges.items()}).static_order())
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None
