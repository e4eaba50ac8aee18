"""Curves of series: the input, a few frames between and the end, on matplotlib axes or as a small picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from agents.explanation.figures.style import CHANGED, OTHER, TARGET, mathless
from agents.trajectories.trajectory import Trajectory

BETWEEN = 6  # frames drawn between the input and the end


def curves(path: Trajectory, world: Any, x: np.ndarray) -> np.ndarray:
    """A frame as a picture (H, W, 3) uint8 over the input in grey."""
    return np.asarray(world.units.render(as_tensor(x), path.factual(world)))


def draw_series(axes: Sequence[Any], path: Trajectory, world: Any, frames: np.ndarray) -> None:
    """The channels of the input, of a few frames between, and of the end, on one matplotlib axes each."""
    units, factual = world.units, path.factual(world)
    own, end = (units.values_of(as_tensor(x), factual) for x in (path.source_input, frames[-1]))
    chosen = np.unique(np.linspace(0, len(frames) - 1, BETWEEN + 2).round().astype(int))[1:-1]
    between = [units.values_of(as_tensor(frames[t]), factual) for t in chosen]
    far = units.moved(as_tensor(frames[-1]), factual).numpy()
    step, unit = units.sampling or (1.0, "")
    for c, (panel, moved) in enumerate(zip(axes, far.reshape(units.shape), strict=True)):
        t = np.arange(units.shape[1]) * step
        for place in np.flatnonzero(moved):
            panel.axvspan(t[place] - step / 2, t[place] + step / 2, color=CHANGED, linewidth=0)
        for k, x in enumerate(between):
            panel.plot(t, x[c], color=TARGET, alpha=0.15 + 0.3 * k / BETWEEN, linewidth=0.8)
        panel.plot(t, own[c], color=OTHER, linewidth=1.8, label="input")
        panel.plot(t, end[c], color=TARGET, linewidth=1.6, label="end")
        if units.names:
            panel.set_ylabel(mathless(units.names[c]), fontsize=8.5)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
    axes[0].legend(fontsize=8, frameon=False, loc="best")
    axes[-1].set_xlabel(f"time in {unit}" if unit else "time" if units.sampling else "point", fontsize=8.5)


def as_tensor(x: np.ndarray) -> Any:
    """A copy of an array as a tensor."""
    import torch

    return torch.from_numpy(np.array(x))
