"""The corpora of the sentence benchmarks, read from the folder of data sets (`harness.splits.data_folder`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tests.benchmarks.harness.splits import data_folder


class Reviews(NamedTuple):
    """Sentences of film reviews and their class, 0 negative, 1 positive; `removed`: how many stood in the test set, too."""

    texts: list[str]
    truth: np.ndarray
    test: list[str]
    test_truth: np.ndarray
    removed: int


def _letters(text: str) -> str:
    return re.sub(r"[^a-z]", "", text.lower())


def reviews(longest: int, held_out: str = "test") -> Reviews:
    """rt-polarity to fit to, less every sentence of SST's test set; SST's test set to explain; of up to `longest` words.

    With `held_out` "dev" it is SST's development set that is explained, and both sets are removed from what is fitted: the
    split on which settings are chosen.

    Compared by their letters alone, because the two sets part words and punctuation differently; a fragment of a test sentence
    that stands alone in the other set counts as the same, and so does the other way round.
    """
    data = data_folder("rt-polarity")
    texts: list[str] = []
    truth: list[int] = []
    for label, name in enumerate(("neg", "pos")):
        content = (data / "rt-polarity" / f"rt-polarity.{name}").read_bytes().decode("cp1252", errors="replace")
        rows = [row.strip() for row in re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", " ", content).split("\n")]
        texts += [row for row in rows if row]
        truth += [label] * sum(bool(row) for row in rows)
    test = _labelled(data / "sst2" / f"stsa.binary.{held_out}")
    removed = test if held_out == "test" else test + _labelled(data / "sst2" / "stsa.binary.test")
    held = [_letters(text) for _, text in removed]
    exact = set(held)
    joined = "\n".join(held)

    def in_test(text: str) -> bool:
        letters = _letters(text)
        return letters in exact or (len(letters) > 20 and letters in joined)

    inside = [in_test(text) or any(h in _letters(text) for h in _parts(text, exact)) for text in texts]
    kept = [(t, y) for t, y, out in zip(texts, truth, inside, strict=True) if not out and len(t.split()) <= longest]
    short = [(text, int(label)) for label, text in test if len(text.split()) <= longest]
    fitted, explained = (([t for t, _ in rows], np.array([y for _, y in rows])) for rows in (kept, short))
    return Reviews(*fitted, *explained, sum(inside))


def _labelled(path: Path) -> list[list[str]]:
    """[label, text] of every line."""
    return [line.split(" ", 1) for line in path.read_text(encoding="utf-8").split("\n") if line.strip()]


def _parts(text: str, exact: set[str]) -> list[str]:
    """Test sentences that stand whole inside `text`, at word boundaries."""
    words = [_letters(word) for word in text.split()]
    found = []
    for i in range(len(words)):
        run = ""
        for word in words[i:]:
            run += word
            if len(run) > 20 and run in exact:
                found.append(run)
    return found


def penn_treebank(part: str) -> list[str]:
    """The sentences of ptb.`part`.txt: train, valid or test. `<unk>` and `N` stand in them already.

    Raises:
        SystemExit: there is no such file.
    """
    name = f"ptb/ptb.{part}.txt"  # the corpus does not come with this repository
    file = data_folder(name) / name
    return [line.strip() for line in file.read_text(encoding="utf-8").split("\n") if line.strip()]
