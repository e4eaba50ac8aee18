"""A path in words: its heading, its summary, and one sentence per frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from agents.explanation.figures.renderer import renderer_of
from envs.modalities.alignment import edit_distance

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory


def asks(path: Trajectory) -> str:
    """The goal of the path: `reach` another class, `leave` its own, or become `typical` of its own."""
    if path.target != path.source:
        return "reach"
    return "leave" if path.environment.get("config", {}).get("task") == "leave" else "typical"


def heading(path: Trajectory) -> str:
    """Source and target of the path, such as ``4 → 9``."""
    source, target = path.class_names[path.source], path.class_names[path.target]
    if asks(path) == "leave":
        return f"{source} → {path.class_names[path.predicted[-1]]} (any other class)"
    return f"{source} → {target}" if asks(path) == "reach" else f"{source} → a typical {source}"


def summarise(path: Trajectory) -> str:
    """The path in one or two sentences; without probabilities where labels alone are shown."""
    source, target = path.class_names[path.source], path.class_names[path.target]
    end, steps = path.class_names[path.predicted[-1]], f"{path.steps} step{'' if path.steps == 1 else 's'}"
    reached = {
        "reach": f"From {source} to {target}",
        "leave": f"Away from {source}, to {end},",
        "typical": f"From this {source} to a typical {source}",
    }[asks(path)]
    failed = {
        "reach": f"From {source} towards {target}, not reached",
        "leave": f"{source} was not left",
        "typical": f"From this {source} towards a typical {source}, not reached",
    }[asks(path)]
    if path.steps == 0 and not path.keeps_class:
        text = f"{failed}: the reconstruction (frame 0) of this {source} is already predicted as {end}, so no step was made"
    elif path.steps == 0:
        what = f"{'the reconstruction of ' if path.reconstructs else ''}this {source}"
        text = f"No step was needed: {what} already satisfies the task" if path.success else f"{failed} (no step was made)"
    else:
        text = f"{reached if path.success else failed} in {steps}"
    parts = [_rise(path)]
    if path.distances is not None:
        parts.append(f"the end lies {path.distances[-1]:.2f} from the input ({distance_unit(path)})")
    if path.texts is not None:
        changed = edit_distance(path.texts[0], path.texts[-1])
        parts.append(f"{changed} word{'' if changed == 1 else 's'} changed")
    parts.append(f"{path.queries} {'query' if path.queries == 1 else 'queries'}")
    text += ": " + ", ".join(part for part in parts if part) + "."
    if path.steps and not path.keeps_class:
        text += f" The reconstruction (frame 0) is already predicted as {path.class_names[path.predicted[0]]}, not {source}."
    return text


def _rise(path: Trajectory) -> str:
    """The change of the target's probability, or the predicted classes where labels alone are shown."""
    if path.predictions is None:
        passed = [path.class_names[c] for c in run_starts(path.predicted)]
        return ("predicted classes " if path.goal is None else "outcomes ") + " → ".join(passed)
    assert path.shown is not None
    name, values, text = path.shown.name, path.shown.values, path.shown.text
    if len(values) == 1:
        return f"{name} = {text(values[0])}"
    verb = "rises" if values[-1] > values[0] else "falls"
    return f"{name} {verb} {text(values[0])} → {text(values[-1])}"


def run_starts(values: np.ndarray) -> np.ndarray:
    """[4, 4, 7, 9, 9] -> [4, 7, 9]."""
    values = np.asarray(values)
    return values[np.concatenate([[True], values[1:] != values[:-1]])]


def distance_unit(path: Trajectory) -> str:
    """The unit of data-space distances along the path, such as ``L2 over 64 pixels``."""
    return renderer_of(path).unit(path)


def frame_sentence(path: Trajectory, row: dict[str, Any]) -> str:
    """One frame as a sentence, for screen readers; `row` is a row of `path.table()`."""
    t = row["frame"]
    what = "" if t else ", the reconstruction of the input" if path.reconstructs else ", the input"
    text = f"Frame {t} of {path.steps}{what}: {path.kind_of_end} {row['class']}"
    if path.shown is not None and path.shown.is_score:
        text += f", score {path.shown.exact(row['score'])}"
    elif "p_target" in row:
        text += f", probability of {path.class_names[path.target]} {row['p_target']:.3f}"
    if row["step_length"] is not None:
        text += f", {'planned ' if is_planned(path, t) else ''}step of {row['step_length']:.2f}"
    if path.texts is not None:
        text += f": {path.texts[t + 1]}"
    return text + "."


def is_planned(path: Trajectory, t: int) -> bool:
    """Whether the step to frame t was planned on the agent's surrogate; only the last steps can be."""
    return 0 < t <= path.steps < t + path.planned


def role(path: Trajectory, index: int) -> str:
    """`target`, `source` or an empty text, for the class `index`."""
    if index == path.target and path.target != path.source:
        return "target"
    return "source" if index == path.source else ""


def shown_classes(path: Trajectory, most: int = 10) -> list[int]:
    """The main classes of a path, at most about `most`, in class order: source, target, those predicted on the way, the
    likeliest."""
    chosen = {path.source, path.target, *(int(c) for c in run_starts(path.predicted)[:most])}
    if path.predictions is not None:
        for index in np.argsort(-path.predictions.max(axis=0), kind="stable"):
            if len(chosen) >= min(most, len(path.class_names)):
                break
            chosen.add(int(index))
    elif len(path.class_names) <= most:
        chosen |= set(range(len(path.class_names)))
    return sorted(chosen)
