"""The examples of docs/concepts/geometry.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[3] / "docs" / "concepts" / "geometry.md"


@pytest.mark.slow
def test_the_examples_run_and_show_what_the_text_says(capsys):
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(examples) == 3
    found: dict = {}
    for code in examples:
        exec(code, found)
    assert found["way"].shape == (9, 1000, 64)
    assert found["spline"].points().shape[1:] == (10, 8)
    assert 0.7 < float(capsys.readouterr().out.split()[-1]) <= 1  # accuracy of AtDot on loops
