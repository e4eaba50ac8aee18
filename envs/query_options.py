"""How a slow, noisy or failing classifier is queried: one group of settings, `WorldConfig.query`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from envs.errors import ManifoldError, UnknownNameError
from envs.reading.checks import flag, number, whole

FIT = "fit"
MOST = 10**12
HOTTEST = 100.0


@dataclass(frozen=True, kw_only=True)
class QueryOptions:
    """Settings of the queries of a classifier.

    Args:
        cache: keep the predictions: a row that was queried before is not queried again, and not counted.
        repeat: query each row this many times and average the predictions, for a noisy classifier; all of them are counted.
        retries: call a classifier that raised an error again, at most this many times, after 0.5 s, 1 s, 2 s and so on, at
            most 30 s; the rows of failed calls are counted, too.
        batch_size: maximum number of rows in a call; None: as many as there are.
        budget: maximum number of queries since the world was built. The next call beyond it raises `QueryBudgetError`;
            commands save what they have found. None: no limit.
        temperature: calibrate the probabilities p to p^(1/T), normalised; the predicted class stays. ``fit``: T is fitted to
            the true classes of the reference rows. A number is T itself, from 0.01 to 100. None: no calibration.

    Raises:
        ManifoldError: a value that the option cannot have.

    Example:
        >>> from envs import make_world
        >>> world = make_world(data="iris", query={"cache": True, "batch_size": 100}, progress=False)
        >>> world.classifier.options.batch_size
        100
    """

    cache: bool = False
    repeat: int = 1
    retries: int = 0
    batch_size: int | None = None
    budget: int | None = None
    temperature: float | str | None = None

    def __post_init__(self) -> None:
        flag(self.cache, "query: cache")
        whole(self.repeat, "query: repeat", 1, 10_000)
        whole(self.retries, "query: retries", 0, 100)
        for name in ("batch_size", "budget"):
            if (value := getattr(self, name)) is not None:
                whole(value, f"query: {name}", 1, MOST)
        if isinstance(self.temperature, str) and self.temperature != FIT:
            try:
                object.__setattr__(self, "temperature", float(self.temperature))
            except ValueError:
                raise ManifoldError(f"query: temperature is 'fit' or a number, not {self.temperature!r}") from None
        if self.temperature is not None and self.temperature != FIT:
            number(self.temperature, "query: temperature", 1 / HOTTEST, HOTTEST)

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """The options of a mapping.

        Raises:
            UnknownNameError, ManifoldError: an unknown option, or a value that it cannot have.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in settings:
            if name not in known:
                raise UnknownNameError("query option", name, known)
        return cls(**settings)

    def settings(self) -> dict[str, Any]:
        """The options that differ from their defaults."""
        found = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in found.items() if value != getattr(type(self), name)}
