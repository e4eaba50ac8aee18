"""Paths of every kind that the figures are drawn of."""

from __future__ import annotations

import io

from PIL import Image

KINDS = {
    "digits": {"data": "digits"},
    "labels": {"data": "digits", "task": "reach_label", "label_only": True},
    "table": {"data": "iris"},
    "leave": {"data": "digits", "task": "leave"},
}


def opened(image: bytes) -> Image.Image:
    return Image.open(io.BytesIO(image))
