"""The path as a GIF, drawn and written with Pillow alone: the input, then frame by frame with class and probability."""

from __future__ import annotations

import bisect
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from agents.cli import in_home
from agents.explanation.figures.style import CHANGED, FAINT, INK, OTHER, SOURCE, TARGET, enlarge, picture, rgb
from agents.explanation.figures.table_cells import changed_cells, row_texts
from agents.explanation.figures.text import sentence_words, wrapped
from agents.explanation.sentences import heading
from agents.files import write_whole
from agents.trajectories.trajectory import Trajectory
from envs.modalities.alignment import Word

WIDTH, PICTURE, MARGIN, LINE = 288, 256, 16, 22
STEP_MS, END_MS = 350, 1400  # how long a frame, and the first and last, stay on the screen
MOST_ROWS = 14  # columns of a table that are drawn
MOST_LETTERS = 500  # of a text that is measured; a line holds far fewer
TEXT_WIDTH = 32  # letters of a sentence in one line


def gif_frames(path: Trajectory, world: Any) -> list[Image.Image]:
    """T+2 pictures of one size: the input, then every frame with its number, class and probability bar."""
    frames = path.frames(world)
    if path.modality == "table":
        names, texts = row_texts(world, [path.source_input, *frames], path.factual(world))
        changed = changed_cells(world, frames, path.factual(world))
        bodies = [
            _row(names, texts[:, t + 1], changed[:, t] if t >= 0 else np.zeros(len(names), bool))
            for t in range(-1, len(frames))
        ]
    elif path.modality == "text":
        words = [wrapped(part, TEXT_WIDTH) for part in sentence_words(path)]
        most = max(len(lines) for lines in words)
        bodies = [_sentence(lines, most) for lines in words]
    else:
        bodies = [enlarge(picture(world, x), PICTURE) for x in (path.source_input, *frames)]
    return [_page(path, body, t) for t, body in enumerate(bodies, start=-1)]


def gif_bytes(path: Trajectory, world: Any) -> bytes:
    """The animation as GIF89a, repeating for ever; the ends stay longer."""
    pages = [page.quantize(128, dither=Image.Dither.NONE) for page in gif_frames(path, world)]
    durations = [END_MS, *[STEP_MS] * (len(pages) - 2), END_MS]
    stream = io.BytesIO()
    pages[0].save(stream, "GIF", save_all=True, append_images=pages[1:], duration=durations, loop=0, disposal=1)
    return stream.getvalue()


def save_gif(path: Trajectory, world: Any, file: str | Path) -> Path:
    """Write the animation to ``file`` and return its path."""
    target = Path(in_home(str(file)))
    target.parent.mkdir(parents=True, exist_ok=True)
    write_whole(target, gif_bytes(path, world))
    return target


def _page(path: Trajectory, body: Image.Image, t: int) -> Image.Image:
    """One picture of the animation: heading, body, class, bar. t = -1 is the input."""
    page = Image.new("RGB", (WIDTH, body.height + 4 * LINE + MARGIN), "white")
    draw = ImageDraw.Draw(page)
    _fit(draw, (MARGIN, 6), heading(path), 15, INK)
    top = LINE + 6
    left = (WIDTH - body.width) // 2
    page.paste(body, (left, top))
    draw.rectangle((left - 1, top - 1, left + body.width, top + body.height), outline=rgb("#b9bec6"))
    below = top + body.height + 6
    index = path.source if t < 0 else int(path.predicted[t])
    words = "input" if t < 0 else f"frame {t} of {path.steps}" + (" (reconstruction)" if t == 0 and path.reconstructs else "")
    _fit(
        draw,
        (MARGIN, below),
        f"{words}: {path.class_names[index]}",
        14,
        {path.source: SOURCE, path.target: TARGET}.get(index, INK),
    )
    if t >= 0:
        _progress(draw, path, t, below + LINE)
    return page


def _progress(draw: ImageDraw.ImageDraw, path: Trajectory, t: int, top: int) -> None:
    """The probability of the target as a bar; where only labels are seen, the share of the path walked."""
    right = WIDTH - MARGIN
    if path.predictions is None:
        share, words, colour = t / max(1, path.steps), "", OTHER
    else:
        share, colour = float(path.predictions[t, path.target]), TARGET
        words = f"p({path.class_names[path.target]}) = {share:.2f}"
    draw.rectangle((MARGIN, top + 4, right, top + 11), fill=rgb(FAINT))
    if share > 0.003:
        draw.rectangle((MARGIN, top + 4, MARGIN + round(share * (right - MARGIN)), top + 11), fill=rgb(colour))
    _fit(draw, (MARGIN, top + 15), words, 12, INK)


def _row(names: list[str], values: np.ndarray, changed: np.ndarray) -> Image.Image:
    """One table row as name and value lines; changed values stand on a yellow ground behind a mark."""
    count = min(len(names), MOST_ROWS)
    body = Image.new("RGB", (PICTURE, LINE * (count + (len(names) > count)) + 4), "white")
    draw = ImageDraw.Draw(body)
    order = np.argsort(~changed, kind="stable")[:count] if len(names) > count else range(count)
    for line, i in enumerate(order):
        top = 3 + line * LINE
        if changed[i]:
            draw.rectangle((2, top, PICTURE - 3, top + LINE - 3), fill=rgb(CHANGED))
            draw.ellipse((6, top + 7, 11, top + 12), fill=rgb(INK))
        _fit(draw, (16, top + 2), names[i], 13, INK, PICTURE * 0.62)
        text = " ".join(str(values[i]).split())
        draw.text((PICTURE - 8 - draw.textlength(text, _font(13)), top + 2), text, rgb(INK), _font(13))
    if len(names) > count:
        draw.text((6, 3 + count * LINE), f"and {len(names) - count} more columns", rgb(OTHER), _font(12))
    return body


def _sentence(lines: list[list[Word]], most: int) -> Image.Image:
    """A sentence in room for `most` lines; new words stand on a yellow ground, words that went are struck through."""
    body = Image.new("RGB", (PICTURE, LINE * most + 8), "white")
    draw = ImageDraw.Draw(body)
    for row, line in enumerate(lines):
        x, top = 6.0, 4 + row * LINE
        for word in line:
            width = draw.textlength(word.text, _font(13))
            if word.change == "new":
                draw.rectangle((x - 2, top, x + width + 1, top + LINE - 4), fill=rgb(CHANGED))
            draw.text((x, top + 2), word.text, rgb(OTHER if word.change == "gone" else INK), _font(13))
            if word.change == "gone":
                draw.line((x, top + 10, x + width, top + 10), fill=rgb(OTHER))
            x += width + draw.textlength(" ", _font(13))
    return body


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _fit(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, colour: str, width: float = WIDTH - 2 * MARGIN
) -> None:
    """Text in one line, cut with an ellipsis where it would leave ``width`` pixels; signs the font lacks are spelt."""
    text = " ".join(text.replace("→", "to").split())
    font, text = _font(size), text[:MOST_LETTERS]
    if draw.textlength(text, font) > width:
        cuts = range(1, len(text))
        kept = bisect.bisect_right(cuts, width, key=lambda letters: draw.textlength(f"{text[:letters]}...", font))
        text = text[: max(kept, 1)] + "..."
    draw.text(at, text, rgb(colour), font)
