"""What the wheel holds, what is pinned, and who may import whom: read from the files, nothing is installed."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import find_packages

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("envs", "vime", "agents")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PYPROJECT["tool"]["setuptools"]
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
REQUIREMENTS = [*PYPROJECT["project"]["dependencies"], *(line for lines in EXTRAS.values() for line in lines)]


def files_of(package: str) -> list[Path]:
    """The files of a package, relative to it, less those that git ignores."""
    try:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", package]
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
        paths = [ROOT / name for name in listing if name]
    except (OSError, subprocess.CalledProcessError):  # no git, or not a checkout
        paths = [path for path in (ROOT / package).rglob("*") if not {"__pycache__", ".ruff_cache"} & set(path.parts)]
    return [path.relative_to(ROOT / package) for path in paths if path.is_file()]


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_every_module_is_in_a_package_of_the_wheel() -> None:
    found = set(find_packages(str(ROOT), include=SETUPTOOLS["packages"]["find"]["include"]))
    assert set(PACKAGES) <= found
    assert {name.split(".")[0] for name in found} == set(PACKAGES), "something else would be installed at top level"
    for package in PACKAGES:
        for path in files_of(package):
            if path.suffix == ".py":
                name = ".".join((package, *path.parent.parts))
                assert name in found, f"{package}/{path} is not in the wheel: {name} lacks an __init__.py"


@pytest.mark.parametrize("package", PACKAGES)
def test_every_data_file_is_in_the_wheel(package: str) -> None:
    package_data = {path for pattern in SETUPTOOLS["package-data"][package] for path in (ROOT / package).glob(pattern)}
    for path in files_of(package):
        if path.suffix not in {".py", ".md"}:
            assert ROOT / package / path in package_data, f"{package}/{path} is in no pattern of package-data"


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_say_that_they_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_constraints_are_exact_versions_and_nothing_else() -> None:
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line), line  # no address, no local tag such as +cpu
    assert pins()["torch"] == "2.13.0"
    assert list(pins()) == sorted(pins())


@pytest.mark.parametrize("requirement", REQUIREMENTS)
def test_every_requirement_is_pinned_within_its_range(requirement: str) -> None:
    wanted = Requirement(requirement)
    name = canonicalize_name(wanted.name)
    assert name in pins(), f"pin {name} in constraints.txt"
    assert wanted.specifier.contains(pins()[name], prereleases=True)
    assert re.search(r">=\d", requirement), f"{requirement} has no floor"


def test_the_changelog_has_an_entry_for_the_version() -> None:
    version = PYPROJECT["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_citation_is_of_the_version() -> None:
    assert f"\nversion: {PYPROJECT['project']['version']}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.mark.parametrize(("package", "forbidden"), [("envs", {"vime", "agents"}), ("vime", {"envs", "agents"})])
def test_imports_point_one_way(package: str, forbidden: set[str]) -> None:
    """Agents may import both others; envs and vime import neither each other nor agents."""
    for path in files_of(package):
        if path.suffix != ".py":
            continue
        for node in ast.walk(ast.parse((ROOT / package / path).read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module]
            wrong = {name.split(".")[0] for name in names} & forbidden
            assert not wrong, f"{package}/{path}:{node.lineno} imports {wrong}"
