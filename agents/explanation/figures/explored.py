"""Figure of what an exploration visited: its codes on the map of the reference inputs, in the colours of the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.explanation.explored import Explored
from agents.explanation.figures.map import starts_map
from agents.explanation.figures.style import INK, figure_png, figure_svg, mathless, pyplot_figure
from agents.explanation.report.extras import Panel
from envs.gym.rendering import class_colour

TITLE = "What the exploration visited"
NOTE = (
    "Codes that the training queried, a sample, on the plane of the two principal directions of the reference inputs, in "
    "the colour of the predicted class. Grey: reference inputs."
)
DOTS = 4000


def explored_figure(
    found: Explored,
    world: Any,
    rings: np.ndarray | None = None,
    title: str = "",
    encode: Callable[[Any], bytes] = figure_png,
) -> bytes:
    """The map.

    Args:
        found: codes and answers.
        world: of the exploration.
        rings: (R, d) codes that are marked.
        title: above the map.
        encode: `figure_png` or `figure_svg`.
    """
    area = starts_map(world)
    figure = pyplot_figure(5.8, 4.8)
    axes = figure.add_axes((0.02, 0.02, 0.8, 0.88))
    home = area.places(np.asarray(world.reference.z))
    axes.scatter(home[:, 0], home[:, 1], s=4, color="#c9cdd3", linewidths=0)
    rows = np.unique(np.linspace(0, len(found.z) - 1, min(DOTS, len(found.z))).astype(int))
    dots, labels = area.places(found.z[rows].numpy()), found.label[rows].numpy()
    for k in np.unique(labels):
        own = dots[labels == k]
        colour = np.array(class_colour(int(k))) / 255
        axes.scatter(own[:, 0], own[:, 1], s=5, color=colour, alpha=0.7, linewidths=0, label=mathless(world.class_names[k]))
    if rings is not None and len(rings):
        marked = area.places(np.asarray(rings))
        axes.scatter(marked[:, 0], marked[:, 1], s=60, facecolors="none", edgecolors=INK, linewidths=1.2)
    whole = np.concatenate([home, dots])
    low, high = np.minimum(whole.min(0), 0), np.maximum(whole.max(0), 1)
    axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]), xticks=[], yticks=[])
    axes.set_title(title or f"{len(found.z):,} codes, {len(np.unique(labels))} classes", fontsize=10, loc="left", color=INK)
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=8, markerscale=2.5)
    return encode(figure)


def coverage_panels(folder: Path | None, trust: Sequence[str] = ()) -> list[Panel]:
    """The panel of the report for a run whose task is exploration; none for other runs."""
    from agents.runs.folder import RunFolder
    from agents.runs.run import load_run

    if folder is None:
        return []
    run = load_run(RunFolder.open(folder).root, trust=trust)
    if run.world is None or not run.world.task.scores_coverage:
        return []
    rows = run.queried_rows
    if rows is None:
        return []
    return [Panel(TITLE, NOTE, explored_figure(Explored(rows[0], rows[1].argmax(1)), run.world, encode=figure_svg))]
