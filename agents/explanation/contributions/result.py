"""The contributions of one path, and their JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from agents.errors import UserError
from envs.reading import checks


@dataclass(frozen=True)
class Part:
    """One changed part of the data and what its change is worth.

    Attributes:
        name: of the part: a place of a picture, a column, or the words of the input.
        change: what happened to it, such as ``is removed`` or ``40 → 48``.
        where: the part itself, see `envs.modalities.components.Component.where`.
        value: change of the explained class's probability that this part is credited with; negative if it lowers it.
        spread: standard error of `value` over the random orders, as if they were independent, after the correction
            by the surrogate; 0 where every order was counted.

    Example:
        >>> Part("age", "40 → 48", {"column": 0}, 0.25, 0.0).words
        'age 40 → 48'
    """

    name: str
    change: str
    where: dict[str, Any]
    value: float
    spread: float

    @property
    def words(self) -> str:
        """Name and change, such as ``hours per week 40 → 48``."""
        return f"{self.name} {self.change}"

    @property
    def mask(self) -> np.ndarray | None:
        """(H, W) bool, the pixels of a region; None for tables and text."""
        if "runs" not in self.where:
            return None
        from envs.modalities.components import unrun

        return unrun(self.where).numpy()


@dataclass(frozen=True)
class Contributions:
    """What the changed parts of a path are worth; their values sum to ``end - start``.

    Attributes:
        parts: by value, the largest first.
        explained: class whose probability is divided among the parts: the target, or where the walk had none, the class of
            the end. Of a model with a score, the score is divided.
        start, end: its probability, or the score, for the input and for the last frame.
        called: the probability, for the input, of the class that the input is predicted as; or the input's score.
        queries: classifier queries made for this result.
        frames: the key frames between which parts were switched, -1 is the input.
        orders: random orders between two key frames.
        exact: whether every order was counted, so that no value depends on the seed.
        seed: of the orders.

    Example:
        >>> part = Part("age", "40 → 48", {"column": 0}, 0.5, 0.0)
        >>> found = Contributions([part], 1, 0.25, 0.75, 0.75, 2, [-1, 3], 4, True, 0)
        >>> found.total, found.efficiency_error, found.share(found.parts[0])
        (0.5, 0.0, 1.0)
    """

    parts: list[Part]
    explained: int
    start: float
    end: float
    called: float
    queries: int
    frames: list[int]
    orders: int
    exact: bool
    seed: int

    @property
    def total(self) -> float:
        """The change of the explained class's probability from the input to the end."""
        return self.end - self.start

    @property
    def efficiency_error(self) -> float:
        """How far the sum of the values is from `total`; rounding alone."""
        return abs(sum(part.value for part in self.parts) - self.total)

    def share(self, *parts: Part) -> float:
        """The share of `total` that parts are credited with together; nan where nothing changed."""
        return sum(part.value for part in parts) / self.total if self.total else float("nan")

    def to_json(self) -> dict[str, Any]:
        """All fields in JSON's types; `from_json` reads them."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(
        cls, found: Any, place: str = "contributions", error: type[ValueError] = UserError, scored: bool = False
    ) -> Contributions:
        """Read what `to_json` wrote.

        Args:
            found: the JSON's content.
            place: where it comes from, for messages.
            error: class of the error.
            scored: the parts divide a score, which may be any number; else a probability.

        Raises:
            ValueError: a field that is missing, unknown or of another type.
        """
        number, count = partial(checks.number, error=error), partial(checks.whole, error=error)
        fields = _only(found, {field.name for field in dataclasses.fields(cls)}, place, error)
        if not isinstance(fields["parts"], list) or not isinstance(fields["frames"], list):
            raise error(f"{place}: parts and frames must be lists")
        parts = []
        for k, entry in enumerate(fields["parts"]):
            name = f"{place}: part {k}"
            part = _only(entry, {field.name for field in dataclasses.fields(Part)}, name, error)
            for text in ("name", "change"):
                checks.text(part[text], f"{name}: {text}", error=error)
            _check_where(part["where"], f"{name}: where", error)
            parts.append(Part(part["name"], part["change"], part["where"], number(part["value"], f"{name}: value"),
                              number(part["spread"], f"{name}: spread", low=0)))  # fmt: skip
        low, high = (None, None) if scored else (0, 1)
        plain: dict[str, Any] = {n: number(fields[n], f"{place}: {n}", low, high) for n in ("start", "end", "called")}
        plain |= {n: count(fields[n], f"{place}: {n}", low=0) for n in ("explained", "queries", "orders", "seed")}
        return cls(
            parts=parts,
            **plain,
            frames=[count(t, f"{place}: frames", low=-1) for t in fields["frames"]],
            exact=checks.flag(fields["exact"], f"{place}: exact", error=error),
        )


MOST_PIXELS = 2**26  # of a stored mask


def _only(found: Any, names: set[str], place: str, error: type[ValueError]) -> Mapping[str, Any]:
    fields = checks.mapping(found, place, error=error)
    if set(fields) != names:
        raise error(f"{place}: has the fields {sorted(fields)}, it must have {sorted(names)}")
    return fields


def _check_where(found: Any, place: str, error: type[ValueError]) -> None:
    """Refuse places that are none: other fields, runs outside of the picture."""
    where = checks.mapping(found, place, error=error)
    lists = [name for name in ("runs", "before", "after") if name in where]
    if set(where) not in ({"rows", "columns", "runs"}, {"column"}, {"before", "after"}):
        raise error(f"{place}: has the fields {sorted(where)}; pixels, a column or words are needed")
    for name in lists:
        if not isinstance(where[name], list):
            raise error(f"{place}: {name} must be a list of whole numbers")
    for value in [*(where[name] for name in where if name not in lists), *(v for name in lists for v in where[name])]:
        checks.whole(value, place, low=0, error=error)
    if "runs" in where:
        size, pairs = where["rows"] * where["columns"], where["runs"]
        fits = len(pairs) % 2 == 0 and all(a + n <= size for a, n in zip(pairs[::2], pairs[1::2], strict=True))
        if not (size <= MOST_PIXELS and fits):
            raise error(f"{place}: the runs lie outside of the picture, or it is too large")
