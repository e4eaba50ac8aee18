"""The columns of a table by its description, and by its values where the description says nothing.

`envs.modalities.columns` says what a description holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from envs.errors import ManifoldError, UnknownNameError
from envs.modalities import dates
from envs.modalities.columns import FOR_PEOPLE, Column, Where, by_size, is_number, is_plain_number, text_of
from envs.modalities.data_frame import DATES, dates_refused
from envs.modalities.relations import exclusive_heads, links
from envs.modalities.scales import is_zero_inflated, noticed_scale

MOST_CATEGORIES = 100  # a column with more distinct texts is taken for names or notes


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
    given = {
        key: {c.name: described[c.name][key] or None for c in columns if key in described.get(c.name, {})}
        for key in ("linked_to", "exclusive_with")
    }
    free = [c.name for c in columns if c.zero_inflated and c.missing is None]
    values = {name: np.array([float(text) for text in texts[name]]) for name in free}
    heads = exclusive_heads(values, given["exclusive_with"], where)
    categories = sorted((c for c in columns if c.kind == "category"), key=lambda column: -column.width)
    linked = links(
        texts, [c.name for c in categories], given["linked_to"], [c.name for c in columns if c.zero_inflated], where
    )
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
    kind = about.get("kind") or _kind(about, known, len(texts))
    if kind is None:
        return None
    if kind == "number":
        for row, text in enumerate(texts):
            if not is_number(text) and text not in missing:
                raise ManifoldError(
                    f"{where(row)}, column {name!r}: {text!r} is not a number; correct it, or set kind: category"
                )
    if not known and not listed:
        raise ManifoldError(f"column {name!r} holds nothing but missing values; describe it as kind: ignore")
    column = Column(
        name, kind, missing=absent[0] if absent else None, immutable=bool(about.get("immutable", False)),
        decided="immutable" in about or "only" in about, **{key: about[key] for key in FOR_PEOPLE if key in about},
    )  # fmt: skip
    if kind == "number":
        return _number(column, np.array([float(text) for text in known]), about)
    if "only" in about:
        raise ManifoldError(f"column {name!r}: only: {about['only']} is for numbers; set immutable: true for a category")
    return replace(column, categories=tuple(text_of(c) for c in about.get("categories") or sorted(set(known), key=by_size)))


def _kind(about: Mapping[str, Any], known: Sequence[str], rows: int) -> str | None:
    """The kind of a column by its description, else by its values; None for texts that look like identifiers."""
    if about.get("categories"):
        return "category"
    if "range" in about or "only" in about:
        return "number"
    different = set(known)
    if len(different) > 2 and all(is_plain_number(text) for text in different):
        return "number"
    return None if len(different) > min(MOST_CATEGORIES, rows / 2) else "category"


def _number(column: Column, known: np.ndarray, about: Mapping[str, Any]) -> Column:
    """A column of numbers with its range, scale and zeros; known (n,) are the values that are not missing."""
    name, only = column.name, None if about.get("only") == "both" else about.get("only")
    low, high = about.get("range", (float(known.min()), float(known.max())))
    if only and column.missing is not None:
        raise ManifoldError(f"column {name!r}: only: {only} needs a column without missing values")
    inflated = about.get("zero_inflated")
    if inflated is None:  # a number that may only rise or fall has to be 0 or above for a choice to say the same
        inflated = is_zero_inflated(known) and not (only and low < 0)
    elif inflated and only and low < 0:
        raise ManifoldError(f"column {name!r}: only: {only} and zero_inflated: true need a range from 0 upwards")
    there = known[known != 0] if inflated else known
    if not len(there):
        raise ManifoldError(f"column {name!r}: zero_inflated: true, but every value is 0; describe it as kind: ignore")
    return replace(
        column, low=float(low), high=float(high), integer=bool(about.get("integer", (known == np.round(known)).all())),
        only=only, zero_inflated=bool(inflated), scale=about.get("scale") or noticed_scale(there),
    )  # fmt: skip
