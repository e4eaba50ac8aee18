"""Sentence VAEs on Penn Treebank beside the table of Bowman and others (2016): standard and inputless decoder.

    python -m tests.benchmarks.sentences_ptb                          # all, one core: about an hour
    python -m tests.benchmarks.sentences_ptb --models standard --epochs 1

The corpus is read from $MANIFOLD_DATA/ptb (or ../shared/data/ptb) and never copied. Models are fitted to ptb.train and
measured on ptb.test; ptb.valid is left for those who tune. Fitted models and finished rows are kept in --cache, so that an
interrupted run goes on where it was. Matrix products use bfloat16 while training where the processor can train an LSTM in it,
and float32 otherwise and for every measurement.
Writes docs/results/sentences_ptb.json and .md.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import cache as cached
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.cli import prepare_process
from agents.files import write_whole
from tests.benchmarks.results import as_json
from tests.benchmarks.sentences_data import RESULTS, penn_treebank

if TYPE_CHECKING:
    from torch import Tensor

    from envs.manifolds import SentenceVAE
    from envs.modalities.vocabulary import Vocabulary
    from tests.benchmarks.sentences_language import LanguageModel

SIZES: dict[str, Any] = {"embedding": 200, "hidden": 200}
TRAINING: dict[str, Any] = {"batch_size": 64, "learning_rate": 3e-3}
#: of the VAEs alone; the rest is the default: code at every step, sigmoid annealing, 5 % of the encoder's words unknown
VAES: dict[str, dict[str, Any]] = {
    "standard": {"latent_dim": 32, "free_bits": 0.1, "word_keep": 1.0, "validation_share": 0.01},
    "inputless": {"latent_dim": 32, "free_bits": 0.1, "word_keep": 0.0, "validation_share": 0.01},
}
LANGUAGE = "language model"
MODELS = ("standard", LANGUAGE, "inputless")
#: what the paper's table says of the test set: bound in nats a sentence, KL, perplexity
PAPER = {"standard": (101, 2, 119), "inputless": (125, 15, 380)}


def corpus(least: int | None = None) -> tuple[Vocabulary, dict[str, Tensor]]:
    """The vocabulary of ptb.train, and ids (N, L) of every part; `least`: the first sentences alone, for a try."""
    from envs.modalities.vocabulary import Vocabulary

    texts = {part: penn_treebank(part)[:least] for part in ("train", "valid", "test")}
    vocabulary = Vocabulary.of(texts["train"], tokeniser="spaces")
    with warnings.catch_warnings():
        if least is not None:
            warnings.simplefilter("ignore")  # a few sentences of a try are cut
        return vocabulary, {part: vocabulary.known(vocabulary.ids(rows)) for part, rows in texts.items()}


@cached
def trains_in_bfloat16() -> bool:
    """Whether this processor can train an LSTM in bfloat16; older ones have no such kernel, and torch raises an error."""
    import torch

    layer = torch.nn.LSTM(8, 8, batch_first=True)
    try:
        with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
            layer(torch.zeros(2, 3, 8))[0].sum().backward()
    except RuntimeError:
        return False
    return True


def half_precision() -> AbstractContextManager[Any]:
    """Matrix products in bfloat16, or unchanged with a note on stderr where the processor cannot train an LSTM in it.

    The autocast cache is off: it would keep the weights of the first step.
    """
    import torch

    if not trains_in_bfloat16():
        print("this processor cannot train an LSTM in bfloat16: training in float32, which is slower", file=sys.stderr)
        return nullcontext()
    return torch.autocast("cpu", torch.bfloat16, cache_enabled=False)


def fitted_vae(name: str, epochs: int, cache: Path, vocabulary: Vocabulary, ids: Tensor) -> tuple[SentenceVAE, float]:
    """The VAE of a name and the CPU seconds that it took, from the cache if it was fitted before."""
    from envs.manifolds import Manifold, SentenceVAE

    folder = cache / f"{name}_{epochs}"
    if not (folder / "seconds.json").is_file():
        began = time.process_time()
        texts = vocabulary.texts(ids)
        with half_precision():
            how = {**SIZES, **TRAINING, **VAES[name]}
            made = SentenceVAE.fit(texts, vocabulary=vocabulary, epochs=epochs, progress=True, **how)
        made.save(folder)
        write_whole(folder / "seconds.json", json.dumps(time.process_time() - began))
    vae = Manifold.load(folder)
    assert isinstance(vae, SentenceVAE)
    return vae, float(json.loads((folder / "seconds.json").read_text()))


def fitted_language_model(epochs: int, cache: Path, vocabulary: Vocabulary, ids: Tensor) -> tuple[LanguageModel, float]:
    """The language model of the same widths, and its CPU seconds."""
    from tests.benchmarks.sentences_language import LanguageModel

    folder = cache / f"language_{epochs}"
    if not (folder / "seconds.json").is_file():
        began = time.process_time()
        with half_precision():
            made = LanguageModel.fit(ids, vocabulary, epochs=epochs, **SIZES, **TRAINING)
        made.save(folder)
        write_whole(folder / "seconds.json", json.dumps(time.process_time() - began))
    return LanguageModel.load(folder, vocabulary), float(json.loads((folder / "seconds.json").read_text()))


def bound(vae: SentenceVAE, ids: Tensor, seed: int, batch: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    """Reconstruction (N,) and KL (N,) in nats, one code a sentence drawn from q(z | x), and the means (N, d) of q.

    The decoder is fed all words but where it was trained without any (Bowman and others 2016, section 3.2 and table 2).
    """
    import torch

    from envs.manifolds.sentence.networks import decoder_inputs, sentence_nll
    from envs.manifolds.sentence.training import gaussian_kl, trimmed
    from tests.benchmarks.sentences_language import by_length

    keep = 0.0 if vae.account["word_keep"] == 0 else 1.0
    generator = torch.Generator().manual_seed(seed)
    reconstruction, kl, means = torch.empty(len(ids)), torch.empty(len(ids)), torch.empty(len(ids), vae.latent_dim)
    with torch.inference_mode():
        for rows in by_length(ids, batch):
            part = trimmed(ids[rows])
            mean, log_variance = vae.posterior(part)
            z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator)
            reconstruction[rows] = sentence_nll(vae.decoder(z, decoder_inputs(part, keep)), part)
            kl[rows], means[rows] = gaussian_kl(mean, log_variance).sum(1), mean
    return reconstruction, kl, means


def importance_weighted(vae: SentenceVAE, ids: Tensor, samples: int, seed: int) -> Tensor:
    """-log p(x) (N,) by importance sampling, as `SentenceVAE.importance_weighted_nll`, for inputless decoders, too."""
    import torch

    from envs.manifolds.sentence.networks import decoder_inputs, sentence_nll
    from envs.manifolds.sentence.training import trimmed

    keep = 0.0 if vae.account["word_keep"] == 0 else 1.0
    generator = torch.Generator().manual_seed(seed)
    found = torch.empty(len(ids))
    with torch.inference_mode():
        for row in range(len(ids)):  # one sentence with all its codes at a time: the logits of more would not fit
            part = trimmed(ids[row : row + 1])
            mean, log_variance = vae.posterior(part)
            noise = torch.randn(samples, vae.latent_dim, generator=generator)
            z = mean + (0.5 * log_variance).exp() * noise
            log_q = -0.5 * (noise.square() + log_variance + math.log(2 * math.pi)).sum(1)
            inputs = decoder_inputs(part, keep).expand(samples, -1)
            log_p = -sentence_nll(vae.decoder(z, inputs), part.expand(samples, -1))
            found[row] = math.log(samples) - (log_p + vae.prior.log_prob(z) - log_q).logsumexp(0)
    return found


def measured(name: str, model: Any, ids: Tensor, sentences: int, samples: int, seed: int) -> dict[str, Any]:
    """Figures of a fitted model on sentences ids (N, L): nats a sentence, perplexities a word."""
    import torch

    from envs.manifolds.sentence.training import COLLAPSED

    ends, words = len(ids), int((ids != 0).sum()) - len(ids)
    row: dict[str, Any] = {"model": name, "sentences": len(ids)}
    if name == LANGUAGE:
        nll = model.nll(ids)
    else:
        reconstruction, kl, means = bound(model, ids, seed)
        nll = reconstruction + kl
        some = torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed))[:sentences]
        tight = importance_weighted(model, ids[some], samples, seed)
        gap = nll[some] - tight
        row |= {
            "reconstruction": float(reconstruction.mean()), "kl": float(kl.mean()),
            "active_units": int((means.var(0, unbiased=False) > 0.01).sum()), "latent_dim": model.latent_dim,
            "flagged": bool(kl.mean() < COLLAPSED), "iw_sentences": len(some), "iw_samples": samples,
            "iw_subset": float(tight.mean()), "iw_subset_se": float(tight.std() / len(some) ** 0.5),
            "bound_subset": float(nll[some].mean()),
            # The sentences' own spread is taken out: the gap is measured on the same sentences, the bound on all of them.
            "iw_nll": float(nll.mean() - gap.mean()), "iw_gap_se": float(gap.std() / len(some) ** 0.5),
        }  # fmt: skip
        row["iw_ppl"] = math.exp(row["iw_nll"] * ends / (words + ends))
    total = float(nll.double().sum())
    return row | {
        "nll": total / ends, "nll_se": float(nll.std() / ends**0.5), "ppl": math.exp(total / (words + ends)),
        "ppl_without_end": math.exp(total / words),
    }  # fmt: skip


def cell(name: str, chosen: argparse.Namespace, vocabulary: Vocabulary, parts: dict[str, Tensor]) -> dict[str, Any]:
    """A model's row, from the cache if it was finished before."""
    cache: Path = chosen.cache
    file = cache / f"{name.replace(' ', '_')}_{chosen.epochs}.json"
    if file.is_file():
        kept: dict[str, Any] = json.loads(file.read_text())
        return kept
    model: Any
    if name == LANGUAGE:
        model, seconds = fitted_language_model(chosen.epochs, cache, vocabulary, parts["train"])
    else:
        model, seconds = fitted_vae(name, chosen.epochs, cache, vocabulary, parts["train"])
    row = measured(name, model, parts["test"], chosen.sentences, chosen.samples, chosen.seed)
    row |= {"epochs": chosen.epochs, "cpu_minutes": seconds / 60}
    write_whole(file, json.dumps(row))
    return row


def page(rows: list[dict[str, Any]]) -> str:
    """The page; no sentence of the corpus stands on it."""
    head = ["model", "bound or NLL", "reconstruction", "KL", "PPL", "PPL, no end mark", "IW-NLL", "PPL (IW)", "active units",
            "collapsed", "CPU-min"]  # fmt: skip
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for r in rows:
        given = f"{r['nll']:.1f}, se {r['nll_se']:.1f}"
        ends = f"{r['ppl']:.0f} | {r['ppl_without_end']:.0f}"
        if r["model"] == LANGUAGE:
            lines.append(f"| {LANGUAGE} | {given} | - | - | {ends} | - | - | - | - | {r['cpu_minutes']:.0f} |")
        else:
            lines.append(
                f"| VAE, {r['model']} | {given} | {r['reconstruction']:.1f} | {r['kl']:.1f} | {ends} | "
                f"{r['iw_nll']:.1f}, se of the gap {r['iw_gap_se']:.2f} | {r['iw_ppl']:.0f} | "
                f"{r['active_units']} of {r['latent_dim']} | {'**yes**' if r['flagged'] else 'no'} | {r['cpu_minutes']:.0f} |"
            )
        if r["model"] in PAPER:
            nll, kl, ppl = PAPER[r["model"]]
            lines.append(f"| the paper's, {r['model']} | {nll} | | {kl} | {ppl} | | | | | | |")
    vaes = [r for r in rows if r["model"] != LANGUAGE]
    own = " ".join(
        f"{r['model']}: latent {VAES[r['model']]['latent_dim']}, free bits {VAES[r['model']]['free_bits']}, word_keep "
        f"{VAES[r['model']]['word_keep']:g}."
        for r in vaes
    )
    subsets = [
        f"- {r['model']}: on a random {r['iw_sentences']} test sentences, {r['iw_samples']} codes each, IW-NLL "
        f"{r['iw_subset']:.1f} (se {r['iw_subset_se']:.1f}) where the bound is {r['bound_subset']:.1f}."
        for r in vaes
    ]
    about = (
        "Fitted to ptb.train (42,068 sentences, 10,000 words with the end mark), measured on ptb.test "
        f"({rows[0]['sentences']:,} sentences); nothing was tuned. Nats a sentence with its end mark, one code a sentence for "
        "the bound. One seed; the standard errors are over sentences."
    )
    settings = (
        f"Settings: LSTMs of {SIZES['hidden']} units, word embeddings of {SIZES['embedding']}, batches of "
        f"{TRAINING['batch_size']}, Adam at {TRAINING['learning_rate']:g} falling along a cosine, {rows[0]['epochs']} epochs "
        "on one core, no sentence cut; the code at every step, sigmoid annealing, 5 % of the encoder's words unknown. "
        f"{own} The VAEs leave 1 % of ptb.train out for validation. The language model is the decoder alone, trained alike."
    )
    counting = (
        "PPL counts the end mark as a word. The paper's own figures fit its perplexities only if about 21.1 words a sentence "
        "are counted (101 / ln 119), which is nearer to the 20.9 words without end marks than to the 21.9 with them: both are "
        "given. The paper chose its settings by 200 trainings of ten hours."
    )
    tight = "The importance-weighted NLL is the bound of all test sentences less the gap that was measured on some of them:"
    how = "`python -m tests.benchmarks.sentences_ptb` makes this page again; the corpus is not part of this repository."
    return "\n".join(
        [
            "# Sentence VAEs on Penn Treebank",
            "",
            about,
            "",
            *lines,
            "",
            settings,
            "",
            tight,
            "",
            *subsets,
            "",
            counting,
            "",
            how,
            "",
        ]
    )


def main() -> None:
    """The script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--sentences", type=int, default=500, help="test sentences whose IW-NLL is measured")
    parser.add_argument("--samples", type=int, default=100, help="codes of each of them")
    parser.add_argument("--seed", type=int, default=0, help="of the codes drawn and the sentences chosen")
    parser.add_argument("--cache", type=Path, default=Path("runs/ptb"), help="folder of fitted models and finished rows")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the page")
    parser.add_argument("--only", type=int, help="the first N sentences of every part alone: a try, not a result")
    chosen = parser.parse_args()
    prepare_process()
    chosen.cache.mkdir(parents=True, exist_ok=True)
    vocabulary, parts = corpus(chosen.only)
    rows = []
    for name in chosen.models:
        rows.append(cell(name, chosen, vocabulary, parts))
        print(json.dumps(rows[-1]), flush=True)
    told = {"sizes": SIZES, "training": TRAINING, "vaes": VAES, "python": platform.python_version(), "rows": rows}
    write_whole(chosen.results / "sentences_ptb.json", as_json(told))
    write_whole(chosen.results / "sentences_ptb.md", page(rows))


if __name__ == "__main__":
    main()
