"""What a set of explained items is worth: the measures of `metrics_path` over many paths, each with a bootstrap
interval.

`evaluate_paths` is what `agents.evaluate`, the benchmarks and TensorBoard report. Conventions: distances and path
shapes are taken over valid items only (an item that failed is no close explanation), with the share of valid items
beside them; a figure over no item is `nan` with n = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from agents.explanation import metrics_bootstrap as bootstrap
from agents.explanation import metrics_path as of_path
from agents.explanation.metrics_bootstrap import Estimate

if TYPE_CHECKING:
    from agents.trajectory import Trajectory
    from envs.world import World

#: name -> (one line of explanation, unit); the order is the order of tables.
MEASURES: dict[str, tuple[str, str]] = {
    "validity": ("items whose last frame is what was asked for: the task's own stop rule, at tau", "share"),
    "validity_argmax": ("items whose last frame the classifier puts into the class asked for", "share"),
    "coverage": ("items that the distances below are taken over: the valid ones", "share"),
    "l2_input": ("Euclidean distance from the last frame to the true input", "data space"),
    "l2_reconstruction": ("the same to frame 0, the decoded encoding: the move alone", "data space"),
    "l1_input": ("sum of absolute differences to the true input", "data space"),
    "l1_reconstruction": ("the same to frame 0", "data space"),
    "latent_length": ("sum of the steps' latent lengths", "latent"),
    "path_length": ("sum of the steps' lengths between frames", "data space"),
    "straightness": ("distance from first to last frame as a share of the path's length", "share"),
    "rising_share": ("steps on which p(asked) does not fall, of all steps of valid items", "share"),
    "tv_ratio": ("rise of p(asked) as a share of all its ups and downs", "share"),
    "class_switches": ("changes of the predicted class along the path; 1 is the least for a changed answer", "count"),
    "p_end": ("p(asked) at the last frame", "probability"),
    "knn_ratio": ("distance to the 5 nearest real items of the target class, over the same for real items", "ratio"),
    "worst_knn_ratio": ("the same to real items of any class at the path's worst frame", "ratio"),
    "frames": ("median number of frames", "count"),
    "longest_step": ("longest step between frames, over all items", "data space"),
    "step_bound_share": ("steps within the world's bound", "share"),
    "queries": ("rows asked of the classifier for an item, input, frame 0, search and retries included", "rows"),
}


class Reference(NamedTuple):
    """Real data against which typicality is measured, in data space.

    Attributes:
        bank, bank_classes: (M, ...) items and (M,) classes whose nearest neighbours are looked for.
        real, real_classes: (R, ...) other real items and (R,) classes: what 1.0 means.
        same: the real items are the bank itself; then no item is a neighbour of its own.
    """

    bank: np.ndarray
    bank_classes: np.ndarray
    real: np.ndarray
    real_classes: np.ndarray
    same: bool = False

    def typical_distance(self, k: int = 5) -> float:
        """Mean distance of the real items to the k nearest of their own class."""
        return _mean(
            of_path.knn_distance_to_class(self.real, self.real_classes, self.bank, self.bank_classes, k, self.same)
        )

    def typical_distance_any_class(self, k: int = 5) -> float:
        """Mean distance of the real items to the k nearest of whatever class."""
        return _mean(of_path.knn_distance(self.real, self.bank, k, self.same))


def reference_of(world: World) -> Reference:
    """A world's own data: its starts against its held-out inputs (themselves where none were held out).

    Classes are the classifier's on the starts and the true ones, where known, on the held-out inputs.
    """
    bank, labels = world.starts.x.numpy(), world.starts.label.numpy()
    held_out = world.held_out
    if held_out is None or held_out.truth is None or held_out.x.shape == world.starts.x.shape:
        return Reference(bank, labels, bank, labels, same=True)
    return Reference(bank, labels, held_out.x.numpy(), held_out.truth.numpy())


def evaluate_paths(
    world: World, trajectories: Sequence[Trajectory], reference: Reference | None = None, *, resamples: int = 1000,
    seed: int = 0
) -> dict[str, Estimate]:
    """Every measure of `MEASURES` over the items (N), with 95 % intervals by a seeded bootstrap over items.

    Args:
        world: where the paths were walked; decodes the frames. The classifier is not asked.
        trajectories: the paths.
        reference: real data for typicality; None: the world's own (`reference_of`).
        resamples, seed: of the bootstrap.

    Returns:
        name -> Estimate. Where the paths hold labels alone, measures of p are `nan`.
    """
    columns = path_columns(world, trajectories, reference_of(world) if reference is None else reference)
    valid = columns["valid"] == 1

    everyone = np.ones_like(valid)

    def mean(name: str, rows: np.ndarray = everyone) -> Estimate:
        return bootstrap.mean(columns[name][rows], resamples, seed)

    found: dict[str, Estimate] = {
        "validity": mean("valid"),
        "validity_argmax": mean("valid_argmax"),
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
    return {name: found[name] for name in MEASURES}


def path_columns(world: World, trajectories: Sequence[Trajectory], reference: Reference) -> dict[str, np.ndarray]:
    """Per-item measures: name -> (N,) float64, `nan` where a measure has no meaning for an item.

    Beside the measures: `valid`, `valid_argmax` (0 or 1), `rising` of `rising_of` steps, `within_bound` of `steps`.
    """
    frames = _decode_all(world, trajectories)
    rows = [_one(world, path, shown) for path, shown in zip(trajectories, frames, strict=True)]
    columns = {name: np.array([row[name] for row in rows], dtype=np.float64) for name in (rows[0] if rows else _NAMES)}
    if not rows:
        return columns | {"knn_ratio": np.zeros(0), "worst_knn_ratio": np.zeros(0)}
    ends = np.stack([shown[-1] for shown in frames])
    wanted = np.array([path.predicted[-1] if path.target == path.source else path.target for path in trajectories])
    near = of_path.knn_distance_to_class(ends, wanted, reference.bank, reference.bank_classes)
    columns["knn_ratio"] = near / reference.typical_distance()
    every = of_path.knn_distance(np.concatenate(frames), reference.bank)
    cuts = np.cumsum([len(shown) for shown in frames])[:-1]
    worst = np.array([part.max() for part in np.split(every, cuts)])
    columns["worst_knn_ratio"] = worst / reference.typical_distance_any_class()
    return columns


def asked_share(path: Trajectory, task: str = "reach") -> np.ndarray:
    """(T+1,) probability of what is asked for; `nan` where only labels are seen.

    The target's probability; where the task is to leave the source, the largest of another class.
    """
    if path.answers is None:
        return np.full(len(path.z), np.nan)
    if task == "leave":
        return np.asarray(np.delete(path.answers, path.source, axis=1).max(axis=1), dtype=np.float64)
    return np.asarray(path.answers[:, path.target], dtype=np.float64)


def _one(world: World, path: Trajectory, frames: np.ndarray) -> dict[str, float]:
    """The measures of one path that need no other item."""
    p = asked_share(path, world.task.name)
    known = bool(np.isfinite(p).all())
    rising, rising_of = of_path.rising_steps(p) if known else (np.nan, np.nan)
    bound = np.inf if world.max_step is None else world.max_step
    lengths = of_path.step_lengths(frames)
    left = path.predicted[-1] != path.source
    return {
        "valid": float(path.success),
        "valid_argmax": float(left if world.task.name == "leave" else path.predicted[-1] == path.target),
        "l2_input": of_path.l2(frames[-1], path.source_input),
        "l2_reconstruction": of_path.l2(frames[-1], frames[0]),
        "l1_input": of_path.l1(frames[-1], path.source_input),
        "l1_reconstruction": of_path.l1(frames[-1], frames[0]),
        "latent_length": of_path.path_length(path.z),
        "path_length": float(lengths.sum()),
        "straightness": of_path.straightness(frames),
        "rising": rising,
        "rising_of": rising_of,
        "tv_ratio": of_path.tv_ratio(p) if known else np.nan,
        "class_switches": of_path.class_switches(path.predicted),
        "p_end": p[-1],
        "frames": len(frames),
        "longest_step": lengths.max(initial=0.0),
        "within_bound": float((lengths <= bound * (1 + 1e-5)).sum()),
        "steps": len(lengths),
        "queries": path.queries,
    }


_NAMES = (
    "valid", "valid_argmax", "l2_input", "l2_reconstruction", "l1_input", "l1_reconstruction", "latent_length",
    "path_length", "straightness", "rising", "rising_of", "tv_ratio", "class_switches", "p_end", "frames",
    "longest_step", "within_bound", "steps", "queries",
)  # fmt: skip


def _decode_all(world: World, trajectories: Sequence[Trajectory]) -> list[np.ndarray]:
    """The frames of every path, decoded in one batch."""
    from agents.trajectory import decode

    if not trajectories:
        return []
    together = decode(world, np.concatenate([path.z for path in trajectories]))
    return np.split(together, np.cumsum([len(path.z) for path in trajectories])[:-1])


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")
