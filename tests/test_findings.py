"""docs/findings.md and README's table are what tests/benchmarks/findings writes from the JSON, narrow enough to be read."""

from __future__ import annotations

import re

import pytest

from tests.benchmarks.findings import __main__ as findings
from tests.benchmarks.findings import claim as parts

CLAIMS = [claim() for claim in findings.CLAIMS]
COMMAND = "run python -m tests.benchmarks.findings"


def test_the_page_is_what_the_script_writes():
    assert findings.PAGE.read_text(encoding="utf-8") == findings.page(), COMMAND


def test_the_table_of_the_readme_is_what_the_script_writes():
    text = findings.README.read_text(encoding="utf-8")
    assert findings.readme_table() in text, COMMAND
    assert findings.readme() == text, COMMAND


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.title)
def test_a_claim_has_at_most_eight_columns_says_where_it_loses_and_names_its_data(claim):
    assert len(claim.header) <= 8
    assert all(len(row) == len(claim.header) for row in claim.rows)
    assert claim.pages
    for name in [*claim.pages, *re.findall(r"results/(\w+)\.md", findings.section(claim))]:
        assert (findings.DOCS / "results" / f"{name}.json").is_file(), name


def test_losses_stand_beside_wins():
    silent = [claim.title for claim in CLAIMS if "**W" not in claim.text]
    assert silent == ["What curiosity costs", "Smaller findings"], "say where it loses or fails"


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim.picture], ids=lambda claim: claim.title)
def test_plots_can_be_drawn(claim, tmp_path, monkeypatch):
    monkeypatch.setattr(findings, "IMAGES", tmp_path)
    findings.draw(claim)
    assert (tmp_path / claim.picture[0]).read_bytes().startswith(b"\x89PNG")


def test_an_interval_and_a_number_that_was_not_measured():
    assert parts.interval({"value": 957.2, "low": 891.8, "high": 1057.4}, 0) == "957 [892, 1,057]"
    assert parts.value(None) == "–"
    assert parts.over([{"x": 1.0}, {"x": None}, {}, {"x": 3.0}], "x") == 2.0
