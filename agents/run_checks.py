"""What config.json, a manifest and a path's metadata must hold: types and ranges, field by field."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from agents.cli import MOST_STEPS, UserError
from envs import checks

MOST_ENVS = 100_000
Check = Callable[..., Any]


def check_config(config: Mapping[str, Any], file: Path) -> None:
    """Refuse a run's configuration that no training could have written.

    Raises:
        UserError: naming file, field and value.
    """
    told = f"{str(file)!r} is damaged"
    fields: dict[str, Check] = {
        "algo": checks.text, "env": checks.mapping, "hyperparameters": checks.mapping, "seed": checks.seed,
        "n_envs": partial(checks.whole, low=1, high=MOST_ENVS),
        "n_timesteps": partial(checks.whole, low=1, high=MOST_STEPS),
    }  # fmt: skip
    for name, check in fields.items():
        check(config[name], f"{told}: {name}", error=UserError)
    env = config["env"]
    for name in ("id", "kwargs"):
        if name not in env:
            raise UserError(f"{told}: env lacks {name!r}; it has {sorted(env)}")
    checks.text(env["id"], f"{told}: env.id", error=UserError)
    checks.mapping(env["kwargs"], f"{told}: env.kwargs", error=UserError)
    if config.get("curiosity") is not None:
        _check_curiosity(config["curiosity"], f"{told}: curiosity")


def _check_curiosity(curiosity: Any, told: str) -> None:
    checks.mapping(curiosity, told, error=UserError)
    for name in ("name", "eta", "options"):
        if name not in curiosity:
            raise UserError(f"{told} lacks {name!r}; it has {sorted(curiosity)}")
    checks.text(curiosity["name"], f"{told}.name", error=UserError)
    checks.mapping(curiosity["options"], f"{told}.options", error=UserError)
    if curiosity["eta"] is not None:
        checks.number(curiosity["eta"], f"{told}.eta", 0, error=UserError)


def check_version(found: Any, told: str, known: int) -> None:
    """Refuse a format version that this release cannot read."""
    version = checks.whole(found, f"{told}: format_version", 0, error=UserError)
    if version > known:
        raise UserError(f"{told}: has format version {version}, this release reads up to {known}: install a newer one")


def check_files(files: Mapping[str, Any], folder: Path) -> None:
    """Refuse a manifest whose entries lead out of the folder or lack a sha256."""
    from envs.files import member

    told = f"{str(folder / 'manifest.json')!r} is damaged"
    for name, entry in files.items():
        member(folder, name, error=UserError)
        checks.mapping(entry, f"{told}: the entry of {name!r}", error=UserError)
        checks.text(entry.get("sha256"), f"{told}: the sha256 of {name!r}", error=UserError)


def check_progress(progress: Any, told: str) -> None:
    """Refuse progress or a summary with texts or lists, or numbers beyond all limits (None and NaN: not measured)."""
    for name, value in checks.mapping(progress, told, error=UserError).items():
        plain = isinstance(value, int | float | str | list | tuple | dict) and not isinstance(value, bool)
        if plain and not (isinstance(value, float) and math.isnan(value)):
            checks.number(value, f"{told}: {name}", error=UserError)


def check_fields(fields: Mapping[str, Any], told: str, error: type[ValueError]) -> None:
    """Refuse metadata of a path with fields of another type; those that are not there are the constructor's to miss."""
    count = partial(checks.whole, low=0, high=MOST_STEPS)
    known: dict[str, Check] = {
        "source": count, "target": count, "queries": count, "training_queries": count, "planned": count,
        "seed": partial(checks.whole, low=0, high=2**63 - 1), "index": count, "success": checks.flag,
        "label_only": checks.flag, "class_names": checks.texts, "texts": checks.texts, "environment": checks.mapping,
        "versions": checks.mapping, "manifold_key": checks.text, "walker": checks.text,
    }  # fmt: skip
    for name, value in fields.items():
        if name not in known:
            raise error(f"{told}: holds a field {name!r}, which paths do not have; they have {', '.join(known)}")
        older = name == "planned" and isinstance(value, bool)  # paths of before the planned steps were counted
        if not (value is None and name in ("index", "texts")) and not older:
            known[name](value, f"{told}: {name}", error=error)
    if isinstance(fields.get("environment"), Mapping):
        environment = fields["environment"]
        checks.text(environment.get("id"), f"{told}: environment.id", error=error)
        checks.mapping(environment.get("kwargs", {}), f"{told}: environment.kwargs", error=error)
        if environment.get("step_length") is not None:
            checks.number(environment["step_length"], f"{told}: environment.step_length", 0, above=True, error=error)
