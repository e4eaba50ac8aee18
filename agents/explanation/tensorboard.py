"""Explanations in TensorBoard: measures, cards, film strips, animations, and a map.

``docs/how-to/tensorboard.md`` explains every tag. Nothing here queries the classifier, except for `log_training_end`, which
explains a few inputs. Where labels alone are shown, no probability is logged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.explanation.across.patterns import patterns
from agents.explanation.figures.gif import gif_bytes
from agents.explanation.figures.map import map_figure
from agents.explanation.figures.means import means_figure
from agents.explanation.figures.path import film_strip
from agents.explanation.metrics.measures import label
from agents.explanation.report.card import Card
from agents.explanation.report.export import export
from agents.trajectories.goal import kind_of_end
from agents.trajectories.trajectory import Trajectory

if TYPE_CHECKING:
    from agents.runs.run import Run

STRIPS = 8  # paths whose figures are logged
AT_THE_END = 4  # held-out inputs that are explained at the end of a training
PROJECTED = 500  # reference inputs in the projector
MAIN = ("validity", "l2_input", "knn_ratio", "queries")  # measures that are scalars, for the HPARAMS tab


def log_metrics(writer: Any, metrics: Mapping[str, Any], step: int) -> dict[str, float]:
    """Log the measures over explanations: all as one table, ``explain/measures``; the main ones as scalars ``explain/<key>``.

    Args:
        writer: a SummaryWriter.
        metrics: key -> a number or an `Estimate`, whose value is logged; texts and nan are left out.
        step: training step.

    Returns:
        Tag -> number, of the scalars.
    """
    known: dict[str, float] = {}
    for name, figure in metrics.items():
        number = getattr(figure, "value", figure)
        if isinstance(number, int | float | np.number) and np.isfinite(number):
            known[name] = float(number)
    rows = [f"| `explain/{name}` | {_plain(label(name))} | {number:.4g} |" for name, number in known.items()]
    writer.add_text("explain/measures", "\n".join(["| key | measure | value |", "|---|---|---|", *rows]), step)
    logged = {f"explain/{name}": known[name] for name in MAIN if name in known}
    for tag, number in logged.items():
        writer.add_scalar(tag, number, step)
    return logged


def log_paths(writer: Any, world: Any, paths: Sequence[Trajectory], step: int = 0, most: int = STRIPS) -> None:
    """Log all paths on one map, and card, film strip, animation and table of steps of the first ones; costs no query.

    Tags: ``explain/map`` and, each followed by the name of the path, ``card/``, ``film_strip/``, ``animation/``, ``steps/``.

    Args:
        writer: a SummaryWriter.
        world: where the paths were walked.
        paths: to be logged.
        step: training step.
        most: number of paths that get pictures of their own.
    """
    if not paths:
        return
    log_png(writer, "explain/map", map_figure(paths, world, reference=True), step)
    for number, path in enumerate(paths[:most], start=1):
        name = tag_name(path)
        log_png(writer, f"card/{name}", export(Card(number, path, world, mapped=False), "png"), step)
        log_png(writer, f"film_strip/{name}", film_strip(path, world), step)
        log_png(writer, f"animation/{name}", gif_bytes(path, world), step)
        writer.add_text(f"steps/{name}", markdown_table(path), step)


def log_patterns(writer: Any, world: Any, paths: Sequence[Trajectory], step: int = 0) -> None:
    """Log what the paths from one class to another have in common: a table ``explain/patterns`` and, of pictures, the mean
    inputs, ends and changes ``explain/mean_paths``; costs no query.

    Args:
        writer: a SummaryWriter.
        world: where the paths were walked.
        paths: to be logged.
        step: training step.
    """
    found = patterns(paths, world)
    rows = [
        f"| {_plain(pattern.source)} → {_plain(pattern.target)} | {pattern.count} | "
        + "; ".join(f"{count}: {_plain(words)}" for words, count in pattern.phrases) + " |"
        for pattern in found
    ]  # fmt: skip
    if rows:
        writer.add_text(
            "explain/patterns", "\n".join(["| from and to | paths | how many change what |", "|---|---|---|", *rows]), step
        )
    if any(pattern.means for pattern in found):
        log_png(writer, "explain/mean_paths", means_figure(found), step)


def log_png(writer: Any, tag: str, image: bytes, step: int) -> None:
    """Log an encoded picture (PNG or GIF) unchanged: TensorBoard passes it to the browser, which plays animations."""
    import io

    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary

    with Image.open(io.BytesIO(image)) as opened:
        width, height = opened.size
    encoded = Summary.Image(encoded_image_string=image, height=height, width=width, colorspace=3)
    writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=tag, image=encoded)]), step)


def log_projector(folder: str | Path, world: Any, paths: Sequence[Trajectory], step: int = 0) -> None:
    """Log reference inputs and paths for the PROJECTOR tab (a TensorBoard run of its own).

    The first column of the metadata is the class, for colours and labels. Each path is drawn as a line: the column
    ``__seq_next__`` holds the row of the next frame. Points have no thumbnails, which would hide the lines.

    Args:
        folder: of the run.
        world: where the paths were walked.
        paths: to be logged.
        step: training step.
    """
    import torch

    from agents.training.event_files import EventWriter

    stride = -(-len(world.reference.z) // PROJECTED)
    latents, names = [world.reference.z[::stride]], world.class_names
    rows = [[names[int(k)], "reference", "", ""] for k in world.reference.label[::stride]]
    for path in paths:
        first = len(rows)
        for t, predicted in enumerate(path.predicted):
            following = "" if t == path.steps else str(first + t + 1)
            rows.append([names[int(predicted)], tag_name(path), str(t), following])
        latents.append(torch.from_numpy(path.z))
    with EventWriter(folder) as writer:
        writer.add_embedding(torch.cat(latents), metadata=rows, global_step=step, tag="latent_space",
                             metadata_header=[kind_of_end(world.goal), "item", "frame", "__seq_next__"])  # fmt: skip


def log_training_end(run: Run, writer: Any) -> None:
    """Log a few held-out inputs, explained by the trained agent, at the end of a training.

    Costs the queries of these paths, a few rows each. Runs with a curiosity that measures information also get
    ``explain/expected_gain``.

    Args:
        run: that was trained.
        writer: a SummaryWriter.
    """
    from agents.explain import explain
    from agents.explanation.figures.gain import run_gain_map

    world = run.world
    if world is None or world.held_out is None or len(world.held_out.x) == 0:
        return
    paths = explain(run, range(min(AT_THE_END, len(world.held_out.x))), fallback=False)
    log_paths(writer, world, paths, run.steps)
    if (image := run_gain_map(run, paths)) is not None:
        log_png(writer, "explain/expected_gain", image, run.steps)


def markdown_table(path: Trajectory) -> str:
    """The steps of a path as a Markdown table; class names are escaped."""
    rows = path.table()
    keys = [key for key in rows[0] if any(row[key] is not None for row in rows)]
    lines = [
        f"**{_plain(path.headline)}** {_plain(path.summary())}",
        "",
        "| " + " | ".join(path.column_title(key) for key in keys) + " |",
        "|" + "---|" * len(keys),
    ]
    for row in rows:
        lines.append("| " + " | ".join(_cell(row[key]) for key in keys) + " |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.3f}" if isinstance(value, float) else _plain(str(value))


def tag_name(path: Trajectory) -> str:
    """The name of the path in the characters that tags and folders may have."""
    return plain_tag(path.name)


def plain_tag(text: str) -> str:
    """A text in the characters that tags may have."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text) or "_"


def _plain(text: str) -> str:
    """Text escaped for Markdown and HTML."""
    return "".join(f"&#{ord(sign)};" if sign in "&<>|*_`[]" else sign for sign in text)
