"""Cells of a table."""

from __future__ import annotations

import numpy as np
import pytest

from agents.explanation.figures import table as figures_table
from agents.explanation.figures.renderer import renderer_of
from agents.trajectories.trajectory import Trajectory
from agents.trajectories.world import decode
from envs.core.world import World


def test_table_cells_are_in_the_user_s_units_and_marked_by_what_changed(
    walked: dict[str, tuple[World, Trajectory]],
) -> None:
    world, path = walked["table"]
    names, texts = figures_table.row_texts(world, [path.source_input])
    raw = world.units.outward(world.held_out.x[path.index or 0])
    assert [float(t) for t in texts[:, 0]] == pytest.approx(np.asarray(raw).ravel().tolist(), abs=0.006)
    assert names == list(world.units.columns)
    frames = decode(world, path.z, path.factual(world))
    changed = figures_table.changed_cells(world, np.stack([frames[0], frames[0], frames[-1]]))
    assert not changed[:, :2].any()
    assert changed[:, 2].any()
    against_input = figures_table.changed_cells(world, frames, path.factual(world))
    assert not against_input[:, 0].any()  # frame 0 is the input
    assert (against_input[:, -1] >= changed[:, 2]).all()


@pytest.mark.parametrize(("more", "said"), [(1, "and 1 more column"), (2, "and 2 more columns")])
def test_columns_that_are_left_out_are_counted(more: int, said: str) -> None:
    names = [str(n) for n in range(2 + more)]
    lines = figures_table._lines(names, np.array(names), np.zeros(len(names), bool), np.arange(2))
    assert list(lines.columns[1].cells)[-1].plain == said


def test_of_many_columns_the_terminal_shows_those_that_change(
    monkeypatch: pytest.MonkeyPatch, walked: dict[str, tuple[World, Trajectory]]
) -> None:
    world, path = walked["table"]
    frames, names = path.frames(world), list(world.units.columns)
    changed = np.zeros((len(names), len(frames)), bool)
    changed[2, -1] = True
    monkeypatch.setattr(figures_table, "changed_cells", lambda *_: changed)
    monkeypatch.setattr(figures_table, "MOST_LINES", len(names) - 1)
    bodies = renderer_of(path).terminal_bodies(path, world, frames, False)
    for body in bodies:
        assert [cell.plain for cell in body.columns[1].cells] == [names[2], f"and {len(names) - 1} more columns"]
    monkeypatch.setattr(figures_table, "MOST_LINES", len(names))
    bodies = renderer_of(path).terminal_bodies(path, world, frames, False)
    assert [cell.plain for cell in bodies[0].columns[1].cells] == names
