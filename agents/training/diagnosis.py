"""What a training has to work with: per class, the share of the reference set that its walks may end at; the accuracy.

Said before the first step, because a class that hardly any known row satisfies is found by no agent, however long it trains.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from agents.console.terminal import name_cell, padded
from envs.core.world import World

MOST_CLASSES = 8  # lines of the table; of more classes, those whose rows satisfy the task least
MOST_ASKED = 500  # held-out rows that the classifier is queried for
SCARCE = 0.1  # a class of which fewer reference rows satisfy the task needs advice
LOST = 0.6  # a class of which fewer decoded rows keep it needs advice
HARDLY = 0.05  # what a classifier must be better by than the largest class


class ClassFacts(NamedTuple):
    """Of one class: reference rows that the classifier puts into it, and the shares of them that satisfy the task and keep the
    class in frame 0, which is the row itself in a table, else the decoded one; and the share that satisfies the task once
    decoded, as ends of walks are. None: not known."""

    rows: int
    satisfied: float
    kept: float
    as_ends: float | None = None


class Diagnosis(NamedTuple):
    """Facts by class name; the classifier's accuracy on `asked` held-out rows and the share of their largest class, or None
    where no truth is known."""

    classes: dict[str, ClassFacts]
    accuracy: float | None = None
    majority: float | None = None
    asked: int = 0

    def as_dict(self) -> dict[str, Any]:
        """As config.json holds it."""
        return {**self._asdict(), "classes": {name: facts._asdict() for name, facts in self.classes.items()}}


def diagnose(world: World, seed: int = 0, ask: bool = True) -> Diagnosis:
    """Facts of a world's reference set, from cached predictions; `ask` queries up to 500 held-out rows for the accuracy."""
    label, prediction = world.reference.label, world.reference.prediction
    kept, satisfied = prediction.argmax(1) == label, world.task.satisfied(prediction, label)
    decoded = world.reference.known_end_predictions
    ends = [] if decoded is None or world.reference.ends_match_frames else [world.task.satisfied(decoded, label)]
    classes = {}
    for k, name in enumerate(world.class_names):
        own = label == k
        rows = int(own.sum())
        shares = [float(part[own].float().mean()) if rows else 0.0 for part in (satisfied, kept, *ends)]
        classes[name] = ClassFacts(rows, *shares)
    truth = world.held_out.truth
    if truth is None or not ask or not len(truth):
        return Diagnosis(classes)
    chosen = torch.randperm(len(truth), generator=torch.Generator().manual_seed(seed))[:MOST_ASKED]
    right = world.answers_held_out(chosen).argmax(1) == truth[chosen]
    majority = float(torch.bincount(truth[chosen]).max()) / len(chosen)
    return Diagnosis(classes, float(right.float().mean()), majority, len(chosen))


def lines_of(found: Diagnosis, world: World) -> list[str]:
    """The diagnosis for people: a table of at most eight classes, the classifier, and advice."""
    from rich.cells import cell_len

    shown = sorted(found.classes, key=lambda name: found.classes[name].satisfied)[:MOST_CLASSES]
    shown = [name for name in found.classes if name in shown]
    decoded = any(facts.as_ends is not None for facts in found.classes.values())
    cells = {name: name_cell(name) for name in shown}
    kind, several = ("class", "classes") if world.goal is None else ("outcome", "outcomes")
    width = max(len(kind), *map(cell_len, cells.values()))
    rule = world.stop_rule
    lines = [
        f"reference rows by {kind}; a walk ends at {rule}:",
        f"  {kind:<{width}}  {'rows':>7}  {'satisfy that':>12}  {f'keep the {kind} in frame 0':>{len(kind) + 20}}"
        + ("  decoded, satisfy it" if decoded else ""),
    ]
    for name in shown:
        facts = found.classes[name]
        ends = "" if facts.as_ends is None else f"  {facts.as_ends:>19.2f}"
        kept = f"{facts.kept:>{len(kind) + 20}.2f}"
        lines.append(f"  {padded(cells[name], width)}  {facts.rows:>7,}  {facts.satisfied:>12.2f}  {kept}{ends}")
    if len(shown) < len(found.classes):
        lines.append(f"  ({len(found.classes) - len(shown)} other {several} satisfy it at least as often)")
    if found.accuracy is not None:
        lines.append(f"the classifier is right for {found.accuracy:.3f} of {found.asked} held-out rows "
                     f"(always the largest class: {found.majority:.3f})")  # fmt: skip
    return lines + advice(found, world)


def advice(found: Diagnosis, world: World) -> list[str]:
    """What to change, one line for each kind of trouble, about the class that has most of it."""
    known = {name: facts for name, facts in found.classes.items() if facts.rows}
    lines = []
    if missing := [name for name in found.classes if name not in known]:
        lines.append(f"advice: the classifier puts no reference row into {_names(missing)}: no end is known there")
    scarce = sorted((name for name in known if known[name].satisfied < SCARCE), key=lambda name: known[name].satisfied)
    lost = sorted((name for name in known if known[name].kept < LOST), key=lambda name: known[name].kept)
    if scarce and world.task.takes_tau and not world.label_only:
        more = f" (and fewer than {SCARCE:.0%} for {len(scarce) - 1} more)" if len(scarce) > 1 else ""
        lines.append(
            f"advice: {known[scarce[0]].satisfied:.0%} of the reference rows of {scarce[0]!r} reach "
            f"p >= {world.task.tau:g}{more}: lower tau, or use task flip"
        )
    if lost:
        more = f" (and of {len(lost) - 1} more classes)" if len(lost) > 1 else ""
        lines.append(
            f"advice: {known[lost[0]].kept:.0%} of the reference rows of {lost[0]!r}{more} keep their class once decoded: "
            "use more latent dimensions, fit longer, or initial_latent:kept"
        )
    if unseen := [name for name in known if known[name].satisfied >= SCARCE and known[name].as_ends == 0]:
        lines.append(
            f"advice: no reference row of {_names(unseen)} satisfies that once decoded, so that walks hardly end there: use "
            "more latent dimensions, or fit longer"
        )
    if found.accuracy is not None and found.majority is not None and found.accuracy < found.majority + HARDLY:
        lines.append(
            "advice: the classifier is hardly better than its largest class; walks explain what it does, right or wrong"
        )
    return lines


def _names(names: list[str], most: int = 3) -> str:
    """A few class names, quoted."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(repr, names[:most])) + more
