"""The last 20 % of each sentence, imputed by a sentence VAE and by a language model of the same size: who passes for true?

    python -m tests.benchmarks.sentences_ptb              # fits the models of the corpus "ptb"
    python -m tests.benchmarks.sentences_imputation       # both corpora
    python -m tests.benchmarks.sentences_imputation --corpora grammar

As Bowman and others (2016, section 4.1): the VAE takes 3 rounds of iterated conditional modes with a beam of 5 (the
product's own code), the language model one beam of 15; where the sentence ends is known to both. Discriminators are trained
to tell imputed sentences from true ones. The models saw none of the sentences that a discriminator is measured on.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from agents.files import write_whole
from envs.datasets import grammar
from envs.manifolds import SentenceVAE
from envs.manifolds.sentence.imputation import impute
from envs.manifolds.sentence.training import SentenceTraining, trimmed
from envs.modalities.vocabulary import UNKNOWN
from tests.benchmarks import sentences_ptb
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render, whole_numbers
from tests.benchmarks.harness.models import fitted
from tests.benchmarks.harness.runs import Run
from tests.benchmarks.harness.statistics import interval
from tests.benchmarks.harness.tables import table
from tests.benchmarks.sentences.discriminators import DISCRIMINATORS, Pairs, correct
from tests.benchmarks.sentences.language import LanguageModel
from tests.benchmarks.sentences_grammar import SENTENCES
from tests.benchmarks.sentences_ptb import LANGUAGE, fitted_model

SHARE, SHORTEST = 0.2, 5  # of the words; sentences of fewer words are left out
ROUNDS, VAE_BEAM, MODEL_BEAM = 3, 5, 15
HELD = {"valid": 1000, "test": 3000}  # fresh sentences of the grammar
IMPUTERS = ("VAE", "language model")


# ---- run --------------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """Two imputers, and the true sentences, ids (N, L), for discriminators: train, valid and test."""

    vae: SentenceVAE
    model: LanguageModel
    parts: dict[str, Tensor]


def last_words(ids: Tensor, share: float = SHARE) -> Tensor:
    """(N, L) bool: the last `share` of the words of ids (N, L), at least one; the end mark is known."""
    words = (ids != 0).sum(1) - 1
    gone = (words * share).round().long().clamp_min(1)
    place = torch.arange(ids.shape[1])
    return (place >= (words - gone)[:, None]) & (place < words[:, None])


def usable(ids: Tensor) -> Tensor:
    """Rows of ids whose sentences are long enough and miss no unknown word: no imputer writes one."""
    return ids[((ids != 0).sum(1) > SHORTEST) & ~(last_words(ids) & (ids == UNKNOWN)).any(1)]


def imputed(case: Case, by: str, ids: Tensor, batch: int = 64) -> Tensor:
    """Ids (N, L) with the last words imputed; those whose known part is equally long are done together."""
    made, gone = ids.clone(), last_words(ids)
    known = ((ids != 0) & ~gone).sum(1)
    for rows in known.argsort(stable=True).split(batch):
        part = trimmed(ids[rows])
        missing = gone[rows, : part.shape[1]]
        if by == "VAE":
            made[rows, : part.shape[1]] = impute(case.vae, part, missing, ROUNDS, VAE_BEAM).ids
        else:
            made[rows, : part.shape[1]] = case.model.impute(part, missing, MODEL_BEAM)
    assert bool(torch.equal(made[~gone], ids[~gone]))
    return made


def ptb_case(seed: int, train: int, epochs: int, cache: Path) -> Case:
    """The models of `sentences_ptb`, and sentences of its three parts."""
    vocabulary, ids = sentences_ptb.corpus()
    vae, model = (fitted_model(name, epochs, cache, vocabulary, ids["train"])[0] for name in ("standard", LANGUAGE))
    parts = {name: usable(part) for name, part in ids.items()}
    order = torch.randperm(len(parts["train"]), generator=torch.Generator().manual_seed(seed))
    parts["train"] = parts["train"][order[:train]]
    return Case(vae, model, parts)


def grammar_case(seed: int, train: int, epochs: int, cache: Path) -> Case:
    """The default sentence VAE and a language model of its widths, fitted alike to a fresh corpus; fresh sentences."""
    texts = [s.text for s in grammar.sample(SENTENCES, seed)]
    vae, _ = fitted(cache / f"imputation-grammar-{seed}", lambda: SentenceVAE.fit(texts, seed=seed))
    how = {name: asdict(SentenceTraining())[name] for name in ("epochs", "batch_size", "learning_rate")}
    how |= {"embedding": vae.widths[0], "hidden": vae.widths[1]}
    model, _ = fitted(
        cache / f"imputation-language-{seed}",
        lambda: LanguageModel.fit(vae.vocabulary.ids(texts), vae.vocabulary, seed=seed, **how),
        lambda folder: LanguageModel.load(folder, vae.vocabulary),
    )
    counts = {"train": train, **HELD}
    fresh = {part: grammar.sample(n, 50_000 + 10 * seed + k) for k, (part, n) in enumerate(counts.items())}
    return Case(vae, model, {part: usable(vae.vocabulary.ids([s.text for s in rows])) for part, rows in fresh.items()})


CASES: dict[str, Callable[[int, int, int, Path], Case]] = {"ptb": ptb_case, "grammar": grammar_case}


def pairs_of(case: Case, by: str, folder: Path) -> dict[str, Pairs]:
    """True and imputed sentences of every part; what was imputed before is read again."""
    found = {}
    for part, ids in case.parts.items():
        file = folder / f"{by.replace(' ', '_')}_{part}.npy"
        if not file.is_file():
            made = imputed(case, by, ids)
            stream = io.BytesIO()
            np.save(stream, made.numpy().astype(np.int32))
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, stream.getvalue())
        found[part] = (ids, torch.from_numpy(np.load(file, allow_pickle=False)).long())
    return found


def measured(corpus: str, seed: int, train: int, epochs: int, seeds: list[int], cache: Path) -> dict[str, Any]:
    """One corpus and model seed: how often each discriminator is right about each imputer, sentence by sentence."""
    began = time.process_time()
    case = CASES[corpus](seed, train, epochs, cache)
    folder = cache / f"imputation-{corpus}_{seed}_{train}"
    pairs = {by: pairs_of(case, by, folder) for by in IMPUTERS}
    true, size = case.parts["test"], case.vae.vocabulary.size
    facts: dict[str, Any] = {
        "train": len(case.parts["train"]), "valid": len(case.parts["valid"]), "test": len(true),
        "missing": float(last_words(true).sum(1).float().mean()), "true_nll": float(case.model.nll(true).mean()),
        "vae_kl": case.vae.account["kl"],
    }  # fmt: skip
    hits: dict[str, dict[str, list[float]]] = {}
    for by, parts in pairs.items():
        made = parts["test"][1]
        facts[by] = {
            "nll": float(case.model.nll(made).mean()), "alike": float((made == true).all(1).float().mean()),
            "words": len(made[last_words(true)].unique()),
        }  # fmt: skip
        for name, make in DISCRIMINATORS.items():
            rows = [correct(make(parts["train"], parts["valid"], size, s), parts["test"]) for s in seeds]
            hits.setdefault(name, {})[by] = np.mean(rows, axis=0).tolist()
    facts["words_true"] = len(true[last_words(true)].unique())
    minutes = (time.process_time() - began) / 60
    return {"corpus": corpus, "seed": seed, "facts": facts, "hits": hits, "cpu_minutes": minutes}


def errors(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adversarial errors in per cent of every corpus and discriminator, over the sentences of all seeds, and who has less."""
    found = []
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        mine = [row for row in rows if row["corpus"] == corpus]
        for name in mine[0]["hits"]:
            right = {by: 100 * (np.concatenate([row["hits"][name][by] for row in mine]) - 0.5) for by in IMPUTERS}
            entry: dict[str, Any] = {"corpus": corpus, "discriminator": name}
            entry |= {by: interval(values) for by, values in right.items()}
            entry["less"] = interval(right["language model"] - right["VAE"])  # of the same sentences
            entry["seeds"] = [
                [100 * (float(np.mean(row["hits"][name][by])) - 0.5) for by in IMPUTERS] for row in mine
            ]  # fmt: skip
            found.append(entry)
    return found


def measure(options: Options) -> Iterator[Record]:
    """Every corpus and model seed; there is one model of Penn Treebank."""
    sources = ("envs/manifolds/sentence*.py", "tests/benchmarks/sentences/*.py", "tests/benchmarks/sentences_imputation.py")
    how = (options.train, options.epochs, options.judges, options.cache)
    runs = [
        Run({"imputation": corpus, "seed": seed, "how": how[:3]}, partial(measured, corpus, seed, *how), sources)
        for corpus in options.corpora for seed in (options.seeds if corpus != "ptb" else options.seeds[:1])
    ]  # fmt: skip
    rows = options.runner(runs, "corpora")
    facts = [{name: value for name, value in row.items() if name != "hits"} for row in rows]
    yield {"table": errors(rows), "facts": facts, "discriminator_seeds": options.judges}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """Adversarial errors, and facts about the corpora; no sentence of Penn Treebank stands on it."""
    lines, facts = [], []
    for e in record["table"]:
        given = [f"{e[k][0]:.1f} ({e[k][1]:.1f} to {e[k][2]:.1f})" for k in (*IMPUTERS, "less")]
        order = "yes" if e["less"][1] > 0 else "**no, the other way round**" if e["less"][2] < 0 else "**not distinguishable**"
        lines.append([e["corpus"], e["discriminator"], *given, order])
    for row in record["facts"]:
        f = row["facts"]
        both = [f[by] for by in IMPUTERS]
        facts.append([row["corpus"], row["seed"], f"{f['test']:,}", f"{f['missing']:.1f}", f"{f['true_nll']:.1f}",
                      *(f"{b['nll']:.1f}" for b in both), *(f"{b['alike']:.2f}" for b in both), f["words_true"],
                      *(b["words"] for b in both), f"{f['vae_kl']:.1f}", f"{row['cpu_minutes']:.0f}"])  # fmt: skip
    more = ["corpus", "seed", "test sentences", "words missing", "NLL true", *(f"NLL {by}" for by in IMPUTERS)]
    more += [*(f"unchanged {by}" for by in IMPUTERS), "words used: true", *(f"words used: {by}" for by in IMPUTERS)]
    head = ["corpus", "discriminator", "VAE", "language model", "the VAE's is lower by", "the paper's order"]
    return render(
        "sentences_imputation", share=SHARE, trainings=len(record["discriminator_seeds"]), table=table(head, lines, "l"),
        rounds=ROUNDS, vae_beam=VAE_BEAM, model_beam=MODEL_BEAM, shortest=SHORTEST,
        fitted=", ".join(f"{row['facts']['train']:,}" for row in record["facts"]),
        facts=table([*more, "KL of the VAE", "CPU-min"], facts, "l"),
    )  # fmt: skip


EXPERIMENT = Experiment(
    "sentences_imputation", __doc__, measure, page,
    flags={
        "--corpora": one_of(list(CASES)),
        "--seeds": whole_numbers(0, 1, 2, help="of the grammar's models"),
        "--judges": whole_numbers(0, 1, 2, help="seeds of the discriminators"),
        "--train": {"type": int, "default": 8000, "help": "sentences to train a discriminator on"},
        "--epochs": {"type": int, "default": 4, "help": "of the models of Penn Treebank"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
