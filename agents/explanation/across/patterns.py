"""Patterns: what paths from one class to another have in common.

A part counts once for each path that arrived. With contributions, the parts are those that the headline names, and the part
that is worth most *decides*; without, all changed parts count.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.explanation.alternatives.changes import by_columns
from agents.explanation.metrics.bootstrap import Estimate, share

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory

MOST_PHRASES = 8  # of a pair of classes
MOST_COLUMNS = 12
FEWEST = 2  # paths of a pair of classes that make a pattern


@dataclass(frozen=True)
class ColumnPattern:
    """How one column of a table changes on the paths of a pair of classes.

    Attributes:
        name: of the column.
        changed: number of paths on which it changes.
        decides: number of paths on which it is worth most; None where contributions were not computed.
        usual: of numbers the median change, else the most frequent one, in the user's units.

    Example:
        >>> ColumnPattern("age", 3, 1, "+4").decides
        1
    """

    name: str
    changed: int
    decides: int | None
    usual: str


@dataclass(frozen=True)
class Pattern:
    """What the paths of one pair of classes have in common.

    Attributes:
        source, target: names of the classes.
        count: paths that arrived.
        failed: paths that did not.
        phrases: what changes, and on how many paths.
        columns: of a table, those that decide most often first.
        means: of pictures (H, W): mean input, mean end and mean difference; empty for other data.

    Example:
        >>> Pattern("4", "9", 50, 0, [("the top loop is closed", 31)]).sentence
        'From 4 to 9, in 31 of 50 paths: the top loop is closed.'
    """

    source: str
    target: str
    count: int
    failed: int
    phrases: list[tuple[str, int]] = field(default_factory=list)
    columns: list[ColumnPattern] = field(default_factory=list)
    means: list[np.ndarray] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """The most frequent change."""
        if not self.count:
            return f"From {self.source} to {self.target}: none of {self.failed} paths arrived."
        if not self.phrases:
            return f"From {self.source} to {self.target}: no change occurs on two of {self.count} paths."
        words, count = self.phrases[0]
        return f"From {self.source} to {self.target}, in {count} of {self.count} paths: {words}."

    def share(self, count: int) -> Estimate:
        """A number of the paths as a share, with its Wilson interval."""
        return share(count, self.count)

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures in JSON's types."""
        columns = [{"name": c.name, "changed": c.changed, "decides": c.decides, "usual": c.usual} for c in self.columns]
        phrases = [{"words": words, **self.share(count).as_dict(), "count": count} for words, count in self.phrases]
        pair = {"from": self.source, "to": self.target, "paths": self.count, "failed": self.failed}
        return {**pair, "phrases": phrases, "columns": columns}


def patterns(paths: Sequence[Trajectory], world: Any) -> list[Pattern]:
    """The patterns of many paths, one for each pair of classes with at least two of them; no query is made.

    Args:
        paths: of any inputs. Those that did not arrive are counted, and left out of the patterns; so are further paths of the
            same input (`Trajectory.scenario`).
        world: where they were walked.

    Returns:
        The pairs with most paths first.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> world = make_world()
        >>> found = patterns(explain(world, range(20), walker="line"), world)
        >>> found[0].source, found[0].target, found[0].count
        ('setosa', 'versicolor', 7)
    """
    from agents.explanation.contributions.compute import explained_class
    from agents.explanation.report.groups import grouped

    pairs: dict[tuple[str, str], list[Trajectory]] = defaultdict(list)
    for first, *_ in grouped(paths):
        path = paths[first]
        pairs[path.class_names[path.source], path.class_names[explained_class(path)]].append(path)
    found = [_pattern(world, *pair, group) for pair, group in pairs.items() if len(group) >= FEWEST]
    return sorted(found, key=lambda pattern: (-pattern.count, pattern.source, pattern.target))


def _pattern(world: Any, source: str, target: str, group: list[Trajectory]) -> Pattern:
    from agents.explanation.figures.renderer import renderer_of

    arrived = [path for path in group if path.success and path.steps]
    phrased = [_phrases(path, world) for path in arrived]
    counts = Counter(phrase for phrases in phrased for phrase in dict.fromkeys(words for _, words in phrases))
    most = [(words, count) for words, count in counts.most_common(MOST_PHRASES) if count >= FEWEST]
    failed = len(group) - len(arrived)
    columns = _columns(arrived, world) if by_columns(world) and arrived else []
    means = _means(arrived, world) if renderer_of(world).shows_pictures and arrived else []
    return Pattern(source, target, len(arrived), failed, most, columns, means)


def _phrases(path: Trajectory, world: Any) -> list[tuple[str, str]]:
    """Name and phrase of each part that counts, the one that is worth most first. Numbers rise or fall, in any amount."""
    from agents.explanation.contributions.compute import changed_parts
    from agents.explanation.headline import named_parts

    known = path.saved_contributions
    if known is None:
        parts = [(name, name, change) for name, change in changed_parts(path, world)]
    else:
        columns = [str(name) for name in world.units.columns or []]
        parts = [(columns[p.where["column"]] if "column" in p.where else p.name, p.name, p.change) for p in named_parts(known)]
    moves = _moves(path, world) if by_columns(world) else {}
    found = []
    for key, name, change in parts:
        plain = re.sub(r" \(\d+\)$", "", name)
        same = re.sub(r"\b(rises?|falls?) by \S+$", r"\1", change)  # of series, whatever the amount
        found.append((key, f"{plain} {moves.get(key, same)}"))
    return found


def _moves(path: Trajectory, world: Any) -> dict[str, str]:
    """Column -> ``rises`` or ``falls`` for numbers, ``changes`` for hidden columns; the others keep their own words."""
    from agents.explanation.figures.table_cells import directions

    frames, hidden = path.frames(world), path.hidden or {}
    moved = directions(world, frames[[0, -1]], path.factual(world))[:, -1]
    names = [str(name) for name in world.units.columns]
    words = {1: "rises", -1: "falls"}
    return {name: "changes" if name in hidden else words[int(way)] for name, way in zip(names, moved, strict=True)
            if way or name in hidden}  # fmt: skip


def _columns(arrived: list[Trajectory], world: Any) -> list[ColumnPattern]:
    """The columns that change, those that decide most often first."""
    from agents.explanation.figures.style import row_values
    from agents.explanation.figures.table_cells import changed_cells

    names = [str(name) for name in world.units.columns]
    changed: Counter[str] = Counter()
    changes: dict[str, list[Any]] = defaultdict(list)
    decides: Counter[str] = Counter()
    for path in arrived:
        frames, factual = path.frames(world), path.factual(world)
        before, after = (row_values(world, frames[k], factual) for k in (0, -1))
        for name in np.array(names, dtype=object)[changed_cells(world, frames[[0, -1]], factual)[:, -1]]:
            changed[name] += 1
            if name not in (path.hidden or ()):
                pair = before[name], after[name]
                numbers = all(isinstance(value, int | float | np.number) for value in pair)
                changes[name].append(float(pair[1]) - float(pair[0]) if numbers else f"{pair[0]} → {pair[1]}")
        known = path.saved_contributions
        if known is not None and known.parts:
            sign = 1 if known.total >= 0 else -1  # a score may fall
            decides[names[max(known.parts, key=lambda part: sign * part.value).where["column"]]] += 1
    counted = all(path.saved_contributions is not None for path in arrived)
    found = [ColumnPattern(name, n, decides[name] if counted else None, _usual(changes[name])) for name, n in changed.items()]
    return sorted(found, key=lambda c: (-(c.decides or 0), -c.changed, c.name))[:MOST_COLUMNS]


def _usual(changes: list[Any]) -> str:
    """The median of numbers, if most are; else the most frequent of the other changes, with its count where it is not all."""
    numbers = [change for change in changes if not isinstance(change, str)]
    others = Counter(change for change in changes if isinstance(change, str))
    if not changes:
        return "(hidden)"
    if len(numbers) * 2 >= len(changes):
        return f"{float(np.median(numbers)):+.4g}"
    words, count = others.most_common(1)[0]
    return words if count == len(changes) else f"{words} ({count} of {len(changes)})"


def _means(arrived: list[Trajectory], world: Any) -> list[np.ndarray]:
    from agents.explanation.figures.style import plane

    inputs = np.mean([plane(path.source_input) for path in arrived], axis=0)
    ends = np.mean([plane(path.frames(world)[-1]) for path in arrived], axis=0)
    return [inputs, ends, ends - inputs]


def pattern_lines(found: Sequence[dict[str, Any]], most: int = 3) -> list[str]:
    """The patterns, as `Pattern.to_json` gives them, for a terminal: one line a pair of classes, with so many phrases."""
    lines = []
    for one in found:
        parts = [f"{phrase['words']} in {phrase['count']}" for phrase in one["phrases"][:most]]
        failed = f", {one['failed']} did not arrive" if one["failed"] else ""
        what = "; ".join(parts) or "no change in common"
        lines.append(f"from {one['from']} to {one['to']}, of {one['paths']} paths{failed}: {what}")
    return lines
