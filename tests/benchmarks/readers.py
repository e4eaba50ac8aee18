"""Do headlines say what a reader sees? Twenty paths of each kind of data, not picked: a reader sees the frames without a
headline, writes down what changed, and only then reads the headline.

    python -m tests.benchmarks.readers --material FOLDER      # frames for the reader, and the headlines in a file of their own
    python -m tests.benchmarks.readers                        # join the headlines with the reader's answers

The line walks from the first twenty held-out inputs of each kind. The answers stand in
tests/benchmarks/readers.json: the reason as written before, whether the headline gives the same, and why not. A
score counts only while the headline that was scored is still the one that is made. The readers were language models, not
people.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import envs
from agents.explain import explain
from agents.explanation.figures.renderer import renderer_of
from agents.explanation.figures.style import figure_png, picture, pyplot_figure
from agents.explanation.figures.table_cells import row_texts
from agents.explanation.headline import headline
from tests.benchmarks.contributions import world_of
from tests.benchmarks.harness.experiment import Experiment, Options, Record, render
from tests.benchmarks.harness.runs import CACHE
from tests.benchmarks.harness.splits import adult_split
from tests.benchmarks.harness.tables import table
from tests.benchmarks.table_columns import german_world

PATHS = 20


def gun_point() -> Any:
    """The world of GunPoint and of the network that is explained on it."""
    from tests.benchmarks.series_paths import data_of, explained

    data = data_of("GunPoint", 0)
    return envs.make_world(data=data, classifier=explained(data, 0), class_names=data.class_names, seed=0, progress=False)


KINDS = {
    "digits": lambda: envs.make_world(data="digits", progress=False),
    "breast cancer": lambda: world_of("breast cancer"),
    "German credit": lambda: german_world("forest", 0),
    "sentences": lambda: envs.make_world(data="sentences", progress=False),
    "series": lambda: envs.make_world(data="oscillator", progress=False),
    "MNIST": lambda: envs.make_world(data="mnist", progress=False),
    "Adult": lambda: adult_split(0, CACHE).world,
    "GunPoint": gun_point,
}
ANSWERS = Path(__file__).with_suffix(".json")


def paths_of(kind: str) -> tuple[Any, list[Any]]:
    """The world of a kind, and its first twenty paths with contributions."""
    world = KINDS[kind]()
    paths = explain(world, range(PATHS), walker="line")
    for path in paths:
        path.contributions(world)
    return world, paths


def headlines(kind: str) -> list[str]:
    """The headlines of the twenty paths."""
    world, paths = paths_of(kind)
    return [headline(path, world=world) for path in paths]


def write_material(kind: str, folder: Path) -> None:
    """Frames as pictures or text, in files of their own; headlines in ``KIND-headlines.txt``."""
    world, paths = paths_of(kind)
    name = kind.replace(" ", "-")
    renderer = renderer_of(paths[0])
    if paths[0].texts is not None:
        found = [sentence_frames(path) for path in paths]
        (folder / f"{name}.txt").write_text("\n\n".join(f"{k}. {text}" for k, text in enumerate(found)) + "\n")
    elif renderer.has_columns and world.modality == "table":
        found = [row_frames(path, world) for path in paths]
        (folder / f"{name}.txt").write_text("\n\n".join(f"{k}. {text}" for k, text in enumerate(found)) + "\n")
    else:
        for first in range(0, PATHS, 5):
            (folder / f"{name}-{first}.png").write_bytes(sheet(world, paths[first : first + 5], first))
    found = [headline(path, world=world) for path in paths]
    (folder / f"{name}-headlines.txt").write_text("\n".join(found) + "\n")


def answer_on(path: Any, t: int) -> str:
    """What is predicted on the input (-1) or a frame."""
    return path.class_names[path.source if t < 0 else int(path.predicted[t])]


def sentence_frames(path: Any) -> str:
    """The input and the different sentences of a path, with their predictions."""
    lines = [f"input: {path.texts[0]} [{answer_on(path, -1)}]"]
    for t, text in enumerate(path.texts[1:]):
        if text != path.texts[t] or t == path.steps:
            lines.append(f"   {t}: {text} [{answer_on(path, t)}]")
    return "\n".join(lines)


def row_frames(path: Any, world: Any) -> str:
    """All columns of the input and of the end."""
    names, texts = row_texts(world, [path.source_input, path.frames(world)[-1]], path.factual(world))
    cells = "; ".join(f"{name}: {old} | {new}" for name, (old, new) in zip(names, texts, strict=True))
    return f"[{answer_on(path, -1)} | {answer_on(path, path.steps)}] {cells}"


def sheet(world: Any, paths: list[Any], first: int) -> bytes:
    """A row of frames for each path: the input, four between and the end, without marks."""
    figure = pyplot_figure(10.5, 1.95 * len(paths), dpi=75)
    grid = figure.add_gridspec(len(paths), 6, hspace=0.35, wspace=0.08)
    for row, path in enumerate(paths):
        frames = path.frames(world)
        shown = [-1, *np.linspace(0, path.steps, 5).round().astype(int)]
        for column, t in enumerate(shown):
            axes = figure.add_subplot(grid[row, column])
            x = path.source_input if t < 0 else frames[t]
            if world.modality == "image":
                axes.imshow(picture(world, x), cmap="gray", interpolation="nearest")
            else:
                values = np.asarray(x).reshape(world.units.shape)
                axes.plot(values.T)
                low, high = frames.min(), frames.max()
                axes.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(
                f"{first + row}. input: {answer_on(path, t)}" if t < 0 else f"{t}: {answer_on(path, t)}", fontsize=8
            )
    return figure_png(figure)


def measure(options: Options) -> Iterator[Record]:
    """Headlines beside the answers, or the material for a reader."""
    if options.material:
        folder = Path(options.material)
        folder.mkdir(parents=True, exist_ok=True)
        for kind in options.kinds:
            write_material(kind, folder)
        return
    given = json.loads(ANSWERS.read_text())
    rules, found = given.pop("rules"), dict[str, Any]()
    for kind in options.kinds:
        if kind in given:
            found[kind] = [joined(answer, now) for answer, now in zip(given[kind], headlines(kind), strict=True)]
        yield {"readers": "language models, not people", "rules": {kind: rules[kind] for kind in found}, "kinds": found}


def joined(answer: dict[str, Any], now: str) -> dict[str, Any]:
    """An answer with the present headline; the score counts if this one was scored."""
    return {**answer, "headline": now, "current": answer["after"]["headline"] == now}


def page(record: Record) -> str:
    """Counts, and all answers."""
    kinds = record["kinds"]
    rows = []
    for kind, answers in kinds.items():
        count = [sum(answer[when]["agrees"] for answer in answers) for when in ("before", "after")]
        changed = sum(answer["before"]["headline"] != answer["after"]["headline"] for answer in answers)
        stale = sum(not answer["current"] for answer in answers)
        rows.append([kind, f"{count[0]} of {len(answers)}", f"{count[1]} of {len(answers)}", changed, stale])
    parts = []
    for kind, answers in kinds.items():
        lines = [
            [k, cell(answer["reason"]), cell(answer["after"]["headline"]), "yes" if answer["after"]["agrees"] else "no",
             cell(answer["after"].get("why", ""))]
            for k, answer in enumerate(answers)
        ]  # fmt: skip
        parts.append(
            f"## {kind}\n\n{record['rules'][kind]}\n\n"
            + table(["path", "reason, written first", "headline", "agrees", "why not"], lines)
        )
    head = ["kind", "first headlines agree", "headlines of today agree", "headlines that changed", "changed since scored"]
    return render("readers", command=record["command"], table=table(head, rows), answers="\n\n".join(parts))


def cell(text: str) -> str:
    """A text in a cell of a table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


EXPERIMENT = Experiment(
    "readers", __doc__, measure, page,
    flags={
        "--material": {"metavar": "FOLDER", "help": "write the frames for a reader, and nothing else"},
        "--kinds": {"nargs": "+", "default": list(KINDS), "choices": list(KINDS), "help": "kinds of data"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
