"""Trajectories from a batch of walks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from agents.trajectories.trajectory import Trajectory
from agents.trajectories.world import as_array, installed_versions, manifold_key
from envs.core.row_labels import plain_label
from envs.manifolds.networks.arrays import norm

PLAIN = ("source", "target", "success", "queries")  # one value per item


class Origin(NamedTuple):
    """How the walks of one call were made; all its paths share this.

    Attributes:
        seed: of the walks.
        training_queries: queries made before the walks.
        versions: of the installed distributions; None: those of this process.
        environment: record of the world; None: that of the world of the walks.
        requested: see `Trajectory.requested`.

    Example:
        >>> Origin(seed=3)._replace(training_queries=100).training_queries
        100
    """

    seed: int = 0
    training_queries: int = 0
    versions: Mapping[str, str] | None = None
    environment: Mapping[str, Any] | None = None
    requested: str | None = None


def trajectories_of(
    world: Any,
    state: Any,
    walk: Any,
    origin: Origin,
    *,
    walker: str | Sequence[str],
    index: Sequence[int] | None = None,
    rows: Sequence[Any] | None = None,
) -> list[Trajectory]:
    """Make one `Trajectory` of each walk of a batch. Frames are decoded in one batch; this costs no query.

    Args:
        world: where the walks took place.
        state: (B) states at frame 0.
        walk: B items.
        origin: how the walks were made.
        walker: name of the walker, or of each item's walker.
        index: row of each item in its split, for those that have one.
        rows: the user's own label of each item.

    Returns:
        One path per item.
    """
    import torch

    from agents.runs.world_record import describe_world

    ends = [int(n) + 1 for n in walk.length.tolist()]
    z, predictions, actions, rewards = (as_array(a) for a in (walk.z, walk.predictions, walk.actions, walk.rewards))
    gains = np.full(rewards.shape, np.nan, np.float32) if walk.gain is None else as_array(walk.gain).astype(np.float32)
    latents = [z[:n, i] for i, n in enumerate(ends)]
    together = np.concatenate([np.zeros((0, z.shape[2]), z.dtype), *latents])
    factuals, home = as_array(state.factual), state.home
    with torch.inference_mode():
        own = world.units.anchored or world.units.holds or world.manifold.input_conditioned
        every = home.chosen(torch.arange(len(ends)).repeat_interleave(torch.tensor(ends))) if own else home
        frames, _ = world.linear_decode(together, every)
        typical = world.manifold.typicality(torch.from_numpy(together)).numpy()
    places = world.manifold.coordinate_arrays(together, frames)
    away = norm(places - np.repeat(world.manifold.coordinate_arrays(as_array(state.z0), factuals), ends, axis=0))
    lengths = norm(places[1:] - places[:-1])  # between a path's last frame and the next one's first: unused
    each = {name: getattr(state if name in ("source", "target") else walk, name).tolist() for name in PLAIN}
    planned = [0] * walk.z.shape[1] if walk.planned is None else walk.planned.tolist()
    texts = world.units.texts(torch.from_numpy(frames))
    shared: dict[str, Any] = {
        "seed": origin.seed,
        "requested": origin.requested,
        "training_queries": origin.training_queries,
        "label_only": world.label_only,
        "versions": dict(origin.versions or installed_versions()),
        "class_names": list(world.class_names),
        "environment": describe_world(world) if origin.environment is None else dict(origin.environment),
        "manifold_key": manifold_key(world),
    }
    walkers = [walker] * walk.z.shape[1] if isinstance(walker, str) else list(walker)
    rewards, lengths, typical, away = (np.asarray(part, np.float32) for part in (rewards, lengths, typical, away))
    sound = _sound(world, (together, actions, rewards, lengths, typical, away, factuals), predictions)
    paths, first = [], 0
    for i, (n, own_z) in enumerate(zip(ends, latents, strict=True)):
        queried = predictions[:n, i].copy()
        paths.append(
            (Trajectory.trusted if sound else Trajectory)(
                z=own_z.copy(),
                actions=actions[: n - 1, i].copy(),
                rewards=rewards[: n - 1, i].copy(),
                source_input=factuals[i],
                source_cells=as_array(home.cells[i]) if world.units.anchored else None,
                **{name: values[i] for name, values in each.items()},
                predictions=None if world.label_only else queried,
                labels=queried.argmax(1) if world.label_only else None,
                information_gain=gains[: n - 1, i].copy(),
                step_lengths=lengths[first : first + n - 1],
                typicality=typical[first : first + n],
                distances=away[first : first + n],
                texts=None if texts is None else [world.render(state.factual[i]), *texts[first : first + n]],
                planned=planned[i],
                held=[] if home.held is None else held_columns(world.units, home.held[i]),
                walker=walkers[i],
                index=None if index is None else int(index[i]),
                row=None if rows is None else plain_label(rows[i]),
                **shared,
            )
        )
        paths[-1].__dict__["walked_here"] = True  # what it names was loaded here already
        first += n
    return paths


def held_columns(units: Any, held: Any) -> list[str]:
    """Names of the columns whose places (D,) are held."""
    return [str(units.columns[j]) for j in units.column_of[held].unique().tolist()] if held.any() else []


def _sound(world: Any, arrays: Sequence[np.ndarray], predictions: np.ndarray) -> bool:
    """Whether the arrays of a batch hold what `Trajectory` asks of each path; if not, it says of which path what is wrong."""
    typed = all(part.dtype == np.float32 or part.dtype.kind == "i" for part in (*arrays, predictions))
    finite = all(np.isfinite(part).all() for part in (*arrays, predictions))
    likely = finite and predictions.min(initial=0) >= -1e-5 and np.abs(predictions.sum(-1) - 1).max(initial=0) <= 1e-3
    return bool(typed and likely and predictions.shape[2] == len(world.class_names))
