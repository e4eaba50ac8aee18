"""The last 20 % of each sentence, imputed by a sentence VAE and by a language model of the same size: who passes for true?

    python -m tests.benchmarks.sentences_ptb              # fits the models of the corpus "ptb"
    python -m tests.benchmarks.sentences_imputation       # both corpora
    python -m tests.benchmarks.sentences_imputation --corpora grammar

As Bowman and others (2016, section 4.1): the VAE takes 3 rounds of iterated conditional modes with a beam of 5 (the product's
own code), the language model one beam of 15; where the sentence ends is known to both. Discriminators are trained to tell
imputed sentences from true ones. The models saw none of the sentences that a discriminator is measured on. Everything is kept
in --cache, so that an interrupted run goes on where it was. Writes docs/results/sentences_imputation.json and .md.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agents.cli import prepare_process
from agents.files import write_whole
from tests.benchmarks.results import as_json
from tests.benchmarks.sentences_data import RESULTS

if TYPE_CHECKING:
    from torch import Tensor

    from envs.manifolds import SentenceVAE
    from tests.benchmarks.sentences_discriminators import Pairs
    from tests.benchmarks.sentences_language import LanguageModel

SHARE, SHORTEST = 0.2, 5  # of the words; sentences of fewer words are left out
ROUNDS, VAE_BEAM, MODEL_BEAM = 3, 5, 15
HELD = {"valid": 1000, "test": 3000}  # fresh sentences of the grammar
IMPUTERS = ("VAE", "language model")


class Case(NamedTuple):
    """Two imputers, and the true sentences, ids (N, L), for discriminators: train, valid and test."""

    vae: SentenceVAE
    model: LanguageModel
    parts: dict[str, Tensor]


def last_words(ids: Tensor, share: float = SHARE) -> Tensor:
    """(N, L) bool: the last `share` of the words of ids (N, L), at least one; the end mark is known."""
    import torch

    words = (ids != 0).sum(1) - 1
    gone = (words * share).round().long().clamp_min(1)
    place = torch.arange(ids.shape[1])
    return (place >= (words - gone)[:, None]) & (place < words[:, None])


def usable(ids: Tensor) -> Tensor:
    """Rows of ids whose sentences are long enough and miss no unknown word: no imputer writes one."""
    from envs.modalities.vocabulary import UNKNOWN

    return ids[((ids != 0).sum(1) > SHORTEST) & ~(last_words(ids) & (ids == UNKNOWN)).any(1)]


def imputed(case: Case, by: str, ids: Tensor, batch: int = 64) -> Tensor:
    """Ids (N, L) with the last words imputed; those whose known part is equally long are done together."""
    import torch

    from envs.manifolds.sentence.imputation import impute
    from envs.manifolds.sentence.training import trimmed

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


def ptb_case(chosen: argparse.Namespace, seed: int) -> Case:
    """The models of `sentences_ptb`, and sentences of its three parts."""
    import torch

    from tests.benchmarks.sentences_ptb import corpus, fitted_language_model, fitted_vae

    vocabulary, ids = corpus()
    vae, _ = fitted_vae("standard", chosen.epochs, chosen.models, vocabulary, ids["train"])
    model, _ = fitted_language_model(chosen.epochs, chosen.models, vocabulary, ids["train"])
    parts = {name: usable(part) for name, part in ids.items()}
    order = torch.randperm(len(parts["train"]), generator=torch.Generator().manual_seed(seed))
    parts["train"] = parts["train"][order[: chosen.train]]
    return Case(vae, model, parts)


def grammar_case(chosen: argparse.Namespace, seed: int) -> Case:
    """The default sentence VAE and a language model of its widths, fitted alike to a fresh corpus; fresh sentences."""
    from dataclasses import asdict

    from envs.datasets import grammar
    from envs.manifolds import Manifold, SentenceVAE
    from envs.manifolds.sentence.training import SentenceTraining
    from tests.benchmarks.sentences_grammar import SENTENCES
    from tests.benchmarks.sentences_language import LanguageModel

    folder = chosen.cache / f"grammar_{seed}"
    texts = [s.text for s in grammar.sample(SENTENCES, seed)]
    if not (folder / "vae" / "manifold.json").is_file():
        SentenceVAE.fit(texts, seed=seed).save(folder / "vae")
    vae = Manifold.load(folder / "vae")
    assert isinstance(vae, SentenceVAE)
    if not (folder / "model" / "widths.json").is_file():
        how = {name: asdict(SentenceTraining())[name] for name in ("epochs", "batch_size", "learning_rate")}
        sizes = {"embedding": vae.widths[0], "hidden": vae.widths[1]}
        LanguageModel.fit(vae.vocabulary.ids(texts), vae.vocabulary, seed=seed, **sizes, **how).save(folder / "model")
    model = LanguageModel.load(folder / "model", vae.vocabulary)
    counts = {"train": chosen.train, **HELD}
    fresh = {part: grammar.sample(n, 50_000 + 10 * seed + k) for k, (part, n) in enumerate(counts.items())}
    return Case(vae, model, {part: usable(vae.vocabulary.ids([s.text for s in rows])) for part, rows in fresh.items()})


CASES: dict[str, Callable[[argparse.Namespace, int], Case]] = {"ptb": ptb_case, "grammar": grammar_case}


def pairs_of(case: Case, by: str, folder: Path) -> dict[str, Pairs]:
    """True and imputed sentences of every part; what was imputed before is read again."""
    import torch

    found = {}
    for part, ids in case.parts.items():
        file = folder / f"{by.replace(' ', '_')}_{part}.npy"
        if not file.is_file():
            made = imputed(case, by, ids)
            file.parent.mkdir(parents=True, exist_ok=True)
            with open(file.with_suffix(".part"), "wb") as stream:
                np.save(stream, made.numpy().astype(np.int32))
            file.with_suffix(".part").replace(file)
        found[part] = (ids, torch.from_numpy(np.load(file, allow_pickle=False)).long())
    return found


def cell(corpus: str, seed: int, chosen: argparse.Namespace) -> dict[str, Any]:
    """One corpus and model seed: what each discriminator tells of each imputer, sentence by sentence."""
    from tests.benchmarks.sentences_discriminators import DISCRIMINATORS, correct

    file = chosen.cache / f"{corpus}_{seed}_{chosen.train}.json"
    if file.is_file():
        kept: dict[str, Any] = json.loads(file.read_text())
        return kept
    began = time.process_time()
    case = CASES[corpus](chosen, seed)
    folder = chosen.cache / f"{corpus}_{seed}_{chosen.train}"
    pairs = {by: pairs_of(case, by, folder) for by in IMPUTERS}
    true, size = case.parts["test"], case.vae.vocabulary.size
    facts: dict[str, Any] = {
        "train": len(case.parts["train"]), "valid": len(case.parts["valid"]), "test": len(true),
        "missing": float(last_words(true).sum(1).float().mean()), "true_nll": float(case.model.nll(true).mean()),
        "vae_kl": case.vae.account["kl"],
    }  # fmt: skip
    told: dict[str, dict[str, list[float]]] = {}
    for by, parts in pairs.items():
        made = parts["test"][1]
        facts[by] = {
            "nll": float(case.model.nll(made).mean()), "alike": float((made == true).all(1).float().mean()),
            "words": len(made[last_words(true)].unique()),
        }  # fmt: skip
        for name, make in DISCRIMINATORS.items():
            rows = [correct(make(parts["train"], parts["valid"], size, s), parts["test"]) for s in chosen.oracles]
            told.setdefault(name, {})[by] = np.mean(rows, axis=0).tolist()
            print(corpus, seed, by, name, [round(float(row.mean()) - 0.5, 4) for row in rows], flush=True)
    facts["words_true"] = len(true[last_words(true)].unique())
    row = {"corpus": corpus, "seed": seed, "facts": facts, "told": told, "cpu_minutes": (time.process_time() - began) / 60}
    write_whole(file, json.dumps(row))
    return row


def interval(values: np.ndarray, seed: int = 0, draws: int = 2000) -> tuple[float, float, float]:
    """Mean and 95 % bootstrap interval over sentences (N,)."""
    rng = np.random.default_rng(seed)
    means = [float(values[rng.integers(0, len(values), len(values))].mean()) for _ in range(draws)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(values.mean()), float(low), float(high)


def errors(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adversarial errors in per cent of every corpus and discriminator, over the sentences of all seeds, and who has less."""
    found = []
    for corpus in dict.fromkeys(row["corpus"] for row in rows):
        mine = [row for row in rows if row["corpus"] == corpus]
        for name in mine[0]["told"]:
            hits = {by: 100 * (np.concatenate([row["told"][name][by] for row in mine]) - 0.5) for by in IMPUTERS}
            entry: dict[str, Any] = {"corpus": corpus, "discriminator": name}
            entry |= {by: interval(values) for by, values in hits.items()}
            entry["less"] = interval(hits["language model"] - hits["VAE"])  # of the same sentences
            entry["seeds"] = [
                [100 * (float(np.mean(row["told"][name][by])) - 0.5) for by in IMPUTERS] for row in mine
            ]  # fmt: skip
            found.append(entry)
    return found


def page(rows: list[dict[str, Any]], table: list[dict[str, Any]], oracles: int) -> str:
    """The page; no sentence of Penn Treebank stands on it."""
    head = ["corpus", "discriminator", "VAE", "language model", "the VAE's is lower by", "the paper's order"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for e in table:
        given = [f"{e[k][0]:.1f} ({e[k][1]:.1f} to {e[k][2]:.1f})" for k in (*IMPUTERS, "less")]
        order = "yes" if e["less"][1] > 0 else "**no, the other way round**" if e["less"][2] < 0 else "**cannot be told**"
        lines.append(f"| {e['corpus']} | {e['discriminator']} | {' | '.join(given)} | {order} |")
    more = ["corpus", "seed", "test sentences", "words missing", "NLL true", *(f"NLL {by}" for by in IMPUTERS)]
    more += [*(f"unchanged {by}" for by in IMPUTERS), "words used: true", *(f"words used: {by}" for by in IMPUTERS)]
    more += ["KL of the VAE", "CPU-min"]
    facts = [f"| {' | '.join(more)} |", f"|{'---|' * len(more)}"]
    for row in rows:
        f = row["facts"]
        both = [f[by] for by in IMPUTERS]
        cells = [row["corpus"], row["seed"], f"{f['test']:,}", f"{f['missing']:.1f}", f"{f['true_nll']:.1f}",
                 *(f"{b['nll']:.1f}" for b in both), *(f"{b['alike']:.2f}" for b in both), f["words_true"],
                 *(b["words"] for b in both), f"{f['vae_kl']:.1f}", f"{row['cpu_minutes']:.0f}"]  # fmt: skip
        facts.append(f"| {' | '.join(map(str, cells))} |")
    fitted = ", ".join(f"{row['facts']['train']:,}" for row in rows)
    about = (
        "Adversarial error in per cent: how much more often than half a discriminator tells a true sentence from one whose "
        f"last {SHARE:.0%} of words were imputed. Lower: the imputed ones pass for true more often. Means over {oracles} "
        "trainings of each discriminator, 95 % bootstrap intervals over test sentences (not over models). Bowman and others "
        "(2016, section 4.1) found the VAE's lower with both discriminators, and the NLL slightly better for the language "
        "model."
    )
    setting = (
        f"The VAE: {ROUNDS} rounds of iterated conditional modes, beam {VAE_BEAM}; the language model: beam {MODEL_BEAM}, "
        "embedding and hidden units as many as the VAE's decoder has; both know where the sentence ends. Corpus ptb: the "
        "models of [sentences_ptb.md](sentences_ptb.md) (standard decoder, one training), discriminators trained on sentences "
        "of ptb.train, stopped on ptb.valid, measured on ptb.test. Corpus grammar, the control: models and sentences of its "
        f"own for each seed. Left out are sentences under {SHORTEST} words and those that lack an unknown word, which no "
        f"imputer writes. Pairs to train a discriminator: {fitted}. NLL: nats a sentence under that language model; "
        "unchanged: the share of sentences where the true words were found."
    )
    how = "`python -m tests.benchmarks.sentences_imputation` makes this page again (after `tests.benchmarks.sentences_ptb`)."
    return "\n".join(["# Imputing the last words", "", about, "", *lines, "", setting, "", *facts, "", how, ""])


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of the grammar's models")
    parser.add_argument("--judges", type=int, nargs="+", default=[0, 1, 2], help="seeds of the discriminators")
    parser.add_argument("--train", type=int, default=8000, help="sentences to train a discriminator on")
    parser.add_argument("--epochs", type=int, default=4, help="of the models of Penn Treebank")
    parser.add_argument("--models", type=Path, default=Path("runs/ptb"), help="folder of the models of Penn Treebank")
    parser.add_argument("--cache", type=Path, default=Path("runs/imputation"), help="folder of finished cells")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the page")
    chosen = parser.parse_args()
    prepare_process()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    rows = [cell(c, s, chosen) for c in chosen.corpora for s in (chosen.seeds if c != "ptb" else chosen.seeds[:1])]
    table = errors(rows)
    record = {"table": table, "facts": [{k: v for k, v in row.items() if k != "told"} for row in rows]}
    write_whole(chosen.results / "sentences_imputation.json", as_json(record | {"python": platform.python_version()}))
    write_whole(chosen.results / "sentences_imputation.md", page(rows, table, len(chosen.oracles)))


if __name__ == "__main__":
    main()
