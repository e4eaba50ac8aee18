"""A reading of the twenty paths of `sentences_edits`: which sentences are English, without context and in random order.

    python -m tests.benchmarks.sentences.reading --sheet FILE              # numbered sentences, without what they are
    python -m tests.benchmarks.sentences.reading --answers FILE --reader "a person"

FILE of the answers has the numbers of the sentences that are English, separated by white space. Shares go into
docs/results/sentences_edits.json; `python -m tests.benchmarks.sentences_edits --analyse` writes the page.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from agents.files import write_whole
from tests.benchmarks.harness.experiment import RESULTS, as_json

KINDS = ("real sentences (the inputs)", "middle frames", "ends")


def sheet(splits: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(kind, sentence) in random order, each once; paths that did not arrive have no end."""
    found: dict[str, str] = {}
    for lines in splits[0]["shown"]:
        texts = [line.split("  ", 1)[1].strip() for line in (line.strip() for line in lines[2:])]
        arrived = "not arrived" not in lines[0]
        kinds = [KINDS[0], *[KINDS[1]] * (len(texts) - 2), KINDS[2] if arrived else KINDS[1]]
        for kind, text in zip(kinds, texts, strict=False):
            found.setdefault(text, kind)
    rows = list(found.items())
    return [(rows[k][1], rows[k][0]) for k in np.random.default_rng(0).permutation(len(rows))]


def read(rows: list[tuple[str, str]], english: set[int], reader: str, before: dict[str, Any] | None) -> dict[str, Any]:
    """The shares of each kind that a reader called English, beside those of earlier readers."""
    if wrong := english - set(range(1, len(rows) + 1)):
        raise SystemExit(f"there is no sentence {min(wrong)}: the sheet has {len(rows)}")
    found: dict[str, Any] = before or {"readers": [], "kinds": {}}
    found["readers"].append(reader)
    for kind in KINDS:
        own = [number for number, (other, _) in enumerate(rows, 1) if other == kind]
        entry = found["kinds"].setdefault(kind, {"read": len(own), "english": [], "numbers": []})
        entry["english"].append(len(english & set(own)) / len(own))
        entry["numbers"].append(sorted(english & set(own)))
    return found


def main() -> None:
    """Write the sheet, or take answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--answers", type=Path)
    parser.add_argument("--reader", default="a person")
    options = parser.parse_args()
    place = RESULTS / "sentences_edits.json"
    record = json.loads(place.read_text(encoding="utf-8"))
    rows = sheet(record["splits"])
    if options.sheet:
        write_whole(options.sheet, "".join(f"{number}. {text}\n" for number, (_, text) in enumerate(rows, 1)))
    if options.answers:
        english = {int(number) for number in options.answers.read_text().split()}
        record["read"] = read(rows, english, options.reader, record.get("read"))
        write_whole(place, as_json(record))


if __name__ == "__main__":
    main()
