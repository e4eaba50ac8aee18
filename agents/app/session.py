"""Sessions: each visitor's own walk and query count, and the table of sessions."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch

from agents.app.curiosity import SessionSteps
from agents.app.errors import BudgetSpent, RequestError, UnknownSession
from agents.app.explorer import SLICE, Explorer
from agents.app.hand_walk import HAND, HandWalk
from agents.app.inputs import Entered, read_input
from agents.explanation.own_inputs import Inputs
from agents.explanation.targets import Aim, read_aims
from agents.walkers.base import select
from envs.reading import checks

MOST_STEPS = 400  # of one walk
MOST_LETTERS = 200  # of a target in words
MOST_SESSIONS = 64  # the one that was used longest ago is closed for a new one


class Session:
    """One visitor: a walk, a query count, and one request at a time.

    Args:
        explorer: what all sessions share.
        token: names the session; nobody can guess it.

    Attributes:
        walk: None before an input is chosen.
        used: classifier queries so far, those for maps and contributions included.
        lines: walker -> its walk from frame 0, drawn over the map.
        seen: the steps so far, of all walks.
        found: the state that was explained last, and the contributions of the walk to it.

    Example:
        >>> from envs import make_world
        >>> session = Session(Explorer(make_world()), "token")
        >>> session.enter("row", 0)
        >>> session.move_on_map(0.5, 0.5)
        >>> session.walk.cursor, session.used
        (1, 2)
    """

    def __init__(self, explorer: Explorer, token: str) -> None:
        self.explorer, self.token = explorer, token
        self.walk: HandWalk | None = None
        self.used = 0
        self.lines: dict[str, Any] = {}
        self.seen = SessionSteps(explorer.world)
        self.found: tuple[Any, Any] | None = None
        self.lock = threading.Lock()

    def check_budget(self, rows: int) -> None:
        """Raise BudgetSpent where fewer than `rows` queries are left."""
        budget = self.explorer.budget
        left = max(budget - self.used, 0)
        if rows > left:
            raise BudgetSpent(
                f"this takes {rows:,} or more queries of the classifier, and {left:,} of the session's {budget:,} are left: "
                "save the walk, and open the page in a new tab, or start the server with --budget N"
            )

    @property
    def walking(self) -> HandWalk:
        """The walk.

        Raises:
            RequestError: no input is chosen.
        """
        if self.walk is None:
            raise RequestError("no input is chosen: choose one first")
        return self.walk

    # ---- input and target --------------------------------------------------------------------------------------------

    def enter(self, kind: Any, value: Any, target: Any = None) -> None:
        """Begin a walk from the input that a request names, see `agents.app.inputs.READERS`."""
        self.begin(read_input(self.explorer.world, kind, value), target)

    def begin(self, entered: Entered, target: Any = None) -> None:
        """Begin a walk from an input; queries the input and, where that differs, frame 0.

        Args:
            entered: the input.
            target: index of a class, or a target in words, see `agents.explain`; None: the task's own rule.
        """
        with self.explorer.asking(self, 2):
            walk = HandWalk(self.explorer.world, entered, self._aim(target, entered))
            self.walk = self._sensible(walk)
        walk.seen = self.seen
        self.lines = {}

    def aim_for(self, target: Any) -> None:
        """Change the target of the walk; its steps stay. For another goal on a score or on labels every step is queried again;
        another class costs nothing."""
        walk, world = self.walking, self.explorer.world
        if not world.task.takes_target:
            raise RequestError(f"the task {world.task.name!r} of this world takes no target")
        with nullcontext() if world.goal is None else self.explorer.asking(self, 2 + len(walk.steps)):
            aim = self._aim(target, walk.entered)
            assert aim is not None
            self.walk = self._sensible(walk.towards(aim))
        self.lines = {}

    def _aim(self, target: Any, entered: Entered) -> Aim | None:
        """What a request names as the target; a change of the input's own score or labels is one query."""
        world = self.explorer.world
        if target is None:
            return None
        if isinstance(target, str):
            if not target.strip() or len(target) > MOST_LETTERS:
                raise RequestError(f"the target {target!r:.40} is no text of 1 to {MOST_LETTERS} letters")
            rows = None if entered.held_out is None else [entered.held_out]
            return read_aims(world, target.strip(), Inputs(entered.x, rows, True, entered.cells))[0]
        index = checks.whole(target, "target", 0, world.classes - 1, error=RequestError)
        return Aim(world, world, [0], [index] if world.task.takes_target else None)

    def _sensible(self, walk: HandWalk) -> HandWalk:
        if walk.refused:
            raise RequestError(
                f"the target {walk.aim.requested!r} is what the model already says of the input: ask for another one"
            )
        return walk

    # ---- moves -------------------------------------------------------------------------------------------------------

    def move_on_map(self, x: Any, y: Any) -> None:
        """One step towards a place on the map, from 0 to 1 from the left and from the top."""
        x, y = (checks.number(value, name, -1, 2, error=RequestError) for name, value in (("x", x), ("y", y)))
        self._step_to(self.explorer.goal_on_map(self.walking.state.z, x, y))

    def move_along(self, right: Any, up: Any) -> None:
        """One full step in a direction of the map."""
        right, up = (checks.number(v, name, -1, 1, error=RequestError) for name, v in (("right", right), ("up", up)))
        if right == up == 0:
            raise RequestError("right and up are both 0: no direction")
        self._step_to(self.explorer.goal_along(self.walking.state.z, right, up))

    def move_direction(self, index: Any, value: Any) -> None:
        """One step along a direction towards a value of its slider."""
        known = self.explorer.directions
        direction = known[checks.whole(index, "direction", 0, len(known) - 1, error=RequestError)]
        self._step_to(direction.goal(self.walking.state.z, checks.number(value, "value", -1e6, 1e6, error=RequestError)))

    def _step_to(self, goal: torch.Tensor) -> None:
        walk = self.walking
        self._room(walk)
        with self.explorer.asking(self):
            walk.move(self.explorer.action_to(walk.state, goal))

    def goto(self, frame: Any) -> None:
        """Show another frame; the next move starts there."""
        walk = self.walking
        walk.goto(checks.whole(frame, "frame", 0, len(walk.steps), error=RequestError))

    # ---- walkers -----------------------------------------------------------------------------------------------------

    def drive(self, name: Any) -> int:
        """Let a walker go on from the frame that is shown; returns the number of its steps.

        Its walk is queried at once, and may take the session beyond its budget by as much.
        """
        walk = self.walking
        walker = self.explorer.walker(name, walk.world)
        if walk.arrived:
            raise RequestError("the walk has arrived: choose another target, or an earlier frame")
        self._room(walk)
        with self.explorer.asking(self, 2):
            return walk.drive(walker, torch.Generator().manual_seed(0))

    def draw(self, name: Any) -> None:
        """Draw the walk of a walker from frame 0 over the map."""
        walk = self.walking
        walker = self.explorer.walker(name, walk.world)
        with self.explorer.asking(self, 2):
            found = walker.walk(
                walk.world, select(walk.start, torch.tensor([0])), torch.zeros(1, dtype=torch.int64),
                torch.Generator().manual_seed(0),
            )  # fmt: skip
        steps = int(found.length[0])
        reached = {"steps": steps, "success": bool(found.success[0]), "queries": int(found.queries[0])}
        self.lines[walker.name] = {"z": found.z[: steps + 1, 0].numpy(), **reached}

    def slice(self) -> Any:
        """The classes on the plane through the present frame, see `Explorer.slice_at`."""
        walk = self.walking
        with self.explorer.asking(self, SLICE**2):
            return self.explorer.slice_at(walk.world, walk.state)

    # ---- after the server was started again --------------------------------------------------------------------------

    def restore(self, kind: Any, value: Any, target: Any, actions: Any, by: Any, cursor: Any) -> None:
        """Walk again what the page kept of a walk; every step is queried again.

        Raises:
            RequestError: what the page kept is damaged.
        """
        try:
            steps = np.asarray(actions, dtype=np.float32).reshape(-1, self.explorer.world.latent_dim)
        except (TypeError, ValueError):
            raise RequestError("the kept walk is damaged: choose an input again") from None
        names = {HAND, *self.explorer.walkers}
        whole = isinstance(by, list) and len(by) == len(steps) <= MOST_STEPS and all(name in names for name in by)
        if not whole or not np.isfinite(steps).all():
            raise RequestError("the kept walk is damaged: choose an input again")
        self.enter(kind, value, target)
        walk = self.walking
        with self.explorer.asking(self, max(1, len(steps))):
            for action, name in zip(steps, by, strict=True):
                walk.move(torch.from_numpy(action)[None], name)
        self.goto(cursor)

    def _room(self, walk: HandWalk) -> None:
        if walk.cursor >= MOST_STEPS:
            raise RequestError(
                f"the walk has {MOST_STEPS} steps, the most of this page: go back to an earlier frame, or begin again"
            )


class Sessions:
    """The sessions by token.

    Args:
        explorer: what they share.

    Example:
        >>> from envs import make_world
        >>> sessions = Sessions(Explorer(make_world()))
        >>> sessions.find(sessions.new().token).used
        0
    """

    def __init__(self, explorer: Explorer) -> None:
        self.explorer = explorer
        self._open: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def new(self) -> Session:
        """A new session; beyond `MOST_SESSIONS`, the one that was used longest ago is closed."""
        session = Session(self.explorer, secrets.token_urlsafe(24))
        with self._lock:
            self._open[session.token] = session
            while len(self._open) > MOST_SESSIONS:
                self._open.popitem(last=False)
        return session

    def find(self, token: str) -> Session:
        """The session of a token.

        Raises:
            UnknownSession: there is none.
        """
        with self._lock:
            if token not in self._open:
                raise UnknownSession("this session is not known: the server was started again, or the session was closed")
            self._open.move_to_end(token)
            return self._open[token]
