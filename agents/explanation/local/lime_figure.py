"""LIME along a path as figures and files: what changes the prediction at each frame."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.explanation.figures.renderer import renderer_of
from agents.explanation.figures.style import INK, OTHER, RAISES, difference, figure_png, mathless, picture, pyplot_figure
from agents.explanation.local.fidelity import followed
from agents.explanation.sentences import heading
from agents.files import write_whole, writing
from agents.trajectories.goal import share_name

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory
    from envs.core.world import World


WITHHELD = 205  # grey of slopes that are not shown
MOST_COLUMNS = 16  # frames drawn: first, last, and evenly between


def save_lime(paths: Sequence[Trajectory], files: Sequence[Path], world: World, kind: str, seed: int = 0) -> list[Path]:
    """Fit LIME along saved paths and write ``lime/<name>.npz`` and ``.png`` beside the file of each path.

    For text there is no figure: ``.txt`` has the weights of plain LIME, one line per frame, a weight after every word.

    Args:
        paths: that were saved.
        files: the first file of each path, as `agents.explanation.output.save` returns them.
        world: where they were walked.
        kind: ``latent`` (every frame) or ``plain`` (first, middle and last frame, by the lime library).
        seed: of the neighbours.

    Returns:
        The .npz files, with arrays `frames` (n,), `slopes` (n, *data_shape; plain LIME of text: one per word), `r2` (n,)
        and `queries`; latent LIME adds `latent` (n, d), plain LIME of text `words` (n, longest), empty behind the last.

    Raises:
        ManifoldError: the classifier returns only labels, or the library is missing.
    """
    made: list[Path] = []
    for (frames, arrays), path, file in zip(_fitted(paths, world, kind, seed), paths, files, strict=True):
        place = file.parent / "lime"
        stream = io.BytesIO()
        np.savez(stream, frames=np.array(frames), **arrays)
        slopes, r2 = arrays["slopes"], arrays["r2"]
        with writing("LIME's results", f"those of {len(made)} paths are saved, and all paths: make room, or use --out DIR"):
            place.mkdir(exist_ok=True)
            write_whole(place / f"{file.stem}.npz", stream.getvalue())
            if "words" in arrays:
                write_whole(place / f"{file.stem}.txt", lime_words(frames, arrays["words"], slopes, r2))
            elif renderer_of(world).numeric:
                write_whole(place / f"{file.stem}.png", lime_figure(path, world, frames, slopes, r2, kind))
        made.append(place / f"{file.stem}.npz")
    return made


def _fitted(paths: Sequence[Trajectory], world: World, kind: str, seed: int) -> list[tuple[list[int], dict[str, Any]]]:
    """For each path, the explained frames and the arrays of their explanations."""
    from agents.explanation.local.lime_path import slopes_along
    from agents.explanation.local.plain_lime import plain_lime_at

    out: list[tuple[list[int], dict[str, Any]]] = []
    if kind == "latent":
        for local in slopes_along(paths, world, seed=seed):
            arrays = {"slopes": local.slopes, "latent": local.latent, "r2": local.r2, "queries": np.int64(local.queries)}
            out.append((list(range(len(local.r2))), arrays))
        return out
    for path in paths:
        found = plain_lime_at(path, world, seed=seed)
        longest = max(local.weights.size for local in found.values())
        worded = [local for local in found.values() if local.words is not None]  # text: rows of unlike length
        padded = [np.pad(local.weights, (0, longest - local.weights.size)) for local in worded]
        slopes = np.stack(padded or [local.weights for local in found.values()])
        r2 = np.array([local.r2 for local in found.values()])
        queries = np.int64(sum(local.queries for local in found.values()))
        arrays = {"slopes": slopes, "r2": r2, "queries": queries}
        if worded:
            rows = [local.words or [] for local in worded]
            arrays["words"] = np.array([[*row, *[""] * (longest - len(row))] for row in rows])
        out.append((list(found), arrays))
    return out


def lime_words(frames: Sequence[int], words: np.ndarray, slopes: np.ndarray, r2: np.ndarray) -> str:
    """One line per frame: its words (n, longest), each with its weight for the target's probability, and the R2 of the fit.

    Weights of fits below `fidelity.LEAST_R2` are withheld.
    """
    lines = []
    for t, row, weights, fit in zip(frames, words, slopes, r2, strict=True):
        if not followed(fit):
            lines.append(f"frame {t}  weights withheld: the fit does not follow the classifier  (R2 {fit:.2f})")
            continue
        weighed = " ".join(f"{word} {weight:+.2f}" for word, weight in zip(row, weights, strict=True) if word)
        lines.append(f"frame {t}  {weighed}  (R2 {fit:.2f})")
    return "\n".join(lines) + "\n"


def lime_figure(
    path: Trajectory, world: World, frames: Sequence[int], slopes: np.ndarray, r2: np.ndarray, kind: str = "latent"
) -> bytes:
    """Frames above, slopes of the target's probability below, as PNG; blue raises it, orange lowers it.

    Pictures have one map per frame, on one scale; tables have one row per column of the data and one column per frame. Slopes
    of fits below `fidelity.LEAST_R2` are withheld and drawn as grey.

    Args:
        path: that is explained.
        world: where it was walked.
        frames: (n,) numbers of the explained frames.
        slopes: (n, *data_shape).
        r2: (n,) of the fits, written below.
        kind: ``latent`` or ``plain``.
    """
    shown = np.unique(np.linspace(0, len(frames) - 1, MOST_COLUMNS).round().astype(int))
    scale = max(float(np.nanmax(np.abs(slopes[followed(r2)]), initial=0.0)), 1e-9)
    if not renderer_of(path).shows_pictures:
        return _table(path, world, [frames[i] for i in shown], slopes[shown], r2[shown], scale, kind)
    decoded = path.frames(world)
    figure = pyplot_figure(1.05 * max(len(shown), 4), 2.9)
    figure.suptitle(_title(path, kind), x=0, y=1, ha="left", va="top", fontsize=10, color=INK)
    grid = figure.add_gridspec(2, max(len(shown), 4), top=0.84, bottom=0.1, left=0, right=1, wspace=0.1, hspace=0.22)
    for column, i in enumerate(shown):
        above, below = figure.add_subplot(grid[0, column]), figure.add_subplot(grid[1, column])
        above.imshow(picture(world, decoded[frames[i]]), interpolation="nearest")
        above.set_title(f"{frames[i]}  {mathless(path.class_names[path.predicted[frames[i]]][:8])}", fontsize=7, color=INK)
        drawn = difference(slopes[i], np.zeros_like(slopes[i]), scale, RAISES)
        below.imshow(drawn if followed(r2[i]) else np.full_like(drawn, WITHHELD), interpolation="nearest")
        below.set_xlabel(_fit(r2[i]), fontsize=6.5, color=OTHER)
        for axes in (above, below):
            axes.set_xticks([])
            axes.set_yticks([])
    return figure_png(figure)


def _table(
    path: Trajectory, world: World, frames: list[int], slopes: np.ndarray, r2: np.ndarray, scale: float, kind: str
) -> bytes:
    """The slopes of a table as a matrix; one-hot encoded rows have numbered places instead of columns."""
    flat = slopes.reshape(len(slopes), -1)
    columns = list(world.units.columns)
    names = columns if len(columns) == flat.shape[1] else [f"place {i}" for i in range(flat.shape[1])]
    figure = pyplot_figure(0.6 * len(frames) + 2.4, 0.26 * flat.shape[1] + 1.0)
    figure.suptitle(_title(path, kind), x=0, y=1, ha="left", va="top", fontsize=10, color=INK)
    axes = figure.add_axes((0.3, 0.12, 0.68, 0.72))
    drawn = difference(flat.T, np.zeros_like(flat.T), scale, RAISES)
    drawn[:, ~followed(r2)] = WITHHELD
    axes.imshow(drawn, aspect="auto", interpolation="nearest")
    axes.set_yticks(range(len(names)), [mathless(name[:24]) for name in names], fontsize=7)
    axes.set_xticks(range(len(frames)), [f"{t}\n{_fit(fit)}" for t, fit in zip(frames, r2, strict=True)], fontsize=6.5)
    return figure_png(figure)


def _fit(r2: float) -> str:
    """The R2 of a fit; whether its slopes are withheld."""
    return f"R2 {r2:.2f}" + ("" if followed(r2) else "\nwithheld")


def _title(path: Trajectory, kind: str) -> str:
    share = share_name(path.goal, path.class_names[path.target][:12])
    return mathless(f"{heading(path)}   ({kind} LIME: blue raises {share}, orange lowers it)")
