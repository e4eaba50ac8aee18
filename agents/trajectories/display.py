"""How a path presents itself in a notebook: its plot, its data frame and its HTML."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.explanation.figures.path import draw_curves, film_strip, probability_curves
from agents.explanation.figures.style import pyplot_figure
from agents.explanation.sentences import heading

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory

NEEDS_PANDAS = "a data frame needs pandas, which is not installed: python -m pip install pandas"
MOST_ROWS = 12  # frames in the HTML table


def require_pandas() -> Any:
    """The module pandas, which is an optional dependency.

    Raises:
        ImportError: it is not installed; the message says how to install it.
    """
    try:
        import pandas
    except ImportError:
        raise ImportError(NEEDS_PANDAS) from None
    return pandas


def plot(path: Trajectory, ax: Any = None) -> Any:
    """See `Trajectory.plot`."""
    axes = pyplot_figure(5.2, 2.9).add_subplot() if ax is None else ax
    draw_curves(axes, path)
    axes.set_xlabel("frame", fontsize=8.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    return axes


def to_pandas(path: Trajectory, world: Any = None) -> Any:
    """See `Trajectory.to_pandas`."""
    pandas = require_pandas()
    rows = pandas.DataFrame(path.table()).set_index("frame")
    if path.texts is not None:
        rows.insert(0, "text", path.texts[1:])
    world = path.world if world is None else world
    if world is None or path.modality != "table":
        return rows
    data = rows_in_user_units(world, [path], [path.frames(world)])
    data.index = rows.index
    clash = {name: f"path_{name}" for name in rows.columns if name in data.columns}
    return pandas.concat([data, rows.rename(columns=clash)], axis=1)


def rows_in_user_units(world: Any, paths: Sequence[Trajectory], frames: Sequence[np.ndarray]) -> Any:
    """A data frame of the frames (n, *data) of each path through a table, in the user's own units, one after the other.

    Cells that did not move are those of the input, bit for bit.
    """
    import torch

    cells = [
        world.units.exact(torch.from_numpy(np.array(part)), path.factual(world))
        for path, part in zip(paths, frames, strict=True)
    ]
    return world.units.as_frame(torch.cat(cells))


def html(path: Trajectory) -> str:
    """See `Trajectory._repr_html_`. Every text is escaped."""
    from agents.explanation.report.player import player

    image = probability_curves(path) if path.world is None else film_strip(path, path.world)
    rows = path.table()[:MOST_ROWS]
    shown = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in shown)
    body = "".join("<tr>" + "".join(f"<td>{_cell(row[name])}</td>" for name in shown) + "</tr>" for row in rows)
    more = f"<p>... and {len(path.z) - MOST_ROWS} more frames</p>" if len(path.z) > MOST_ROWS else ""
    picture = f'<img alt="{escape(heading(path))}" src="data:image/png;base64,{base64.b64encode(image).decode()}">'
    frames = f"{picture}<table><tr>{head}</tr>{body}</table>{more}"
    if path.world is None:
        return f"<div><p>{escape(path.summary())}</p>{frames}</div>"
    return f"<div>{player(path, path.world)}<details><summary>{escape(path.summary())}</summary>{frames}</details></div>"


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else escape(str(value))
