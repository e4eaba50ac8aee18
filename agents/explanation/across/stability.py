"""Stability: do flips survive when the classifier is trained again, and do near-identical inputs get the same explanation?

An end that flips one training of a model only is poor advice for the next one [1]_, and two inputs that people cannot tell
apart should not get different explanations.

References
----------
.. [1] Pawelczyk, Broelemann, Kasneci, "On Counterfactual Explanations under Predictive Multiplicity", UAI 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.errors import UserError
from agents.explanation.alternatives.changes import MOST_OVERLAP, by_columns, change_of, overlap
from agents.explanation.alternatives.result import target_of
from agents.explanation.badge.refits import Predictor, adapted, refits
from agents.explanation.metrics.bootstrap import EMPTY, Estimate, mean, share
from agents.trajectories.goal import in_goal_of
from agents.walkers import default_walker

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from agents.trajectories.trajectory import Trajectory
    from envs.core.world import World

MOST = 100  # paths that are measured
NOISE = 0.01  # of numbers in standard deviations of their column, and of pixels in their full range


@dataclass(frozen=True)
class Stability:
    """How stable explanations are.

    Attributes:
        survived: mean share of flips that a retrained classifier predicts alike, over the flips.
        by_all: share of flips that all of them predict alike.
        classifiers: how many there were, and how they were made.
        same_parts: share of near-identical inputs whose path changes the same parts; `nan` for text.
        overlap: mean share of the change that both paths have in common.
        queries: of the noisy inputs' walks.

    Example:
        >>> Stability(share(3, 4), share(2, 4), "5 refits", share(4, 4), share(4, 4), 60).to_json()["survived"]["value"]
        0.75
    """

    survived: Estimate
    by_all: Estimate
    classifiers: str
    same_parts: Estimate
    overlap: Estimate
    queries: int

    def to_json(self) -> dict[str, Any]:
        """All fields in JSON's types."""
        estimates = {name: getattr(self, name).as_dict() for name in ("survived", "by_all", "same_parts", "overlap")}
        return {**estimates, "classifiers": self.classifiers, "noise": NOISE, "queries": self.queries}


def stability_lines(found: dict[str, Any]) -> list[str]:
    """One line about retrained classifiers and one about near-identical inputs, of what `Stability.to_json` gave."""

    def words(name: str) -> str:
        one = found[name]
        return f"{one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}]" if one["n"] else "not measured"

    flips = f"a flip survives {words('survived')} of the classifiers on average; {words('by_all')} of the flips survive all"
    lines = [f"{flips} ({found['classifiers']})"]
    if found["same_parts"]["n"]:
        noise = f"noise of {found['noise']:g} standard deviations, or of a pixel's range"
        share_of = (
            f"{words('same_parts')} of {found['same_parts']['n']}; {found['overlap']['value']:.2f} of the change in common"
        )
        lines.append(f"near-identical inputs ({noise}) change the same parts: {share_of}")
    return lines


def stability(
    paths: Sequence[Trajectory],
    source: Any,
    k: int = 5,
    retrain: Callable[[int], Any] | None = None,
    walker: Any = None,
    seed: int = 0,
) -> Stability:
    """Measure how stable the first hundred paths are.

    The classifiers are, in this order: those of `retrain`; refits of a scikit-learn estimator to bootstrap samples of the
    reference rows, with its own predictions as labels (a world keeps no others); else the badge's other classifiers, which
    are not retrained ones.

    Args:
        paths: walked in `source`; those that did not arrive are left out.
        source: their run or world.
        k: number of classifiers.
        retrain: from a seed to a classifier that was trained again, in any form that `envs.make_world` takes.
        walker: who walked; None: the run's agent, or the line.
        seed: of samples and noise.

    Raises:
        UserError: k is less than 1.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> world = make_world(progress=False)
        >>> stability(explain(world, range(3), walker="line"), world, walker="line").same_parts.n
        3
    """
    from agents.explanation.contributions.compute import explained_class
    from agents.explanation.explain import world_and_run

    if k < 1:
        raise UserError(f"k={k}: at least one classifier is needed")
    world, run = world_and_run(source)
    flips = [path for path in paths if path.success and path.steps and path.predicted[-1] != path.source][:MOST]
    if not flips:
        return Stability(EMPTY, EMPTY, "no flips", EMPTY, EMPTY, 0)
    import torch

    with torch.inference_mode():
        factual = _together(world, flips)
        ends = torch.from_numpy(np.concatenate([path.frames(world)[-1:] for path in flips]))
        cells = world.units.exact(ends, factual)
    wanted = np.array([explained_class(path) for path in flips])
    goals = [None if path.goal is None else path.goal.text for path in flips]
    members, made = _members(world, k, retrain, seed)
    alike = np.zeros((len(members), len(flips)), dtype=bool)
    for goal in dict.fromkeys(goals):
        rows = np.flatnonzero([one == goal for one in goals])
        own, some = in_goal_of(flips[rows[0]], world), None if cells is None else cells[rows]
        with torch.inference_mode():
            for n, member in enumerate(members):
                alike[n, rows] = member(own, ends[rows], some) == wanted[rows]
    same, shared, queries = _noisy(world, run or world, flips, walker, seed)
    everyone = share(int(alike.all(0).sum()), len(flips))
    return Stability(mean(alike.mean(0), seed=seed), everyone, made, same, shared, queries)


def _together(world: World, paths: Sequence[Trajectory]) -> Any:
    from agents.trajectories.world import origins_of

    return origins_of(world, paths)


def _members(world: World, k: int, retrain: Callable[[int], Any] | None, seed: int) -> tuple[list[Predictor], str]:
    """The classifiers, each from a world with its goal, data (N, ...) and cells to classes (N,), and how they were made."""
    from agents.explanation.badge.oracles import oracles_of

    if retrain is not None:
        return [adapted(world, retrain(seed + n)) for n in range(k)], f"{k} classifiers of retrain="
    found = refits(world, k, seed)
    if found is not None:
        return found
    count = len(oracles_of(world).members)
    return [_oracle(n) for n in range(count)], f"no retrained classifiers: {count} of other kinds, as for badges"


def _oracle(n: int) -> Predictor:
    from agents.explanation.badge.oracles import oracles_of

    return lambda at, x, cells: np.asarray(oracles_of(at).members[n](x).argmax(1))


def _noisy(world: World, source: Any, flips: list[Trajectory], walker: Any, seed: int) -> tuple[Estimate, Estimate, int]:
    """Walk from near-identical inputs to the same targets: the share that changes the same parts, the mean overlap, and the
    queries."""
    import torch

    from agents.explanation.explain import explain
    from agents.explanation.figures.renderer import renderer_of
    from agents.explanation.own_inputs import Inputs

    if world.units.rows_are_strings:
        return EMPTY, EMPTY, 0
    x = torch.from_numpy(np.stack([path.source_input for path in flips]))
    generator = torch.Generator().manual_seed(seed)
    cells: Tensor | None = None
    if world.units.anchored:
        cells = _moved(world, torch.from_numpy(np.stack([np.asarray(path.source_cells) for path in flips])), generator)
        x = world.units.encode(cells)  # type: ignore[attr-defined]
    else:
        pictures = renderer_of(world).shows_pictures
        scale = 1.0 if pictures else float(world.reference.x.std())
        x = x + NOISE * scale * torch.randn(x.shape, generator=generator)
        x = x.clamp(0, 1) if pictures else x
    targets: Any = [target_of(path, world) for path in flips]
    targets = None if targets[0] is None else targets
    walker = default_walker(world) if walker is None and source is world else walker
    found = explain(source, Inputs(x, None, False, cells), targets, walker, seed=seed, skip_present=True)
    pairs = [(flips[int(path.position or 0)], path) for path in found if path.success]
    same = [_alike(world, *pair) for pair in pairs]
    queries = sum(path.queries for path in found)
    lost = len(flips) - len(pairs)  # without a path, or of another class: not the same explanation
    return (
        share(sum(equal for equal, _ in same), len(flips)),
        mean([part for _, part in same] + [0.0] * lost, seed=seed),
        queries,
    )


def _moved(world: World, cells: Tensor, generator: torch.Generator) -> Tensor:
    """Cells (N, C) whose numbers are moved a little, within their ranges; zeros, whole numbers and missing values stay."""
    import torch

    units: Any = world.units
    known = world.reference.cells
    numbers = [j for j in range(cells.shape[1]) if not (hasattr(units, "table") and units.table.columns[j].kind != "number")]
    whole = [j for j in numbers if bool((known[:, j].nan_to_num() == known[:, j].nan_to_num().round()).all())]
    linked = [j for j in numbers if hasattr(units, "table") and units.table.columns[j].linked_to is not None]
    out = cells.clone()
    for j in numbers:
        seen = known[:, j][~torch.isnan(known[:, j])]
        if j in whole or j in linked or not len(seen):
            continue
        noisy = out[:, j] + NOISE * seen.std() * torch.randn(len(out), generator=generator, dtype=torch.float64)
        inside = torch.minimum(
            torch.maximum(noisy, torch.minimum(seen.min(), out[:, j])), torch.maximum(seen.max(), out[:, j])
        )
        out[:, j] = torch.where(torch.isnan(out[:, j]) | (out[:, j] == 0), out[:, j], inside)
    return out


def _alike(world: World, one: Trajectory, other: Trajectory) -> tuple[bool, float]:
    """Whether two paths change the same parts (of tables: the same columns; of pictures: more than half of the change in
    common), and how much of their changes they have in common."""
    both = overlap(change_of(one, world), change_of(other, world))
    return both == 1 if by_columns(world) else both > MOST_OVERLAP, both
