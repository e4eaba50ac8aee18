"""No module of envs, vime or agents needs itself: imports inside functions and those for type checkers alone count, too."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("envs", "vime", "agents")


def modules() -> dict[str, Path]:
    """Module name -> file; a package is named by its folder."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    return {".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file for file in files}


def at_import(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from at_import(node)


def imported(nodes: Iterator[ast.AST], known: set[str]) -> set[str]:
    """The modules among `known` that import statements name."""
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {full if (full := f"{node.module}.{alias.name}") in known else node.module for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & known


def packages_of(module: str) -> set[str]:
    return {module[:i] for i, letter in enumerate(module) if letter == "."}


def refuse_circles(graph: dict[str, set[str]]) -> None:
    try:
        list(TopologicalSorter({name: needs - {name} for name, needs in graph.items()}).static_order())
    except CycleError as error:
        pytest.fail(" is needed by ".join(error.args[1]))


def test_imports_are_found_wherever_they_stand():
    text = "if TYPE_CHECKING:\n import a\nimport b\ndef f():\n  if f:\n    from c import d\nclass K:\n  from e.f import g\n"
    tree, known = ast.parse(text), {"a", "b", "c.d", "e.f"}
    assert imported(ast.walk(tree), known) == {"a", "b", "c.d", "e.f"}
    assert imported(at_import(tree), known) == {"b", "e.f"}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_needs_itself(package):
    files = modules()
    own = {name for name in files if name.split(".")[0] == package}
    assert len(own) > 20
    refuse_circles({name: imported(ast.walk(ast.parse(files[name].read_text(encoding="utf-8"))), own) for name in own})


def test_every_module_can_be_imported_first():
    """Importing a module also imports the packages above it: none of these may import the module that is being imported."""
    files = modules()
    graph = {}
    for name, file in files.items():
        needs = imported(at_import(ast.parse(file.read_text(encoding="utf-8"))), set(files))
        needs |= {package for module in needs for package in packages_of(module)}
        graph[name] = needs - packages_of(name)
    refuse_circles(graph)


#: package -> most arrows between its parts. docs/concepts/architecture.md has the figures; a larger one needs a reason.
MOST_ARROWS = {"envs": 80, "vime": 60, "agents": 120, "agents.explanation": 62}


@pytest.mark.parametrize(("package", "most"), MOST_ARROWS.items())
def test_the_parts_of_a_package_need_few_others(package, most):
    files = modules()
    own = {name for name in files if name.startswith(f"{package}.")}

    def part(name):
        return name.removeprefix(f"{package}.").split(".")[0]

    needs = {name: imported(ast.walk(ast.parse(files[name].read_text(encoding="utf-8"))), own) for name in own}
    arrows = {(part(name), part(other)) for name, others in needs.items() for other in others if part(name) != part(other)}
    assert len(own) / 10 < len(arrows) <= most
