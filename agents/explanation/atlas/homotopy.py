"""A homotopy between two sentences: the line of codes, decoded, with predictions and the nearest real sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from agents.atlas import AtlasConfig, Drawing
from agents.explanation.atlas.strip import two_inputs
from agents.explanation.atlas.style import rows_queried
from agents.explanation.figures.style import FAINT, INK, TARGET, figure_png, mathless, pyplot_figure
from agents.explanation.figures.text import LETTER, draw_words
from agents.trajectories.goal import share_name
from envs.datasets import TextUnits
from envs.errors import ManifoldError
from envs.gym.rendering import class_colour
from envs.manifolds import SentenceVAE
from envs.manifolds.sentence.homotopy import homotopy, nearest_sentences
from envs.modalities.alignment import compare

if TYPE_CHECKING:
    from envs.core.world import World

POINTS = 9
LINE = 0.28  # inches


def draw(world: World, config: AtlasConfig) -> Drawing:
    """Draw the homotopy between the sentences of `config.between`, the inputs of `config.index`, or two chosen inputs.

    Raises:
        ManifoldError: there are not two sentences, or the data of the world are not sentences.
    """
    if config.between and len(config.between) != 2:
        raise ManifoldError(f"a homotopy needs two sentences, not {len(config.between)}")
    if config.between and isinstance(world.units, TextUnits):
        x = world.units.inward(config.between)
    else:
        given = rows_queried(world, config, 2)
        x = two_inputs(world) if given is None else given
    return Drawing(*homotopy_figure(world, x, config.columns or POINTS))


def homotopy_figure(world: World, x: Tensor, points: int = POINTS) -> tuple[bytes, str]:
    """Draw the homotopy between two inputs.

    Args:
        world: gives the manifold and the classifier.
        x: (2, L) word ids.
        points: along the line.

    Returns:
        PNG and note.

    Raises:
        ManifoldError: the data of the world are not sentences.
    """
    vae = world.manifold
    if not isinstance(vae, SentenceVAE):
        raise ManifoldError(
            f"a homotopy joins sentences, and the modality of this world is {world.modality!r}: use --figure strip"
        )
    with torch.inference_mode():
        z = vae.encode(x)
        way = homotopy(vae, z[0], z[1], points)
        predictions = world.classifier.predict_proba(vae.decode(way.z))
    near = nearest_sentences(way.z, world.reference.z, vae.vocabulary.texts(world.reference.x))
    inputs = vae.vocabulary.texts(x)
    rows = [inputs[0], *way.texts, inputs[1]]
    words = [compare(before, text) for before, text in zip([rows[0], *rows[:-1]], rows, strict=True)]
    words[-1] = compare(rows[-1], rows[-1])  # the second input is not a point of the line
    wide = LETTER * max(sum(len(word.text) + 1 for word in line) for line in words)
    beside = 0.068 * max(len(text) for text, _ in near)
    left, right = 0.75, 0.75 + wide + 1.6
    high = 0.3 + LINE * (points + 2)
    figure = pyplot_figure(right + beside + 0.3, high)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, right + beside + 0.3)
    axes.set_ylim(high, 0)
    axes.axis("off")
    end = int(predictions[-1].argmax())
    head = {"fontsize": 7.5, "color": "#555b64", "va": "center"}
    target = "" if world.label_only else share_name(world.goal, world.class_names[end])
    marks = "decoded; marked: new words, struck through: removed words"
    heads = ((0, "t"), (left, marks), (left + wide + 0.15, target), (right, "nearest real sentence"))
    for x_at, text in heads:
        axes.text(x_at, 0.15, mathless(text), **head)
    for row, line in enumerate(words):
        y = 0.15 + LINE * (row + 1)
        place = row - 1
        inside = 0 <= place < points
        axes.text(0, y, f"{place / (points - 1):.2f}" if inside else "input", fontsize=8, va="center", color=INK,
                  fontweight="normal" if inside else "bold")  # fmt: skip
        draw_words(axes, line, left, y)
        if inside:
            _predict(axes, world, predictions[place], end, left + wide + 0.15, y)
            axes.text(right, y, mathless(near[place][0]), fontsize=8, color="#555b64", va="center")
    grades = len(dict.fromkeys(way.texts))
    note = f"homotopy: {points} points, {grades} different sentences. {points} classifier queries."
    return figure_png(figure), note


def _predict(axes: Any, world: World, prediction: Tensor, end: int, x: float, y: float) -> None:
    """The class as a coloured dot, and the probability of the class at the end as a number and a bar."""
    from matplotlib.patches import Rectangle

    colour = "#{:02x}{:02x}{:02x}".format(*class_colour(int(prediction.argmax())))
    axes.plot([x + 0.05], [y], marker="o", markersize=5, color=colour)
    if world.label_only:
        axes.text(x + 0.18, y, mathless(world.class_names[int(prediction.argmax())]), fontsize=8, va="center", color=INK)
        return
    p = float(prediction[end])
    axes.text(x + 0.18, y, f"{p:.2f}", fontsize=8, va="center", color=INK)
    for share, shade in ((1.0, FAINT), (p, TARGET)):
        axes.add_patch(Rectangle((x + 0.55, y - 0.04), 0.7 * share, 0.08, facecolor=shade, linewidth=0))
