"""The folder of a saved explainer: a copy of its run, or, where there was no training, a record of its walker and its world."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.errors import UserError
from agents.files import write_whole, writing
from agents.runs.folder import RunFolder, read_json
from agents.runs.world_record import build_world, describe_world

if TYPE_CHECKING:
    from agents.runs.run import Run
    from envs.core.world import World

FILE = "explainer.json"  # where there was no training
FORMAT_VERSION = 1


def write_explainer(folder: Path, world: World, run: Run | None, walker: Any) -> Path:
    """Write an explainer into a new folder: whole, or not at all.

    Args:
        folder: where to.
        world: what is walked in.
        run: the training behind it, if there was one.
        walker: the name of the walker.

    Returns:
        The folder.

    Raises:
        UserError: the folder exists, or there is a live walker and no run.
    """
    if folder.exists():
        raise UserError(f"{str(folder)!r} exists already; choose another folder, or remove it first")
    if run is None and not isinstance(walker, str):
        raise UserError(f"a live walker ({walker!r}) cannot be written; name it, as module:object, to save it")
    beside = folder.with_name(f".{folder.name}-unfinished")
    with writing("the explainer", "make room, or choose another folder"):
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(beside, ignore_errors=True)
        try:
            if run is not None:
                shutil.copytree(run.folder.root, beside)
            else:
                beside.mkdir()
                if world.manifold.portable:
                    world.manifold.save(beside / "manifold")
                record = {"format_version": FORMAT_VERSION, "walker": walker, "world": describe_world(world)}
                write_whole(beside / FILE, json.dumps(record, indent=2) + "\n")
            os.rename(beside, folder)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
    if run is not None and run.folder.is_own():
        RunFolder.open(folder).remember()
    return folder


def read_explainer(
    folder: Path, world: World | None, trust: Sequence[str], live: Mapping[str, Any]
) -> tuple[World, str]:
    """The world and the walker's name of a folder that holds `FILE`.

    Args:
        folder: to read.
        world: the live world, if the record cannot hold it.
        trust: objects that may be loaded though this account did not write the file.
        live: settings of the world that no file can hold.

    Raises:
        UserError: a damaged file, or live objects that are missing.
        UntrustedNameError: it names objects that nobody allowed.
    """
    file = folder / FILE
    record = read_json(file)
    if record.get("format_version") != FORMAT_VERSION or not isinstance(record.get("walker"), str):
        raise UserError(f"{str(file)!r} is damaged, or of another version: save the explainer again")
    how = f"Pass them: Explainer.load({str(folder)!r}, data=..., classifier=...)"
    return build_world(record["world"], folder, world, repr(str(file)), how, trust, file, live), record["walker"]


def world_of_run(folder: RunFolder, world: World | None, trust: Sequence[str], live: Mapping[str, Any]) -> World:
    """The world of a run that was trained on live objects; arguments and errors as for `read_explainer`."""
    config = folder.run_config()
    if config.world is None:
        raise UserError(f"{str(folder.root)!r} holds no latent space: leave {', '.join(live)} out")
    return build_world(config.world, folder.root, world, repr(str(folder.root)), "", trust, folder.root / "config.json", live)
