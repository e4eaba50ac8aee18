"""Words of pages, help, messages, docstrings and names are the glossary's."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: a pattern -> what to write instead. Each has no other meaning in this project.
INSTEAD = {
    r"stand-?ins?": "surrogate",
    r"second opinions?": "ensemble (check)",
    r"compass(es)?": "guidance",
    r"foret(old|ell|ells)": "predicted",
    r"sated": "success decay",
    r"beds?": "split",
    r"(the|our) house": "the architecture, the packages",
    r"hang(s|ing)? on": "depends on",
    r"mend(s|ed|ing)?": "fix, correct",
    r"dear": "expensive",
    r"price on": "cost for",
    r"as named": "by name",
    r"(is|are|was|were|if) told": "is given, knows",
    r"to the word": "exactly",
    r"asks? (two|three|four)": "depends on",
    r"nobody but": "only",
    r"would anybody": "say who",
    r"the way pays": "say what is rewarded",
    r"makes? again": "reproduces",
}
#: In pages alone: `nearest unlike neighbour` is a term of case-based reasoning.
ON_PAGES = {
    r"unlike neighbours?": "neighbour of another class",
    r"asked for": "requested",
    r"those who": "walkers; people who",
}
#: Names in code: variables, arguments, functions, classes.
NAMES = re.compile(r"(^|_)(stand_in|opinions?|compass|foretold|sated|beds?)(_|$)", re.I)
TESTS = (ROOT / "tests" / "benchmarks").rglob("*.py")
SOURCES = sorted([*(file for name in ("envs", "vime", "agents", "scripts") for file in (ROOT / name).rglob("*.py")), *TESTS])
TEXTS = sorted(
    [
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "docs").rglob("*.ipynb"),
        *ROOT.glob("*.md"),
        *(ROOT / "runs").glob("*.md"),
        *(ROOT / "tests" / "benchmarks").rglob("*.md"),
        *(ROOT / "agents").rglob("*.html"),
        *(ROOT / "agents").rglob("*.yml"),
    ]
)


def prose(file: Path) -> str:
    """The text of a page without code and indented quotations; of a notebook, its text cells."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".ipynb":
        text = "\n\n".join("".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown")
    return re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|^ {4}[^\n]*$", " ", text, flags=re.S | re.M)


def strings(file: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every string: docstrings, messages, help."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, re.sub(r"`[^`]*`", " ", node.value)


def names(file: Path) -> Iterator[tuple[int, str]]:
    """(line, name) of every name that the file uses."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        name = next((value for key in ("id", "arg", "attr", "name") if isinstance(value := getattr(node, key, None), str)), "")
        if name:
            yield getattr(node, "lineno", 0), name


def found(text: str, words: dict[str, str] = INSTEAD) -> list[str]:
    """The words to avoid in a text, with what to write instead."""
    text = " ".join(text.split())
    return [
        f"{match.group()!r}: write {better!r}"
        for pattern, better in words.items()
        for match in re.finditer(rf"(?<![\w/.-]){pattern}(?![\w/-])", text, re.I)
    ]


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_pages_avoid_words_that_stopped_readers(file):
    assert not found(prose(file), INSTEAD | ON_PAGES)


def test_docstrings_messages_and_help_avoid_them_too():
    assert not [
        f"{file.relative_to(ROOT)}:{line} {word}" for file in SOURCES for line, s in strings(file) for word in found(s)
    ]


def test_names_in_code_avoid_them_too():
    assert not [
        f"{file.relative_to(ROOT)}:{line} {name}" for file in SOURCES for line, name in names(file) if NAMES.search(name)
    ]


def test_the_words_that_are_looked_for_are_found():
    assert found("the two\nsecond opinions of a compass, and a stand-in that hangs on it") == [
        "'stand-in': write 'surrogate'",
        "'second opinions': write 'ensemble (check)'",
        "'compass': write 'guidance'",
        "'hangs on': write 'depends on'",
    ]
    assert not found("embedded, compassion, standing in line, r-beds/")
