"""Measures over many explanations, each with a bootstrap interval.

`evaluate_paths` gives what `agents.evaluate`, the benchmarks and TensorBoard report. Distances and path shapes are taken over
valid items alone (a failed item is not a close explanation), with the share of valid items beside them; a measure over no item
is `nan` with n = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from agents.console.threads import one_threaded
from agents.explanation.figures.renderer import renderer_of
from agents.explanation.local.lime_path import slopes_along
from agents.explanation.metrics import bootstrap
from agents.explanation.metrics import path as of_path
from agents.explanation.metrics.bootstrap import Estimate
from agents.explanation.metrics.manifold import curve_columns, detours
from agents.explanation.metrics.measures import MEASURES
from envs.core.factual import differs
from envs.modalities.alignment import edit_distance

if TYPE_CHECKING:
    from agents.explanation.metrics.oracle import Oracles
    from agents.trajectories.trajectory import Trajectory
    from envs.core.world import World


MOST_REAL = 20_000  # real items whose distances define a ratio of 1


class Reference(NamedTuple):
    """Real data with which ends are compared, in data space (text: codes).

    Attributes:
        bank, bank_classes: (M, ...) items and (M,) classes, among which nearest neighbours are searched.
        real, real_classes: (R, ...) other real items and (R,) classes, whose mean distance defines a ratio of 1.
        same: the real items are the bank itself; then no item is its own neighbour.

    Example:
        >>> x, classes = np.array([[0.0], [1.0], [3.0]]), np.array([0, 0, 0])
        >>> Reference(x, classes, x, classes, same=True).typical_distance(k=1)
        1.3333333333333333
    """

    bank: np.ndarray
    bank_classes: np.ndarray
    real: np.ndarray
    real_classes: np.ndarray
    same: bool = False

    def typical_distance(self, k: int = 5) -> float:
        """Mean distance of the real items to their k nearest neighbours of their own class."""
        return _mean(of_path.knn_distance_to_class(self.real, self.real_classes, self.bank, self.bank_classes, k, self.same))

    def typical_distance_any_class(self, k: int = 5) -> float:
        """Mean distance of the real items to their k nearest neighbours of any class."""
        return _mean(of_path.knn_distance(self.real, self.bank, k, self.same))


def reference_of(world: World) -> Reference:
    """A world's own data: the reference inputs as bank, the held-out inputs as real items (the bank, if none are held out).

    Classes are predictions for the bank, and true classes, where known, for the held-out inputs. Of more than `MOST_REAL` real
    items, as many are taken evenly: the mean distance needs no more, and all pairs would take time by the square.
    """
    from agents.trajectories.world import coordinates, encode

    bank, labels = world.reference.coordinates.numpy(), world.reference.label.numpy()
    held_out = world.held_out
    if held_out is None or held_out.truth is None or held_out.x.shape == world.reference.x.shape:
        if len(bank) <= MOST_REAL:
            return Reference(bank, labels, bank, labels, same=True)
        real = np.linspace(0, len(bank) - 1, MOST_REAL).astype(np.int64)
        rest = np.setdiff1d(np.arange(len(bank)), real)
        return Reference(bank[rest], labels[rest], bank[real], labels[real])
    rows = np.linspace(0, len(held_out.x) - 1, min(len(held_out.x), MOST_REAL)).astype(np.int64)
    x = held_out.x.numpy()[rows]
    return Reference(bank, labels, coordinates(world, encode(world, x), x), held_out.truth.numpy()[rows])


@one_threaded
def evaluate_paths(
    world: World,
    trajectories: Sequence[Trajectory],
    reference: Reference | None = None,
    *,
    resamples: int = 1000,
    seed: int = 0,
    oracles: Oracles | None = None,
    closely: int = 0,
) -> dict[str, Estimate]:
    """Every measure of `MEASURES` over N items, with 95 % intervals by a seeded bootstrap over items.

    Args:
        world: where the paths were walked; decodes the frames. The classifier is queried for `closely` alone.
        trajectories: the N paths.
        reference: real data for the kNN ratios; None: the world's own (`reference_of`).
        resamples: of the bootstrap.
        seed: of the bootstrap and of latent LIME.
        oracles: for `im1` and `oracle`, see `agents.explanation.metrics.oracle.oracles_of`; None: these are not measured.
        closely: number of paths that get the expensive measures: the geodesic of `detour_ratio`, and latent LIME for
            `completeness_gap` and `lime_r2` (200 queries per frame, which are analysis and part of no path's queries).

    Returns:
        key -> Estimate. Where the paths hold labels alone, measures of p are `nan`.
    """
    columns = _at_their_goals(world, trajectories, reference)
    columns |= judged_columns(trajectories, columns.pop("last_frame"), oracles)
    columns |= close_columns(world, trajectories, closely, seed)
    valid = columns["valid"] == 1

    everyone = np.ones_like(valid)

    def mean(name: str, rows: np.ndarray = everyone) -> Estimate:
        return bootstrap.mean(columns[name][rows], resamples, seed)

    found: dict[str, Estimate] = {
        "validity": mean("valid"),
        "validity_90": mean("valid_90"),
        "validity_argmax": mean("valid_argmax"),
        "class_kept": mean("class_kept"),
        "coverage": mean("valid"),
        "rising_share": bootstrap.ratio(columns["rising"][valid], columns["rising_of"][valid], resamples, seed),
        "frames": bootstrap.median(columns["frames"][valid], resamples, seed),
        "step_bound_share": bootstrap.ratio(columns["within_bound"], columns["steps"], resamples, seed),
        "queries": mean("queries"),
    }
    longest = columns["longest_step"]
    top = float(longest.max()) if longest.size else float("nan")
    found["longest_step"] = Estimate(top, top, top, int(longest.size))
    for name in MEASURES:
        if name not in found:
            found[name] = mean(name, valid)
    absent = {"edit_input"} if renderer_of(world).numeric else set[str]()
    absent |= set[str]() if world.units.anchored else {"changed_columns"}
    return {name: found[name] for name in MEASURES if name not in absent}


def _at_their_goals(world: World, trajectories: Sequence[Trajectory], reference: Reference | None) -> dict[str, np.ndarray]:
    """`path_columns`; paths with goals of their own are compared with the reference rows that are at those goals."""
    from agents.trajectories.goal import in_goal_of

    goals = [None if path.goal is None else path.goal.text for path in trajectories]
    parts, order = [], []
    for goal in dict.fromkeys(goals) or [None]:
        rows = [i for i, one in enumerate(goals) if one == goal]
        chosen = [trajectories[i] for i in rows]
        own = in_goal_of(chosen[0], world) if chosen else world
        parts.append(path_columns(own, chosen, reference_of(own) if reference is None else reference))
        order += rows
    if len(parts) == 1:
        return parts[0]
    back = np.argsort(order)
    return {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}


def path_columns(world: World, trajectories: Sequence[Trajectory], reference: Reference) -> dict[str, np.ndarray]:
    """Measures of each item.

    Args:
        world: where the paths were walked.
        trajectories: the N paths.
        reference: real data for the kNN ratios.

    Returns:
        key -> (N,) float64, `nan` where a measure has no meaning for an item. Besides the measures: `valid`, `valid_90`,
        `class_kept`, `valid_argmax` (0 or 1), `rising` of `rising_of` steps, `within_bound` of `steps`, and `last_frame`
        (N, *data).
    """
    frames = _decode_all(world, trajectories)
    rows = [_one(world, path, shown) for path, shown in zip(trajectories, frames, strict=True)]
    columns = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in (rows[0] if rows else _NAMES)}
    columns |= curve_columns(world, [path.z for path in trajectories], trajectories)
    if not rows:
        names = ("knn_ratio", "worst_knn_ratio", "changed_columns", "last_frame")
        return columns | {name: np.zeros(0) for name in names}
    ends = columns["last_frame"] = np.stack([shown[-1] for shown in frames])
    columns["changed_columns"] = _changed_columns(world, trajectories, ends)
    near = of_path.knn_distance_to_class(ends, target_classes(trajectories), reference.bank, reference.bank_classes)
    columns["knn_ratio"] = near / reference.typical_distance()
    every = of_path.knn_distance(np.concatenate(frames), reference.bank)
    cuts = np.cumsum([len(shown) for shown in frames])[:-1]
    worst = np.array([part.max() for part in np.split(every, cuts)])
    columns["worst_knn_ratio"] = worst / reference.typical_distance_any_class()
    return columns


def _changed_columns(world: World, trajectories: Sequence[Trajectory], ends: np.ndarray) -> np.ndarray:
    """Number (N,) of columns of the last frames (N, D) that differ from the input; `nan` where data have no columns."""
    from agents.trajectories.world import origins_of

    if not world.units.anchored:
        return np.full(len(ends), np.nan)
    factual = origins_of(world, trajectories)
    cells = world.units.exact(torch.from_numpy(ends), factual)
    assert cells is not None
    return differs(cells, factual.cells).sum(1).numpy().astype(np.float64)


def judged_columns(
    trajectories: Sequence[Trajectory], last_frames: np.ndarray, oracles: Oracles | None
) -> dict[str, np.ndarray]:
    """`im1` and `oracle` (0 or 1), (N,) each, of the last frames (N, *data); `nan` without oracles."""
    if oracles is None or not trajectories:
        return {name: np.full(len(trajectories), np.nan) for name in ("im1", "oracle")}
    wanted = target_classes(trajectories)
    source = np.array([path.source for path in trajectories])
    return {
        "im1": oracles.im1(last_frames, source, wanted),
        "oracle": (oracles.sees(last_frames) == wanted).astype(np.float64),
    }


def close_columns(world: World, trajectories: Sequence[Trajectory], first: int, seed: int) -> dict[str, np.ndarray]:
    """`detour_ratio`, `completeness_gap` and `lime_r2`, (N,) each, of the first `first` paths; `nan` for the others.

    The latter two are `nan` where labels alone are shown: latent LIME fits probabilities.
    """
    found = {name: np.full(len(trajectories), np.nan) for name in ("detour_ratio", "completeness_gap", "lime_r2")}
    chosen = list(trajectories[: max(first, 0)])
    if not chosen:
        return found
    found["detour_ratio"][: len(chosen)] = detours(world, [path.z for path in chosen])
    local = [] if world.label_only or world.goal is not None else slopes_along(chosen, world, seed=seed)
    for i, slopes in enumerate(local):
        path = chosen[i]
        p = pursued_probability(path, world.task.towards_target)
        found["completeness_gap"][i] = of_path.completeness_gap(slopes.latent, path.z, p)
        found["lime_r2"][i] = _mean(slopes.r2)
    return found


def target_classes(trajectories: Sequence[Trajectory]) -> np.ndarray:
    """(N,) the target class of each path; where that is any class but the source, the class it ended in."""
    return np.array([path.predicted[-1] if path.target == path.source else path.target for path in trajectories])


def pursued_probability(path: Trajectory, towards_target: bool = True) -> np.ndarray:
    """(T+1,) probability that the task pursues; `nan` where labels alone are shown.

    The target's probability; without `Task.towards_target`, the largest one of another class than the source.
    """
    if path.predictions is None:
        return np.full(len(path.z), np.nan)
    if not towards_target:
        return np.asarray(np.delete(path.predictions, path.source, axis=1).max(axis=1), dtype=np.float64)
    return np.asarray(path.predictions[:, path.target], dtype=np.float64)


def _one(world: World, path: Trajectory, frames: np.ndarray) -> dict[str, float]:
    """The measures of one path that need no other item; `frames` (T+1, D) are the coordinates of its frames."""
    from agents.trajectories.world import coordinates

    home = coordinates(world, path.z[:1], path.source_input[None])[0]
    p = pursued_probability(path, world.task.towards_target)
    known = bool(np.isfinite(p).all())
    of_classes = known and path.goal is None  # shares of a goal's outcomes are not probabilities
    rising, rising_of = of_path.rising_steps(p) if known else (np.nan, np.nan)
    bound = np.inf if world.max_step is None else world.max_step
    lengths = of_path.step_lengths(frames)
    left = path.predicted[-1] != path.source
    given_up = path.predictions[:, path.source] if path.predictions is not None else p
    return {
        "valid": float(path.success),
        "valid_90": float(p[-1] >= 0.9) if of_classes else np.nan,
        "class_kept": float(path.predicted[0] == path.source),
        "valid_argmax": float(path.predicted[-1] == path.target if world.task.towards_target else left),
        "l2_input": of_path.l2(frames[-1], home),
        "l2_reconstruction": of_path.l2(frames[-1], frames[0]),
        "l1_input": of_path.l1(frames[-1], home),
        "edit_input": np.nan if path.texts is None else edit_distance(path.texts[0], path.texts[-1]),
        "l1_reconstruction": of_path.l1(frames[-1], frames[0]),
        "latent_length": of_path.path_length(path.z),
        "path_length": float(lengths.sum()),
        "straightness": of_path.straightness(frames),
        "rising": rising,
        "rising_of": rising_of,
        "tv_ratio": of_path.tv_ratio(p) if known else np.nan,
        "cout": of_path.cout(p, given_up, np.concatenate([[0.0], np.cumsum(lengths)])) if of_classes else np.nan,
        "largest_step_ratio": of_path.largest_step_ratio(frames),
        "class_switches": of_path.class_switches(path.predicted),
        "p_end": p[-1] if of_classes else np.nan,
        "frames": len(frames),
        "longest_step": lengths.max(initial=0.0),
        "within_bound": float((lengths <= bound * (1 + 1e-5)).sum()),
        "steps": len(lengths),
        "queries": path.queries,
    }


_NAMES = (
    "valid", "valid_90", "class_kept", "valid_argmax", "l2_input", "l2_reconstruction", "l1_input", "l1_reconstruction",
    "edit_input", "latent_length", "path_length", "straightness", "rising", "rising_of", "tv_ratio", "cout",
    "largest_step_ratio", "class_switches", "p_end", "frames", "longest_step", "within_bound", "steps", "queries",
)  # fmt: skip


def _decode_all(world: World, trajectories: Sequence[Trajectory]) -> list[np.ndarray]:
    """Coordinates (T+1, D) of the frames of every path, decoded in one batch."""
    from agents.trajectories.world import coordinates, decode, origins_of

    if not trajectories:
        return []
    lengths = [len(path.z) for path in trajectories]
    z = np.concatenate([path.z for path in trajectories])
    together = coordinates(world, z, decode(world, z, origins_of(world, trajectories, lengths)))
    return np.split(together, np.cumsum(lengths)[:-1])


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
