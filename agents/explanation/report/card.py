"""A card: one path of a report, on one screen.

`Card` gathers what the templates draw. What is shown of the frames comes from the face of the data's modality
(`agents.explanation.report.faces`), what is said from `agents.explanation.report.statement`, curves and maps from
`agents.explanation.report.drawing`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from agents.explanation.contributions.compute import explained_class
from agents.explanation.figures.renderer import renderer_of
from agents.explanation.headline import turning_point as turn_of
from agents.explanation.report.drawing import Curves, MapDrawing, curves, gain_bars, map_drawing
from agents.explanation.report.extras import Extras
from agents.explanation.report.faces.face import Face
from agents.explanation.report.statement import Statement, statement
from agents.explanation.report.words import metric_rows
from agents.explanation.sentences import distance_unit, frame_sentence, heading, role
from agents.trajectories.trajectory import Trajectory

FILM = 24  # frames in the player of a card; of a longer path as many, evenly spaced


class Answer(NamedTuple):
    """A prediction on a card.

    Attributes:
        name: of the predicted class.
        role: ``source``, ``target`` or ``other``.
        p: the target's probability, or the score; None where it is not known.

    Example:
        >>> Answer("4", "source", 0.02).name
        '4'
    """

    name: str
    role: str
    p: float | None


@dataclass
class Card:
    """One path of the page.

    Attributes:
        number: in the page, from 1.
        path: to be shown.
        world: where it was walked, with the path's own goal.
        extras: its optional parts.
        found: its contributions; None: those saved with the path, if any.
        mapped: draw its map, which queries the classifier.
        others: cards of further paths from the same input, which are shown beneath this one.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> world = make_world()
        >>> card = Card(1, explain(world, 0, walker="line"), world)
        >>> card.heading, card.turn
        ('virginica → versicolor', 15)
    """

    number: int
    path: Trajectory
    world: Any
    extras: Extras = field(default_factory=Extras)
    mapped: bool = True
    others: Sequence[Card] = ()

    @cached_property
    def frames(self) -> np.ndarray:
        """(T+1, *data) decoded frames."""
        return self.path.frames(self.world)

    @cached_property
    def turn(self) -> int:
        """The turning point."""
        return turning_point(self.path)

    @cached_property
    def film(self) -> list[int]:
        """The frames of the player, turning point and both ends included."""
        even = np.linspace(0, self.path.steps, min(self.path.steps + 1, FILM)).round().astype(int)
        return sorted({*even.tolist(), self.turn})

    @cached_property
    def statement(self) -> Statement:
        """Headline, badge and contributions."""
        return statement(self.path, self.world)

    @cached_property
    def face(self) -> Face:
        """What is shown of the frames."""
        regions = self.statement.regions
        return renderer_of(self.path).face(self.path, self.world, self.frames, self.film, self.turn, regions)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of `Trajectory.table`."""
        return self.path.table()

    @cached_property
    def curves(self) -> Curves:
        """The predictions along the path."""
        return curves(self.path, self.turn)

    @cached_property
    def gain(self) -> dict[str, Any] | None:
        """The information gain of each step, where it was measured."""
        return gain_bars(self.path)

    @cached_property
    def map(self) -> MapDrawing | None:
        """The path on the plane through its ends."""
        return map_drawing(self.path, self.world) if self.mapped and not self.path.lacks_values else None

    @property
    def comparison(self) -> list[tuple[str, str, list[dict[str, Any]]]]:
        """Of a table with other paths, one row for each column that changes on any: its name, the input's value, and its value
        at the end of each path."""
        if self.face.template != "table.html" or not self.others:
            return []
        tables = [{row["name"]: row for row in card.face.context["rows"]} for card in (self, *self.others)]
        inputs = {name: row["input"] for table in reversed(tables) for name, row in table.items()}
        same = {name: {"text": value, "move": None} for name, value in inputs.items()}
        return [
            (name, value, [table[name]["end"] if name in table else same[name] for table in tables])
            for name, value in inputs.items()
        ]

    @property
    def turned(self) -> bool:
        """Whether there is a turning point."""
        return bool(self.path.success or self.turn < self.path.steps)

    @property
    def explained(self) -> str:
        """The class whose probability the contributions divide."""
        return self.path.class_names[explained_class(self.path)]

    def answer(self, place: int) -> Answer:
        """What the classifier predicts for the input (0), at the turning point (1) and at the end (2)."""
        path, t = self.path, (0, self.turn, self.path.steps)[place]
        given = place == 0
        p = None if path.shown is None else float(path.shown.values[t])
        if given and path.reconstructs:  # frame 0 is not the input: its probability is known with the contributions alone
            p = (
                self.statement.start
                if self.statement.bars and p is not None and explained_class(path) == path.target
                else None
            )
        name = path.class_names[path.source if given else int(path.predicted[t])]
        return Answer(name, "source" if given else self.role(t), p)

    def caption(self, place: int) -> str:
        """Of the input (0), the turning point (1) or the end (2), in figures: ``turning point, step 6: 9, p(9) 0.72``."""
        t, said = (0, self.turn, self.path.steps)[place], self.answer(place)
        when = ("input", f"turning point, step {t}" if self.turned else f"step {t}", f"end, step {t}")[place]
        shown = self.path.shown
        sure = "" if said.p is None or shown is None else f", {shown.name} {shown.text(said.p)}"
        if shown is not None and shown.is_score:
            return f"{when}{sure}" if sure else f"{when}: {said.name}"
        return f"{when}: {said.name}{sure}"

    @property
    def columns(self) -> list[str]:
        """The columns of the table of steps that hold numbers."""
        return [key for key in self.rows[0] if any(row[key] is not None for row in self.rows)]

    def role(self, t: int) -> str:
        """Of the class that is predicted on frame t."""
        return role_of(self.path, int(self.path.predicted[t]))

    @property
    def heading(self) -> str:
        """Source and target."""
        return heading(self.path)

    @property
    def unit(self) -> str:
        """Of distances."""
        return distance_unit(self.path)

    @property
    def planned(self) -> int:
        """Number of planned steps at the end."""
        return min(self.path.planned, self.path.steps)

    @property
    def p_end(self) -> float | None:
        """p(target) at the end; None where labels alone are shown."""
        return None if self.path.predictions is None else float(self.path.predictions[-1, self.path.target])

    @property
    def measures(self) -> list[tuple[str, str, str]]:
        """Name, text and meaning of each measure of the path."""
        return metric_rows(self.extras.metrics, goal=self.path.goal)

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the page's script needs: one entry for each frame of the player."""
        shown = self.path.shown
        return {
            "steps": self.film,
            "turn": self.film.index(self.turn),
            "texts": [frame_sentence(self.path, self.rows[t]) for t in self.film],
            "classes": [self.rows[t]["class"] for t in self.film],
            "roles": [self.role(t) for t in self.film],
            "p": None if shown is None else [round(shown.share(float(shown.values[t])), 4) for t in self.film],
            "said": None if shown is None else [shown.text(float(shown.values[t])) for t in self.film],
            "frames": self.face.frames,
            "views": [[view.images[t] for t in self.film] for view in self.extras.views],
        }


def turning_point(path: Trajectory) -> int:
    """The frame from which on the prediction is the requested one; the last frame if there is none."""
    explained = explained_class(path)
    if explained == path.source or path.predicted[-1] != explained:
        return path.steps
    return turn_of(path.predicted, explained)


def role_of(path: Trajectory, index: int) -> str:
    """`source`, `target` or `other`, for the class `index`."""
    return role(path, index) or "other"
