"""Explanations in TensorBoard: measures, film strips, maps, animations, and each path as a run of its own.

``docs/how-to/tensorboard.md`` explains every tag. Nothing here queries the classifier, except for the maps of single paths
(`agents.explanation.figures.map.path_map`) and `log_training_end`, which explains a few inputs. Where labels alone are shown,
no probability is logged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from agents.explanation.figures.gif import gif_bytes
from agents.explanation.figures.map import map_figure
from agents.explanation.figures.path import film_strip, probability_curves
from agents.explanation.figures.renderer import renderer_of
from agents.explanation.figures.style import enlarge, picture
from agents.explanation.sentences import shown_classes
from agents.trajectories.trajectory import Trajectory

if TYPE_CHECKING:
    from agents.runs.run import Run

STRIPS = 8  # paths whose figures are logged
AT_THE_END = 4  # held-out inputs that are explained at the end of a training
PROJECTED = 1500  # reference inputs in the projector


def log_metrics(writer: Any, metrics: Mapping[str, Any], step: int) -> dict[str, float]:
    """Log scalars ``explain/<key>``.

    Args:
        writer: a SummaryWriter.
        metrics: key -> a number or an `Estimate`, whose value is logged; texts and nan are left out.
        step: training step.

    Returns:
        Tag -> number, of what was logged.
    """
    logged: dict[str, float] = {}
    for name, figure in metrics.items():
        number = getattr(figure, "value", figure)
        if isinstance(number, int | float | np.number) and np.isfinite(number):
            logged[f"explain/{name}"] = float(number)
    for tag, number in logged.items():
        writer.add_scalar(tag, number, step)
    return logged


def log_paths(
    writer: Any, world: Any, paths: Sequence[Trajectory], step: int = 0, most: int = STRIPS, maps: bool = True
) -> None:
    """Log all paths on one map, and film strip, animation, curves, map and table of steps of the first ones.

    Tags: ``explain/map`` and, each followed by the name of the path, ``film_strip/``, ``animation/``, ``curves/``, ``map/``,
    ``steps/``.

    Args:
        writer: a SummaryWriter.
        world: where the paths were walked.
        paths: to be logged.
        step: training step.
        most: number of paths that get figures of their own.
        maps: draw the maps of single paths; each costs thousands of queries.
    """
    if not paths:
        return
    log_png(writer, "explain/map", map_figure(paths, world, reference=True), step)
    for path in paths[:most]:
        name = tag_name(path)
        log_png(writer, f"film_strip/{name}", film_strip(path, world), step)
        log_png(writer, f"animation/{name}", gif_bytes(path, world), step)
        log_png(writer, f"curves/{name}", probability_curves(path), step)
        if maps:
            log_png(writer, f"map/{name}", map_figure([path], world), step)
        writer.add_text(f"steps/{name}", markdown_table(path), step)


def log_each_path(folder: str | Path, world: Any, paths: Sequence[Trajectory], most: int = STRIPS) -> list[Path]:
    """Log paths as TensorBoard runs of their own, ``<folder>/<name>``, whose step axis is the frame number.

    Tags: ``path/p_target``, ``path/p_source`` (labels only: ``path/is_target``), ``path/step_length``,
    ``path/distance``, ``path/typicality``, ``path/information_gain``, and for pictures ``path/frame``, whose slider
    moves along the path. ``probability/<class>`` form one chart in the CUSTOM SCALARS tab.

    Args:
        folder: of the runs.
        world: where the paths were walked.
        paths: to be logged.
        most: number of paths that are logged.

    Returns:
        The folders of the runs.
    """
    from agents.training.event_files import EventWriter

    made: list[Path] = []
    for path in paths[:most]:
        place = _unused(Path(folder) / tag_name(path), made)
        frames = path.frames(world)
        with EventWriter(place, purge_step=0) as writer:  # a path of this name that was logged before is hidden
            if path.predictions is not None:
                chart = {"class probabilities along the path": ["Multiline", ["^probability/.*"]]}
                writer.add_custom_scalars({"path": chart})
            for t, row in enumerate(path.table()):
                if path.predictions is None:
                    writer.add_scalar("path/is_target", float(path.predicted[t] == path.target), t)
                for index in () if path.predictions is None else shown_classes(path, 6):
                    tag = f"probability/{plain_tag(path.class_names[index])}"
                    writer.add_scalar(tag, float(path.predictions[t, index]), t)  # type: ignore[index]
                for key in ("p_target", "p_source", "step_length", "distance", "typicality", "information_gain"):
                    if row.get(key) is not None:
                        writer.add_scalar(f"path/{key}", row[key], t)
                if renderer_of(path).shows_pictures:
                    pixels = np.array(enlarge(picture(world, frames[t]), 160))
                    writer.add_image("path/frame", pixels, t, dataformats="HWC")
        made.append(place)
    return made


def _unused(place: Path, made: Sequence[Path]) -> Path:
    """The folder, numbered where another path has it: tags lack characters that class names may differ in."""
    numbered = (place if k == 1 else place.with_name(f"{place.name}_{k}") for k in range(1, len(made) + 2))
    return next(candidate for candidate in numbered if candidate not in made)


def log_png(writer: Any, tag: str, image: bytes, step: int) -> None:
    """Log an encoded picture (PNG or GIF) unchanged: TensorBoard passes it to the browser, which plays animations."""
    import io

    from PIL import Image
    from tensorboard.compat.proto.summary_pb2 import Summary

    with Image.open(io.BytesIO(image)) as opened:
        width, height = opened.size
    encoded = Summary.Image(encoded_image_string=image, height=height, width=width, colorspace=3)
    writer.file_writer.add_summary(Summary(value=[Summary.Value(tag=tag, image=encoded)]), step)


def log_hparams(writer: Any, settings: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
    """Log settings and metrics for the HPARAMS tab, in the writer's own run.

    Args:
        writer: a SummaryWriter.
        settings: name -> value; values that are no numbers, texts or bools are written as text.
        metrics: tags that are logged as scalars, too, such as those `log_metrics` returns; without them the tab stays empty.
    """
    from torch.utils.tensorboard.summary import hparams

    plain = {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in settings.items()}
    for summary in hparams(plain, dict(metrics)):  # writer.add_hparams would open a second file beside the writer's own
        writer.file_writer.add_summary(summary)


def log_projector(folder: str | Path, world: Any, paths: Sequence[Trajectory], step: int = 0) -> None:
    """Log reference inputs and paths for the PROJECTOR tab (a TensorBoard run of its own), with thumbnails for pictures.

    Each path is drawn as a line: the metadata column ``__seq_next__`` holds the row of the next frame.

    Args:
        folder: of the run.
        world: where the paths were walked.
        paths: to be logged.
        step: training step.
    """
    import torch

    from agents.training.event_files import EventWriter

    stride = -(-len(world.reference.z) // PROJECTED)
    latents, shown = [world.reference.z[::stride]], [world.reference.frame[::stride]]
    names = world.class_names
    rows = [["reference", "", names[int(k)], ""] for k in world.reference.label[::stride]]
    for path in paths:
        first = len(rows)
        for t, predicted in enumerate(path.predicted):
            following = "" if t == path.steps else str(first + t + 1)
            rows.append([tag_name(path), str(t), names[int(predicted)], following])
        latents.append(torch.from_numpy(path.z))
        shown.append(torch.from_numpy(path.frames(world)))
    thumbs = None
    if renderer_of(world).shows_pictures:
        pictures = [np.array(enlarge(world.render(x), 24)) for part in shown for x in part]
        thumbs = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    with EventWriter(folder) as writer:
        writer.add_embedding(
            torch.cat(latents),
            metadata=rows,
            label_img=thumbs,
            global_step=step,
            tag="latent_space",
            metadata_header=["path", "frame", "class", "__seq_next__"],
        )


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
    log_paths(writer, world, paths, run.steps, maps=False)
    if (image := run_gain_map(run, paths)) is not None:
        log_png(writer, "explain/expected_gain", image, run.steps)


def markdown_table(path: Trajectory) -> str:
    """The steps of a path as a Markdown table; class names are escaped."""
    rows = path.table()
    keys = [key for key in rows[0] if any(row[key] is not None for row in rows)]
    lines = [
        f"**{_plain(path.headline)}** {_plain(path.summary())}",
        "",
        "| " + " | ".join(key.replace("_", " ") for key in keys) + " |",
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
