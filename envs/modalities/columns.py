"""Descriptions of a table's columns: numbers or categories, their ranges, and what an explanation may not change.

A description is a mapping (a YAML or JSON file, or a dictionary)::

    target: income                      # the column that holds the classes; optional
    missing: ["?"]                      # texts that mean "unknown"; default: MISSING
    columns:
      age: {kind: number, range: [17, 90], integer: true, only: up}
      sex: {kind: category, immutable: true}
      workclass: {kind: category, categories: [Private, State-gov]}
      years: {kind: number, linked_to: education}        # each category of education has one number
      gain: {kind: number, zero_inflated: true, scale: log}  # 0, or a positive quantity on a logarithmic scale
      loss: {kind: number, zero_inflated: true, exclusive_with: gain}  # at most one of them is not 0
      weight: {kind: number, unit: kg, description: body weight without clothes}
      joined: {kind: date, unit: days}                   # seconds, minutes, hours, days or weeks
      name: {kind: ignore}

Columns and keys that it leaves out are inferred from the values, see `envs.modalities.inferred_columns`. ``zero_inflated:
false``, ``scale: linear``, ``linked_to: false`` and ``exclusive_with: false`` turn an inference off.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from envs.errors import ManifoldError, UnknownNameError
from envs.files import in_home
from envs.modalities import dates
from envs.modalities.scales import SCALES
from envs.reading.files import read_json, read_yaml

MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "None")
KINDS = ("number", "category", "date", "ignore")
FOR_NUMBERS = ("range", "integer", "only", "zero_inflated", "scale", "exclusive_with")
FOR_PEOPLE = ("unit", "description")
KEYS = ("kind", "categories", "immutable", "linked_to", *FOR_PEOPLE, *FOR_NUMBERS)
Where = Callable[[int], str]


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        name: Name as the user writes it.
        kind: ``number`` or ``category``.
        low: Smallest number.
        high: Largest number.
        integer: Whether numbers are whole.
        categories: Texts of the categories, without the missing one.
        missing: The user's text for an unknown value; None if every value is known.
        immutable: Whether walks leave the column unchanged.
        only: ``up`` or ``down``: walks never bring the number below, or above, the input's.
        zero_inflated: Whether the number is exactly 0 or else a quantity of its own; a choice in the encoded row says which.
        scale: Of the encoded number (without its zeros, if it is zero-inflated), see `envs.modalities.scales`.
        linked_to: Column of categories, each of which has one value of this column; None: this column stands for itself.
        exclusive_with: First of the zero-inflated columns of which at most one is not 0; None: no such columns, or this is it.
        followers: Number of columns that are exclusive with this one, their first.
        decided: whether the description says `immutable` or `only`; else the column's name may hold it, see
            `envs.modalities.protected`.
        date: Whether the user's values are dates or durations; the number is that of `envs.modalities.dates` in `unit`.
        unit: Of the number, for people; of a date, a key of `dates.UNITS`.
        description: Of the column, for people.

    Example:
        >>> Column("age", "number", low=17, high=90, integer=True).as_dict()
        {'kind': 'number', 'range': [17, 90], 'integer': True}
    """

    name: str
    kind: str
    low: float = -math.inf
    high: float = math.inf
    integer: bool = False
    categories: tuple[str, ...] = ()
    missing: str | None = None
    immutable: bool = False
    only: str | None = None
    zero_inflated: bool = False
    scale: str = "linear"
    linked_to: str | None = None
    exclusive_with: str | None = None
    followers: int = 0
    decided: bool = False
    date: bool = False
    unit: str | None = None
    description: str | None = None

    def text_of(self, number: float) -> str:
        """One of the column's numbers for people, without its unit."""
        return dates.iso(number, str(self.unit)) if self.date else f"{number:g}"

    @property
    def width(self) -> int:
        """Positions in an encoded row.

        A category takes one per category (the missing one included). A number takes one, and one more for each of its
        states if there are several: it has a value, each column that is exclusive with it has one, it is 0, it is missing. A
        linked column, which another one determines, takes none.
        """
        if self.linked_to is not None:
            return 0
        if self.kind != "number":
            return len(self.categories) + (self.missing is not None)
        states = 1 + self.followers + self.zero_inflated + (self.missing is not None)
        return 1 if states == 1 or self.exclusive_with is not None else 1 + states

    def as_dict(self) -> dict[str, Any]:
        """The column as a description has it."""
        described: dict[str, Any] = {"kind": self.kind}
        if self.kind == "number":
            ends = [self.text_of(end) if self.date else _plain(end) for end in (self.low, self.high)]
            described |= {"kind": "date", "range": ends} if self.date else {"range": ends, "integer": self.integer}
            described |= {"zero_inflated": True} if self.zero_inflated else {}
            described |= {"scale": self.scale} if self.scale != "linear" else {}
        else:
            described["categories"] = list(self.categories)
        for key in ("linked_to", "exclusive_with", *FOR_PEOPLE):
            described |= {key: getattr(self, key)} if getattr(self, key) is not None else {}
        return described | ({"immutable": True} if self.immutable else {}) | ({"only": self.only} if self.only else {})


class Table(NamedTuple):
    """What is known of a table's columns.

    Attributes:
        columns: Columns that are explained, in order.
        missing: Texts that mean "unknown".
        target: Column that holds the classes, or None.

    Example:
        >>> print(Table((Column("age", "number", low=17, high=90),), missing=("?",)).as_yaml(), end="")
        columns:
          age: {kind: number, range: [17, 90], integer: false}
    """

    columns: tuple[Column, ...]
    missing: tuple[str, ...]
    target: str | None = None

    def as_yaml(self) -> str:
        """The description in YAML: save it as columns.yml, edit it, and pass the file as `columns`."""
        return as_yaml(self.columns, self.target)


def read_description(source: Any) -> dict[str, Any]:
    """Read a description, checked as far as that is possible without the data.

    Args:
        source: A .yml, .yaml or .json file, or a mapping.

    Returns:
        ``target``, ``missing`` and ``columns``.

    Raises:
        ManifoldError: If the file is missing or has another format, or a range is impossible.
        UnknownNameError: If a key or kind is unknown.
    """
    described = _load(in_home(Path(source))) if isinstance(source, str | Path) else source
    name = str(source) if isinstance(source, str | Path) else "the column description"
    if not isinstance(described, Mapping):
        raise ManifoldError(f"{name}: a mapping is needed, such as  columns: {{age: {{kind: number}}}}")
    if "columns" not in described and all(isinstance(v, Mapping) for v in described.values()):
        described = {"columns": described}  # the columns alone
    for key in described:
        if key not in ("target", "missing", "columns"):
            raise UnknownNameError(f"key in {name}", key, ("target", "missing", "columns"))
    columns = described.get("columns") or {}
    if not isinstance(columns, Mapping):
        raise ManifoldError(f"{name}: columns: must map names to descriptions, not be a {type(columns).__name__}")
    for column, about in columns.items():
        _check(f"{name}, column {column!r}", about)
    missing = described.get("missing")
    missing = MISSING if missing is None else [missing] if isinstance(missing, str) else missing
    if not isinstance(missing, Sequence) or any(isinstance(mark, Mapping | list) for mark in missing):
        raise ManifoldError(f"{name}: missing: is a list of the cells that stand for no value, not {missing!r:.60}")
    return {"target": described.get("target"), "missing": ["" if m is None else str(m) for m in missing],
            "columns": {str(column): dict(about) for column, about in columns.items()}}  # fmt: skip


def _load(path: Path) -> Any:
    try:
        return read_json(path) if path.suffix.lower() == ".json" else read_yaml(path)
    except FileNotFoundError as error:
        raise ManifoldError(f"no column description {path}") from error
    except ManifoldError as error:
        raise ManifoldError(f"cannot read the column description: {error}") from None


def _check(name: str, about: Any) -> None:
    """Refuse a description that no data could fit."""
    if not isinstance(about, Mapping):
        raise ManifoldError(f"{name}: a mapping such as {{kind: number}} is needed, not {about!r}")
    for key in about:
        if key not in KEYS:
            raise UnknownNameError(f"key of {name}", key, KEYS)
    kind = about.get("kind")
    if kind is not None and kind not in KINDS:
        raise UnknownNameError(f"kind of {name}", kind, KINDS)
    for key in FOR_PEOPLE:
        if not isinstance(about.get(key, ""), str):
            raise ManifoldError(f"{name}: {key} is a text, not {about[key]!r}")
    if kind == "date":
        _check_date(name, about)
    elif "range" in about:
        ends = about["range"]
        good = isinstance(ends, list | tuple) and len(ends) == 2 and all(is_number(end) for end in ends)
        if not good or not ends[0] < ends[1]:
            raise ManifoldError(f"{name}: range is [least, largest], not {ends!r}")
        if kind == "category":
            raise ManifoldError(f"{name}: a category has no range; list its categories, or set kind: number")
    if "categories" in about and (kind == "number" or not isinstance(about["categories"], list | tuple)):
        raise ManifoldError(f"{name}: categories is a list, and belongs to kind: category")
    for key in FOR_NUMBERS if kind == "category" else ():
        if about.get(key):
            raise ManifoldError(f"{name}: {key} is for numbers; leave it out, or set kind: number")
    if about.get("scale", "linear") not in SCALES:
        raise UnknownNameError(f"scale of {name}", about["scale"], SCALES)
    for key in ("linked_to", "exclusive_with"):
        if not (isinstance(about.get(key, False), str) or about.get(key) in (None, False)):
            raise ManifoldError(f"{name}: {key} is the name of a column, or false, not {about[key]!r}")
    for key in ("immutable", "integer", "zero_inflated"):
        if not isinstance(about.get(key, False), bool):
            raise ManifoldError(f"{name}: {key} is true or false, not {about[key]!r}")
    if about.get("only") not in (None, "up", "down", "both"):
        raise ManifoldError(f"{name}: only is up, down or both, not {about['only']!r}")


def _check_date(name: str, about: Mapping[str, Any]) -> None:
    """Refuse a description that no dates could fit."""
    if (unit := about.get("unit", dates.DEFAULT)) not in dates.UNITS:
        raise UnknownNameError(f"unit of {name}", unit, dates.UNITS)
    for key in ("categories", "integer", "zero_inflated", "scale", "exclusive_with"):
        if about.get(key):
            raise ManifoldError(f"{name}: {key} is not for dates; leave it out")
    if "range" in about:
        try:
            low, high = (dates.microseconds(end) for end in about["range"])
        except (ValueError, TypeError):
            low = high = 0
        if not low < high:
            raise ManifoldError(f"{name}: range is [first, last], such as [2020-01-01, 2024-12-31], not {about['range']!r}")


def as_yaml(columns: Sequence[Column], target: str | None = None) -> str:
    """Columns as YAML that `read_description` reads.

    Args:
        columns: The columns.
        target: Column that holds the classes.
    """
    described: dict[str, Any] = {"target": target} if target else {}
    lines = yaml.safe_dump(described, sort_keys=False) if described else ""
    body = [f"  {yaml.safe_dump(column.name).split(chr(10))[0]}: {_flow(column.as_dict())}" for column in columns]
    return lines + "columns:\n" + "\n".join(body) + "\n"


def _flow(about: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(about), default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True).strip()


def text_of(value: Any) -> str:
    """A cell as text without surrounding spaces: None and NaN become empty, 3.0 becomes 3."""
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return ""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def is_number(value: Any) -> bool:
    """Whether a text or value is a finite number."""
    if isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def is_plain_number(text: str) -> bool:
    """Whether a text is a finite number and not a code such as 00171, whose zeros would be lost."""
    return is_number(text) and re.match(r"[+-]?0[0-9]", text) is None


def category_places(names: Sequence[str]) -> Callable[[Any], int | None]:
    """A function from a value to the place of its category: by text, else by number, so that 2.0 is the category "2" and 2 the
    category "2.0"; None for no category.

    Example:
        >>> place = category_places(["1.0", "2.0"])
        >>> place(2), place("2.0"), place("3")
        (1, 1, None)
    """

    def number(text: str) -> str:
        return text_of(float(text)) if is_plain_number(text) else text

    index = {number(name): k for k, name in enumerate(names)} | {name: k for k, name in enumerate(names)}
    return lambda value: index.get(text := text_of(value), index.get(number(text)))


def by_size(text: str) -> tuple[int, float, str]:
    """Sort key: numbers by size, then texts alphabetically."""
    return (0, float(text), text) if is_number(text) else (1, 0.0, text)


def _plain(number: float) -> float | int:
    return int(number) if math.isfinite(number) and float(number).is_integer() else number
