"""One card as a file: a picture, a page, an animation, or its numbers."""

from __future__ import annotations

import io
import json
import textwrap
from collections.abc import Callable
from typing import Any

from agents.explanation.figures.gif import gif_bytes
from agents.explanation.figures.style import (
    FAINT,
    INK,
    SOURCE,
    TARGET,
    figure_png,
    mathless,
    prepare_matplotlib,
    pyplot_figure,
)
from agents.explanation.report.card import Card
from envs.errors import UnknownNameError

WIDTH, LETTERS = 10.4, 120  # inches, and letters of a line of the headline
LINE = 0.21  # inches
SOFT = "#575f6a"


def card_figure(card: Card) -> Any:
    """The card as a matplotlib figure: headline, badge, input, turning point, end and contributions."""
    label = f"{card.path.scenario}: " if card.path.scenario else ""
    lines = textwrap.wrap(label + card.statement.headline, LETTERS) or [""]
    reasons = textwrap.wrap("; ".join(card.statement.reasons), 124)
    for other in card.others:
        reasons += textwrap.wrap(f"{other.path.scenario}: {other.statement.headline}", 124)
    body = max(card.face.height, 1.1 + 0.24 * len(card.statement.bars))
    head = 0.62 + LINE * (len(lines) + len(reasons))
    high = head + body + 0.15
    figure = pyplot_figure(WIDTH, high)

    def write(x: float, y: float, text: str, **look: Any) -> None:
        figure.text(x / WIDTH, 1 - y / high, mathless(text), va="top", **{"color": INK, "fontsize": 10.5, **look})

    write(0.15, 0.12, card.heading, fontsize=14, fontweight="bold")
    write(
        WIDTH - 0.15, 0.14, card.statement.badge, ha="right", bbox={"facecolor": "none", "edgecolor": INK, "boxstyle": "round"}
    )
    for k, line in enumerate(lines):
        write(0.15, 0.5 + LINE * k, line)
    for k, line in enumerate(reasons):
        write(0.15, 0.52 + LINE * (len(lines) + k), line, fontsize=9, color=SOFT)
    share = 0.575 if card.statement.bars else 0.97
    axes = figure.add_axes((0.015, 0.1 / high, share, (body - 0.05) / high))
    axes.axis("off")
    card.face.draw(axes, card)
    if card.statement.bars:
        _contributions(figure.add_axes((0.84, 0.1 / high, 0.14, (body - 0.35) / high)), card)
    return figure


def _contributions(axes: Any, card: Card) -> None:
    """Bars that add up, from p(target) of the input to that of the end."""
    bars, shown = card.statement.bars, card.statement.shown
    numbered = card.face.context.get("numbered", False)
    for k, bar in enumerate(bars):
        axes.barh(k, 1, color=FAINT, height=0.55)
        low, high = shown.share(bar.low), shown.share(bar.high)
        axes.barh(k, high - low, left=low, color=TARGET if bar.raises else SOURCE, height=0.55,
                  hatch="" if bar.raises else "///", edgecolor="white", linewidth=0)  # fmt: skip
        label = textwrap.shorten(f"{k + 1} {bar.name}" if numbered else bar.name, 30, placeholder=" …")
        axes.text(-0.06, k, mathless(f"{label}  {shown.change(bar.value)}"), ha="right", va="center", fontsize=8.5, color=INK)
    start, end = card.statement.start, card.statement.end
    axes.barh(len(bars), shown.share(end) - shown.share(start), left=shown.share(start), color=SOFT, height=0.55)
    total = f"in all  {shown.change(end - start)}"
    axes.text(-0.06, len(bars), total, ha="right", va="center", fontsize=8.5, fontweight="bold", color=INK)
    axes.set_xlim(0, 1)
    axes.set_ylim(len(bars) + 0.6, -0.6)
    axes.set_yticks([])
    marks = [shown.low, (shown.low + shown.high) / 2, shown.high] if shown.is_score else [0, 0.5, 1]
    axes.set_xticks([shown.share(mark) for mark in marks], [f"{mark:.4g}" for mark in marks], fontsize=8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    title = f"{'score' if shown.is_score else f'p({card.explained[:16]})'} from {shown.text(start)} to {shown.text(end)}"
    axes.set_title(mathless(title), fontsize=9, loc="right", color=INK)


def _pdf(card: Card) -> bytes:
    prepare_matplotlib()
    import matplotlib

    stream = io.BytesIO()
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        card_figure(card).savefig(stream, format="pdf", bbox_inches="tight", metadata={"CreationDate": None, "Creator": None})
    return stream.getvalue()


def _json(card: Card) -> bytes:
    statement = card.statement
    shown = {
        "heading": card.heading,
        "headline": statement.headline,
        "badge": statement.badge,
        "reasons": statement.reasons,
        "turning_point": card.turn,
        **({"others": [other.statement.headline for other in card.others]} if card.others else {}),
        "contributions": [{"part": bar.name, "value": bar.value, "spread": bar.spread} for bar in statement.bars],
    }
    return json.dumps({"card": shown, "path": json.loads(card.path.to_json())}, indent=1, ensure_ascii=False).encode()


#: format -> the file's bytes.
FORMATS: dict[str, Callable[[Card], bytes]] = {
    "png": lambda card: figure_png(card_figure(card)),
    "pdf": _pdf,
    "gif": lambda card: gif_bytes(card.path, card.world),
    "json": _json,
}


def export(card: Card, kind: str) -> bytes:
    """The card as a file.

    Args:
        card: to be written.
        kind: of `FORMATS`.

    Raises:
        UnknownNameError: another format.
    """
    if kind not in FORMATS:
        raise UnknownNameError("format of a card", kind, FORMATS)
    return FORMATS[kind](card)
