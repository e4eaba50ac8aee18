"""Attributes of sentences as directions of the code: AtDot beside logistic regression, on the grammar and on reviews.

    python -m tests.benchmarks.sentences_attributes
    python -m tests.benchmarks.sentences_attributes --corpora grammar      # seconds: nothing is fitted

Grammar: the shipped manifold, vectors from its 2,000 starts, figures on 2,000 fresh sentences whose sentiment, topic, tense
and length are known; what decodes along a vector is read by the grammar's own parser. Reviews: the bed of `sentences_paths`
(fitted to rt-polarity, kept in --cache), vectors from its short sentences, figures on SST's; the sentiment of what decodes is
read by the bed's oracle, a naive Bayes that the manifold never saw. Writes docs/results/sentences_attributes.json and .md.
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agents.cli import prepare_process
from agents.files import write_whole
from tests.benchmarks.results import as_json
from tests.benchmarks.sentences_data import RESULTS, ROOT, reviews

if TYPE_CHECKING:
    from envs.manifolds import SentenceVAE

CACHE = ROOT / "runs" / "benchmark-cache" / "sentences"
FRESH, MOVED = 2000, 300
STRETCHES = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
LONG = 9  # words from which a review sentence counts as long: half of those of up to ten words
Members = dict[str, np.ndarray]  # name of an attribute -> (N,) bool, who has it


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


def grammar_corpus(_: argparse.Namespace) -> Corpus:
    """The shipped manifold and the grammar's parser."""
    from envs import make_world
    from envs.datasets import grammar
    from envs.manifolds import SentenceVAE

    def members(sentences: list[Any]) -> Members:
        table = {"positive": [s.sentiment == 1 for s in sentences], "long": [s.long == 1 for s in sentences]}
        table |= {topic: [s.topic == k for s in sentences] for k, topic in enumerate(grammar.TOPICS)}
        table |= {tense: [s.tense == k for s in sentences] for k, tense in enumerate(grammar.TENSES)}
        return {name: np.array(rows, dtype=bool) for name, rows in table.items()}

    def read(texts: list[str]) -> Members:
        return members([grammar.parse(text) for text in texts if np.isfinite(grammar.log_prob(text))])

    world = make_world(data="sentences")
    assert isinstance(world.manifold, SentenceVAE)
    known = world.manifold.vocabulary.texts(world.reference.x)
    fresh = grammar.sample(FRESH, 4242)
    texts = [s.text for s in fresh]
    return Corpus("grammar", world.manifold, known, members([grammar.parse(t) for t in known]), texts, members(fresh), read)


def review_corpus(chosen: argparse.Namespace) -> Corpus:
    """Short sentences of rt-polarity and SST, their sentiment and length; topic and tense are told by nobody."""
    from envs.manifolds import SentenceVAE
    from envs.modalities.vocabulary import tokens
    from tests.benchmarks.sentences_bed import LONGEST, make_bed

    bed = make_bed(0, chosen.cache)
    assert isinstance(bed.world.manifold, SentenceVAE)
    data = reviews(10_000)

    def part(texts: list[str], truth: np.ndarray) -> tuple[list[str], Members]:
        rows = [(text, y) for text, y in zip(texts, truth, strict=True) if len(tokens(text)) <= LONGEST]
        short = [text for text, _ in rows]
        return short, {"positive": np.array([y == 1 for _, y in rows]), "long": lengths(short)}

    def lengths(texts: list[str]) -> np.ndarray:
        return np.array([len(tokens(text)) >= LONG for text in texts])

    def read(texts: list[str]) -> Members:
        return {"positive": bed.oracle.predict(texts) == 1, "long": lengths(texts)}

    known, fresh = part(data.texts, data.truth), part(data.test, data.test_truth)
    return Corpus("reviews", bed.world.manifold, *known, *fresh, read)


CORPORA: dict[str, Callable[[argparse.Namespace], Corpus]] = {"grammar": grammar_corpus, "reviews": review_corpus}


def rows_of(corpus: Corpus) -> tuple[list[dict[str, Any]], list[tuple[str, str, float, str]]]:
    """A row for each attribute, and for each the first sentence that lacks it, moved along the vector."""
    import torch
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    from envs.geometry.attributes import AtDot

    vae, rows, examples = corpus.vae, [], []
    with torch.inference_mode():
        z, theirs = (vae.encode(vae.vocabulary.ids(texts)) for texts in (corpus.known, corpus.fresh))
    for name, has in corpus.own.items():
        found = AtDot.fit(z, torch.from_numpy(has))
        ceiling = LogisticRegression(max_iter=2000).fit(z.numpy(), has)
        told = torch.from_numpy(corpus.others[name])
        scores = {"auc": found.score(theirs).numpy(), "logistic_auc": ceiling.decision_function(theirs.numpy())}
        lacking = theirs[~told][:MOVED]
        reach: dict[str, float] = {}
        for stretch in STRETCHES:
            texts = vae.vocabulary.texts(vae.decode(vae.prior.project(lacking + stretch * found.vector)))
            seen = corpus.read(texts)[name]
            reach[f"{stretch:+g}"] = float(seen.mean()) if len(seen) else float("nan")
            if stretch in (-1.0, 0.0, 1.0):
                examples.append((corpus.name, name, stretch, texts[0]))
        row: dict[str, Any] = {key: float(roc_auc_score(told.numpy(), score)) for key, score in scores.items()}
        row |= {f"{key}_range": bootstrap(told.numpy(), score) for key, score in scores.items()}
        rows.append({
            "corpus": corpus.name, "attribute": name, "known": len(corpus.known), "fresh": len(corpus.fresh),
            "share": float(told.float().mean()), **row, "accuracy": found.accuracy(theirs, told),
            "majority": float(max(told.float().mean(), 1 - told.float().mean())), "along": reach,
        })  # fmt: skip
    return rows, examples


def bootstrap(told: np.ndarray, score: np.ndarray, draws: int = 500) -> list[float]:
    """95 % interval of the AUC over sentences."""
    from sklearn.metrics import roc_auc_score

    rng, found = np.random.default_rng(0), []
    for _ in range(draws):
        rows = rng.integers(0, len(told), len(told))
        if 0 < told[rows].sum() < len(rows):
            found.append(roc_auc_score(told[rows], score[rows]))
    return np.quantile(found, [0.025, 0.975]).tolist()


def page(rows: list[dict[str, Any]], examples: list[tuple[str, str, float, str]]) -> str:
    """The page."""
    head = ["attribute", "share", "AtDot AUC", "logistic AUC", "AtDot accuracy", "majority"]
    head += [f"{s:+g} a" for s in STRETCHES]
    out = ["# Attributes of sentences as directions", ""]
    about = {
        "grammar": "the shipped manifold; what decodes is read by the parser (the few sentences that the grammar does not "
        "make are left out)",
        "reviews": f"sentences of up to ten words, vectors from rt-polarity, figures on SST's test set; long: {LONG} words "
        "or more; the sentiment of what decodes is what an independent naive Bayes says of it. Topic and tense are known of "
        "no review",
    }
    for name in dict.fromkeys(row["corpus"] for row in rows):
        mine = [row for row in rows if row["corpus"] == name]
        told = (
            f"Vectors from {mine[0]['known']:,} sentences, figures on {mine[0]['fresh']:,} that nothing was fitted to: "
            f"{about[name]}. On the right: of up to {MOVED} sentences that lack the attribute, the share that has it after "
            "their codes were moved by so many attribute vectors. Intervals: 95 %, bootstrap over sentences."
        )
        out += [f"## On {'the grammar' if name == 'grammar' else name}", "", told, ""]
        out += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
        for r in mine:
            cells = [f"{r['share']:.2f}"]
            cells += [f"{r[k]:.3f} ({r[k + '_range'][0]:.3f} to {r[k + '_range'][1]:.3f})" for k in ("auc", "logistic_auc")]
            cells += [f"{r[k]:.3f}" for k in ("accuracy", "majority")] + [f"{v:.2f}" for v in r["along"].values()]
            out.append(f"| {r['attribute']} | {' | '.join(cells)} |")
        out += ["", "One sentence of each, not picked: the first that lacks the attribute.", ""]
        out += ["| attribute | moved by | decoded |", "|---|---|---|"]
        out += [f"| {which} | {s:+g} | {text.replace('|', '/')} |" for c, which, s, text in examples if c == name]
        out.append("")
    return "\n".join([*out, "`python -m tests.benchmarks.sentences_attributes` makes this page again.", ""])


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", nargs="+", choices=list(CORPORA), default=list(CORPORA))
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of the fitted bed of reviews")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the page")
    chosen = parser.parse_args()
    prepare_process()
    rows, examples = [], []
    for name in chosen.corpora:
        found = rows_of(CORPORA[name](chosen))
        rows += found[0]
        examples += found[1]
    record = {"python": platform.python_version(), "rows": rows, "examples": examples}
    write_whole(chosen.results / "sentences_attributes.json", as_json(record))
    write_whole(chosen.results / "sentences_attributes.md", page(rows, examples))
    print(page(rows, examples))


if __name__ == "__main__":
    main()
