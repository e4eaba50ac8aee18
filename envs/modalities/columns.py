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

Columns and keys that it leaves out are inferred from the values. ``zero_inflated: false``, ``scale: linear``, ``linked_to:
false`` and ``exclusive_with: false`` turn an inference off.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from envs.errors import ManifoldError, UnknownNameError
from envs.files import in_home
from envs.modalities import dates
from envs.modalities.data_frame import DATES, dates_refused
from envs.modalities.relations import exclusive_heads, links
from envs.modalities.scales import SCALES, is_zero_inflated, noticed_scale
from envs.reading.files import read_json, read_yaml

MISSING = ("", "?", "NA", "N/A", "NaN", "nan", "null", "None")
KINDS = ("number", "category", "date", "ignore")
FOR_NUMBERS = ("range", "integer", "only", "zero_inflated", "scale", "exclusive_with")
FOR_PEOPLE = ("unit", "description")
KEYS = ("kind", "categories", "immutable", "linked_to", *FOR_PEOPLE, *FOR_NUMBERS)
MOST_CATEGORIES = 100  # a column with more distinct texts is taken for names or notes
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
        good = isinstance(ends, list | tuple) and len(ends) == 2 and all(_is_number(end) for end in ends)
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


def describe(
    names: Sequence[str], rows: np.ndarray, description: Mapping[str, Any], where: Where, target: str | None = None
) -> list[Column]:
    """Describe the columns of a table: as given, and inferred otherwise.

    Args:
        names: Names of all columns, the target included.
        rows: Texts or values, (N, len(names)).
        description: As returned by `read_description`.
        where: Maps a row index to its place for error messages, such as its line.
        target: Column to leave out.

    Raises:
        ManifoldError: If values contradict the description, or no column remains.
        UnknownNameError: If a described column does not exist.
    """
    described = description["columns"]
    for name in described:
        if name not in names:
            raise UnknownNameError("column in the description", name, names)
    columns = []
    for place, name in enumerate(names):
        about = described.get(name, {})
        if name != target and about.get("kind") != "ignore":
            found = _column(name, rows[:, place], about, description["missing"], where)
            columns += [] if found is None else [found]
    if not columns:
        raise ManifoldError(f"no column is left to explain: all of {list(names)} are the target, ignored, or like identifiers")
    return _related(
        columns, {c.name: [text_of(value) for value in rows[:, names.index(c.name)]] for c in columns}, described, where
    )


def _related(
    columns: Sequence[Column], texts: Mapping[str, Sequence[str]], described: Mapping[str, Any], where: Where
) -> list[Column]:
    """The columns with their relations, see `envs.modalities.relations`."""
    told = {
        key: {c.name: described[c.name][key] or None for c in columns if key in described.get(c.name, {})}
        for key in ("linked_to", "exclusive_with")
    }
    free = [c.name for c in columns if c.zero_inflated and c.missing is None]
    values = {name: np.array([float(text) for text in texts[name]]) for name in free}
    heads = exclusive_heads(values, told["exclusive_with"], where)
    categories = sorted((c for c in columns if c.kind == "category"), key=lambda column: -column.width)
    linked = links(texts, [c.name for c in categories], told["linked_to"], [c.name for c in columns if c.zero_inflated], where)
    return [
        replace(
            column,
            linked_to=linked.get(column.name),
            exclusive_with=None if heads.get(column.name) == column.name else heads.get(column.name),
            followers=sum(head == column.name != name for name, head in heads.items()),
        )
        for column in columns
    ]


def _column(name: str, values: np.ndarray, about: Mapping[str, Any], missing: Sequence[str], where: Where) -> Column | None:
    """One column; None for texts that look like identifiers and are not described."""
    if about.get("kind") == "date":
        unit = about.get("unit", dates.DEFAULT)
        values = np.array(dates.numbers_of(values.tolist(), unit, name, where), dtype=object)
        ends = {"range": [dates.number_of(end, unit) for end in about["range"]]} if "range" in about else {}
        number = {**about, **ends, "kind": "number", "scale": "linear", "zero_inflated": False, "unit": unit}
        found = _column(name, values, number, missing, where)
        return None if found is None else replace(found, date=True)
    if any(isinstance(value, DATES) for value in values):
        raise ManifoldError(dates_refused(name, next(value for value in values if isinstance(value, DATES))))
    texts = [text_of(value) for value in values]
    listed = {text_of(c) for c in about.get("categories", ())}
    absent = [text for text in texts if text in missing and text not in listed]
    known = [text for text in texts if text not in missing or text in listed]
    different = set(known)
    kind = about.get("kind") or ("category" if listed else "number" if "range" in about or "only" in about else None)
    if kind is None:
        numbers = all(is_plain_number(text) for text in different)
        kind = "number" if numbers and len(different) > 2 else "category"
        if kind == "category" and len(different) > min(MOST_CATEGORIES, len(texts) / 2):
            return None
    column = Column(name, kind, missing=absent[0] if absent else None, immutable=bool(about.get("immutable", False)))
    column = replace(column, decided="immutable" in about or "only" in about)
    column = replace(column, **{key: about[key] for key in FOR_PEOPLE if key in about})
    only = None if about.get("only") == "both" else about.get("only")
    if kind == "category":
        if "only" in about:
            raise ManifoldError(f"column {name!r}: only: {about['only']} is for numbers; set immutable: true for a category")
        if not known and not listed:
            raise ManifoldError(f"column {name!r} holds nothing but missing values; describe it as kind: ignore")
        return replace(column, categories=tuple(text_of(c) for c in about.get("categories") or sorted(different, key=by_size)))
    for row, text in enumerate(texts):
        if not _is_number(text) and text not in missing:
            raise ManifoldError(f"{where(row)}, column {name!r}: {text!r} is not a number; correct it, or set kind: category")
    numbers_known = np.array([float(text) for text in known])
    if not len(numbers_known):
        raise ManifoldError(f"column {name!r} holds nothing but missing values; describe it as kind: ignore")
    whole = bool((numbers_known == np.round(numbers_known)).all())
    low, high = about.get("range", (float(numbers_known.min()), float(numbers_known.max())))
    if only and absent:
        raise ManifoldError(f"column {name!r}: only: {about['only']} needs a column without missing values")
    inflated = about.get("zero_inflated")
    if inflated is None:  # a number that may only rise or fall has to be 0 or above for a choice to say the same
        inflated = is_zero_inflated(numbers_known) and not (only and low < 0)
    elif inflated and only and low < 0:
        raise ManifoldError(f"column {name!r}: only: {only} and zero_inflated: true need a range from 0 upwards")
    there = numbers_known[numbers_known != 0] if inflated else numbers_known
    if not len(there):
        raise ManifoldError(f"column {name!r}: zero_inflated: true, but every value is 0; describe it as kind: ignore")
    return replace(
        column, low=float(low), high=float(high), integer=bool(about.get("integer", whole)), only=only,
        zero_inflated=bool(inflated), scale=about.get("scale") or noticed_scale(there),
    )  # fmt: skip


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


def _is_number(value: Any) -> bool:
    """Whether a text or value is a finite number."""
    if isinstance(value, bool):
        return False
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def is_plain_number(text: str) -> bool:
    """Whether a text is a finite number and not a code such as 00171, whose zeros would be lost."""
    return _is_number(text) and re.match(r"[+-]?0[0-9]", text) is None


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
    return (0, float(text), text) if _is_number(text) else (1, 0.0, text)


def _plain(number: float) -> float | int:
    return int(number) if math.isfinite(number) and float(number).is_integer() else number
