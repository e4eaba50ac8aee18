"""Cells of a table."""

from __future__ import annotations

import numpy as np
import pytest

from agents.explanation.figures import table as figures_table
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
    names = [str(n) for n in range(figures_table.MOST_LINES + more)]
    lines = figures_table._lines(names, np.array(names), np.zeros(len(names), bool))
    assert list(lines.columns[1].cells)[-1].plain == said
