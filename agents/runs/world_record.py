"""A world as runs and paths keep it: its whole config, and facts that a world rebuilt from the config has to share."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.console.cli import UserError
from agents.constraints import KEY, constrained_as, constraints_of
from envs.config import SETTINGS, Live, WorldConfig
from envs.reading.trust import digest_of, names_in, names_of_file, remembered, trusting

if TYPE_CHECKING:
    from envs.core.world import World

FACTS = ("class_names", "columns", "data_shape", "modality", "latent_dim", "label_only", "classifier_sha256")
IN_PYTHON = "In Python, make the world again and call agents.replay.compare(path, world)"


def describe_world(world: World) -> dict[str, Any]:
    """The record of a world, as JSON holds it, from which :func:`build_world` makes it again.

    Keys: config, the whole `WorldConfig`; step_length, calibrated once and kept; class_names, columns, data_shape, modality,
    latent_dim, label_only and classifier_sha256 (of its file), which depend on the user's files and objects; settings, those of the config with the defaults
    of today; and calibration, how the temperature in the config was fitted, if it was.
    """
    record = {"config": world.config.to_json(), "step_length": float(world.step_length), **_facts(world)}
    if (calibration := getattr(world.classifier, "calibration", None)) is not None:
        record["calibration"] = calibration._asdict()
    found = constraints_of(world)
    return record if found is None else {**record, KEY: found}


def build_world(
    record: Mapping[str, Any],
    run: Path | None = None,
    world: World | None = None,
    where: str = "this path",
    how: str = IN_PYTHON,
    trust: Sequence[str] = (),
    file: Path | None = None,
    given: Mapping[str, Any] | None = None,
) -> World:
    """Rebuild the world of a record, and compare it with the facts in the record.

    Args:
        record: see :func:`describe_world`.
        run: a run folder; the manifold kept there is taken instead of building it again.
        world: a live world with the parts of the record's; its settings become those of the record.
        where: what holds the record, for messages.
        how: what to do where live objects are needed, for the message.
        trust: objects that may be loaded though the record names them, each as ``module:object`` (see `envs.reading.trust`).
        file: the file that holds the record; what one of this account's names needs no trust.
        given: live objects by the name of their setting (``data``, ``classifier`` ...), in the place of those that the record
            cannot hold.

    Raises:
        UntrustedNameError: the record of another account names objects that are not in `trust`; they are listed.
        UserError: no record of this version; live objects are missing; or the world that was rebuilt differs.
        envs.ManifoldError: a name or value that is unknown here.
    """
    config = _config_of(record, where).replace(**(given or {}))
    if world is not None:
        own = {name: value for name in SETTINGS if not isinstance(value := getattr(config, name), Live)}
        rebuilt = world.replace(config=dataclasses.replace(world.config, **own))
    else:
        with trusting(trust), _names_of_record(record["config"], run, file or where):
            rebuilt = _rebuilt(config, run, where, how)
    if record.get("step_length") is not None:
        rebuilt = rebuilt.replace(step_length=record["step_length"])  # as it was calibrated then, to the last bit
    if found := differences(record, rebuilt):
        raise UserError(
            f"{where} was made in another world than the one rebuilt from its config: {'; '.join(found)}. "
            "Put back the data file, the classifier and the columns that it was made with, or make it again"
        )
    return constrained_as(rebuilt, record)


def differences(record: Mapping[str, Any], world: World) -> list[str]:
    """The facts in which a record and a world differ, one phrase each; facts that the record lacks are not compared."""
    facts = _facts(world)
    saved = {**record, **record.get("settings", {})}
    rebuilt = {**facts, **facts["settings"]}
    names = [name for name in (*FACTS, *facts["settings"]) if name in saved and saved[name] != rebuilt[name]]
    return [f"{name.replace('_', ' ')}: saved {saved[name]!r}, rebuilt {rebuilt[name]!r}" for name in names]


def _facts(world: World) -> dict[str, Any]:
    columns = world.units.columns
    return {
        "class_names": [str(name) for name in world.class_names],
        "columns": None if columns is None else [str(name) for name in columns],
        "data_shape": list(world.manifold.data_shape),
        "modality": world.modality,
        "latent_dim": world.latent_dim,
        "label_only": world.label_only,
        "classifier_sha256": world.classifier.sha256,
        "settings": world.settings,
    }


def _config_of(record: Mapping[str, Any], where: str) -> WorldConfig:
    if not isinstance(record, Mapping) or "config" not in record:
        raise UserError(f"{where} holds no config of a world: it was written by another version; make it again")
    length, settings = record.get("step_length"), record.get("settings", {})
    if length is not None and not (isinstance(length, int | float) and 0 < length < math.inf):
        raise UserError(f"{where} is damaged: step_length is {length!r:.60}, no positive number")
    if not isinstance(settings, Mapping):
        raise UserError(f"{where} is damaged: settings is {settings!r:.60}, no JSON object")
    return WorldConfig.from_json(record["config"])


def _names_of_record(config: Mapping[str, Any], run: Path | None, file: Path | str) -> AbstractContextManager[None]:
    """Within, the names of a record are resolved as a file's; this account's own are those of a file that it wrote, and of a
    run that it made."""
    from agents.runs.folder import RunFolder

    wanted, own = names_in(config), set[str]()
    folders = [] if run is None else [run]
    if isinstance(file, Path):
        folders.append(file.parent)
        own |= set(wanted) if remembered(digest_of(file)) else set()
    if run is not None and (run / "config.json").is_file():
        wanted |= RunFolder(run, {}).names_of_manifold()
        if wanted and (folder := RunFolder.open(run)).is_own():
            own |= set(folder.names())
    return names_of_file(file, wanted, *folders, own=own)


def _rebuilt(config: WorldConfig, run: Path | None, where: str, how: str) -> World:
    """The world of a config, with the manifold that a run folder keeps."""
    from envs.building.world import build
    from envs.core.known_predictions import FILE as KNOWN_PREDICTIONS
    from envs.manifolds import Manifold
    from envs.reading.files import read_object
    from envs.reading.objects import load_object

    folder = None if run is None else run / "manifold"
    kept = folder is not None and (folder / "manifold.json").is_file()
    lacking = [name for name in config.live if isinstance(getattr(config, name), Live) and not (kept and name == "manifold")]
    if lacking:
        missing = ", ".join(f"{name} ({config.live[name]})" for name in lacking)
        raise UserError(f"{where} needs the live objects of its world, which no file can hold: {missing}. {how}")
    named = isinstance(config.manifold, str) and ":" in config.manifold
    if kept and folder is not None and named and read_object(folder / "manifold.json").get("kind") not in Manifold.kinds:
        load_object(config.manifold)  # a class of the user's, which this registers
    predictions = None if run is None or not (run / KNOWN_PREDICTIONS).is_file() else run / KNOWN_PREDICTIONS
    return build(config, Manifold.load(folder) if kept and folder is not None else None, known_predictions=predictions)
