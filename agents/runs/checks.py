"""What config.json, a manifest and a path's metadata must hold: types and ranges, field by field."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from agents.console.cli import MOST_STEPS, UserError
from agents.console.process import MOST_THREADS
from envs.reading import checks

MOST_ENVS = 100_000
Check = Callable[..., Any]


def optional(check: Check) -> Check:
    """The check, for a value that may be None as well."""

    def checked(value: Any, name: str, *, error: type[ValueError]) -> Any:
        return None if value is None else check(value, name, error=error)

    return checked


def environment(value: Any, name: str, *, error: type[ValueError]) -> dict[str, Any]:
    """An environment of a run: its id and its arguments."""
    found = checks.mapping(value, name, error=error)
    checks.text(found.get("id"), f"{name}.id", error=error)
    checks.mapping(found.get("kwargs", {}), f"{name}.kwargs", error=error)
    return found


#: Fields of `agents.runs.config.RunConfig` and `CuriosityConfig` -> what checks a value.
RUN_FIELDS: dict[str, Check] = {
    "algo": checks.text, "env": environment, "hyperparameters": checks.mapping, "seed": checks.seed,
    "n_envs": partial(checks.whole, low=1, high=MOST_ENVS), "n_timesteps": partial(checks.whole, low=1, high=MOST_STEPS),
    "num_threads": partial(checks.whole, low=1, high=MOST_THREADS), "world": optional(checks.mapping),
    "curiosity": optional(checks.mapping),
    "created": checks.text, "versions": checks.mapping, "warm_start": optional(checks.mapping),
    "reference": optional(checks.mapping),
}  # fmt: skip
CURIOSITY_FIELDS: dict[str, Check] = {
    "name": checks.text, "eta": optional(partial(checks.number, low=0)), "options": checks.mapping,
}  # fmt: skip


def check_version(found: Any, where: str, known: int) -> None:
    """Refuse a format version that this release cannot read."""
    version = checks.whole(found, f"{where}: format_version", 0, error=UserError)
    if version > known:
        raise UserError(f"{where}: has format version {version}, this release reads up to {known}: install a newer one")


def check_files(files: Mapping[str, Any], folder: Path) -> None:
    """Refuse a manifest whose entries lead out of the folder or lack a sha256."""
    from envs.reading.files import member

    where = f"{str(folder / 'manifest.json')!r} is damaged"
    for name, entry in files.items():
        member(folder, name, error=UserError)
        checks.mapping(entry, f"{where}: the entry of {name!r}", error=UserError)
        checks.text(entry.get("sha256"), f"{where}: the sha256 of {name!r}", error=UserError)


PROGRESS = ("training_queries", "evaluation_queries", "seconds", "cpu_seconds")  # what every checkpoint counts


def check_progress(progress: Mapping[str, Any], where: str) -> None:
    """Refuse a checkpoint's progress unless it has these counts, as finite numbers."""
    for name in PROGRESS:
        checks.number(progress.get(name), f"{where}: {name}", 0, error=UserError)


def check_summary(summary: Any, where: str) -> None:
    """Refuse a summary with texts or lists, or numbers beyond all limits (None and NaN: not measured)."""
    for name, value in checks.mapping(summary, where, error=UserError).items():
        plain = isinstance(value, int | float | str | list | tuple | dict) and not isinstance(value, bool)
        if plain and not (isinstance(value, float) and math.isnan(value)):
            checks.number(value, f"{where}: {name}", error=UserError)


def check_fields(fields: Mapping[str, Any], where: str, error: type[ValueError]) -> None:
    """Refuse metadata of a path with fields of another type; those that are not there are the constructor's to miss."""
    count = partial(checks.whole, low=0, high=MOST_STEPS)

    def row(value: Any, name: str, *, error: type[ValueError]) -> Any:
        known = checks.text if isinstance(value, str) else partial(checks.whole, low=-(2**63), high=2**63 - 1)
        return known(value, name, error=error)

    def hidden(value: Any, name: str, *, error: type[ValueError]) -> Any:
        for column, place in checks.mapping(value, name, error=error).items():
            if not isinstance(place, list) or len(place) < 2:
                raise error(f"{name}: {column!r} has a cell and its places, not {place!r:.60}")
            for number in place:
                count(number, f"{name}: {column!r}", error=error)
        return value

    known: dict[str, Check] = {
        "source": count, "target": count, "queries": count, "training_queries": count, "planned": count, "beyond": count,
        "seed": partial(checks.whole, low=0, high=2**63 - 1), "index": count, "row": row, "hidden": hidden, "success": checks.flag,
        "label_only": checks.flag, "class_names": checks.texts, "texts": checks.texts, "environment": checks.mapping,
        "versions": checks.mapping, "manifold_key": checks.text, "walker": checks.text, "held": checks.texts,
        "saved_contributions": checks.mapping, "saved_badge": checks.mapping, "requested": checks.text, "scenario": checks.text,
    }  # fmt: skip
    for name, value in fields.items():
        if name not in known:
            raise error(f"{where}: holds a field {name!r}, which paths do not have; they have {', '.join(known)}")
        older = name == "planned" and isinstance(value, bool)  # paths of before the planned steps were counted
        if not (value is None and name in ("index", "row", "texts", "hidden", "requested", "scenario")) and not older:
            known[name](value, f"{where}: {name}", error=error)
    if fields.get("environment", {}).get("step_length") is not None:
        checks.number(fields["environment"]["step_length"], f"{where}: environment.step_length", 0, above=True, error=error)
