"""One card as a page of its own: the player that notebooks show of a path. It needs no server and no query."""

from __future__ import annotations

from html import escape
from typing import Any

from agents.explanation.report.card import Card
from agents.explanation.report.templating import digest, joined, templates
from agents.trajectories.trajectory import Trajectory

HEIGHT = 560  # pixels of the frame in a notebook; the page in it scrolls


def player_page(path: Trajectory, world: Any) -> str:
    """The page: input, the step of the player and end, headline, curves and every step, and the contributions that were
    computed before.

    Args:
        path: to be shown.
        world: where it was walked; it is not queried.
    """
    script, card = joined("script", ("card",)), Card(1, path, world, mapped=False)
    page = templates().get_template("player.html")
    style = joined("style", ("page", "card"))
    return str(page.render(card=card, script=script, script_hash=digest(script), style=style))


def player(path: Trajectory, world: Any) -> str:
    """The page in a frame for a notebook: its script runs apart from the notebook, and also in one that was saved."""
    page = escape(player_page(path, world))
    look = f"width:100%;height:{HEIGHT}px;border:0"
    return f'<iframe title="{escape(path.headline)}" sandbox="allow-scripts" style="{look}" srcdoc="{page}"></iframe>'
