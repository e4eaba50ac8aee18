"""How a path presents itself: its plot, its table of frames, its data frame and its HTML."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.explanation.figures.path import draw_curves, film_strip, probability_curves
from agents.explanation.figures.renderer import renderer_of
from agents.explanation.figures.style import pyplot_figure
from agents.explanation.sentences import heading
from agents.redaction import SHOWN
from envs.modalities.alignment import edit_distance
from envs.modalities.data_frame import as_pandas

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
    if world is None or not renderer_of(path).has_columns:
        return rows
    data = rows_in_user_units(world, [path], [path.frames(world)])
    data.index = rows.index
    clash = {name: f"path_{name}" for name in rows.columns if name in data.columns}
    whole = pandas.concat([data, rows.rename(columns=clash)], axis=1)
    whole.attrs = data.attrs
    return whole


def table(path: Trajectory) -> list[dict[str, Any]]:
    """See `Trajectory.table`."""
    along = np.concatenate([[0.0], np.cumsum(path.step_lengths, dtype=np.float64)])
    rows = []
    for t, predicted in enumerate(path.predicted):
        row: dict[str, Any] = {"frame": t, "class": path.class_names[predicted]}
        if path.scores is not None:
            row["score"] = float(path.scores[t])
        elif path.predictions is not None:
            row |= {
                "p_target": float(path.predictions[t, path.target]),
                "p_source": float(path.predictions[t, path.source]),
            }
        row |= {
            "step_length": _number(path.step_lengths, t - 1),
            "path_length": float(along[t]),
            "distance": _number(path.distances, t),
            "typicality": _number(path.typicality, t),
            "reward": _number(path.rewards, t - 1),
            "information_gain": _number(path.information_gain, t - 1),
        }
        if path.texts is not None:
            row["edit_distance"] = edit_distance(path.texts[0], path.texts[t + 1])
        rows.append(row)
    return rows


def rows_in_user_units(world: Any, paths: Sequence[Trajectory], frames: Sequence[np.ndarray]) -> Any:
    """A data frame of the frames (n, *data) of each path through a table, in the user's own units, one after the other.

    Cells that did not move are those of the input, bit for bit.
    """
    import torch

    cells = [
        world.units.exact(torch.from_numpy(np.array(part)), path.factual(world))
        for path, part in zip(paths, frames, strict=True)
    ]
    found = as_pandas(world.units.as_frame(torch.cat(cells)))
    found.attrs |= {"units": world.units.units_of_measure, "descriptions": world.units.descriptions}
    for name in {name for path in paths for name in path.hidden or ()}:
        label = found.columns[list(world.units.columns).index(name)]
        mask = np.repeat([name in (path.hidden or ()) for path in paths], [len(part) for part in frames])
        found[label] = found[label].astype(object).where(~mask, SHOWN)
    return found


def ends_to_pandas(paths: Sequence[Trajectory], world: Any, index: Sequence[Any] | None = None) -> Any:
    """See `agents.explainer.Explainer.paths_to_pandas`; `world` is that of paths that do not know their own."""
    pandas = require_pandas()
    places = [k if path.position is None else path.position for k, path in enumerate(paths)]
    rows = [place if path.row is None else path.row for path, place in zip(paths, places, strict=True)]
    keys = rows if index is None else [index[place] for place in places]
    found = pandas.DataFrame(
        {
            "from": [path.class_names[path.source] for path in paths],
            "to": [path.class_names[path.predicted[-1]] for path in paths],
            **_scores_of(paths),
            "success": [path.success for path in paths],
            "steps": [path.steps for path in paths],
            "distance": [np.nan if path.distances is None else float(path.distances[-1]) for path in paths],
            "queries": [path.queries for path in paths],
        },
        index=keys,
    )
    if any(path.scenario for path in paths):
        found.insert(0, "scenario", [path.scenario for path in paths])
    if paths and paths[0].texts is not None:
        found.insert(0, "text", [path.texts[-1] for path in paths])  # type: ignore[index]
    if paths and renderer_of(paths[0]).has_columns:
        world = world if paths[0].world is None else paths[0].world
        ends = rows_in_user_units(world, paths, [path.frames(world)[-1:] for path in paths])
        ends.index = found.index
        found = found.rename(columns={name: f"path_{name}" for name in found.columns if name in ends.columns})
        found = pandas.concat([ends, found], axis=1)
        found.attrs = ends.attrs
    return found


def _scores_of(paths: Sequence[Trajectory]) -> dict[str, list[float]]:
    """The scores of frame 0 and of the end, for a model that has one."""
    along = [path.scores for path in paths]
    if not along or any(scores is None for scores in along):
        return {}
    return {"score_from": [float(s[0]) for s in along], "score_to": [float(s[-1]) for s in along]}  # type: ignore[index]


def html(path: Trajectory) -> str:
    """See `Trajectory._repr_html_`. Every text is escaped."""
    from agents.explanation.report.player import player

    image = probability_curves(path) if path.world is None else film_strip(path, path.world)
    rows = path.table()[:MOST_ROWS]
    shown = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    head = "".join(f"<th>{escape(path.column_title(name))}</th>" for name in shown)
    body = "".join("<tr>" + "".join(f"<td>{_cell(row[name])}</td>" for name in shown) + "</tr>" for row in rows)
    more = f"<p>... and {len(path.z) - MOST_ROWS} more frames</p>" if len(path.z) > MOST_ROWS else ""
    picture = f'<img alt="{escape(heading(path))}" src="data:image/png;base64,{base64.b64encode(image).decode()}">'
    frames = f"{picture}<table><tr>{head}</tr>{body}</table>{more}"
    if path.world is None:
        return f"<div><p>{escape(path.summary())}</p>{frames}</div>"
    return f"<div>{player(path, path.world)}<details><summary>{escape(path.summary())}</summary>{frames}</details></div>"


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else escape(str(value))


def _number(values: np.ndarray | None, t: int) -> float | None:
    """values[t]; None before the first, where nothing was measured, or for nan."""
    return None if values is None or t < 0 or np.isnan(values[t]) else float(values[t])


def measures_to_pandas(found: dict[str, dict[str, Any]]) -> Any:
    """The measures of `agents.evaluate.evaluate` as a ``pandas.DataFrame``: one row per measure, one column per walker."""
    numbers = {
        walker: {
            name: getattr(value, "value", value) for name, value in measures.items() if not isinstance(value, list | dict)
        }
        for walker, measures in found.items()
    }
    return require_pandas().DataFrame(numbers)
