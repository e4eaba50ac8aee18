"""Attributes of sentences as directions of the code: AtDot beside logistic regression, on the grammar and on reviews.

    python -m tests.benchmarks.sentences_attributes
    python -m tests.benchmarks.sentences_attributes --corpora grammar      # seconds: nothing is fitted

Grammar: the shipped manifold, vectors from its 2,000 starts, figures on 2,000 fresh sentences whose sentiment, topic, tense
and length are known; what decodes along a vector is read by the grammar's own parser. Reviews: the split of
`sentences_paths` (fitted to rt-polarity), vectors from its short sentences, figures on SST's; the sentiment of what decodes
is read by the split's oracle, a naive Bayes that the manifold never saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from envs import make_world
from envs.datasets import grammar
from envs.geometry.attributes import AtDot
from envs.manifolds import SentenceVAE
from envs.modalities.vocabulary import tokens
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render
from tests.benchmarks.harness.models import FITTING
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.tables import table
from tests.benchmarks.sentences.data import reviews
from tests.benchmarks.sentences.split import LONGEST, review_split

FRESH, MOVED = 2000, 300
STRETCHES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
LONG = 9  # words from which a review sentence counts as long: half of those of up to ten words
Members = dict[str, np.ndarray]  # name of an attribute -> (N,) bool, who has it
SOURCES = (*FITTING, "envs/manifolds/sentence*.py", "envs/geometry/*.py", "tests/benchmarks/sentences*/*.py",
           "tests/benchmarks/sentences_attributes.py")  # fmt: skip


# ---- run --------------------------------------------------------------------------------------------------------------


class Corpus(NamedTuple):
    """Sentences to take vectors from, others to measure them on, and a reader of decoded ones.

    Attributes:
        name: of the corpus.
        vae: the manifold.
        known, own: (N,) texts and their attributes.
        fresh, others: (M,) texts and their attributes, seen by nothing that was fitted.
        read: attributes of texts; it may leave some texts out.
    """

    name: str
    vae: SentenceVAE
    known: list[str]
    own: Members
    fresh: list[str]
    others: Members
    read: Callable[[list[str]], Members]


def grammar_corpus(_: Path) -> Corpus:
    """The shipped manifold and the grammar's parser."""

    def members(sentences: list[Any]) -> Members:
        table = {"positive": [s.sentiment == 1 for s in sentences], "long": [s.long == 1 for s in sentences]}
        table |= {topic: [s.topic == k for s in sentences] for k, topic in enumerate(grammar.TOPICS)}
        table |= {tense: [s.tense == k for s in sentences] for k, tense in enumerate(grammar.TENSES)}
        return {name: np.array(rows, dtype=bool) for name, rows in table.items()}

    def read(texts: list[str]) -> Members:
        return members([grammar.parse(text) for text in texts if np.isfinite(grammar.log_prob(text))])

    world = make_world(data="sentences", task="reach")
    assert isinstance(world.manifold, SentenceVAE)
    known = world.manifold.vocabulary.texts(world.reference.x)
    fresh = grammar.sample(FRESH, 4242)
    texts = [s.text for s in fresh]
    return Corpus("grammar", world.manifold, known, members([grammar.parse(t) for t in known]), texts, members(fresh), read)


def review_corpus(cache: Path) -> Corpus:
    """Short sentences of rt-polarity and SST, their sentiment and length; their topic and tense are unknown."""
    split = review_split(0, cache)
    assert isinstance(split.world.manifold, SentenceVAE)
    data = reviews(10_000)

    def part(texts: list[str], truth: np.ndarray) -> tuple[list[str], Members]:
        rows = [(text, y) for text, y in zip(texts, truth, strict=True) if len(tokens(text)) <= LONGEST]
        short = [text for text, _ in rows]
        return short, {"positive": np.array([y == 1 for _, y in rows]), "long": lengths(short)}

    def lengths(texts: list[str]) -> np.ndarray:
        return np.array([len(tokens(text)) >= LONG for text in texts])

    def read(texts: list[str]) -> Members:
        return {"positive": split.oracle.predict(texts) == 1, "long": lengths(texts)}

    known, fresh = part(data.texts, data.truth), part(data.test, data.test_truth)
    return Corpus("reviews", split.world.manifold, *known, *fresh, read)


CORPORA: dict[str, Callable[[Path], Corpus]] = {"grammar": grammar_corpus, "reviews": review_corpus}


def measured(name: str, cache: Path) -> dict[str, Any]:
    """A row for each attribute, and for each the first sentence that lacks it, moved along the vector."""
    corpus = CORPORA[name](cache)
    vae, rows, examples = corpus.vae, [], []
    with torch.inference_mode():
        z, theirs = (vae.encode(vae.vocabulary.ids(texts)) for texts in (corpus.known, corpus.fresh))
    for name, has in corpus.own.items():
        found = AtDot.fit(z, torch.from_numpy(has))
        ceiling = LogisticRegression(max_iter=2000).fit(z.numpy(), has)
        truth = torch.from_numpy(corpus.others[name])
        scores = {"auc": found.score(theirs).numpy(), "logistic_auc": ceiling.decision_function(theirs.numpy())}
        lacking = theirs[~truth][:MOVED]
        reach: dict[str, float] = {}
        for stretch in STRETCHES:
            texts = vae.vocabulary.texts(vae.decode(vae.prior.project(lacking + stretch * found.vector)))
            seen = corpus.read(texts)[name]
            reach[f"{stretch:+g}"] = float(seen.mean()) if len(seen) else float("nan")
            if stretch in (-1.0, 0.0, 1.0):
                examples.append((corpus.name, name, stretch, texts[0]))
        row: dict[str, Any] = {key: float(roc_auc_score(truth.numpy(), score)) for key, score in scores.items()}
        row |= {f"{key}_range": bootstrap(truth.numpy(), score) for key, score in scores.items()}
        rows.append({
            "corpus": corpus.name, "attribute": name, "known": len(corpus.known), "fresh": len(corpus.fresh),
            "share": float(truth.float().mean()), **row, "accuracy": found.accuracy(theirs, truth),
            "majority": float(max(truth.float().mean(), 1 - truth.float().mean())), "along": reach,
        })  # fmt: skip
    return {"rows": rows, "examples": examples}


def bootstrap(truth: np.ndarray, score: np.ndarray, draws: int = 500) -> list[float]:
    """95 % interval of the AUC over sentences."""
    rng, found = np.random.default_rng(0), []
    for _ in range(draws):
        rows = rng.integers(0, len(truth), len(truth))
        if 0 < truth[rows].sum() < len(rows):
            found.append(roc_auc_score(truth[rows], score[rows]))
    return np.quantile(found, [0.025, 0.975]).tolist()


def measure(options: Options) -> Iterator[Record]:
    """Every corpus."""
    runs = [
        Run({"sentences": name}, partial(measured, name, options.cache / "sentences"), SOURCES) for name in options.corpora
    ]
    found = options.runner(runs, "corpora")
    yield {what: [row for part in found for row in part[what]] for what in ("rows", "examples")}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """A table of attributes and one of sentences a corpus."""
    titles = [
        "attribute",
        "share",
        "AtDot AUC",
        "logistic AUC",
        "AtDot accuracy",
        "majority",
        *(f"{s:+g} a" for s in STRETCHES),
    ]
    sections = []
    for name in dict.fromkeys(row["corpus"] for row in record["rows"]):
        own = [row for row in record["rows"] if row["corpus"] == name]
        rows = []
        for r in own:
            cells = [r["attribute"], f"{r['share']:.2f}"]
            cells += [f"{r[k]:.3f} ({r[k + '_range'][0]:.3f} to {r[k + '_range'][1]:.3f})" for k in ("auc", "logistic_auc")]
            cells += [f"{r[k]:.3f}" for k in ("accuracy", "majority")] + [f"{v:.2f}" for v in r["along"].values()]
            rows.append(cells)
        moved = [[which, f"{s:+g}", text.replace("|", "/")] for c, which, s, text in record["examples"] if c == name]
        sections.append(render(
            f"sentences_attributes_{name}", known=own[0]["known"], fresh=own[0]["fresh"], moved=MOVED, long=LONG,
            table=table(titles, rows, "l"), examples=table(["attribute", "moved by", "decoded"], moved, "l"),
        ))  # fmt: skip
    return render("sentences_attributes", sections="\n".join(sections))


EXPERIMENT = Experiment("sentences_attributes", __doc__, measure, page, flags={"--corpora": one_of(list(CORPORA))})

if __name__ == "__main__":
    EXPERIMENT.main()
