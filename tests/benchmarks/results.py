"""How results are written: JSON that any reader takes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def as_json(page: Any) -> str:
    """The text of a results file. What was not measured (NaN, infinity) is null: JSON has no word for it, and Python's own
    ``NaN`` is refused by other readers."""
    return json.dumps(_plain(page), indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
