"""No import circle in vime, imports for type checkers and inside functions included; every error is a VimeError."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
    for path in (ROOT / "vime").rglob("*.py")
}
FACES = {"vime", "vime.bonuses", "vime.sb3"}
"""Packages that resolve their public names lazily: their arrows point at everything by design."""


def imported(module: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {
                name for name in (node.module, *(f"{node.module}.{alias.name}" for alias in node.names)) if name in FILES
            }
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in FILES}
    return found - {module} - FACES


def test_no_module_imports_itself_in_a_circle():
    arrows = {module: imported(module) for module in FILES if module not in FACES}
    while leaves := [module for module, targets in arrows.items() if not targets]:
        for leaf in leaves:
            del arrows[leaf]
        arrows = {module: targets - set(leaves) for module, targets in arrows.items()}
    assert not arrows, f"these modules import each other: {arrows}"


@pytest.mark.parametrize("module", FILES)
def test_raised_errors_are_of_the_package(module):
    """AttributeError of a lazy module and what the interpreter raises itself are left."""
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            assert node.exc.func.id not in {"ValueError", "TypeError", "RuntimeError", "KeyError"}, f"{module}:{node.lineno}"
