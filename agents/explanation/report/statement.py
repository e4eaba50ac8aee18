"""What is said of a path: its headline, its badge, and the contributions of its parts as bars that add up."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agents.errors import UserError
from agents.explanation.badge.result import ALONE, FAILED, KINDS, UNUSUAL
from agents.explanation.headline import headline
from agents.trajectories.shown import Shown, shown_of
from agents.trajectories.trajectory import Trajectory

PROBABILITY = Shown(np.zeros(0), "p")
NOT_CHECKED = "not checked"
ORDER = (*KINDS[:1], NOT_CHECKED, *KINDS[1:])  # in which badges are sorted


@dataclass(frozen=True)
class Bar:
    """The contribution of one part, as a bar that begins where the one before it ends.

    Attributes:
        name: of the part, in the data's terms.
        value: its share of p(target) at the end less p(target) at the input.
        spread: of the value over the orders in which parts are switched.
        low, high: its ends on the axis from 0 to 1.

    Example:
        >>> Bar("age", 0.3, 0.01, 0.1, 0.4).raises
        True
    """

    name: str
    value: float
    spread: float
    low: float
    high: float

    @property
    def raises(self) -> bool:
        """Whether the part raises the target's probability."""
        return self.value >= 0


@dataclass(frozen=True)
class Statement:
    """The words and contributions of one card.

    Attributes:
        headline: one sentence.
        badge: its kind, see `agents.explanation.badge.result.Badge`, or ``not checked``.
        reasons: of the badge, failed checks first.
        bars: the contributions, the largest first; empty where none were computed.
        start, end: p(target) of the input and of the end, where there are bars.
        queries: that the contributions took.
        regions: (H, W) bool, the part of the picture that each bar is about; empty for tables and text.
        shown: what the bars divide, on an axis that holds all of them.

    Example:
        >>> Statement("Predicted 4.", "holds", []).slug
        'holds'
    """

    headline: str
    badge: str
    reasons: list[str]
    bars: list[Bar] = field(default_factory=list)
    start: float = 0.0
    end: float = 0.0
    queries: int = 0
    regions: list[np.ndarray] = field(default_factory=list)
    shown: Shown = PROBABILITY

    @property
    def slug(self) -> str:
        """The badge as a class of the page's style."""
        return self.badge.replace(" ", "-")

    @property
    def rank(self) -> int:
        """The place of the badge among all, the best first."""
        return ORDER.index(self.badge)

    @property
    def doubted(self) -> bool:
        """Whether a check of the end failed."""
        return self.badge in (UNUSUAL, ALONE)


def statement(path: Trajectory, world: Any) -> Statement:
    """What is said of a path, with the contributions and the badge that are saved with it.

    Args:
        path: the path. Without contributions, the headline names the changed parts without shares.
        world: where it was walked.
    """
    said, judged, found = headline(path, world=world), path.saved_badge, path.saved_contributions
    badge, reasons = (NOT_CHECKED, []) if judged is None else (judged.kind, judged.reasons)
    if found is None:
        return Statement(said, badge if judged or path.success else FAILED, reasons)
    parts = sorted(found.parts, key=lambda part: -abs(part.value))
    bars = waterfall([(part.words, part.value, part.spread) for part in parts], found.start)
    masks = [part.mask for part in parts if part.mask is not None]
    ends = [found.start, found.end, *(end for bar in bars for end in (bar.low, bar.high))]
    shown = (shown_of(path, found.explained) or PROBABILITY).over(ends)
    return Statement(said, badge, reasons, bars, found.start, found.end, found.queries, masks, shown)


def add_contributions(paths: Sequence[Trajectory], world: Any) -> int:
    """Compute the contributions of the paths that lack them, and keep them with the paths; too many parts are left without.

    Returns:
        The classifier queries that this took.
    """
    queries = 0
    for path in paths:
        if path.saved_contributions is None and path.steps > 0:
            with suppress(UserError):
                queries += path.contributions(world).queries
    return queries


def waterfall(parts: list[tuple[str, float, float]], start: float) -> list[Bar]:
    """Bars that add up from p(target) at the input to p(target) at the end, in this order.

    Args:
        parts: (name, value, spread) of each.
        start: p(target) at the input.

    Example:
        >>> [(bar.low, bar.high) for bar in waterfall([("hours", 0.5, 0.0), ("age", -0.25, 0.0)], 0.25)]
        [(0.25, 0.75), (0.5, 0.75)]
    """
    bars, reached = [], start
    for name, value, spread in parts:
        bars.append(Bar(name, value, spread, min(reached, reached + value), max(reached, reached + value)))
        reached += value
    return bars
