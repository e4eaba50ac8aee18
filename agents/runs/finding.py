"""Where a run lies: its folder, a shorthand, or the run that was trained last."""

from __future__ import annotations

import datetime
import os
import re
import warnings
from pathlib import Path

from agents.console.cli import UserError
from agents.runs.lock import held_since
from envs.reading.files import read_object

NEVER = datetime.datetime.min.replace(tzinfo=datetime.UTC)


def find(path: str, root: Path) -> Path:
    """The folder of a run.

    Args:
        path: the folder, or its config.json; or ``"latest"``; or what follows `root` in its path, or its name alone.
        root: where shorthands are looked up.

    Raises:
        UserError: there is none.
    """
    if path == "latest":
        return latest(root)
    folder = Path(path)
    if folder.name == "config.json":
        folder = folder.parent
    if os.path.exists(folder):  # False for names that no file can have, too
        return folder
    for candidate in (root / path, *sorted(root.glob(f"*/{path}"))) if not folder.is_absolute() else ():
        if os.path.isdir(candidate):
            return candidate
    found = [*root.glob("example/config.json"), *sorted(root.glob("*/*_*/config.json"))]
    known = [str(file.parent) for file in found]
    hint = f"known: {', '.join(known[-5:])}" if known else f"there are no runs in {str(root)!r}"
    raise UserError(f"no run folder {path!r}; {hint}")


def latest(root: Path) -> Path:
    """The run below `root` that was trained last, as the runs themselves record it; times of files do not matter.

    Raises:
        UserError: there is none.
    """
    found = [file.parent for file in root.glob("*/*_*/config.json")]
    if not found:
        example = root / "example"
        instead = f"{str(example)!r}, which came with this checkout" if example.is_dir() else "a folder's path"
        raise UserError(f"there is no run in {str(root)!r} yet: train one with python -m agents.train, or give {instead}")
    times = {folder: trained(folder) for folder in found}
    whole = [folder for folder in found if times[folder] is not None] or found
    return max(whole, key=lambda folder: (times[folder] or NEVER, _number(folder.name), str(folder)))


def trained(folder: Path) -> datetime.datetime | None:
    """When the run was trained last: as its lock records, or when its training began. None for a damaged run, `NEVER` where
    nothing says so."""
    try:
        began = moment(read_object(folder / "config.json").get("created"))
    except (ValueError, OSError) as problem:
        warnings.warn(f"{problem}; this run is not taken for the latest", stacklevel=2)
        return None
    return max(began, moment(held_since(folder)))


def moment(recorded: object) -> datetime.datetime:
    """A recorded time; `NEVER` for what is none."""
    try:
        found = datetime.datetime.fromisoformat(str(recorded))
    except ValueError:
        return NEVER
    return found if found.tzinfo is not None else found.replace(tzinfo=datetime.UTC)


def _number(name: str) -> int:
    """The number at the end of a run's name."""
    ending = re.search(r"_(\d{1,18})$", name)
    return int(ending.group(1)) if ending else 0
