"""What shows paths and explainers to people who walk by hand: a page, or a widget of a notebook."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from agents.app import BUDGET, HOST
from agents.errors import UserError

if TYPE_CHECKING:
    from agents.app.serving import Served
    from agents.app.widget import ExplorerWidget
    from agents.runs.run import Run
    from envs.core.world import World

NEEDS_EXTRA = "the widget needs anywidget and Starlette: python -m pip install 'manifold-traversal[app]'"


def widget(source: Any, path: Any = None, budget: int = BUDGET) -> ExplorerWidget:
    """The widget of `agents.app.widget`.

    Raises:
        UserError: the extra is not installed.
    """
    if any(find_spec(name) is None for name in ("anywidget", "starlette")):
        raise UserError(NEEDS_EXTRA)
    from agents.app.widget import ExplorerWidget

    return ExplorerWidget(source, path, budget)


class Explored:
    """What an explainer shows people who walk by hand.

    Example:
        >>> from agents import Explainer
        >>> issubclass(Explainer, Explored)
        True
    """

    world: World
    run: Run | None

    def app(self, host: str = HOST, port: int = 0, budget: int = BUDGET) -> Served:
        """Serve a page on which people walk by hand, see `agents.app`; it takes the extra ``[app]``.

        Args:
            host: address to bind; others than this machine's own let other people use the page.
            port: 0: any free one.
            budget: classifier queries of each visitor, in rows.

        Returns:
            The page: its ``address``, and ``stop()``. It also ends with this process.

        Raises:
            UserError: the extra is not installed, or the address cannot be bound.
        """
        from agents.app.serving import start

        return start(self.world if self.run is None else self.run, host, port, budget)

    def widget(self, budget: int = BUDGET) -> ExplorerWidget:
        """The same page as a widget of a notebook, where a kernel runs; it opens no port, and takes the extra ``[app]``.

        Args:
            budget: classifier queries, in rows.

        Raises:
            UserError: the extra is not installed.
        """
        return widget(self.world if self.run is None else self.run, budget=budget)
