"""Maps: a plane of the latent space coloured by the classifier's classes, with paths drawn on it.

Two maps. `starts_map` is the world's own (`envs.core.latent_map`): the two principal components of the reference inputs, each
region coloured by the majority class of those that fall there; one map for a whole run, without queries. It is a projection:
the frames of a path need not have the colours beneath them. `path_map` therefore takes a plane through the first and last
frame of one path, turned towards where the path bends most, and queries the classifier on it: the colours are those of the
drawn latents (of the nearest ones, for frames off the plane).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.explanation.figures.style import INK, figure_png, mathless, pyplot_figure, region_colour, rgb
from agents.explanation.sentences import heading
from agents.trajectories.trajectory import Trajectory
from agents.trajectories.world import decode

RESOLUTION = 64  # cells along each side of a map
MARGIN = 0.35  # around a path, as a share of its longer side


class Map(NamedTuple):
    """A plane z = centre + u axes[0] + v axes[1], and the class on an n x n grid between two of its corners.

    Attributes:
        centre: (d,).
        axes: (2, d) orthonormal.
        classes: (n, n) int, row 0 at the bottom.
        low, high: (2,) corners in (u, v).
        queries: classifier queries made for it.

    Example:
        >>> area = Map(np.zeros(2), np.eye(2), np.zeros((2, 2), int), -np.ones(2), np.ones(2), 0)
        >>> area.places(np.array([[0.0, 0.5]]))
        array([[0.5 , 0.25]])
    """

    centre: np.ndarray
    axes: np.ndarray
    classes: np.ndarray
    low: np.ndarray
    high: np.ndarray
    queries: int

    def pixels(self) -> np.ndarray:
        """(n, n, 3) uint8 in the muted colours of the classes, row 0 at the top, as in pictures."""
        table = np.array([rgb(region_colour(k)) for k in range(int(self.classes.max()) + 1)], dtype=np.uint8)
        return table[self.classes[::-1]]

    def places(self, z: np.ndarray) -> np.ndarray:
        """(N, d) latents -> (N, 2) positions on the map: x from the left, y from the top, from 0 to 1."""
        uv = (((np.asarray(z, np.float64) - self.centre) @ self.axes.T) - self.low) / (self.high - self.low)
        return np.stack([uv[:, 0], 1 - uv[:, 1]], axis=1)

    def labels(self, avoid: np.ndarray, smallest: float = 0.012) -> list[tuple[int, float, float]]:
        """Positions for the names of classes: the innermost point of each class's largest region.

        Args:
            avoid: (N, 2) positions to keep off, where there is room.
            smallest: share of the map below which a class gets no name.

        Returns:
            (class, x, y) of each name.
        """
        from scipy import ndimage

        found, n = [], len(self.classes)
        taken = np.zeros((n, n), bool)
        cells = np.floor(np.column_stack([1 - avoid[:, 1], avoid[:, 0]]) * n).astype(int)
        taken[tuple(cells[((cells >= 0) & (cells < n)).all(axis=1)].T)] = True
        taken = ndimage.binary_dilation(taken, iterations=max(1, n // 32))
        for index in np.unique(self.classes):
            patches, count = ndimage.label(self.classes == index)
            sizes = np.bincount(patches.ravel(), minlength=count + 1)[1:]
            if sizes.max() < smallest * n * n:
                continue
            largest = patches == 1 + int(sizes.argmax())
            free = largest & ~taken
            depth = ndimage.distance_transform_edt(np.pad(free if free.any() else largest, 1))
            row, column = np.unravel_index(int(depth.argmax()), depth.shape)
            found.append((int(index), (float(column) - 0.5) / n, 1 - (float(row) - 0.5) / n))
        return found


def starts_map(world: Any) -> Map:
    """The map of a world's reference inputs; costs no query."""
    from envs.core.latent_map import LatentMap

    drawn = LatentMap(world)
    left, right, bottom, top = drawn.extent
    classes, _ = drawn.regions(RESOLUTION)
    return Map(
        np.asarray(drawn.centre, np.float64),
        np.asarray(drawn.axes, np.float64),
        classes,
        np.array([left, bottom]),
        np.array([right, top]),
        0,
    )


def path_map(path: Trajectory, world: Any, resolution: int = RESOLUTION) -> Map:
    """The plane through the path's ends that lies nearest to the frames between; ``resolution``^2 rows are queried.

    Where the path is straight or has one frame, the direction that is missing is a principal component of the starts.
    Raises TrajectoryError for a world with another manifold.
    """
    path.check_world(world)
    z = path.z.astype(np.float64)
    centre, axes = (z[0] + z[-1]) / 2, _axes(z, np.asarray(world.reference.z, np.float64))
    uv = (z - centre) @ axes.T
    middle = (uv.min(axis=0) + uv.max(axis=0)) / 2
    half = max(float(np.ptp(uv, axis=0).max()) * (0.5 + MARGIN), 2 * float(world.step_length))
    low, high = middle - half, middle + half
    cells = (np.arange(resolution) + 0.5) / resolution * 2 * half
    grid = np.stack(np.meshgrid(low[0] + cells, low[1] + cells), axis=-1).reshape(-1, 2)
    import torch

    with torch.inference_mode():
        factual = path.factual(world)
        prediction = world.predictions(torch.from_numpy(decode(world, centre + grid @ axes, factual)), factual)
    classes = np.asarray(prediction).argmax(axis=1).reshape(resolution, resolution)
    return Map(centre, axes, classes, low, high, len(grid))


def _axes(z: np.ndarray, cloud: np.ndarray) -> np.ndarray:
    """(2, d) orthonormal: from the first frame to the last, and in the direction in which the path leaves that line most."""
    _, _, spare = np.linalg.svd(cloud - cloud.mean(axis=0), full_matrices=False)
    aside, found = [], []
    along = z[-1] - z[0]
    if np.linalg.norm(along) > 1e-6:
        found.append(along / np.linalg.norm(along))
        rest = z - z[0] - np.outer((z - z[0]) @ found[0], found[0])
        _, sizes, directions = np.linalg.svd(rest, full_matrices=False)
        aside = [directions[0]] if sizes[0] > 1e-3 * np.linalg.norm(along) else []
    for direction in (*aside, *spare):
        left = direction - sum((direction @ axis) * axis for axis in found)
        if len(found) < 2 and np.linalg.norm(left) > 1e-3:
            found.append(left / np.linalg.norm(left))
    return np.stack([*found, np.zeros(z.shape[1])][:2])  # one latent alone: the second axis is no direction


def map_figure(paths: Sequence[Trajectory], world: Any, reference: bool | None = None) -> bytes:
    """Paths on a map, as PNG: dots are frames, the ring is the first frame, the star the last.

    Args:
        paths: at least one.
        world: where they were walked.
        reference: use the plane of the reference inputs, with these as dots, instead of the plane of the first path; None: for
            several paths.
    """
    own = len(paths) == 1 if reference is None else not reference
    chosen = path_map(paths[0], world) if own else starts_map(world)
    figure = pyplot_figure(4.6, 4.8)
    from matplotlib.patheffects import withStroke

    halo = withStroke(linewidth=2.5, foreground="white", alpha=0.7)
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.88))
    axes.imshow(chosen.pixels(), extent=(0, 1, 1, 0), interpolation="nearest")
    if not own:
        dots = chosen.places(np.asarray(world.reference.z))
        axes.scatter(dots[:, 0], dots[:, 1], s=2.5, color="#6b727c", alpha=0.35, linewidths=0)
    for index, x, y in chosen.labels(np.concatenate([chosen.places(path.z) for path in paths])):
        name = axes.text(
            x, y, mathless(world.class_names[index]), fontsize=13, ha="center", va="center", color="#4a515c", fontweight="bold"
        )
        name.set_path_effects([halo])
    for path in paths:
        _draw(axes, chosen.places(path.z), numbered=own)
    axes.set_xlim(0, 1)
    axes.set_ylim(1, 0)
    axes.set_xticks([])
    axes.set_yticks([])
    count = f"{len(paths)} path{'' if len(paths) == 1 else 's'} on the plane of the reference inputs"
    title = f"{heading(paths[0])}: the plane through its ends" if own else count
    axes.set_title(mathless(title), fontsize=10, loc="left", color=INK)
    return figure_png(figure)


def _draw(axes: Any, places: np.ndarray, numbered: bool) -> None:
    x, y = places.T
    axes.plot(x, y, color="white", linewidth=3.4, zorder=3)
    axes.plot(x, y, color=INK, linewidth=1.4, marker=".", markersize=6, zorder=4)
    axes.plot(x[0], y[0], "o", markersize=9, markerfacecolor="white", markeredgecolor=INK, markeredgewidth=1.6, zorder=5)
    axes.plot(x[-1], y[-1], "*", markersize=14, color=INK, markeredgecolor="white", markeredgewidth=0.8, zorder=6)
    for t in {0, len(places) - 1} if numbered else ():
        axes.annotate(str(t), (x[t], y[t]), xytext=(8, 7), textcoords="offset points", fontsize=9, color=INK, zorder=7)
