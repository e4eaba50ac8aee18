"""Constraints from a file, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.constraints.apply import MORE
from envs.errors import ManifoldError, UnknownNameError
from envs.files import in_home
from envs.reading.files import read_json, read_yaml

KEYS = ("features_to_vary", "permitted_range", *MORE)


def read_rules(file: str | Path) -> dict[str, Any]:
    """Read constraints from a .yml or .json file: a mapping with any of the keywords of `agents.constraints.constrained`.

    Raises:
        ManifoldError: no such file, or no mapping of the needed form.
        UnknownNameError: a keyword that does not exist; close ones are offered.
    """
    path = Path(in_home(str(file)))
    if not path.is_file():
        raise ManifoldError(f"--rules {file}: there is no such file")
    found = read_json(path) if path.suffix.lower() == ".json" else read_yaml(path)
    if not isinstance(found, Mapping) or not found:
        raise ManifoldError(f"--rules {file}: a mapping with some of the keys {', '.join(KEYS)} is needed, not {found!r:.60}")
    for name, value in found.items():
        if name not in KEYS:
            raise UnknownNameError(f"rule in {file}", str(name), KEYS)
        listed = name in ("features_to_vary", "relations")
        if not isinstance(value, list if listed else Mapping):
            needed = "a list" if listed else "a mapping from columns"
            raise ManifoldError(f"--rules {file}: {name} is {needed}, not {value!r:.60}")
    return {str(name): value for name, value in found.items()}
