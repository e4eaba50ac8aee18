"""The explorer as a widget of a notebook: the same page, whose requests go to the kernel by the widget's own channel."""

from __future__ import annotations

from typing import Any, ClassVar

import anywidget
import traitlets

from agents.app import BUDGET
from agents.app.explorer import Explorer
from agents.app.hand_walk import HandWalk
from agents.app.in_frame import answered, page
from agents.app.server import FILES, application
from agents.app.serving import HEIGHT
from agents.app.session import Sessions
from agents.errors import UserError
from agents.trajectories.trajectory import Trajectory

LONGEST = 64  # letters of a path or token in a message


class ExplorerWidget(anywidget.AnyWidget):
    """The page of `agents.app` where a kernel runs, without a server or an open port.

    Args:
        source: a world, a run, or the folder of a run.
        path: a path that was walked there, which is shown; None: the first held-out input.
        budget: classifier queries, in rows.
        height: of the widget, in pixels.

    Attributes:
        session: whose `walk` is the walk that is shown, as `agents.app.hand_walk.HandWalk`.

    Raises:
        TrajectoryError: the path was walked in another world.

    Example:
        >>> from envs import make_world
        >>> widget = ExplorerWidget(make_world())
        >>> widget.session.enter("row", 0)
        >>> widget.trajectory.steps
        0
    """

    _esm: ClassVar[Any] = FILES / "widget.js"
    page = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(HEIGHT).tag(sync=True)

    def __init__(self, source: Any, path: Trajectory | None = None, budget: int = BUDGET, height: int = HEIGHT) -> None:
        explorer = Explorer(source, budget)
        sessions = Sessions(explorer)
        self.session = sessions.new()
        if path is not None:
            with explorer.asking(self.session):
                self.session.walk = HandWalk.of_path(path, explorer.world)
            self.session.found = (self.session.walk.state, path.saved_contributions)
        self._application = application(explorer, sessions=sessions)
        super().__init__(page=page(self.session.token), height=height)
        self.on_msg(self._answer)

    @property
    def trajectory(self) -> Trajectory:
        """The walk up to the frame that is shown, as an ordinary path."""
        return self.session.walking.trajectory()

    def _answer(self, widget: Any, content: Any, buffers: list[Any]) -> None:
        """Answer a request of the page."""
        named: list[Any] = [content.get(name) for name in ("id", "path", "token")] if isinstance(content, dict) else []
        if len(named) < 3 or not all(isinstance(one, str) and len(one) <= LONGEST for one in named):
            raise UserError("a message to the explorer's widget has an id, a path and a token")
        name, path, token = named
        found = answered(self._application, path, token, bytes(buffers[0]) if buffers else b"")
        self.send({"id": name, "status": found.status, "headers": found.headers}, buffers=[found.content])
