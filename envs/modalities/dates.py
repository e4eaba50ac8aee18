"""Dates and durations as numbers of a unit, and back to what the user has: texts, dates, times, and those of numpy and pandas.

The number of a date is its time since 1970-01-01 (UTC, if it has a time zone). Values have whole microseconds.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from envs.errors import ManifoldError

#: Unit -> its microseconds.
UNITS = {"seconds": 10**6, "minutes": 6 * 10**7, "hours": 36 * 10**8, "days": 864 * 10**8, "weeks": 6048 * 10**8}
DEFAULT = "days"
EPOCH = datetime.datetime(1970, 1, 1)
TICK = datetime.timedelta(microseconds=1)
ISO = "write dates as 2024-03-01 or 2024-03-01 12:30:00, all in one form"
DURATION = re.compile(
    r"(?=.)(?:([+-]?\d+) days?(?:, ?| )?)?(?:\+?(-?)(\d{1,4}):(\d\d):(\d\d(?:\.\d{1,6})?))?"
)  # as Python and pandas print it


def is_missing(value: Any) -> bool:
    """Whether a value stands for no date: None, NaN, NaT or an empty text."""
    return value is None or (isinstance(value, str) and not value.strip()) or bool(value != value)


def microseconds(value: Any) -> int:
    """Microseconds of a date since 1970-01-01, or of a duration.

    Raises:
        ValueError: it is neither, or has a part below a microsecond.
    """
    if isinstance(value, np.datetime64 | np.timedelta64):
        kind = "datetime64" if isinstance(value, np.datetime64) else "timedelta64"
        ticks = value.astype(f"{kind}[us]")
        if ticks != value:
            raise ValueError("it has a part below a microsecond")
        return int(ticks.astype(np.int64))
    if getattr(value, "nanosecond", 0) or getattr(value, "nanoseconds", 0):
        raise ValueError("it has a part below a microsecond")
    if isinstance(value, str):
        value = duration(value) if DURATION.fullmatch(value.strip()) else datetime.datetime.fromisoformat(value)
    if isinstance(value, datetime.timedelta):
        return value // TICK
    if isinstance(value, datetime.datetime):
        return (value - EPOCH.replace(tzinfo=None if value.tzinfo is None else datetime.UTC)) // TICK
    if isinstance(value, datetime.date):
        return (datetime.datetime.combine(value, datetime.time()) - EPOCH) // TICK
    raise ValueError("it is not a date")


def duration(text: str) -> datetime.timedelta:
    """A duration as Python and pandas print it.

    Example:
        >>> duration("2 days 03:00:00").total_seconds(), duration("-1 days +23:00:00").total_seconds()
        (183600.0, -3600.0)
    """
    days, sign, *clock = DURATION.fullmatch(text.strip()).groups()  # type: ignore[union-attr]
    hours, minutes, seconds = (Fraction(part or 0) for part in clock)
    ticks = (hours * 3600 + minutes * 60 + seconds) * UNITS["seconds"] * (-1 if sign else 1)
    return int(ticks) * TICK + datetime.timedelta(int(days or 0))


def number_of(value: Any, unit: str) -> float:
    """The number of a date or duration; NaN if it is missing.

    Raises:
        ValueError: see `microseconds`.
    """
    return math.nan if is_missing(value) else microseconds(value) / UNITS[unit]


def numbers_of(values: Sequence[Any], unit: str, name: str, where: Callable[[int], str]) -> np.ndarray:
    """The numbers (N,), float64, of a column of dates.

    Raises:
        ManifoldError: a value that is not a date; the message says where.
    """
    found = np.empty(len(values))
    for row, value in enumerate(values):
        try:
            found[row] = number_of(value, unit)
        except (ValueError, TypeError, OverflowError) as error:
            why = ISO if isinstance(value, str) else error
            raise ManifoldError(f"{where(row)}, column {name!r}: {value!r} is not a date or duration ({why})") from None
    return found


def iso(number: float, unit: str) -> str:
    """A number as an ISO date, with the time if it has one."""
    when = EPOCH + round(number * UNITS[unit]) * TICK
    return when.date().isoformat() if when.time() == datetime.time() else when.isoformat(" ")


@dataclass(frozen=True)
class Calendar:
    """How the dates of a column are written.

    Attributes:
        unit: A key of `UNITS`.
        step: Microseconds that all of the user's dates are a multiple of: a day, a second or one.
        back: From microseconds to a value of the user's kind.

    Example:
        >>> calendar = Calendar.of(["2024-03-01", "2024-05-17"], "days", "joined")
        >>> calendar.value(number_of("2024-03-01", "days") + 7.2)
        '2024-03-08'
    """

    unit: str
    step: int
    back: Callable[[int], Any]

    @classmethod
    def of(cls, values: Sequence[Any], unit: str, name: str) -> Calendar:
        """The calendar of a column's values.

        Raises:
            ManifoldError: values of several kinds, or texts in several forms.
        """
        known = [value for value in values if not is_missing(value)]
        if not known:
            raise ManifoldError(f"column {name!r} holds no date; describe it as kind: ignore")
        ticks = [microseconds(value) for value in known]
        if any(isinstance(value, str) and DURATION.fullmatch(value.strip()) for value in known):
            raise ManifoldError(f"column {name!r} holds durations as text: pass numbers, or timedeltas of a data frame")
        step = next(size for size in (UNITS["days"], UNITS["seconds"], 1) if all(tick % size == 0 for tick in ticks))
        back = _back(known[0])
        for value, tick in zip(known, ticks, strict=True):
            if type(value) is not type(known[0]) or back(tick) != value:
                raise ManifoldError(f"column {name!r} holds dates in several forms, {known[0]!r} and {value!r}: {ISO}")
        return cls(unit, step, back)

    def value(self, number: float) -> Any:
        """The user's kind of value for a number, at the user's resolution."""
        if self.step == 1:  # exactly: the product of floats would be off by a microsecond
            return self.back(round(Fraction(number) * UNITS[self.unit]))
        return self.back(round(number * UNITS[self.unit] / self.step) * self.step)

    def shown(self, number: float) -> str:
        """A number for people."""
        value = self.value(number)
        if hasattr(value, "days") or isinstance(value, str):
            return str(value)
        return iso(microseconds(value) / UNITS[self.unit], self.unit)


def _back(example: Any) -> Callable[[int], Any]:
    """From microseconds to values like the example."""
    kind = type(example)
    if isinstance(example, np.datetime64 | np.timedelta64):
        name = "datetime64" if isinstance(example, np.datetime64) else "timedelta64"
        unit = np.datetime_data(example.dtype)[0]
        return lambda ticks: kind(ticks, "us").astype(f"{name}[{unit}]")
    if isinstance(example, str):
        zone = datetime.datetime.fromisoformat(example).tzinfo
        if "-" in example and len(example) == 10:
            return lambda ticks: (EPOCH + ticks * TICK).date().isoformat()
        fine = "microseconds" if "." in example else "seconds" if example.count(":") > 1 else "minutes"
        between = example[10:11]
        start = EPOCH if zone is None else EPOCH.replace(tzinfo=datetime.UTC).astimezone(zone)
        return lambda ticks: (start + ticks * TICK).isoformat(between, fine)
    if isinstance(example, datetime.timedelta):
        return lambda ticks: kind(0) + ticks * TICK if kind is datetime.timedelta else kind(ticks, "us")
    if isinstance(example, datetime.datetime):
        zone = example.tzinfo
        if kind is not datetime.datetime:  # a Timestamp of pandas
            return lambda ticks: kind(ticks, unit="us", tz=zone)
        if zone is None:
            return lambda ticks: EPOCH + ticks * TICK
        return lambda ticks: (EPOCH.replace(tzinfo=datetime.UTC) + ticks * TICK).astimezone(zone)
    return lambda ticks: (EPOCH + ticks * TICK).date()
