"""What a notebook shows of a path: a player that needs nothing, and a widget where a kernel runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from agents.errors import UserError


class InNotebooks:
    """The displays of a path in a notebook; both are loaded on first use.

    Example:
        >>> from agents import Trajectory
        >>> issubclass(Trajectory, InNotebooks)
        True
    """

    world: ClassVar[Any]

    def _repr_html_(self) -> str:
        """For notebooks: a player of the path, which also works in a saved notebook, and the frames as a table; without a
        world, the summary, the curves and the table."""
        return str(import_module("agents.trajectories.display").html(self))

    def widget(self, source: Any = None, **settings: Any) -> Any:
        """The path in the explorer, as a widget of a notebook: play it, and walk on from any of its frames. It takes the extra
        ``[app]``, and queries the input again.

        Args:
            source: the world or run of a path that was loaded from a file; a path of `explain` knows its own.
            settings: ``budget``, see `agents.app.notebook.widget`.

        Returns:
            An `agents.app.widget.ExplorerWidget`.

        Raises:
            UserError: the extra is not installed, or no world is known.
        """
        if source is None and self.world is None:
            raise UserError("the path was loaded from a file: name its world or run, as in path.widget(world)")
        return import_module("agents.app.notebook").widget(self.world if source is None else source, self, **settings)
