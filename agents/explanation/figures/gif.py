"""The path as a GIF, drawn with Pillow alone: the input, then every frame with its class and probability."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from agents.console.threads import one_threaded
from agents.explanation.figures.lettering import LINE, fit
from agents.explanation.figures.renderer import renderer_of
from agents.explanation.figures.style import FAINT, INK, OTHER, SOURCE, TARGET, rgb
from agents.explanation.sentences import heading
from agents.files import write_whole
from agents.trajectories.trajectory import Trajectory
from envs.files import in_home

WIDTH, MARGIN = 288, 16
STEP_MS, END_MS = 350, 1400  # how long a frame, and the first and last, stay on the screen


def gif_frames(path: Trajectory, world: Any) -> list[Image.Image]:
    """T+2 pictures of one size: the input, then every frame with its number, class and probability bar."""
    return [_page(path, body, t) for t, body in enumerate(renderer_of(path).gif_bodies(path, world), start=-1)]


def gif_bytes(path: Trajectory, world: Any) -> bytes:
    """The animation as GIF89a, in an endless loop; the first and last frame stay longer."""
    pages = [page.quantize(128, dither=Image.Dither.NONE) for page in gif_frames(path, world)]
    durations = [END_MS, *[STEP_MS] * (len(pages) - 2), END_MS]
    stream = io.BytesIO()
    pages[0].save(stream, "GIF", save_all=True, append_images=pages[1:], duration=durations, loop=0, disposal=1)
    return stream.getvalue()


@one_threaded
def save_gif(path: Trajectory, world: Any, file: str | Path) -> Path:
    """Write the animation to `file`; returns its path."""
    target = Path(in_home(str(file)))
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, gif_bytes(path, world))
    return target


def _page(path: Trajectory, body: Image.Image, t: int) -> Image.Image:
    """One picture of the animation: heading, body, class and bar; t = -1 is the input."""
    page = Image.new("RGB", (WIDTH, body.height + 4 * LINE + MARGIN), "white")
    draw = ImageDraw.Draw(page)
    fit(draw, (MARGIN, 6), heading(path), 15, INK, WIDTH - 2 * MARGIN)
    top = LINE + 6
    left = (WIDTH - body.width) // 2
    page.paste(body, (left, top))
    draw.rectangle((left - 1, top - 1, left + body.width, top + body.height), outline=rgb("#b9bec6"))
    below = top + body.height + 6
    index = path.source if t < 0 else int(path.predicted[t])
    words = "input" if t < 0 else f"frame {t} of {path.steps}" + (" (reconstruction)" if t == 0 and path.reconstructs else "")
    fit(
        draw,
        (MARGIN, below),
        f"{words}: {path.class_names[index]}",
        14,
        {path.source: SOURCE, path.target: TARGET}.get(index, INK),
        WIDTH - 2 * MARGIN,
    )
    if t >= 0:
        _progress(draw, path, t, below + LINE)
    return page


def _progress(draw: ImageDraw.ImageDraw, path: Trajectory, t: int, top: int) -> None:
    """The probability of the target as a bar; where labels alone are shown, the share of the steps taken."""
    right = WIDTH - MARGIN
    if path.shown is None:
        share, words, colour = t / max(1, path.steps), "", OTHER
    else:
        value = float(path.shown.values[t])
        share, colour = path.shown.share(value), TARGET
        words = f"{path.shown.name} = {path.shown.text(value)}"
    draw.rectangle((MARGIN, top + 4, right, top + 11), fill=rgb(FAINT))
    if share > 0.003:
        draw.rectangle((MARGIN, top + 4, MARGIN + round(share * (right - MARGIN)), top + 11), fill=rgb(colour))
    fit(draw, (MARGIN, top + 15), words, 12, INK, WIDTH - 2 * MARGIN)
