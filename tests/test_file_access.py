"""Files are read through envs.reading.files and written by envs.files.write_whole; every exception has its reason here."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("envs", "vime", "agents")
READING, WRITING = "envs/reading/files.py", "envs/files.py"
READERS = {
    "open", "fdopen", "read_text", "read_bytes", "loadtxt", "genfromtxt", "fromfile", "memmap", "safe_load", "load_file",
    "safe_open", "ZipFile", "loads", "unsafe_load", "full_load", "read_csv", "read_pickle", "read_excel", "read_parquet",
}  # fmt: skip
WRITERS = {
    "write_text", "write_bytes", "savefig", "savez", "savez_compressed", "save_file", "savetxt", "tofile", "to_csv",
    "to_excel", "to_parquet", "imsave", "mkstemp", "NamedTemporaryFile",
}  # fmt: skip
MODULES = {"np", "numpy", "json", "yaml", "torch", "pickle", "joblib", "tomllib"}  # whose load, save and dump touch files
OURS = {"read_text", "read_bytes", "read_csv"}  # functions of the reader that have such names
METHODS = {"RunFolder.open"}  # which open no file
#: (file, call) -> why it may
EXCEPTIONS = {
    ("agents/files.py", "open"): "syncs files that are there, their content untouched",
    ("agents/console/process.py", "os.open"): "the null device, where nobody reads stdout any more",
    ("agents/runs/lock.py", "os.open"): "the lock itself",
    ("agents/runs/folder.py", "open"): "sha256 of a checkpoint's file, in blocks; it is a regular one of the manifest",
    ("agents/training/log.py", "open"): "metrics.jsonl grows by lines",
    ("agents/training/event_files.py", "open"): "event files grow by records",
    ("agents/runs/checkpoint_files.py", ".write_bytes"): "in a folder that is built beside its place and renamed whole",
    ("agents/runs/checkpoint_files.py", ".write_text"): "in that folder",
    ("agents/runs/checkpoint_files.py", "open"): "in that folder",
    ("agents/runs/checkpoint_files.py", "np.savez"): "in that folder",
    ("agents/runs/checkpoint_files.py", "torch.save"): "into memory",
    ("agents/explanation/figures/style.py", "figure.savefig"): "into memory",
    ("agents/explanation/report/export.py", ".savefig"): "into memory",
    ("agents/explanation/report/export.py", "json.loads"): "what the path's `to_json` has written",
    ("agents/explanation/local/lime_figure.py", "np.savez"): "into memory",
    ("agents/trajectories/file.py", "np.savez_compressed"): "into memory",
    ("agents/explanation/atlas/style.py", "Image.open"): "a picture in memory",
    ("agents/explanation/tensorboard.py", "Image.open"): "a picture in memory",
    ("agents/training/loop.py", "json.loads"): "what this function has written",
    ("agents/trajectories/file.py", "json.loads"): "what `Trajectory` has written",
    ("vime/serialization.py", "json.loads"): "vime imports no envs; size and errors are checked where it stands",
}  # fmt: skip


def calls(tree: ast.AST) -> Iterator[str]:
    """The calls that touch files: ``open`` of a plain name, ``owner.name`` or ``.name`` of an attribute."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in (READERS | WRITERS) - OURS:
            yield node.func.id
        elif isinstance(node.func, ast.Attribute):
            owner, name = node.func.value.id if isinstance(node.func.value, ast.Name) else "", node.func.attr
            module = owner in MODULES and name in ("load", "save", "dump")
            if module or (name in READERS | WRITERS and f"{owner}.{name}" not in METHODS):
                yield f"{owner}.{name}"


def found() -> set[tuple[str, str]]:
    """Every call outside the two modules."""
    touching = set()
    for path in sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        file = path.relative_to(ROOT).as_posix()
        if file not in (READING, WRITING):
            touching |= {(file, call) for call in calls(ast.parse(path.read_text(encoding="utf-8")))}
    return touching


def test_no_module_opens_files_on_its_own() -> None:
    bare = sorted(found() - set(EXCEPTIONS))
    assert not bare, f"read through {READING} and write through {WRITING}, or name the reason in EXCEPTIONS: {bare}"


def test_every_exception_is_still_needed() -> None:
    assert set(EXCEPTIONS) <= found()


SEEN = {
    "open('a')": "open", "Path('a').read_text()": ".read_text", "file.open('rb')": "file.open", "os.open(f, 0)": "os.open",
    "np.load(f)": "np.load", "yaml.safe_load(t)": "yaml.safe_load", "json.load(f)": "json.load", "load_file(f)": "load_file",
    "torch.save(a, f)": "torch.save", "(a / b).write_bytes(c)": ".write_bytes", "frame.to_csv(f)": "frame.to_csv",
}  # fmt: skip


@pytest.mark.parametrize("text", SEEN)
def test_calls_that_touch_files_are_seen(text: str) -> None:
    assert list(calls(ast.parse(text))) == [SEEN[text]]


def test_calls_of_ours_are_none() -> None:
    assert (
        list(calls(ast.parse("manifold.save(f); load(f); path.save(f); read_text(f); RunFolder.open(f); write_whole(f, t)")))
        == []
    )


def test_the_users_folder_is_expanded_in_one_place() -> None:
    """`in_home`; the folder of settings of Matplotlib is the one exception."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    naming = {file.relative_to(ROOT).as_posix() for file in files if "expanduser" in file.read_text(encoding="utf-8")}
    assert naming == {WRITING, "agents/explanation/figures/style.py"}
