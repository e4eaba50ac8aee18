"""Goals from texts, as a config, a command line or a target has them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from envs.errors import ManifoldError
from envs.goals.goal import Goal, Request
from envs.goals.labels import WORDS, FlipLabel, LabelGoal
from envs.goals.score import Change, ScoreGoal

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
LIMIT = re.compile(rf"\s*(>=|<=|>|<|≥|≤)\s*({NUMBER})\s*(.*)")
RANGE = re.compile(rf"\s*({NUMBER})\s*(?:\.\.|to)\s*({NUMBER})\s*(.*)")
CHANGE = re.compile(r"\s*([+-](?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(%?)\s*(.*)")
FORMS = "'>= 0.7', '<= 3', '2..4', or a change of the input's own score, '+10 %' or '-5'"


def _score(text: str) -> Goal | Request:
    """A goal on a score, or a change of it."""
    for pattern in (LIMIT, RANGE, CHANGE):
        found = pattern.fullmatch(text)
        if found is None:
            continue
        *parts, rest = found.groups()
        if rest:
            raise ManifoldError(
                f"the target {text!r} ends in {rest!r}: goals on a score are numbers in the score's own unit, without a name "
                f"of it: {FORMS}"
            )
        if pattern is RANGE:
            return ScoreGoal(low=float(parts[0]), high=float(parts[1]))
        if pattern is CHANGE:
            return Change(float(parts[0]), percent=parts[1] == "%")
        side = "low" if parts[0] in (">", ">=", "≥") else "high"
        sided: dict[str, Any] = {side: float(parts[1])}
        return ScoreGoal(**sided, strict=parts[0] in "<>")
    raise ManifoldError(f"the target {text!r} is not a goal on a score: {FORMS}")


def _labels(text: str, labels: Sequence[str]) -> Goal | Request:
    """A goal on labels, or a flip of one."""
    if (found := re.fullmatch(r"\s*flip\s+(.+?)(?:\s*,\s*hold\s+(.+?))?\s*", text)) is not None:
        label, held = found.groups()
        names = [] if held is None else None if held in ("others", "the others", "rest") else re.split(r"\s*,\s*", held)
        return FlipLabel(label, names)
    wanted = {}
    for part in text.split(","):
        name, equals, word = (piece.strip() for piece in part.rpartition("="))
        if not equals or word not in WORDS.values():
            raise ManifoldError(
                f"the target {text!r} is not a goal on labels: 'flip NAME', 'flip NAME, hold OTHER', 'flip NAME, hold others' "
                f"or 'NAME=yes, OTHER=no'; the labels are {', '.join(labels)}"
            )
        wanted[name] = word == WORDS[True]
    label, *others = wanted
    return LabelGoal(labels, label, wanted[label], {name: wanted[name] for name in others})


#: Kinds of outputs besides classes -> how a goal on them is read, from a text and the names of the outputs.
KINDS: dict[str, Callable[[str, Sequence[str]], Goal | Request]] = {
    ScoreGoal.kind: lambda text, names: _score(text),
    LabelGoal.kind: _labels,
}


def read_request(text: Any, kind: str, names: Sequence[str] = ()) -> Goal | Request:
    """A goal, or a request that depends on the input.

    Args:
        text: Such as ">= 0.7" or "+10 %"; a goal or request as it is.
        kind: Of outputs, a key of `KINDS`.
        names: Of the outputs, for labels.

    Raises:
        ManifoldError: If the text is not a goal on such outputs; the message lists the forms.

    Example:
        >>> read_request("2..4", "score")
        ScoreGoal(low=2.0, high=4.0, strict=False, spread=1.0)
        >>> read_request("+10 %", "score")
        Change(amount=10.0, percent=True)
    """
    if isinstance(text, Goal | Request):
        return text
    return KINDS[kind](str(text), names)


def read_goal(text: Any, kind: str, names: Sequence[str] = ()) -> Goal:
    """A goal that holds for every input, as a world has one.

    Raises:
        ManifoldError: If the text is not a goal on such outputs, or depends on the input.

    Example:
        >>> read_goal("<= 3", "score").names
        ['<= 3', '> 3']
    """
    found = read_request(text, kind, names)
    if isinstance(found, Request):
        raise ManifoldError(
            f"goal={found.text!r} depends on the input, and a world has one goal for all: give it as the target of an "
            "explanation, and a goal such as '>= 0.7' or 'NAME=yes' here"
        )
    return found
