"""What the page receives: the world once, and the whole session after every request, in JSON's types."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from agents.app.errors import RequestError
from agents.app.explorer import SLICE, Explorer
from agents.app.hand_walk import HandWalk
from agents.app.session import Session
from agents.app.views import exact_row, form_fields, shown_of
from agents.errors import UserError
from agents.explanation.contributions.compute import MAX_QUERIES, contributions
from agents.explanation.figures.map import Map
from agents.explanation.figures.style import GAIN, data_uri, rgb, see_through
from agents.explanation.report.card import Card
from agents.explanation.report.drawing import regions_png
from agents.trajectories.goal import kind_of_end
from agents.trajectories.shown import Shown, shown_along

MOST_DOTS = 400  # reference inputs on the map


def about(explorer: Explorer) -> dict[str, Any]:
    """The world: classes, inputs, directions, walkers and the map."""
    world = explorer.world
    stride = -(-len(world.reference.z) // MOST_DOTS)
    return {
        "modality": world.modality,
        "classes": list(map(str, world.class_names)),
        "kind": kind_of_end(world.goal),
        "labelOnly": world.label_only,
        "shape": list(world.manifold.data_shape),
        "latent": world.latent_dim,
        "inputs": shown_of(world).inputs,
        "rows": len(world.held_out.x),
        "fields": form_fields(world),
        "task": world.stop_rule,
        "takesTarget": world.task.takes_target,
        "walkers": explorer.walkers,
        "whiteBox": [name for name in explorer.walkers if getattr(explorer.walker(name), "needs_gradient", False)],
        "directions": [{"name": one.name, "kind": one.kind, "low": one.low, "high": one.high} for one in explorer.directions],
        "budget": explorer.budget,
        "sliceQueries": SLICE**2,
        "gain": explorer.gains is not None,
        "saves": explorer.run is not None,
        "dots": (100 * explorer.area.places(np.asarray(world.reference.z[::stride]))).round(1).tolist(),
    }


def whole(session: Session) -> dict[str, Any]:
    """The session as the page shows it."""
    explorer, walk = session.explorer, session.walk
    answer: dict[str, Any] = {"used": session.used, "budget": explorer.budget, "walk": None}
    return answer if walk is None else {**answer, "walk": _walk(explorer, session, walk)}


def _walk(explorer: Explorer, session: Session, walk: HandWalk) -> dict[str, Any]:
    world, state, frames = explorer.world, walk.state, range(len(walk.steps) + 1)
    names, z = list(map(str, world.class_names)), state.z
    predictions = np.stack([walk.state_at(t).prediction[0].numpy() for t in frames])
    codes = np.concatenate([walk.state_at(t).z.numpy() for t in frames])
    shown = shown_along(SimpleNamespace(predictions=predictions, class_names=names), world.goal, int(walk.start.target))
    here, home = (world.manifold.coordinates(*pair) for pair in ((z, state.frame), (state.z0, state.factual)))
    return {
        "input": walk.entered.label,
        "note": walk.entered.note,
        "source": int(walk.start.source),
        "target": int(walk.start.target),
        "cursor": walk.cursor,
        "arrived": walk.arrived,
        "queries": walk.queries,
        "prediction": _rounded(predictions[walk.cursor]),
        "typicality": round(float(world.manifold.typicality(z)), 3),
        "distance": round(float((here - home).norm()), 3),
        "p": [round(shown.share(value), 4) for value in shown.values],
        "score": _score(shown, walk.cursor) if shown.is_score else None,
        "answers": [
            names[c] + (f" (score {shown.text(value)})" if shown.is_score else "")
            for c, value in zip(predictions.argmax(1), shown.values, strict=True)
        ],
        "by": ["", *(taken.by for taken in walk.steps)],
        "hesitates": [walk.hesitates(t) for t in frames],
        "places": _places(explorer.area, codes),
        "lines": [
            {"walker": name, "places": _places(explorer.area, line["z"]), "steps": line["steps"], "success": line["success"],
             "queries": line["queries"]}
            for name, line in session.lines.items()
        ],
        "sliders": [round(one.at(z), 4) for one in explorer.directions],
        "view": shown_of(world).view(world, state),
        "row": exact_row(world, state) if world.units.anchored else None,
        "record": {
            "kind": walk.entered.record[0],
            "target": int(walk.start.target),
            "actions": [taken.action[0].tolist() for taken in walk.steps],
            "by": [taken.by for taken in walk.steps],
            "cursor": walk.cursor,
        },
    }  # fmt: skip


def _score(shown: Shown, t: int) -> dict[str, Any]:
    """The score on frame t, its place on the axis of the walk's scores, and the limits of the goal there."""
    value = float(shown.values[t])
    return {"text": shown.text(value), "share": shown.share(value), "limits": [shown.share(limit) for limit in shown.limits]}


def regions(explorer: Explorer, walk: HandWalk | None, area: Map | None = None) -> dict[str, Any]:
    """The regions of the map as a picture, with their names; of a slice, those of the slice."""
    shown = explorer.area if area is None else area
    pair = (None, None) if walk is None else (int(walk.start.source), int(walk.start.target))
    taken = np.zeros((0, 2)) if walk is None else shown.places(np.concatenate([t.numpy() for t in _codes(walk)]))
    names = explorer.world.class_names
    return {
        "image": data_uri(regions_png(shown, *pair)),
        "labels": [[str(names[c]), round(100 * x, 1), round(100 * y, 1)] for c, x, y in shown.labels(taken)],
        "queries": 0 if area is None else area.queries,
    }


def gain_picture(explorer: Explorer) -> dict[str, Any]:
    """The expected information gain over the map, dark where a step would inform the run's curiosity most.

    Raises:
        RequestError: the run has no curiosity that measures information.
    """
    gains = explorer.gains
    if gains is None:
        raise RequestError("no information gain is known here: it takes a run trained with --curiosity vime or bald")
    top = max(float(gains.max()), 1e-12)
    levels = np.rint(100 * np.clip(gains[::-1] / top, 0, 1)).astype(int)
    colours = [(*rgb(GAIN), round(2.0 * k)) for k in range(101)]
    return {"image": data_uri(see_through(levels, colours)), "top": round(top, 4)}


def explained(session: Session) -> dict[str, Any]:
    """Headline, badge and contributions of the walk up to the frame that is shown; the contributions query the classifier.

    Raises:
        RequestError: the walk has no step.
    """
    card, why = card_of(session)
    said, context = card.statement, card.face.context
    rings = context["stills"][-1]["rings"] if context.get("numbered") else []
    return {
        "headline": said.headline,
        "badge": said.badge,
        "slug": said.slug,
        "reasons": said.reasons,
        "turn": card.turn if card.turned else None,
        "bars": [
            {
                "name": bar.name,
                "value": round(bar.value, 4),
                "said": said.shown.change(bar.value).replace("-", "−"),
                "low": said.shown.share(bar.low),
                "high": said.shown.share(bar.high),
                "raises": bar.raises,
            }
            for bar in said.bars
        ],
        "start": round(said.start, 4),
        "end": round(said.end, 4),
        "rise": _rise(card),
        "queries": said.queries,
        "why": why,
        "size": [context.get("width", 0), context.get("height", 0)],
        "rings": [{"outline": one.outline, "more": one.more, "x": one.x, "y": one.y} for one in rings],
    }


def _rise(card: Card) -> str:
    """What the contributions divide: the score, or the probability of the explained class."""
    said = card.statement
    what = "the score" if said.shown.is_score else f"p({card.explained})"
    return f"What each change adds to {what}, from {said.shown.text(said.start)} to {said.shown.text(said.end)}"


def card_of(session: Session) -> tuple[Card, str]:
    """The card of the walk up to the frame that is shown, and why it has no contributions, if it has none.

    Raises:
        RequestError: the walk has no step.
    """
    explorer, walk, why = session.explorer, session.walking, ""
    if not walk.cursor:
        raise RequestError("there is nothing to explain yet: take a step first")
    path = walk.trajectory()
    if session.found is None or session.found[0] is not walk.state:
        found = None
        with explorer.asking(session):
            try:
                found = contributions(path, explorer.world, max_queries=min(MAX_QUERIES, explorer.budget - session.used))
            except UserError as error:
                why = str(error)
        session.found = (walk.state, found)
    if session.found[1] is not None:
        object.__setattr__(path, "saved_contributions", session.found[1])
    return Card(1, path, explorer.world, mapped=False), why


def _codes(walk: HandWalk) -> list[Any]:
    return [walk.state_at(t).z for t in range(len(walk.steps) + 1)]


def _places(area: Map, z: np.ndarray) -> list[list[float]]:
    return (100 * area.places(z)).round(2).tolist()


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]
