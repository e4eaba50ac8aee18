"""Colours and small pictures."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from agents.explanation.figures import style as figures_style


def test_the_difference_is_green_where_it_is_more_and_purple_where_less() -> None:
    start, end = np.full((1, 3), 0.5), np.array([[0.5, 1.0, 0.0]])
    same, more, less = figures_style.difference(end, start, 0.5)[0].astype(int)
    assert same.min() > 240
    assert more[1] > more[0] + 80
    assert min(less[0], less[2]) > less[1] + 60


def test_drawing_loads_no_display_and_importing_loads_no_plotting_library() -> None:
    code = (
        "import sys, agents.explanation, agents.explanation.figures.path, agents.explanation.report.page\n"
        "print([m for m in ('matplotlib', 'torch', 'jinja2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
