"""A path in the terminal: each frame, the classes as bars, and the numbers of the step.

Class names are shown as they are, never read as markup.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.console.terminal import name_cell
from agents.explanation.figures.renderer import renderer_of
from agents.explanation.figures.style import SOURCE, TARGET
from agents.explanation.sentences import role, shown_classes
from agents.trajectories.shown import Shown
from agents.trajectories.trajectory import Trajectory

if TYPE_CHECKING:
    from agents.explanation.contributions.result import Contributions

BAR = 14  # characters of a full probability bar


class PathScreen:
    """Shows the frames of one path on a rich console.

    Args:
        path: to be shown.
        world: where it was walked; decodes the frames.
        console: a ``rich.console.Console``; None: standard output.

    Example:
        >>> from rich.console import Console
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> world = make_world()
        >>> screen = PathScreen(explain(world, 0, walker="line"), world, Console(width=80))
        >>> screen.frame(0).title.plain
        'frame 0 of 15 (the input): virginica'
    """

    def __init__(self, path: Trajectory, world: Any, console: Any = None) -> None:
        from agents.console.terminal import console as visible_console

        self.path, self.world = path, world
        self.console = visible_console(highlight=False) if console is None else console
        self.frames = path.frames(world)
        self.rows = path.table()
        self.classes = shown_classes(path)
        self.renderer = renderer_of(path)
        self.bodies = self.renderer.terminal_bodies(path, world, self.frames, self.console.color_system is not None)

    def show(self) -> None:
        """Print every frame, one beneath the other."""
        for t in range(len(self.frames)):
            self.console.print(self.frame(t))

    def play(self, delay: float = 0.6) -> None:
        """Show the frames in place, `delay` seconds each; the last one stays."""
        from rich.live import Live

        with Live(self.frame(0), console=self.console, auto_refresh=False) as live:
            for t in range(len(self.frames)):
                live.update(self.frame(t), refresh=True)
                time.sleep(max(0.0, delay))

    def frame(self, t: int) -> Any:
        """Frame t as something rich can print."""
        from rich.text import Text

        row = self.rows[t]
        what = "" if t else " (the reconstruction of the input)" if self.path.reconstructs else " (the input)"
        title = Text(f"frame {t} of {self.path.steps}{what}: {name_cell(row['class'], 60)}", "bold")
        return self.renderer.terminal_layout(title, self.bodies[t], self._bars(t), self._numbers(t))

    def _bars(self, t: int) -> Any:
        """One line per class: its name, a bar and the probability; where labels alone are shown, a mark at the predicted
        class."""
        from rich.table import Table
        from rich.text import Text

        lines = Table(box=None, show_header=False, padding=(0, 1))
        shown = self.path.shown
        if shown is not None and shown.is_score:
            value = float(shown.values[t])
            full = round(shown.share(value) * BAR)
            bar = Text("█" * full, TARGET, no_wrap=True)
            bar.append("·" * (BAR - full), "dim")
            name = Text(name_cell(self.path.class_names[self.path.target]), "dim")
            lines.add_row(Text("score"), bar, Text(shown.exact(value), "bold"), name)
            return lines
        for index in self.classes:
            kind = role(self.path, index)
            colour = {"target": TARGET, "source": SOURCE}.get(kind, "")
            name, seen = Text(name_cell(self.path.class_names[index]), colour), index == int(self.path.predicted[t])
            if self.path.predictions is None:
                lines.add_row(name, Text("◀ predicted" if seen else ""), Text(kind, "dim"))
                continue
            p = float(self.path.predictions[t, index])
            bar = Text("█" * round(p * BAR), colour or "bright_black", no_wrap=True)
            bar.append("·" * (BAR - round(p * BAR)), "dim")
            lines.add_row(name, bar, Text(f"{p:.3f}", "bold" if seen else ""), Text(kind, "dim"))
        return lines

    def _numbers(self, t: int) -> Any:
        """The measured numbers of the step."""
        from rich.table import Table

        row, lines = self.rows[t], Table(box=None, show_header=False, padding=(0, 1))
        names = {
            "step_length": "step length",
            "path_length": "path length",
            "distance": "L2 to the input",
            "edit_distance": "words changed",
            "typicality": "typicality",
            "reward": "reward",
            "information_gain": "gain (nats)",
        }
        for key, name in names.items():
            value = row.get(key)
            if value is not None:
                lines.add_row(name, str(value) if isinstance(value, int) else f"{value:.3f}")
        return lines


def contribution_table(found: Contributions, name: str | Shown, width: int = 80) -> Any:
    """Contributions as a rich table: each part, a bar that begins where the one before it ends, and its value.

    Args:
        found: of a path.
        name: of the class whose probability they divide; or what else they divide.
        width: characters; names of parts are cut to it.

    Example:
        >>> from agents.explanation.contributions import Contributions, Part
        >>> part = Part("age", "40 → 48", {"column": 0}, 0.5, 0.0)
        >>> found = Contributions([part], 1, 0.25, 0.75, 0.75, 2, [-1, 3], 4, True, 0)
        >>> contribution_table(found, "rich").row_count
        2
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1))
    longest = max(width - BAR - 18, 12)
    shown = Shown(np.zeros(0), f"p({name})") if isinstance(name, str) else name
    title = Text(f"{shown.name} {shown.text(found.start)} → {shown.text(found.end)}")
    table.add_column(title, max_width=longest, no_wrap=True, overflow="ellipsis")
    table.add_column("", no_wrap=True)
    table.add_column("adds", justify="right", no_wrap=True)
    sums = found.start + np.cumsum([part.value for part in sorted(found.parts, key=lambda part: -abs(part.value))])
    shown = shown.over([found.start, found.end, *sums.tolist()])
    reached = found.start
    for part in sorted(found.parts, key=lambda part: -abs(part.value)):
        low, high = sorted((reached, reached + part.value))
        reached += part.value
        spread = f" ±{shown.text(part.spread)}" if part.spread >= 0.005 * (shown.high - shown.low) else ""
        bar = _waterfall(shown.share(low), shown.share(high), part.value >= 0)
        table.add_row(Text(part.words), bar, Text(f"{shown.change(part.value)}{spread}"))
    low, high = sorted((shown.share(found.start), shown.share(found.end)))
    whole = _waterfall(low, high, None)
    table.add_row(Text("in all", "bold"), whole, Text(shown.change(found.total), "bold"))
    return table


def _waterfall(low: float, high: float, raises: bool | None) -> Any:
    """A bar from low to high on an axis from 0 to 1; what lowers the probability is drawn thinner."""
    from rich.text import Text

    first, last = round(low * BAR), round(high * BAR)
    if first == last:
        first, last = min(first, BAR - 1), min(first, BAR - 1) + 1
    bar = Text(no_wrap=True)
    bar.append("·" * first, "dim")
    sign, colour = {True: ("█", TARGET), False: ("▒", SOURCE), None: ("█", "")}[raises]
    bar.append(sign * (last - first), colour)
    bar.append("·" * (BAR - last), "dim")
    return bar
