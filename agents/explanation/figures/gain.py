"""Figure of the expected information gain over the plane of the reference inputs: where the curiosity network is uncertain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.explanation.figures.map import starts_map
from agents.explanation.figures.style import INK, ON_LIGHT, figure_png, figure_svg, mathless, pyplot_figure
from agents.explanation.information_gain import GainMap, bonus_in_nats, expected_gain_map
from agents.explanation.report.extras import Panel
from agents.trajectories.trajectory import Trajectory

if TYPE_CHECKING:
    from agents.runs.run import Run

TITLE = "Where the curiosity network is uncertain"
NOTE = (
    "Expected information gain of a step, in nats, on the plane of the two principal directions of the reference inputs: "
    "light where the network of the curiosity predicts a step well, dark where a step would still inform it. It says nothing "
    "about the explained classifier's uncertainty. Dots: reference inputs; lines: the paths, projected."
)


def gain_map_figure(
    gain: GainMap, world: Any, paths: Sequence[Trajectory] = (), encode: Callable[[Any], bytes] = figure_png
) -> bytes:
    """The map, with reference inputs as dots, names of classes, and paths.

    Args:
        gain: to be drawn.
        world: of the run.
        paths: drawn on the map.
        encode: `figure_png` or `figure_svg`.
    """
    area = starts_map(world)
    figure = pyplot_figure(5.4, 4.8)
    from matplotlib.patheffects import withStroke

    axes = figure.add_axes((0.02, 0.02, 0.82, 0.88))
    shown = axes.imshow(gain.gains, origin="lower", extent=(0, 1, 1, 0), cmap="Greens", interpolation="nearest",
                        aspect="auto", vmin=0.0)  # fmt: skip
    dots = area.places(np.asarray(world.reference.z))
    axes.scatter(dots[:, 0], dots[:, 1], s=2.5, color="#4a515c", alpha=0.35, linewidths=0)
    halo = withStroke(linewidth=2.5, foreground="white", alpha=0.8)
    taken = np.concatenate([area.places(path.z) for path in paths]) if paths else np.zeros((0, 2))
    for index, x, y in area.labels(taken):
        name = axes.text(x, y, mathless(world.class_names[index]), fontsize=13, ha="center", va="center", color=ON_LIGHT,
                         fontweight="bold")  # fmt: skip
        name.set_path_effects([halo])
    for path in paths:
        x, y = area.places(path.z).T
        axes.plot(x, y, color="white", linewidth=3)
        axes.plot(x, y, color=ON_LIGHT, linewidth=1.2, marker=".", markersize=4)
    axes.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])
    axes.set_title("expected information gain of a step", fontsize=10, loc="left", color=INK)
    bar = figure.colorbar(shown, cax=figure.add_axes((0.87, 0.02, 0.035, 0.88)))
    bar.set_label("nats", fontsize=8.5)
    bar.ax.tick_params(labelsize=8)
    return encode(figure)


def run_gain_map(
    run: Run | None, paths: Sequence[Trajectory] = (), encode: Callable[[Any], bytes] = figure_png
) -> bytes | None:
    """The map of a run's curiosity; None where it has none that measures information."""
    bonus = bonus_in_nats(run)
    if run is None or bonus is None:
        return None
    return gain_map_figure(expected_gain_map(bonus, run.world), run.world, paths, encode)  # type: ignore[arg-type]


def gain_panels(folder: Path | None, paths: Sequence[Trajectory], trust: Sequence[str] = ()) -> list[Panel]:
    """The panel of the report for the run in `folder`; none without a run or such a curiosity."""
    from agents.runs.folder import RunFolder
    from agents.runs.run import load_run

    if folder is None or RunFolder.open(folder).config.get("curiosity") is None:
        return []
    image = run_gain_map(load_run(folder, trust=trust), paths, figure_svg)
    return [] if image is None else [Panel(TITLE, NOTE, image)]
