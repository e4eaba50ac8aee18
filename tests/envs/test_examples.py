"""Every public class of these packages has a runnable example in its docstring (`pytest --doctest-modules` runs them)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ENVS = Path(__file__).resolve().parents[2] / "envs"
FOLDERS = ("assets", "classifiers", "control", "datasets", "geometry", "manifolds")
FILES = sorted(file for folder in FOLDERS for file in (ENVS / folder).rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ENVS)))
def test_every_public_class_has_an_example(file):
    classes = [node for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef)]
    public = {node.name: ast.get_docstring(node) or "" for node in classes if not node.name.startswith("_")}
    assert [name for name, text in public.items() if "\n    >>> " not in text] == []
