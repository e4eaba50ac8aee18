"""What the page receives: the world once, and the whole session after every request, in JSON's types."""

from __future__ import annotations

from collections.abc import Iterable
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
from agents.trajectories.shown import Shown
from envs.core.world import World
from envs.goals import LabelGoal, ScoreGoal

MOST_DOTS = 400  # reference inputs on the map
NAMES = {"image": "pictures", "text": "sentences", "table": "rows", "series": "series"}
#: Kind of a goal, None for classes -> how a target is written that is no single class.
FORMS = {None: "any of A, B", ScoreGoal.kind: ">= 0.7, 2..4, +10 %", LabelGoal.kind: "flip A, hold others"}


def about(explorer: Explorer) -> dict[str, Any]:
    """The world: classes, inputs, directions, walkers and the map."""
    world = explorer.world
    stride = -(-len(world.reference.z) // MOST_DOTS)
    return {
        "modality": world.modality,
        "said": f"{len(world.held_out.x):,} {NAMES.get(world.modality, 'rows')} to explain, {_outputs(world)}, "
        f"{world.latent_dim} latent dimensions. A walk arrives at {world.stop_rule}.",
        "classes": list(map(str, world.class_names)) if world.goal is None else [],
        "forms": FORMS[None if world.goal is None else world.goal.kind],
        "labelOnly": world.label_only,
        "shape": list(world.manifold.data_shape),
        "inputs": shown_of(world).inputs,
        "rows": len(world.held_out.x),
        "fields": form_fields(world),
        "takesTarget": world.task.takes_target,
        "walkers": explorer.walkers,
        "whiteBox": [name for name in explorer.walkers if getattr(explorer.walker(name), "needs_gradient", False)],
        "directions": [{"name": one.name, "kind": one.kind, "low": one.low, "high": one.high} for one in explorer.directions],
        "budget": explorer.budget,
        "sliceQueries": SLICE**2,
        "saves": explorer.run is not None,
        "dots": (100 * explorer.area.places(np.asarray(world.reference.z[::stride]))).round(1).tolist(),
    }


def whole(session: Session) -> dict[str, Any]:
    """The session as the page shows it."""
    explorer, walk = session.explorer, session.walk
    answer: dict[str, Any] = {"used": session.used, "budget": explorer.budget, "walk": None}
    return answer if walk is None else {**answer, "walk": _walk(explorer, session, walk)}


def _walk(explorer: Explorer, session: Session, walk: HandWalk) -> dict[str, Any]:
    world, state, frames = walk.world, walk.state, range(len(walk.steps) + 1)
    names, z, shown = walk.class_names, state.z, walk.shown
    predictions = walk.predictions
    codes = np.concatenate([walk.state_at(t).z.numpy() for t in frames])
    here, home = (world.manifold.coordinates(*pair) for pair in ((z, state.frame), (state.z0, state.factual)))
    return {
        "input": walk.entered.label,
        "note": walk.entered.note,
        "source": int(walk.start.source),
        "target": walk.target,
        "names": names,
        "aim": _aim(walk),
        "cursor": walk.cursor,
        "arrived": walk.arrived,
        "queries": walk.queries,
        "prediction": _rounded(predictions[walk.cursor]),
        "typicality": round(float(world.manifold.typicality(z)), 3),
        "distance": round(float((here - home).norm()), 3),
        "shown": {
            "name": shown.name,
            "heights": _rounded([shown.share(value) for value in shown.values]),
            "texts": [shown.text(value) for value in shown.values],
            "limits": _rounded([shown.share(limit) for limit in shown.limits]),
            "score": _on_axis(walk, shown.over(walk.reference_scores)) if shown.is_score else None,
        },
        "answers": [said_answer(world, prediction) for prediction in predictions],
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
            "target": walk.aim.requested or walk.target,
            "actions": [taken.action[0].tolist() for taken in walk.steps],
            "by": [taken.by for taken in walk.steps],
            "cursor": walk.cursor,
        },
    }  # fmt: skip


def said_answer(world: World, prediction: np.ndarray) -> str:
    """The class or outcome of a prediction (K,), with the score behind it, where the model has one."""
    scores = None if world.goal is None else world.goal.scores(prediction[None])
    return str(world.class_names[int(prediction.argmax())]) + ("" if scores is None else f" (score {scores[0]:.4g})")


def _outputs(world: World) -> str:
    """What the model predicts, in words."""
    if world.goal is None:
        return f"{world.classes} classes"
    return f"{len(world.goal.labels)} labels" if isinstance(world.goal, LabelGoal) else "a score"


def _aim(walk: HandWalk) -> str:
    """Where the walk goes, in words."""
    own, name = walk.target == int(walk.start.source), walk.class_names[walk.target]
    return f"a typical {name}" if own else walk.aim.requested or name


def _on_axis(walk: HandWalk, axis: Shown) -> dict[str, Any]:
    """The scores of the input and of the frame, and the goal's range, on an axis that holds the reference rows' scores."""
    assert isinstance(walk.goal, ScoreGoal)
    ends = (np.clip(limit, axis.low, axis.high) for limit in (walk.goal.low, walk.goal.high))
    return {
        "input": round(axis.share(axis.values[0]), 4),
        "frame": round(axis.share(axis.values[walk.cursor]), 4),
        "goal": _rounded([axis.share(end) for end in ends]),
    }


def regions(explorer: Explorer, walk: HandWalk | None, area: Map | None = None) -> dict[str, Any]:
    """The regions of the map as a picture, with their names; of a slice, those of the slice."""
    world = explorer.world if walk is None else walk.world
    shown = explorer.regions_of(world) if area is None else area
    pair = (None, None) if walk is None else (int(walk.start.source), walk.target)
    taken = np.zeros((0, 2)) if walk is None else shown.places(np.concatenate([t.numpy() for t in _codes(walk)]))
    names = world.class_names
    return {
        "image": data_uri(regions_png(shown, *pair)),
        "labels": [[str(names[c]), round(100 * x, 1), round(100 * y, 1)] for c, x, y in shown.labels(taken)],
        "queries": 0 if area is None else area.queries,
    }


def gain_picture(session: Session) -> dict[str, Any]:
    """The expected information gain over the map, dark where a step would inform a curiosity network most: the run's, or
    one that has learned from this session's steps alone.

    Raises:
        RequestError: there is no run with such a network, and the session has too few steps.
    """
    gains = session.explorer.gains
    whose = (
        "the network of the run's curiosity"
        if gains is not None
        else f"a network that learned from your {len(session.seen.steps)} steps"
    )
    gains = session.seen.gains() if gains is None else gains
    low, top = float(gains.min()), float(gains.max())
    levels = np.rint(100 * (gains[::-1] - low) / max(top - low, 1e-12)).astype(int)
    colours = [(*rgb(GAIN), round(2.0 * k)) for k in range(101)]
    said = (
        f"Green: where a step would still inform {whose}, from {low:.3g} to {top:.3g} nats. This is what that network does "
        "not know, not the classifier's uncertainty."
    )
    return {"image": data_uri(see_through(levels, colours)), "top": round(top, 4), "said": said}


def explained(session: Session) -> dict[str, Any]:
    """Headline, badge and contributions of the walk up to the frame that is shown; the contributions query the classifier.

    Raises:
        RequestError: the walk has no step.
    """
    card, why = card_of(session)
    said, context = card.statement, card.face.context
    shown = said.shown
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
                "said": shown.change(bar.value),
                "low": shown.share(bar.low),
                "high": shown.share(bar.high),
                "raises": bar.raises,
            }
            for bar in said.bars
        ],
        "rise": f"What each change adds to {shown.name}, from {shown.text(said.start)} to {shown.text(said.end)}",
        "start": round(said.start, 4),
        "end": round(said.end, 4),
        "queries": said.queries,
        "why": why,
        "size": [context.get("width", 0), context.get("height", 0)],
        "rings": [{"outline": one.outline, "more": one.more, "x": one.x, "y": one.y} for one in rings],
    }


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
                found = contributions(path, walk.aim.world, max_queries=min(MAX_QUERIES, explorer.budget - session.used))
            except UserError as error:
                why = str(error)
        session.found = (walk.state, found)
    if session.found[1] is not None:
        object.__setattr__(path, "saved_contributions", session.found[1])
    return Card(1, path, walk.aim.world, mapped=False), why


def _codes(walk: HandWalk) -> list[Any]:
    return [walk.state_at(t).z for t in range(len(walk.steps) + 1)]


def _places(area: Map, z: np.ndarray) -> list[list[float]]:
    return (100 * area.places(z)).round(2).tolist()


def _rounded(values: Iterable[float]) -> list[float]:
    return [round(float(value), 4) for value in values]
