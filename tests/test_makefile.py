"""`make` and scripts/setup.sh: what they say and do, with stand-ins for python and pip, so that nothing is installed.

The stand-in python answers setup.sh's questions, makes stand-in environments, and writes each `pip install` to a file.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ["awk", "cat", "chmod", "cksum", "cp", "dirname", "echo", "env", "find", "grep", "ls", "make", "mkdir", "mv"]
TOOLS += ["rm", "sh", "sleep"]

SURROGATE = r"""#!/bin/sh
case "$*" in
    *'version_info[:2]'*) echo {version} ;;
    *'import ensurepip'*) exit {no_venv} ;;
    *'_base_executable'*) echo '{path}' ;;
    *'find_spec("torch")'*) exit 1 ;;
    *'fcntl.flock'*) exec '{real}' "$@" ;;
    '-m venv '*) mkdir -p "$3/bin" && cp '{path}' "$3/bin/python" ;;
    '-m pip --version') echo 'pip 0' ;;
    '-m pip install '*)
        printf '%s\n' "$*" >>calls
        while [ "$1" != --log ]; do shift; done
        sleep "${{PIP_SECONDS:-0}}"
        [ -z "${{PIP_SAYS:-}}" ] || {{ echo "$PIP_SAYS" >>"$2"; exit 1; }}
        echo 'Installing collected packages: some' >>"$2" ;;
    '-m agents.demo'*) echo "the demo of Python {version} ran with: $*" ;;
    '-m pytest'*) echo "pytest ran with: $*" ;;
    '-m mkdocs'*) echo "mkdocs ran with: $*" ;;
    '-m ruff'* | '-m mypy'*) echo "$*"; case "$*" in *"${{LINT_FAILS:-none}}"*) exit 1 ;; esac ;;
    *) echo "unexpected: $*" >&2; exit 99 ;;
esac
"""


class Checkout:
    """A copy of the set-up files in a folder with spaces, and a PATH on which only stand-ins and plain tools lie."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "a check out (1)"
        self.bin = folder / "bin"
        for part in ("scripts", "envs", "vime", "agents", "tests"):
            (self.root / part).mkdir(parents=True)
        self.bin.mkdir()
        for name in ("Makefile", "scripts/setup.sh", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.root / name)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(str(shutil.which(tool)))

    def python(self, name: str = "python3", version: str = "3.11", has_venv: bool = True) -> None:
        path = self.bin / name
        text = SURROGATE.format(version=version, path=path, real=sys.executable, no_venv=0 if has_venv else 1)
        path.write_text(text)
        path.chmod(0o755)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        env = {"PATH": str(self.bin), "LC_ALL": "C", **variables}
        pipe = subprocess.PIPE
        return subprocess.Popen(["make", *arguments], cwd=self.root, env=env, stdout=pipe, stderr=pipe, text=True)

    def make(self, *arguments: str, fails: bool = False, **variables: str) -> str:
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=60)
        assert (process.returncode != 0) == fails, out + err
        assert "unexpected" not in err, err
        return out + err

    @property
    def installs(self) -> list[str]:
        """The `pip install`s so far; each set-up makes two: setuptools, then the project."""
        calls = self.root / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    return Checkout(tmp_path)


def test_make_alone_lists_the_targets(checkout: Checkout) -> None:
    said = checkout.make()
    for word in ("demo", "test", "lint", "docs", "clean", "PYTHON=", "PIP_ARGS="):
        assert word in said


def test_no_python_is_said_with_the_way_out(checkout: Checkout) -> None:
    said = checkout.make("demo", fails=True)
    assert "There is no 'python3' on this machine" in said
    assert "3.11 or newer" in said
    assert "no 'python9'" in checkout.make("demo", "PYTHON=python9", fails=True)


@pytest.mark.parametrize("version", ["2.7", "3.8", "3.10"])
def test_an_old_python_is_said_with_the_way_out(checkout: Checkout, version: str) -> None:
    checkout.python(version=version)
    said = checkout.make("demo", fails=True)
    assert f"'python3' is Python {version}, too old" in said
    assert "Install a newer one" in said
    assert not checkout.installs
    assert not (checkout.root / ".venv").exists()


def test_a_newer_python_beside_the_old_one_is_named(checkout: Checkout) -> None:
    checkout.python(version="3.9")
    checkout.python("python3.12", version="3.12")
    assert "Use it: make demo PYTHON=python3.12" in checkout.make("demo", fails=True)
    assert "the demo of Python 3.12 ran" in checkout.make("demo", "PYTHON=python3.12")
    assert "the demo of Python 3.12 ran" in checkout.make("demo"), "the old python3 is not needed any more"


def test_a_missing_venv_module_is_said_with_the_way_out(checkout: Checkout) -> None:
    checkout.python(has_venv=False)
    said = checkout.make("demo", fails=True)
    assert "cannot make virtual environments" in said
    assert "apt install python3.11-venv" in said
    assert not (checkout.root / ".venv").exists()


def test_the_first_run_installs_and_the_second_does_not(checkout: Checkout) -> None:
    checkout.python()
    first = checkout.make("demo", "DEMO_ARGS=--seed 3")
    assert "320 MB" in first
    assert "CPU build" in first
    assert "ran with: -m agents.demo --seed 3" in first
    assert [call.split()[-1] for call in checkout.installs] == ["setuptools", "."]
    assert all("-c constraints.txt" in call for call in checkout.installs)
    second = checkout.make("demo", PIP_SAYS="NewConnectionError")
    assert "nstall" not in second
    assert len(checkout.installs) == 2


def test_the_test_tools_are_a_second_step_in_the_same_environment(checkout: Checkout) -> None:
    checkout.python()
    checkout.make("demo")
    assert "pytest ran with: -m pytest -n auto --maxprocesses 4 -k path" in checkout.make("test", "PYTEST_ARGS=-k path")
    assert checkout.installs[-1].endswith("-e .[dev]")
    checkout.make("test", "EXTRAS=umap,lime")
    assert checkout.installs[-1].endswith("-e .[dev,umap,lime]")
    checkout.make("test")
    checkout.make("demo")
    assert len(checkout.installs) == 6


def test_the_site_is_built_strictly_with_the_docs_extra(checkout: Checkout) -> None:
    checkout.python()
    assert "mkdocs ran with: -m mkdocs build --strict" in checkout.make("docs")
    assert checkout.installs[-1].endswith("-e .[docs]")


def test_lint_runs_every_tool_and_fails_if_one_does(checkout: Checkout) -> None:
    checkout.python()
    tools = ["-m ruff check .", "-m ruff format --check .", "-m mypy"]
    assert all(tool in checkout.make("lint") for tool in tools)
    for tool in tools:
        assert all(other in checkout.make("lint", fails=True, LINT_FAILS=tool) for other in tools)


def test_tests_first_serves_the_demo_too(checkout: Checkout) -> None:
    checkout.python()
    checkout.make("test")
    checkout.make("demo")
    assert len(checkout.installs) == 2


def test_pip_arguments_pass_through_with_their_quotes(checkout: Checkout) -> None:
    checkout.python()
    said = checkout.make("demo", "PIP_ARGS=--find-links 'my wheels' --pre")
    assert all("--find-links my wheels --pre" in call for call in checkout.installs)
    assert "320 MB" not in said, "whoever passes arguments has read it"


@pytest.mark.parametrize("name", ["constraints.txt", "pyproject.toml"])
def test_changed_requirements_are_installed(checkout: Checkout, name: str) -> None:
    checkout.python()
    checkout.make("demo")
    with (checkout.root / name).open("a") as file:
        file.write("# changed\n")
    checkout.make("demo")
    checkout.make("demo")
    assert len(checkout.installs) == 4


def test_a_moved_checkout_is_mended(checkout: Checkout) -> None:
    checkout.python()
    checkout.make("demo")
    checkout.root = checkout.root.rename(checkout.root.parent / "moved away")
    checkout.make("demo")
    checkout.make("demo")
    assert len(checkout.installs) == 4


@pytest.mark.parametrize(
    ("pip_says", "reason"),
    [
        ("connection broken by NewConnectionError(...): Failed to establish", "could not reach the package index"),
        ("ERROR: [Errno 28] No space left on device", "The disk is full"),
        ("ERROR: No matching distribution found for torch", "no fitting file for Python 3.11"),
        ("ERROR: something else", "What pip said is above"),
    ],
)
def test_a_failed_install_is_explained_and_tried_again(checkout: Checkout, pip_says: str, reason: str) -> None:
    checkout.python()
    said = checkout.make("demo", fails=True, PIP_SAYS=pip_says)
    assert reason in said
    assert "the demo" not in said
    assert "anew" not in checkout.make("demo"), "nothing was written: no reason to start over"


def test_a_failed_test_install_leaves_the_demo_working(checkout: Checkout) -> None:
    checkout.python()
    checkout.make("demo")
    checkout.make("test", fails=True, PIP_SAYS="NewConnectionError")
    assert "the demo of Python 3.11 ran" in checkout.make("demo", PIP_SAYS="NewConnectionError")


def test_an_install_cut_short_is_made_anew(checkout: Checkout) -> None:
    checkout.python()
    checkout.make("demo", fails=True, PIP_SAYS="Installing collected packages: torch")
    half = checkout.root / ".venv" / "half-written"
    half.touch()
    said = checkout.make("demo")
    assert "Making .venv anew: an earlier install into it was cut short." in said
    assert "the demo of Python 3.11 ran" in said
    assert not half.exists()


def test_a_broken_environment_is_made_anew(checkout: Checkout) -> None:
    checkout.python()
    checkout.make("demo")
    (checkout.root / ".venv/bin/python").unlink()
    assert "anew: it does not run" in checkout.make("demo")
    assert len(checkout.installs) == 4


def test_another_python_is_taken_when_asked_for(checkout: Checkout) -> None:
    checkout.python()
    checkout.python("python3.13", version="3.13")
    checkout.make("demo")
    said = checkout.make("demo", "PYTHON=python3.13")
    assert "it has Python 3.11, and 3.13 was asked for" in said
    assert "the demo of Python 3.13 ran" in said
    assert "the demo of Python 3.13 ran" in checkout.make("demo")
    assert len(checkout.installs) == 4


def test_two_at_once_install_once(checkout: Checkout) -> None:
    checkout.python()
    runs = [checkout.start("demo", PIP_SECONDS="0.7") for _ in range(2)]
    said = [out + err for out, err in (run.communicate(timeout=60) for run in runs)]
    assert [run.returncode for run in runs] == [0, 0], said
    assert all("the demo of Python 3.11 ran" in text for text in said)
    assert sum("waiting for it to finish" in text for text in said) == 1
    assert len(checkout.installs) == 2


def test_a_folder_that_is_no_environment_is_left_alone(checkout: Checkout) -> None:
    checkout.python()
    mine = checkout.root / "my things"
    mine.mkdir()
    (mine / "letter").write_text("dear")
    said = checkout.make("demo", f"VENV={mine}", fails=True)
    assert "it is left alone" in said
    checkout.make("clean", f"VENV={mine}")
    assert (mine / "letter").read_text() == "dear"


def test_the_environment_may_be_elsewhere(checkout: Checkout, tmp_path: Path) -> None:
    checkout.python()
    there = tmp_path / "else where" / "env"
    there.parent.mkdir()
    assert "the demo of Python 3.11 ran" in checkout.make("demo", f"VENV={there}")
    assert not (checkout.root / ".venv").exists()


def test_a_checkout_that_cannot_be_written_is_said(checkout: Checkout) -> None:
    if os.geteuid() == 0:
        (checkout.root / ".venv.lock").mkdir()  # root may write anywhere, but not open a folder as a file
    else:
        checkout.root.chmod(0o555)
    checkout.python()
    said = checkout.make("demo", fails=True)
    assert "Cannot write .venv.lock" in said
    assert "Traceback" not in said


def test_clean_keeps_the_runs(checkout: Checkout) -> None:
    checkout.python()
    checkout.make("demo")
    for folder in ("runs/ppo", "build", "envs/__pycache__"):
        (checkout.root / folder).mkdir(parents=True)
    checkout.make("clean")
    left = {path.name for path in checkout.root.iterdir()}
    assert "runs" in left
    assert (checkout.root / "runs/ppo").exists()
    assert not left & {".venv", ".venv.lock", "build"}
    assert not (checkout.root / "envs/__pycache__").exists()
