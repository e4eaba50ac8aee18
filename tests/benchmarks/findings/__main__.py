# ruff: noqa: E501 (prose in strings)
"""Write docs/findings.md, its plots and README's table of results from docs/results/*.json: ``python -m tests.benchmarks.findings``.

A claim is a function that reads the JSON and returns a `Claim`: the question, the result, one table of at most eight columns
and perhaps a plot. Every number on the page is read from the JSON; ``--text`` leaves the plots as they are.
"""

from __future__ import annotations

import argparse
import re

from tests.benchmarks.findings.claim import DOCS, Claim, link, table
from tests.benchmarks.findings.curiosity import algorithms, cost, curiosity, suite
from tests.benchmarks.findings.explanations import (
    EXPLAINED,
    ablation,
    adult,
    digits,
    ends,
    explained,
    manifolds,
    mnist,
    robust,
)
from tests.benchmarks.findings.others import others, sentences, speed

PAGE, IMAGES, README = DOCS / "findings.md", DOCS / "images", DOCS.parent / "README.md"
MARKS = ("<!-- results -->", "<!-- /results -->")
CLAIMS = (
    digits,
    mnist,
    adult,
    manifolds,
    ablation,
    ends,
    robust,
    curiosity,
    suite,
    algorithms,
    cost,
    sentences,
    speed,
    others,
)
INTRODUCTION = """# Findings

What was measured, one claim a section, with its losses. Every number on this page is read from the JSON files in
[results](results/index.md) by `python -m tests.benchmarks.findings`; each section links to the full tables, which name the command that made them.

*found*: share of inputs whose path reaches its goal. *L2*: distance from the true input to the end of the path. *kNN ratio*: distance of the end to real
data of the target class, over the same for real data; 1 is as typical as real data. *IM1*: reconstruction error of the end by an auto-encoder of the target class, over that
of the source class; less is better. *oracle*: share of ends for which an independent classifier predicts the target. *queries each, before*: rows that the
classifier predicts for one explanation, and before the first one."""


def section(claim: Claim) -> str:
    """One claim as Markdown."""
    parts = [f"## {claim.title}", claim.text]
    if claim.picture:
        parts.append(f"![{claim.picture[1]}](images/{claim.picture[0]})")
    parts.append(table(claim.header, claim.rows))
    pages = [f"{link(name)} ([JSON](results/{name}.json))" for name in claim.pages]
    return "\n\n".join([*parts, "Everything: " + ", ".join(pages) + "."])


def page() -> str:
    """The page of findings."""
    return "\n\n".join([INTRODUCTION, *(section(claim()) for claim in CLAIMS)]) + "\n"


def readme_table() -> str:
    """The one table of README: digits, without the columns that need explaining."""
    kept = [0, 1, 2, 3, 5, 6, 7]
    left_out = ("geodesic", "growing", "latent gradient", "alibi's CounterfactualRL, as")
    rows = [row for row in explained("digits") if not row[0].startswith(left_out)]
    return table([EXPLAINED[i] for i in kept], [[row[i] for i in kept] for row in rows])


def readme() -> str:
    """README with its table written again between the two marks."""
    text = README.read_text(encoding="utf-8")
    return re.sub(f"{MARKS[0]}.*{MARKS[1]}", lambda _: f"{MARKS[0]}\n\n{readme_table()}\n\n{MARKS[1]}", text, flags=re.S)


def draw(claim: Claim) -> None:
    """The claim's plot, if it has one."""
    if claim.picture and claim.draw:
        from agents.explanation.figures.style import figure_png, pyplot_figure

        figure = pyplot_figure(9, 5)
        claim.draw(figure)
        for axes in figure.axes:
            axes.spines[["top", "right"]].set_visible(False)
        (IMAGES / claim.picture[0]).write_bytes(figure_png(figure))


def main() -> None:
    """Write page, plots and README's table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", action="store_true", help="leave the plots as they are")
    if not parser.parse_args().text:
        for claim in CLAIMS:
            draw(claim())
    PAGE.write_text(page(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")
    print(f"wrote {PAGE.name}, README.md's table and the plots")


if __name__ == "__main__":
    main()
