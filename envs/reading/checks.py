"""Checks of single values, whether a command line, a call or a file gave them; each error names the value and its limits."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from envs.errors import ManifoldError

Error = type[ValueError]
LARGEST_SEED = 2**32 - 1


def whole(value: Any, name: str, low: float | None = None, high: float | None = None, *, error: Error = ManifoldError) -> int:
    """A whole number from `low` to `high` (Python's or numpy's); 3.0 and true are none."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise error(f"{name} is {_shown(value)}; a whole number{_between(low, high)} is needed")
    plain = int(value)
    if (low is not None and plain < low) or (high is not None and plain > high):
        raise error(f"{name} is {_shown(plain)}; a whole number{_between(low, high)} is needed")
    return plain


def number(
    value: Any,
    name: str,
    low: float | None = None,
    high: float | None = None,
    *,
    above: bool = False,
    error: Error = ManifoldError,
) -> float:
    """A finite number from `low` to `high` (`above`: `low` itself is too little)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise error(f"{name} is {_shown(value)}; a number{_between(low, high, above)} is needed")
    if isinstance(value, numbers.Integral) and abs(int(value)) > 1e300:
        raise error(f"{name} is {_shown(value)}; a number{_between(low, high, above)} is needed")
    plain = float(value)
    small = low is not None and (plain <= low if above else plain < low)
    if not math.isfinite(plain) or small or (high is not None and plain > high):
        raise error(f"{name} is {_shown(value)}; a finite number{_between(low, high, above)} is needed")
    return plain


def flag(value: Any, name: str, *, error: Error = ManifoldError) -> bool:
    """True or false; 1, 0 and texts are neither."""
    if not isinstance(value, bool):
        raise error(f"{name} is true or false, not {_shown(value)}")
    return value


def seed(value: Any, name: str = "seed", *, error: Error = ManifoldError) -> int:
    """A seed: a whole number from 0 to 2^32 - 1, as every generator takes it."""
    return whole(value, name, 0, LARGEST_SEED, error=error)


def text(value: Any, name: str, *, error: Error = ManifoldError) -> str:
    """A text."""
    if not isinstance(value, str):
        raise error(f"{name} is a text, not {_shown(value)}")
    return value


def name_or_function(value: Any, name: str, *, error: Error = ManifoldError) -> Any:
    """A text that names something, or a function."""
    return value if callable(value) else text(value, name, error=error)


def texts(value: Any, name: str, *, error: Error = ManifoldError) -> list[str]:
    """A list of texts."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not all(isinstance(item, str) for item in value):
        raise error(f"{name} is a list of texts, not {_shown(value)}")
    return list(value)


def mapping(value: Any, name: str, *, error: Error = ManifoldError) -> dict[str, Any]:
    """A mapping with texts as keys."""
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise error(f"{name} is a mapping of names to values, not {_shown(value)}")
    return dict(value)


def _between(low: float | None, high: float | None, above: bool = False) -> str:
    """The limits in words."""
    least = "" if low is None else f" {'above' if above else 'of at least'} {low:,}"
    if high is None:
        return least
    return f" of at most {high:,}" if low is None else f"{least} and at most {high:,}"


def _shown(value: Any) -> str:
    """A value as messages show it, cut."""
    if isinstance(value, int) and abs(value) > 10**30:
        return "a number of more than 30 digits"
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


# -- settings of a world ------------------------------------------------------------------------------------------------


def weights(value: Any, name: str, *, error: Error = ManifoldError) -> dict[str, float]:
    """Weights of a reward: names to finite numbers."""
    return {key: number(item, f"{name}: {key}", error=error) for key, item in mapping(value, name, error=error).items()}


def share(value: Any, name: str, positive: bool, *, error: Error = ManifoldError) -> float:
    """A share of the class distance; 0 stands for no bound, unless it must be `positive`."""
    try:
        return number(value, name, 0, above=positive)
    except ManifoldError:
        allowed = "a positive share of the class distance" if positive else "a share of the class distance, 0 for no bound"
        raise error(f"{name} is {allowed}, not {_shown(value)}") from None


def sizes(value: Any, name: str, *, error: Error = ManifoldError) -> tuple[int, ...]:
    """The shape of an array: whole numbers of at least 1."""
    if not isinstance(value, Sequence) or isinstance(value, str) or not value:
        raise error(f"{name} is a list of whole numbers such as [28, 28], not {_shown(value)}")
    return tuple(whole(item, name, 1, LARGEST_SIZE, error=error) for item in value)


def names(value: Any, name: str, *, error: Error = ManifoldError) -> list[Any]:
    """A list of names: texts, numbers or booleans, as classes may be."""
    plain = getattr(value, "tolist", lambda: value)()
    if not isinstance(plain, Sequence) or isinstance(plain, str):
        raise error(f"{name} is a list of names such as ['no', 'yes'], not {_shown(value)}")
    for item in plain:
        if not isinstance(item, str | int | float | bool):
            raise error(f"{name} is a list of names, and {_shown(item)} is none")
    return list(plain)


def rows(value: Any, name: str, *, error: Error = ManifoldError) -> Any:
    """Rows or classes of rows: a list, an array or a data frame, not a single value."""
    single = (
        isinstance(value, str | Mapping | numbers.Number) or not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0
    )
    if single:
        raise error(f"{name} is a list or an array with an entry for each row, not {_shown(value)}")
    return value


def description(value: Any, name: str, *, error: Error = ManifoldError) -> Any:
    """Names of columns, or their description: a file or a mapping."""
    return value if isinstance(value, str | Mapping) else names(value, name, error=error)


def amounts(value: Any, name: str, *, error: Error = ManifoldError) -> tuple[float, ...]:
    """Finite numbers, one for each channel; a single one stands for all."""
    plain = getattr(value, "tolist", lambda: value)()
    if isinstance(plain, str | Mapping) or (isinstance(plain, Sequence) and not plain):
        raise error(f"{name} is a list of numbers, one for each channel, not {_shown(value)}")
    return tuple(number(item, name, error=error) for item in (plain if isinstance(plain, Sequence) else [plain]))


def interval(value: Any, name: str, *, error: Error = ManifoldError) -> tuple[float, float]:
    """Two finite numbers, the lower first."""
    plain = getattr(value, "tolist", lambda: value)()
    if not isinstance(plain, Sequence) or isinstance(plain, str) or len(plain) != 2:
        raise error(f"{name} is a list of two numbers such as [0, 255], not {_shown(value)}")
    low, high = (number(item, name, error=error) for item in plain)
    if low >= high:
        raise error(f"{name} is {_shown(value)}; give the lower number first")
    return low, high


LARGEST_SIZE = 10**9
LONGEST_WALK = 10**9
LARGEST_DISTRACTION = 1000
#: Settings of a world -> what checks a value; None stands for "not said" and is passed over.
WORLD_SETTINGS: dict[str, Callable[..., Any]] = {
    "data_dir": text,
    "modality": text,
    "held_out": rows,
    "truth": rows,
    "columns": description,
    "pixel_range": interval,
    "pixel_mean": amounts,
    "pixel_std": amounts,
    "class_names": names,
    "target_column": text,
    "text_column": text,
    "encoding": text,
    "data_shape": sizes,
    "input_shape": sizes,
    "label_only": flag,
    "latent_dim": partial(whole, low=1, high=LARGEST_SIZE),
    "basis_dim": partial(whole, low=1, high=LARGEST_SIZE),
    "tau": partial(number, low=0, high=1, above=True),
    "pair": partial(whole, low=0, high=LARGEST_SIZE),
    "reward": weights,
    "move": name_or_function,
    "step": partial(share, positive=True),
    "max_step": partial(share, positive=False),
    "guidance": flag,
    "gamma": partial(number, low=0, high=1, above=True),
    "max_episode_steps": partial(whole, low=1, high=LONGEST_WALK),
    "initial_latent": name_or_function,
    "slip": partial(number, low=0, high=1),
    "distractors": partial(whole, low=0, high=LARGEST_DISTRACTION),
    "loudness": partial(number, low=0, high=LARGEST_DISTRACTION),
    "seed": seed,
    "channels": text,
    "outputs": text,
    "goal": text,
    "spread": partial(number, low=0, above=True),
    "class_order": names,
    "check_rows": partial(whole, low=0, high=LARGEST_SIZE),
    "progress": flag,
}


def check_world_settings(settings: Mapping[str, Any]) -> None:
    """Refuse values that no world could have, whatever its data; names that are not known here are passed over.

    Raises:
        ManifoldError: naming the setting, the value and its limits.
    """
    for name, value in settings.items():
        if value is not None and name in WORLD_SETTINGS:
            WORLD_SETTINGS[name](value, name)
