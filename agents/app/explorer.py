"""What all sessions of an explorer share: the world, one classifier behind a lock, the map, the directions, the walkers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from agents.app import BUDGET
from agents.app.directions import Direction, directions
from agents.app.errors import Busy, RequestError
from agents.app.views import shown_of
from agents.explanation.explain import at_another_goal, choose_walker, world_and_run
from agents.explanation.figures.map import Map, starts_map
from agents.explanation.information_gain import bonus_in_nats, expected_gain_map
from agents.walkers import default_walker, walkers_for
from agents.walkers.follow import aim, latent_step
from agents.walkers.walker import Walker
from envs.core.state import State
from envs.core.world import World

BUSY_SECONDS = 20.0  # that a request waits for the classifier
SLICE = 24  # cells along each side of the slice, each of which is a query


class Paying(Protocol):
    """Who pays for queries: a session.

    Attributes:
        used: queries so far.
    """

    used: int

    def check_budget(self, rows: int) -> None:
        """Raise BudgetSpent where fewer than `rows` queries are left."""
        ...


class Explorer:
    """Everything behind the page but the sessions.

    Args:
        source: a world, a run, or the folder of a run.
        budget: classifier queries a session, in rows.

    Raises:
        UserError: data that the page cannot show.

    Example:
        >>> from envs import make_world
        >>> explorer = Explorer(make_world())
        >>> explorer.area.places(explorer.world.reference.z[:1].numpy()).shape
        (1, 2)
        >>> explorer.walkers[:2]
        ['line', 'slerp']
    """

    def __init__(self, source: Any, budget: int = BUDGET) -> None:
        self.world, self.run = world_and_run(source)
        shown_of(self.world)  # refuses data that the page cannot show
        self.budget = budget
        self.lock = threading.Lock()

    def prepare(self) -> None:
        """Compute what the first visitor would wait for."""
        _ = self.area, self.directions, self.reach, self.walkers, self.gains, self.world.class_neighbours

    # ---- queries -----------------------------------------------------------------------------------------------------

    @contextmanager
    def asking(self, session: Paying, rows: int = 1) -> Iterator[None]:
        """Within: the session may query the classifier, which no other session does meanwhile; its queries are counted.

        Args:
            session: pays for the queries.
            rows: how many are needed at least.

        Raises:
            BudgetSpent: the session has fewer queries left.
            Busy: the classifier was in use for `BUSY_SECONDS`.
        """
        session.check_budget(rows)
        if not self.lock.acquire(timeout=BUSY_SECONDS):
            raise Busy(f"the classifier was in use by other sessions for {BUSY_SECONDS:g} seconds: try again")
        before = self.world.classifier.queries
        try:
            yield
        finally:
            session.used += self.world.classifier.queries - before
            self.lock.release()

    # ---- what can be chosen ------------------------------------------------------------------------------------------

    @cached_property
    def walkers(self) -> list[str]:
        """Names of the walkers that can walk here; the run's trained agent comes first, without one the default
        walker."""
        names = walkers_for(self.world, self.run is not None)
        first = [name for name in names if getattr(self.walker(name), "needs_model", False)] or [default_walker(self.world)]
        return first + [name for name in names if name not in first]

    def walker(self, name: Any, world: World | None = None) -> Walker:
        """The walker of a name.

        Args:
            name: of `walkers_for` this world.
            world: where it walks, with a goal of its own; None: the explorer's world.

        Raises:
            RequestError: no such walker.
            ManifoldError: an agent that was trained for another number of outcomes than the goal has.
        """
        known = walkers_for(self.world, self.run is not None)
        if name not in known:
            raise RequestError(f"walker {name!r:.40}: those of this page are {', '.join(known)}")
        walker = choose_walker(name, self.run)
        if world is None or world.classifier is self.world.classifier:
            return walker
        return at_another_goal(walker, self.world, world)

    @cached_property
    def directions(self) -> list[Direction]:
        """The directions with sliders."""
        return directions(self.world)

    @cached_property
    def reach(self) -> float:
        """Latent length of a full action."""
        return latent_step(self.world)

    # ---- the map -----------------------------------------------------------------------------------------------------

    @cached_property
    def area(self) -> Map:
        """The plane of the two principal axes of the reference codes."""
        return starts_map(self.world)

    def goal_on_map(self, z: Tensor, x: float, y: float) -> Tensor:
        """The code (1, d) whose place on the map is (x, y), from 0 to 1; across the map it stays where z (1, d) is."""
        uv = self.area.low + np.array([x, 1 - y]) * (self.area.high - self.area.low)
        away = uv - (z.numpy().astype(np.float64) - self.area.centre) @ self.area.axes.T
        return z + torch.from_numpy((away @ self.area.axes).astype(np.float32))

    def goal_along(self, z: Tensor, right: float, up: float) -> Tensor:
        """The code (1, d) that lies a full action from z (1, d) in a direction of the map."""
        away = np.array([right, up]) @ self.area.axes
        return z + self.reach * torch.from_numpy((away / max(float(np.linalg.norm(away)), 1e-12)).astype(np.float32))

    def action_to(self, state: State, goal: Tensor) -> Tensor:
        """The action (1, d) that leads towards a code (1, d): to it, or as near as one step may."""
        return aim(self.world, state.z, goal)[0]

    def regions_of(self, world: World) -> Map:
        """The map with the outcomes of a world's own goal."""
        return self.area if world.classifier is self.world.classifier else starts_map(world)

    def slice_at(self, world: World, state: State) -> Map:
        """The classes on the plane through the present code that is parallel to the map; `SLICE` squared queries.

        The map itself is a projection: its regions are those of the reference inputs, which lie elsewhere in all other
        dimensions. This plane holds the present frame.
        """
        area = self.area
        cells = (np.arange(SLICE) + 0.5) / SLICE
        grid = np.stack(np.meshgrid(cells, 1 - cells), axis=-1).reshape(-1, 2)  # (x, y from the top), bottom row first
        with torch.inference_mode():
            z = torch.cat([self.goal_on_map(state.z, float(x), float(y)) for x, y in grid])
            home = state.home.chosen(torch.zeros(len(z), dtype=torch.int64))
            found = world.predictions(world.decode(z, home), home)
        return area._replace(classes=found.argmax(1).numpy().reshape(SLICE, SLICE), queries=len(z))

    @cached_property
    def gains(self) -> np.ndarray | None:
        """Expected information gain of a step on the map (n, n) in nats, row 0 at the bottom; None where the run has no
        curiosity that measures it."""
        bonus = bonus_in_nats(self.run)
        return None if bonus is None else expected_gain_map(bonus, self.world).gains
