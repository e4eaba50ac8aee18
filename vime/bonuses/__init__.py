"""Bonuses by name. To add one: a file in this folder and a line in the table, or ``module:object`` and neither."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vime.errors import OptionError, OptionTypeError

if TYPE_CHECKING:
    from gymnasium import spaces

    from vime.bonuses.base import Bonus

_TABLE = {
    "vime": "vime.bonuses.vime:VIME",
    "bald": "vime.bonuses.bald:BALD",
    "l2": "vime.bonuses.l2:L2Error",
    "rnd": "vime.bonuses.rnd:RND",
    "disagreement": "vime.bonuses.disagreement:Disagreement",
    "knn": "vime.bonuses.knn:KNN",
    "counts": "vime.bonuses.counts:Counts",
    "e3b": "vime.bonuses.e3b:E3B",
    "icm": "vime.bonuses.icm:ICM",
    "noveld": "vime.bonuses.noveld:NovelD",
}


class _Bonuses(Mapping[str, "type[Bonus]"]):
    """name -> class; a class is imported when it is first looked up."""

    def __getitem__(self, name: str) -> type[Bonus]:
        return _load(_TABLE[name])

    def __iter__(self) -> Iterator[str]:
        return iter(_TABLE)

    def __len__(self) -> int:
        return len(_TABLE)


BONUSES: Mapping[str, type[Bonus]] = _Bonuses()
"""The bonuses of this package by name."""


def bonus_class(bonus: str | type[Bonus]) -> type[Bonus]:
    """Find the class of a bonus.

    Args:
        bonus: A name in :data:`BONUSES`, ``package.module:object``, or a subclass of :class:`vime.Bonus`. The current folder
            is searched for modules too.

    Returns:
        The class.

    Raises:
        OptionError: Unknown name (close names are suggested), or an object that cannot be imported.
        OptionTypeError: The object is not a subclass of :class:`vime.Bonus`.

    Example:
        >>> from vime.bonuses import bonus_class
        >>> bonus_class("rnd").__name__, bonus_class("vime.bonuses.knn:KNN").__name__
        ('RND', 'KNN')
    """
    from vime.bonuses.base import Bonus

    found: Any = bonus
    if isinstance(bonus, str):
        if bonus not in _TABLE and ":" not in bonus:
            close = difflib.get_close_matches(bonus, _TABLE, n=2, cutoff=0.4)
            hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "."
            raise OptionError(
                f"no bonus is called {bonus!r}{hint} Known: {', '.join(_TABLE)}, or module:object for a class of your own"
            )
        found = _load(_TABLE.get(bonus, bonus))
    if not (isinstance(found, type) and issubclass(found, Bonus)):
        raise OptionTypeError(f"the bonus {bonus!r} is {found!r}, which is not a subclass of vime.Bonus")
    return found


def make_bonus(
    bonus: str | type[Bonus], observation_space: spaces.Space[Any], action_space: spaces.Space[Any], **options: Any
) -> Bonus:
    """Make a bonus.

    Args:
        bonus: A name in :data:`BONUSES`, ``module:object``, or a subclass of :class:`vime.Bonus`.
        observation_space: Of a single environment.
        action_space: Of a single environment.
        options: Arguments of the bonus's constructor.

    Raises:
        OptionError: Unknown name (close names are suggested), an object that cannot be imported, or an invalid option.
        OptionTypeError: The object is not a subclass of :class:`vime.Bonus`.

    Example:
        >>> import gymnasium as gym
        >>> import vime
        >>> env = gym.make("Pendulum-v1")
        >>> vime.make_bonus("rnd", env.observation_space, env.action_space, features=16).units
        'squared features'
    """
    return bonus_class(bonus)(observation_space, action_space, **options)


def _load(name: str) -> Any:
    """Import ``package.module:object``; the current folder is searched too, as ``python -m`` does."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise OptionError(f"{name!r} does not name an object; write package.module:object")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise OptionError(f"cannot load the bonus {name!r}: {error}; run from the folder that holds the module") from error
    return found


def __getattr__(name: str) -> Any:
    """``from vime.bonuses import RND``: the classes of the table, imported when first used."""
    for target in ("vime.bonuses.base:Bonus", *_TABLE.values()):
        if target.endswith(f":{name}"):
            return _load(target)
    raise AttributeError(f"module 'vime.bonuses' has no attribute {name!r}")
