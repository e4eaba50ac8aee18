"""The site's pages: marked programs run as they are written, nothing is missing from the menu, links and pictures exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.test_readme import BLOCK, ROOT, run, run_commands

DOCS = ROOT / "docs"
BLOCK_WITH = r"<!-- run with (\w+) -->\n```python\n(.*?)```"
PAGES = sorted(DOCS.rglob("*.md"))
NAMES = [str(page.relative_to(DOCS)) for page in PAGES]
NOTEBOOKS = {path.stem: json.loads(path.read_text()) for path in sorted((DOCS / "tutorials").glob("*.ipynb"))}
# Pages whose programs have tests of their own: tests/vime/test_docs.py and the pages of tests/envs.
TESTED_ELSEWHERE = {"concepts/curiosity.md", "concepts/geometry.md", "environments.md"}
WRITTEN = [page for page, name in zip(PAGES, NAMES, strict=True) if name not in TESTED_ELSEWHERE]
PROGRAMS = {page: "\n".join(re.findall(BLOCK.format("python"), page.read_text(), re.S)) for page in WRITTEN}
OPTIONAL = [found for page in WRITTEN for found in re.findall(BLOCK_WITH, page.read_text(), re.S)]
COMMANDS = {page: "".join(re.findall(BLOCK.format("bash"), page.read_text(), re.S)) for page in WRITTEN}

CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
RECIPES = dict(re.findall(r"^### Add an? ([\w ]+)\n(.*?)(?=^##|\Z)", CONTRIBUTING, re.S | re.M))
KINDS = ["manifold", "move", "walker", "bonus", "data set"]


def named(texts: dict[Path, str]) -> list:
    return [pytest.param(text, id=str(page.relative_to(DOCS))) for page, text in texts.items() if text]


@pytest.mark.slow
@pytest.mark.parametrize(("library", "program"), OPTIONAL)
def test_a_recipe_with_another_library_runs_where_it_is_installed(library, program, tmp_path):
    pytest.importorskip(library)
    run([sys.executable, "-c", program], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("program", named(PROGRAMS))
def test_the_blocks_of_a_page_run_as_one_program(program, tmp_path):
    run([sys.executable, "-c", program], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_of_contributing_works_as_it_is_written(kind, tmp_path):
    """Write the file that it shows, name its object on the command line, and pass it in Python."""
    [(name, text)] = re.findall(r"<!-- file: (\w+\.py) -->\n```python\n(.*?)```", RECIPES[kind], re.S)
    (tmp_path / name).write_text(text)
    [commands], [program] = (re.findall(BLOCK.format(language), RECIPES[kind], re.S) for language in ("bash", "python"))
    assert f"{name.removesuffix('.py')}:" in commands
    run([sys.executable, "-c", program], tmp_path)
    run_commands(commands, tmp_path)


def test_there_is_a_recipe_for_each_kind_of_part():
    assert [title for title in RECIPES if title not in ("environment id", "page")] == KINDS


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_files_and_modules_that_a_page_names_exist(page):
    text = page.read_text()
    files = re.findall(r"`((?:envs|vime|agents|tests|docs|scripts)/[\w/.-]+)`", text)
    modules = re.findall(r"python -m ((?:agents|tests|envs)\.[a-z_.]+)", text)
    missing = [name for name in files if not (ROOT / name).exists()]
    missing += [name for name in modules if not list(ROOT.glob(name.replace(".", "/") + "*"))]
    for name in re.findall(r"`((?:envs|vime|agents)(?:\.\w+)+)", text):
        parts = name.split(".")
        found = [k for k in range(1, len(parts) + 1) if list(ROOT.glob("/".join(parts[:k]) + "*"))]
        missing += [name] if len(found) < len(parts) - 2 else []
    assert not missing


@pytest.mark.slow
@pytest.mark.parametrize("lines", named(COMMANDS))
def test_commands_run_one_after_the_other(lines, tmp_path):
    run_commands(lines, tmp_path)


def cells(name: str, kind: str) -> list[dict]:
    return [cell for cell in NOTEBOOKS[name]["cells"] if cell["cell_type"] == kind]


def test_the_tutorials_are_notebooks_with_the_outputs_of_one_run():
    assert list(NOTEBOOKS) == ["curiosity", "pictures", "table"]
    for name in NOTEBOOKS:
        code = cells(name, "code")
        assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), (
            f"run scripts/notebook.py on {name}"
        )
        assert sum(bool(cell["outputs"]) for cell in code) >= 2
        assert "".join(cells(name, "markdown")[0]["source"]).startswith("# Tutorial")


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_runs_from_top_to_bottom(name, tmp_path):
    copy = tmp_path / f"{name}.ipynb"
    bare = [{**cell, **({"outputs": []} if cell["cell_type"] == "code" else {})} for cell in NOTEBOOKS[name]["cells"]]
    copy.write_text(json.dumps({**NOTEBOOKS[name], "cells": bare}))
    run([sys.executable, str(ROOT / "scripts" / "notebook.py"), str(copy)], tmp_path)
    again = json.loads(copy.read_text())["cells"]
    kinds = [[output["output_type"] for output in cell.get("outputs", [])] for cell in again]
    assert kinds == [[output["output_type"] for output in cell.get("outputs", [])] for cell in NOTEBOOKS[name]["cells"]]


def test_a_failing_cell_ends_the_run_and_keeps_the_file(tmp_path):
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "execution_count": None, "outputs": [], "source": ["1 / 0"]}
    file = tmp_path / "bad.ipynb"
    file.write_text(text := json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    command = [sys.executable, str(ROOT / "scripts" / "notebook.py"), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert file.read_text() == text


def test_every_python_block_of_a_how_to_guide_is_marked():
    for page in (DOCS / "how-to").glob("*.md"):
        text = page.read_text()
        marked = [*re.findall(BLOCK.format("python"), text, re.S), *re.findall(BLOCK_WITH, text, re.S)]
        assert len(marked) == text.count("```python"), page.name


def targets(page: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
    if page.suffix == ".ipynb":
        text = "\n".join("".join(cell["source"]) for cell in cells(page.stem, "markdown"))
    return [target for target in re.findall(r"\]\(([^)\s#]+)[^)]*\)", text) if not target.startswith("http")]


@pytest.mark.parametrize("page", [*PAGES, *(DOCS / "tutorials").glob("*.ipynb")], ids=lambda page: page.name)
def test_links_and_pictures_exist(page):
    missing = [target for target in targets(page) if not (page.parent / target).exists()]
    assert not missing, missing


def test_every_page_is_in_the_menu_once():
    menu = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]

    def pages(entry):
        if isinstance(entry, str):
            return [entry]
        return [page for part in (entry.values() if isinstance(entry, dict) else entry) for page in pages(part)]

    assert sorted(pages(menu)) == sorted([*NAMES, *(f"tutorials/{name}.md" for name in NOTEBOOKS)])


def test_every_public_package_has_a_place_in_the_reference():
    shown = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    found = set(re.findall(r"^::: ([\w.]+)", shown, re.M))
    internal = {
        "envs.assets",
        "envs.assets.make",
        "envs.building",
        "envs.gym",
        "envs.manifolds.networks",
        "agents.console",
        "agents.explanation.report.faces",
        "envs.reading",
        "envs.runtime",
    }
    for init in [*ROOT.glob("envs/**/__init__.py"), *ROOT.glob("agents/**/__init__.py")]:
        package = ".".join(init.parent.relative_to(ROOT).parts)
        assert package in internal or any(name.startswith(package) for name in found), package


def test_every_page_of_results_has_its_data_beside_it():
    for page in (DOCS / "results").glob("*.md"):
        assert page.stem == "index" or page.with_suffix(".json").is_file(), page.name


def test_every_picture_is_shown_somewhere():
    shown = "".join(page.read_text() for page in [*PAGES, ROOT / "README.md"])
    assert not [picture.name for picture in (DOCS / "images").iterdir() if f"images/{picture.name}" not in shown]


def test_the_site_fetches_nothing_and_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="the docs extra is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    home = (tmp_path / "site" / "index.html").read_text()
    fetched = re.findall(
        r"<(?:script|img|iframe)[^>]+src=\"?(?:https?:)?//[^>]+|<link[^>]+(?:stylesheet|preconnect)[^>]+//[^>]+", home
    )
    assert not fetched
    assert 'class="doc doc-heading"' in (tmp_path / "site" / "reference" / "envs.html").read_text()
    tutorial = (tmp_path / "site" / "tutorials" / "table.html").read_text()
    assert 'href="table.ipynb" download' in tutorial
    assert "data:image/png;base64," in tutorial
    assert 'href="tutorials/table.html"' in home
    shutil.rmtree(tmp_path / "site")
