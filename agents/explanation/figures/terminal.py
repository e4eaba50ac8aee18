"""A path in the terminal: each frame as a picture of coloured half blocks (shades where there are no colours), the
classes as bars, and the step's numbers beside them. Class names are shown as they are, never read as markup."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from agents.explanation.figures.style import SOURCE, TARGET, picture
from agents.explanation.figures.table_cells import changed_cells, row_texts
from agents.explanation.figures.text import sentence_words
from agents.explanation.sentences import role, shown_classes
from agents.trajectories.trajectory import Trajectory
from envs.modalities.alignment import marked

SHADES = " ░▒▓█"
BAR = 14  # characters of a full probability bar
LARGEST = 32  # pixels along one side; larger pictures are thinned out
MOST_ROWS = 16  # table columns that are shown


class PathScreen:
    """Draws the frames of one path on a rich console.

    Args:
        path, world: what is shown, and where its frames are decoded.
        console: a ``rich.console.Console``; default one on standard output.
    """

    def __init__(self, path: Trajectory, world: Any, console: Any = None) -> None:
        from agents.terminal import console as visible_console

        self.path, self.world = path, world
        self.console = visible_console(highlight=False) if console is None else console
        self.frames = path.frames(world)
        self.rows = path.table()
        self.classes = shown_classes(path)
        if path.modality == "table":
            self.names, self.texts = row_texts(world, list(self.frames), path.factual(world))
            self.changed = changed_cells(world, self.frames, path.factual(world))
        if path.modality == "text":
            self.words = sentence_words(path)

    def show(self) -> None:
        """Print the input and every frame, one beneath the other."""
        for t in range(len(self.frames)):
            self.console.print(self.frame(t))

    def play(self, delay: float = 0.6) -> None:
        """Show the frames in place, ``delay`` seconds each; the last one stays."""
        from rich.live import Live

        with Live(self.frame(0), console=self.console, auto_refresh=False) as live:
            for t in range(len(self.frames)):
                live.update(self.frame(t), refresh=True)
                time.sleep(max(0.0, delay))

    def frame(self, t: int) -> Any:
        """Frame t as something rich can print."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        row = self.rows[t]
        what = "" if t else " (the reconstruction of the input)" if self.path.reconstructs else " (the input)"
        title = f"frame {t} of {self.path.steps}{what}: {row['class']}"
        grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0), title=Text(title, "bold"), title_justify="left")
        if self.path.modality == "text":
            return Group(Text(title, "bold"), self._sentence(t), self._bars(t), self._numbers(t))
        if self.path.modality == "table":  # names need room: the numbers go beneath the bars
            grid.add_row(self._row(t), Group(self._bars(t), self._numbers(t)))
        else:
            grid.add_row(self._picture(t), self._bars(t), self._numbers(t))
        return grid

    def _picture(self, t: int) -> Any:
        from rich.text import Text

        pixels = picture(self.world, self.frames[t])
        thin = -(-max(pixels.shape[:2]) // LARGEST)
        pixels = pixels[::thin, ::thin]
        if self.console.color_system is None:
            levels = np.clip(pixels.mean(axis=2) / 256 * len(SHADES), 0, len(SHADES) - 1).astype(int)
            return Text("\n".join("".join(SHADES[v] * 2 for v in line) for line in levels))
        if len(pixels) <= 16:  # small pictures: every pixel two half blocks wide and one line high
            pixels = np.repeat(np.repeat(pixels, 2, axis=0), 2, axis=1)
        if len(pixels) % 2:
            pixels = np.concatenate([pixels, pixels[-1:]])
        text = Text()
        for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
            for a, b in zip(upper, lower, strict=True):
                text.append("▀", f"rgb({a[0]},{a[1]},{a[2]}) on rgb({b[0]},{b[1]},{b[2]})")
            text.append("\n")
        return text

    def _sentence(self, t: int) -> Any:
        """The sentence; new words are marked, words that went are struck through. Without colours: stars and brackets."""
        from rich.text import Text

        if self.console.color_system is None:
            texts = self.path.texts or []
            return Text("  " + marked(texts[t], texts[t + 1]))
        text, styles = Text("  "), {"new": "bold yellow", "gone": "strike dim", "": ""}
        for word in self.words[t + 1]:
            text.append(word.text, styles[word.change])
            text.append(" ")
        return text

    def _row(self, t: int) -> Any:
        """The table row; noticeably changed values stand behind a mark."""
        from rich.table import Table
        from rich.text import Text

        values = Table(box=None, show_header=False, padding=(0, 1))
        many = len(self.names) > MOST_ROWS
        order = np.argsort(~self.changed[:, t], kind="stable")[:MOST_ROWS] if many else range(len(self.names))
        for i in order:
            style = "bold yellow" if self.changed[i, t] else ""
            mark = Text("•" if self.changed[i, t] else " ", style)
            values.add_row(mark, Text(self.names[i]), Text(str(self.texts[i, t]), style))
        if many:
            values.add_row(Text(""), Text(f"and {len(self.names) - MOST_ROWS} more columns", "dim"), Text(""))
        return values

    def _bars(self, t: int) -> Any:
        """One line a class: its name, a bar and the probability; where only labels are seen, a mark at the one seen."""
        from rich.table import Table
        from rich.text import Text

        lines = Table(box=None, show_header=False, padding=(0, 1))
        for index in self.classes:
            kind = role(self.path, index)
            colour = {"target": TARGET, "source": SOURCE}.get(kind, "")
            name, seen = Text(self.path.class_names[index], colour), index == int(self.path.predicted[t])
            if self.path.predictions is None:
                lines.add_row(name, Text("◀ seen" if seen else ""), Text(kind, "dim"))
                continue
            p = float(self.path.predictions[t, index])
            bar = Text("█" * round(p * BAR), colour or "bright_black", no_wrap=True)
            bar.append("·" * (BAR - round(p * BAR)), "dim")
            lines.add_row(name, bar, Text(f"{p:.3f}", "bold" if seen else ""), Text(kind, "dim"))
        return lines

    def _numbers(self, t: int) -> Any:
        """Step length, way so far, distance to the input, typicality, reward, information gain: what there is."""
        from rich.table import Table

        row, lines = self.rows[t], Table(box=None, show_header=False, padding=(0, 1))
        names = {
            "step_length": "step length",
            "path_length": "way so far",
            "distance": "from the input",
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
