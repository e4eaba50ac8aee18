"""Paths in the terminal: changes against the input, contributions that add up, 80 columns."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from agents.explanation.contributions import Contributions, Part
from agents.explanation.figures.terminal import BAR, PathScreen, contribution_table
from agents.trajectories.shown import Shown
from agents.trajectories.trajectory import Trajectory
from envs.core.world import World
from tests.agents.explanation.figures.kinds import KINDS


def printed(thing: object) -> list[str]:
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(thing)
    return console.export_text().splitlines()


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_fits_eighty_columns(walked: dict[str, tuple[World, Trajectory]], kind: str) -> None:
    world, path = walked[kind]
    screen = PathScreen(path, world, Console(width=80, file=io.StringIO()))
    lines = printed(screen.frame(path.steps))
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)


def test_a_picture_s_changes_since_the_input_stand_beside_it(walked: dict[str, tuple[World, Trajectory]]) -> None:
    world, path = walked["digits"]
    text = "\n".join(printed(PathScreen(path, world, Console(width=80, file=io.StringIO())).frame(path.steps)))
    assert "++" in text
    assert "--" in text


def test_contributions_are_bars_that_begin_where_the_last_one_ended() -> None:
    long = "a very long name of a column " * 3
    parts = [Part("age", "30 → 40", {"column": 0}, 0.5, 0.02), Part(long, "1 → 2", {"column": 1}, -0.2, 0)]
    found = Contributions(parts, 1, 0.2, 0.5, 0.8, 4, [-1, 3], 4, True, 0)
    lines = printed(contribution_table(found, "rich"))
    assert max(map(len, lines)) <= 80
    first, second, whole = (line for line in lines if "·" in line)
    assert first.count("█") == round(0.7 * BAR) - round(0.2 * BAR)
    assert "▒" in second  # what lowers the probability looks different without colours, too
    assert second.rindex("▒") == first.rindex("█")
    assert "+0.50 ±0.02" in first
    assert whole.rstrip().endswith("+0.30")


def test_a_change_that_rounds_to_nothing_lowers_nothing() -> None:
    shown = Shown(np.zeros(1), "p(9)")
    assert [shown.change(value) for value in (-0.001, 0.001, -0.006)] == ["+0.00", "+0.00", "-0.01"]
