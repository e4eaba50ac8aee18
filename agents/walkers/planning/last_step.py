"""A planned last step: the best end within one step of the last frame but one.

A walk stops at the first frame that satisfies the task, which is seldom the best frame it could have stepped to. A surrogate
of the classifier (`agents.walkers.planning.surrogate`) approximates where the decision boundary runs. Its log odds are shifted
to the one prediction observed at the crossing, and projected gradient descent looks for the cheapest end - near the input,
near the target class's own data - on the right side of the boundary and within one bounded step. Then the classifier is
queried: the planned step replaces the last one only if it succeeds; otherwise a smaller change is tried. This is optimisation
on a surrogate, not reinforcement learning, and it is reported beside the walk without it.

With an ensemble (`agents.walkers.planning.ensemble`), an end that it doubts costs more, and where no end within reach
convinces it, one more step is planned from the end: an end that only the explained classifier assigns to the target class
explains the classifier's quirks, not the class.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from agents.walkers.base import Recorder, Walk, select
from agents.walkers.follow import aim
from agents.walkers.planning.ends import Ends
from agents.walkers.planning.ensemble import Ensemble
from agents.walkers.planning.pictures.ensemble import PictureEnsemble
from agents.walkers.planning.settings import PLANS, PlanSettings
from agents.walkers.planning.surrogate import Surrogate
from envs.core.state import State
from envs.core.world import World

__all__ = ["PLANS", "PlanSettings", "convinced", "plan_last"]


def plan_last(
    recorder: Recorder,
    surrogate: Surrogate | None,
    ensemble: Ensemble | PictureEnsemble | None = None,
    settings: PlanSettings | None = None,
) -> None:
    """Replace the last step of successful items by a better one, with one or two further queries per item.

    Where the ensemble doubts every end within reach, add a step along which p(target) does not fall. Only walks that reach
    another class by its probability are planned; others stay as they are.

    Args:
        recorder: holds the batch; changed in place.
        surrogate: of the classifier; None: the ensemble takes its place.
        ensemble: independent networks that must agree with the end; None: none.
        settings: None: the defaults of `PlanSettings`.
    """
    settings = settings or PlanSettings()
    world = recorder.world
    if world.label_only or not world.task.towards_target:
        return
    state = recorder.state
    reached = recorder.success.numpy() & (recorder.length.numpy() > 0) & (state.target.numpy() != state.source.numpy())
    items = torch.from_numpy(np.flatnonzero(reached))
    with torch.inference_mode():
        _replan(recorder, items, surrogate, ensemble, settings, further=False)
        for _ in range(settings.further if ensemble is not None else 0):
            assert ensemble is not None
            items = items[recorder.length[items] < recorder.max_steps]
            end = select(recorder.state, items)
            odds = ensemble.margin(world.manifold.coordinates(end.z, end.frame), end.target)
            items = items[odds < settings.enough(world)]
            _replan(recorder, items, surrogate, ensemble, settings, further=True)


def convinced(
    world: World,
    start: State,
    walk: Walk,
    check: PictureEnsemble,
    max_steps: int | None = None,
    surrogate: Surrogate | None = None,
) -> Walk:
    """Plan the ends of a walk anew, and continue, until an ensemble of networks predicts the class that was reached.

    Args:
        world: where it was walked.
        start: (B) the states at frame 0.
        walk: of any walker; items without success stay as they are.
        check: of `agents.walkers.planning.pictures.ensemble`. What it predicts is not a query of the classifier.
        max_steps: step limit; None: the world's own.
        surrogate: of the classifier; None: the ensemble takes its place.

    Returns:
        The walk with other ends, and the further queries of the classifier counted.
    """
    end = walk.predictions[walk.length, torch.arange(len(walk.length))].argmax(1)
    target = torch.where(walk.success & (start.target != start.source), end, start.target)
    recorder = Recorder.resumed(world, start._replace(target=target), walk, max_steps)
    plan_last(recorder, surrogate, check, check.plan)
    return recorder.walk()


def _replan(
    recorder: Recorder,
    items: Tensor,
    surrogate: Surrogate | None,
    ensemble: Ensemble | PictureEnsemble | None,
    settings: PlanSettings,
    further: bool,
) -> None:
    """Plan the last step of `items` anew, or a `further` one, and take it where it succeeds."""
    if len(items) == 0:
        return
    world = recorder.world
    end = select(recorder.state, items)
    before = end if further else select(recorder.before, items)
    ends = Ends(world, end, surrogate, ensemble, settings, steady=further)
    goal, cost = ends.best(before)
    worth = cost < ends.cost - settings.gain * world.class_distance
    planned, old = recorder.planned.numpy(), end.z.numpy()
    for share in settings.shares:
        rows = np.flatnonzero(worth)
        if not len(rows):
            return
        start, where = select(before, torch.from_numpy(rows)), items.numpy()[rows]
        action, _ = aim(world, start.z, torch.from_numpy(old[rows] + share * (goal[rows] - old[rows])))
        state, info = recorder.trial(torch.from_numpy(where), action, start)
        good = info.is_success.numpy() & (ends.costs(state, rows) < ends.cost[rows])
        if further:  # p(target) rises all the way
            good &= info.goal.numpy() >= world.task.goal(end).numpy()[rows]
        if good.any():
            done, chosen = where[good], torch.from_numpy(good)
            planned[done] = planned[done] + 1 if further else 1
            take = recorder.accept if further else recorder.replace_last
            take(torch.from_numpy(done), action[chosen], select(state, chosen), select(info, chosen))
            worth[rows[good]] = False
