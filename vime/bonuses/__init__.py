"""Bonuses by name. A new one is a new file here and one line in the table."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from gymnasium import spaces

if TYPE_CHECKING:
    from vime.bonuses.base import Bonus

_TABLE = {
    "vime": "vime.bonuses.vime:VIME",
    "bald": "vime.bonuses.bald:BALD",
    "l2": "vime.bonuses.l2:L2Error",
    "rnd": "vime.bonuses.rnd:RND",
    "disagreement": "vime.bonuses.disagreement:Disagreement",
    "knn": "vime.bonuses.knn:KNN",
}


class _Bonuses(Mapping[str, "type[Bonus]"]):
    """name -> class, each loaded when it is first looked up."""

    def __getitem__(self, name: str) -> type[Bonus]:
        module, attribute = _TABLE[name].split(":")
        found: type[Bonus] = getattr(importlib.import_module(module), attribute)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(_TABLE)

    def __len__(self) -> int:
        return len(_TABLE)


BONUSES: Mapping[str, type[Bonus]] = _Bonuses()


def make_bonus(
    name: str, observation_space: spaces.Space[Any], action_space: spaces.Space[Any], **options: Any
) -> Bonus:
    """The bonus called ``name``: vime, bald, l2, rnd, disagreement or knn; ``options`` go to its constructor.

    ValueError, with close names offered, for a name that is not in the table.
    """
    if name not in _TABLE:
        close = difflib.get_close_matches(str(name), _TABLE, n=2, cutoff=0.4)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        raise ValueError(f"no bonus is called {name!r}{hint} The table has {', '.join(_TABLE)}")
    return BONUSES[name](observation_space, action_space, **options)
