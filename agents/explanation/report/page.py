"""One self-contained ``report.html`` for a run or a single path: opens from disk, loads nothing, needs no network.

The numbers of the page are those of the `Trajectory`, rounded only for display. Jinja2 escapes every text (class names may
hold markup); a content security policy in the page forbids loading anything and running any script but the page's own. The
page holds the explained inputs and their paths, and of the reference inputs nothing but two coordinates each on the map.

The command is `agents.report`. `agents.explanation.report.card` gathers what a path's card shows.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.console.threads import one_threaded
from agents.explanation.across.audit import Audit
from agents.explanation.across.patterns import patterns
from agents.explanation.figures.means import mean_pictures
from agents.explanation.report.card import Card
from agents.explanation.report.drawing import overview_map
from agents.explanation.report.extras import Extras, Panel, View
from agents.explanation.report.groups import grouped
from agents.explanation.report.statement import ORDER, add_contributions
from agents.explanation.report.templating import digest, joined, templates
from agents.explanation.report.words import gathered, metric_rows
from agents.files import write_whole, writing
from agents.trajectories.goal import in_goal_of
from agents.trajectories.trajectory import Trajectory
from envs.files import in_home

__all__ = ["Extras", "Panel", "View", "render_report", "write_report"]

MOST_PATHS = 200  # paths in one page; the others are in the run folder
MOST_MAPS = 24  # cards with a map of their own, each of which queries the classifier thousands of times
MOST_PATTERNS = 30  # pairs of classes
STYLES, SCRIPTS = ("page", "card", "print"), ("card", "index")


@one_threaded
def write_report(
    file: str | os.PathLike[str],
    paths: Sequence[Trajectory],
    world: Any,
    *,
    title: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    made: Mapping[str, Any] | None = None,
    extras: Sequence[Extras] | None = None,
    panels: Sequence[Panel] = (),
    badges: bool = True,
    audit: Audit | None = None,
) -> Path:
    """Write the report atomically.

    Args:
        file: of the report.
        paths: at least one; of more than `MOST_PATHS` the first ones are shown, and the page says so.
        world: where they were walked; its classifier is queried for the maps (the page reports how often).
        title: None: the walkers and the number of inputs.
        metrics: key -> number, text, or an `Estimate` with its interval; nested mappings become groups.
        made: name -> text for "how it was made", such as the command. ``measured over`` is also shown with the metrics, and
            ``targets``, how the target classes were chosen, in the overview.
        extras: one per path.
        panels: static figures for all paths.
        badges: compute the badges of the paths that lack them, which takes seconds once for a world, and no query.
        audit: of protected columns, shown in a section of its own, see `agents.audit`.

    Returns:
        The file of the report.

    Raises:
        TrajectoryError: a path of another manifold.
        ValueError: no paths, or another number of extras than of paths.
    """
    target = Path(in_home(os.fspath(file)))
    for path in paths[:MOST_PATHS] if badges else ():
        path.badge(world)
    page = render_report(paths, world, title=title, metrics=metrics, made=made, extras=extras, panels=panels, audit=audit)
    with writing("the report", "make room, or choose another place with --out FILE; the paths themselves are saved"):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, page)
    return target


@one_threaded
def render_report(
    paths: Sequence[Trajectory],
    world: Any,
    *,
    title: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    made: Mapping[str, Any] | None = None,
    extras: Sequence[Extras] | None = None,
    panels: Sequence[Panel] = (),
    audit: Audit | None = None,
) -> str:
    """The page as text; arguments as in `write_report`. Badges are those saved with the paths."""
    if not paths:
        raise ValueError("a report needs at least one path; make some with python -m agents.explain")
    if extras is not None and len(extras) != len(paths):
        raise ValueError(f"{len(extras)} extras for {len(paths)} paths; give one for each")
    shown = list(paths[:MOST_PATHS])
    given = list(extras[:MOST_PATHS]) if extras is not None else [Extras()] * len(shown)
    script = joined("script", SCRIPTS)
    divided = add_contributions(shown, world)
    cards = cards_of(shown, world, given)
    bounded = getattr(world, "max_step", None) is not None
    badges = Counter(card.statement.badge for card in cards)
    common = patterns(shown, world)
    return (
        templates()
        .get_template("report.html")
        .render(
            title=title or _title([card.path for card in cards] + list(paths[MOST_PATHS:])),
            summary=_summary(cards, made or {}),
            cards=cards,
            first=paths[0],
            left_out=len(paths) - len(shown),
            pairs=sorted({card.heading for card in cards}),
            badges=sorted(badges, key=ORDER.index),
            pictures=any(card.face.thumbnails for card in cards),
            tables=any(card.face.template == "table.html" for card in cards),
            patterns=[(pattern, mean_pictures(pattern)) for pattern in common[:MOST_PATTERNS]],
            overview=overview_map([card.path for card in cards], world),
            panels=panels,
            audit=audit,
            metrics=gathered(metric_rows(metrics or {}, bounded=bounded, goal=world.goal)),
            made=dict(made or {}),
            script=script,
            script_hash=digest(script),
            style=joined("style", STYLES),
            map_queries=sum(card.map.queries for card in cards if card.map),
            divided=divided,
        )
    )


def cards_of(paths: Sequence[Trajectory], world: Any, extras: Sequence[Extras] | None = None) -> list[Card]:
    """The cards of paths, one an input where these are alternatives from it; arguments as in `render_report`."""
    given = [Extras()] * len(paths) if extras is None else extras
    worlds = [in_goal_of(path, world) for path in paths]
    return [
        Card(n, paths[first], worlds[first], given[first], n <= MOST_MAPS,
             [Card(n, paths[k], worlds[k], given[k], mapped=False) for k in others])
        for n, (first, *others) in enumerate(grouped(paths), 1)
    ]  # fmt: skip


def _summary(cards: Sequence[Card], made: Mapping[str, Any]) -> str:
    """How many of the paths shown arrived, and how many have which badge."""
    reached = sum(card.path.success for card in cards)
    text = f"{reached} of {len(cards)} path{'' if len(cards) == 1 else 's'} reached the target"
    badges = Counter(card.statement.badge for card in cards if card.path.success)
    text += ": " + ", ".join(f"{badges[kind]} with the badge “{kind}”" for kind in ORDER if badges[kind]) if badges else ""
    others = sum(len(card.others) for card in cards)
    text += f", and {others} other path{'' if others == 1 else 's'} from the same inputs" if others else ""
    targets = f" Targets: {made['targets']}." if made.get("targets") else ""
    labels = " The model returns only labels, so that there are no probabilities." if cards[0].path.label_only else ""
    return f"{text}.{targets}{labels}"


def _title(paths: Sequence[Trajectory]) -> str:
    walkers = sorted({"a trained agent" if path.walker == "policy" else f"the walker {path.walker}" for path in paths})
    return f"{len(paths)} {'input' if len(paths) == 1 else 'inputs'} explained by {' and '.join(walkers)}"
