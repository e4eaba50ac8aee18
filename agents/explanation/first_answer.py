"""What is said beside explanations of own data that were made without a training: what was fitted, what a training costs."""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from envs.core.world import World

MOST_ASKED = 500  # held-out rows, for the accuracy of a classifier that was fitted here


def first_answer(world: World, flags: dict[str, Any], command: str, by_the_line: bool) -> list[str]:
    """See `about_fits` and `about_training`; the latter for answers of the line alone."""
    cost_line = about_training(world, flags, command) if by_the_line else None
    return about_fits(world) + ([cost_line] if cost_line else [])


def about_fits(world: World) -> list[str]:
    """What this library fitted to the user's data, one line each; nothing of what the user gave."""
    lines = []
    if not isinstance(world.config.manifold, str) or ":" not in world.config.manifold:
        kind = type(world.manifold).__name__
        lines.append(
            f"latent space: {kind} of {world.latent_dim} dimensions, fitted to {len(world.reference.x):,} rows, and kept"
        )
    truth = world.held_out.truth
    if world.config.classifier is None and truth is not None:
        import torch

        rows = torch.arange(min(MOST_ASKED, len(truth)))
        right = float((world.answers_held_out(rows).argmax(1) == truth[rows]).float().mean())
        most = float(torch.bincount(truth[rows]).max()) / len(rows)
        lines.append(
            f"classifier: none was given, so a small network was fitted: right for {right:.2f} of {len(rows)} held-out rows "
            f"(always the largest class: {most:.2f})"
        )
    return lines


def about_training(world: World, flags: dict[str, Any], command: str) -> str | None:
    """One line on the cost and the use of a training; None for a task that scores coverage.

    Args:
        world: of the explanations.
        flags: of the command line that describe the world.
        command: how the user calls the training.
    """
    from agents.training.estimate import training_cost

    if world.task.scores_coverage:
        return None
    # Guidance and the measured step limit need predictions at the codes of all reference rows, which a training queries.
    known = world.reference.known_end_predictions is not None
    cheap = {} if known else {"guidance": False, "max_episode_steps": world.max_episode_steps}
    cost = training_cost(world.replace(**cheap) if cheap else world)
    rows = cost.rows + (0 if known else len(world.reference.x))
    given = " ".join(_flag(name, value) for name, value in flags.items())
    return (
        f"this is the straight line's answer; a training would take about {_duration(cost.seconds)} here and {rows:,} "
        f"classifier rows (estimated with {cost.queries:,}), once. Its agent then explains any row; "
        f"when the training ends, it says how many rows the agent and the line explain: {command} {given}"
    )


def _flag(name: str, value: Any) -> str:
    """A flag with its value, as a shell takes it."""
    flag = f"--{name.replace('_', '-')}"
    if value is True:
        return flag
    parts = [f"{key}={part}" for key, part in value.items()] if isinstance(value, dict) else [str(value)]
    return " ".join([flag, *map(shlex.quote, parts)])


def _duration(seconds: float) -> str:
    """Seconds or minutes, in two digits."""
    if seconds < 100:
        return f"{max(1, round(seconds, 1 - int(math.log10(max(seconds, 1))))):.0f} s"
    return f"{seconds / 60:.0f} minutes"
