"""Sentence VAEs on Penn Treebank beside the table of Bowman and others (2016): standard and inputless decoder.

    python -m tests.benchmarks.sentences_ptb                          # all, one core: about an hour
    python -m tests.benchmarks.sentences_ptb --models standard --epochs 1

The corpus is read from $MANIFOLD_DATA/ptb (or ../shared/data/ptb) and never copied. Models are fitted to ptb.train and
measured on ptb.test; ptb.valid is left for those who tune. Matrix products use bfloat16 while training where the processor
can train an LSTM in it, and float32 otherwise and for every measurement.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import cache as cached
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from envs.manifolds import SentenceVAE
from envs.manifolds.sentence.networks import decoder_inputs, sentence_nll
from envs.manifolds.sentence.training import COLLAPSED, gaussian_kl, trimmed
from envs.modalities.vocabulary import Vocabulary
from tests.benchmarks.harness.experiment import Experiment, Options, Record, one_of, render
from tests.benchmarks.harness.models import fitted
from tests.benchmarks.harness.runs import Run, digest
from tests.benchmarks.harness.tables import table
from tests.benchmarks.sentences.data import penn_treebank
from tests.benchmarks.sentences.language import LanguageModel, by_length

SIZES: dict[str, Any] = {"embedding": 200, "hidden": 200}
TRAINING: dict[str, Any] = {"batch_size": 64, "learning_rate": 3e-3}
#: of the VAEs alone; the rest is the default: code at every step, sigmoid annealing, 5 % of the encoder's words unknown
VAES: dict[str, dict[str, Any]] = {
    "standard": {"latent_dim": 32, "free_bits": 0.1, "word_keep": 1.0, "validation_share": 0.01},
    "inputless": {"latent_dim": 32, "free_bits": 0.1, "word_keep": 0.0, "validation_share": 0.01},
}
LANGUAGE = "language model"
MODELS = ("standard", LANGUAGE, "inputless")
#: the paper's table, test set: bound in nats a sentence, KL, perplexity
PAPER = {"standard": (101, 2, 119), "inputless": (125, 15, 380)}
SOURCES = ("envs/manifolds/sentence*.py", "tests/benchmarks/sentences/language.py")


# ---- run --------------------------------------------------------------------------------------------------------------


def corpus(least: int | None = None) -> tuple[Vocabulary, dict[str, Tensor]]:
    """The vocabulary of ptb.train, and ids (N, L) of every part; `least`: the first sentences alone, for a try."""
    texts = {part: penn_treebank(part)[:least] for part in ("train", "valid", "test")}
    vocabulary = Vocabulary.of(texts["train"], tokeniser="spaces")
    with warnings.catch_warnings():
        if least is not None:
            warnings.simplefilter("ignore")  # a few sentences of a try are cut
        return vocabulary, {part: vocabulary.known(vocabulary.ids(rows)) for part, rows in texts.items()}


@cached
def trains_in_bfloat16() -> bool:
    """Whether this processor can train an LSTM in bfloat16; older ones have no such kernel, and torch raises an error."""
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
    if not trains_in_bfloat16():
        print("this processor cannot train an LSTM in bfloat16: training in float32, which is slower", file=sys.stderr)
        return nullcontext()
    return torch.autocast("cpu", torch.bfloat16, cache_enabled=False)


def fitted_model(name: str, epochs: int, cache: Path, vocabulary: Vocabulary, ids: Tensor) -> tuple[Any, float]:
    """The VAE of a name, or the language model of the same widths, and the CPU seconds of its training."""
    how = {**SIZES, **TRAINING, **VAES.get(name, {}), "epochs": epochs}

    def fit() -> Any:
        with half_precision():
            if name == LANGUAGE:
                return LanguageModel.fit(ids, vocabulary, **how)
            return SentenceVAE.fit(vocabulary.texts(ids), vocabulary=vocabulary, progress=True, **how)

    folder = cache / f"ptb-{name.replace(' ', '_')}-{digest([how, tuple(ids.shape)], SOURCES)}"
    load = (lambda folder: LanguageModel.load(folder, vocabulary)) if name == LANGUAGE else None
    return fitted(folder, fit, load)


def bound(vae: SentenceVAE, ids: Tensor, seed: int, batch: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    """Reconstruction (N,) and KL (N,) in nats, one code a sentence drawn from q(z | x), and the means (N, d) of q.

    The decoder is fed all words but where it was trained without any (Bowman and others 2016, section 3.2 and table 2).
    """
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


def figures(name: str, model: Any, ids: Tensor, sentences: int, samples: int, seed: int) -> dict[str, Any]:
    """Figures of a fitted model on sentences ids (N, L): nats a sentence, perplexities a word."""
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


def measured(name: str, options: dict[str, Any], cache: Path) -> dict[str, Any]:
    """A model's row."""
    vocabulary, parts = corpus(options["only"])
    model, seconds = fitted_model(name, options["epochs"], cache, vocabulary, parts["train"])
    row = figures(name, model, parts["test"], options["sentences"], options["samples"], options["seed"])
    return row | {"epochs": options["epochs"], "cpu_minutes": seconds / 60}


def measure(options: Options) -> Iterator[Record]:
    """Every model."""
    how = {name: getattr(options, name) for name in ("epochs", "sentences", "samples", "seed", "only")}
    rows = []
    for name in options.models:
        key = {"ptb": name, **how, "settings": [SIZES, TRAINING, VAES.get(name)]}
        rows.append(options.runner.one(Run(key, partial(measured, name, how, options.cache), SOURCES), name))
        yield {"sizes": SIZES, "training": TRAINING, "vaes": VAES, "rows": rows}


# ---- analyse ----------------------------------------------------------------------------------------------------------


def page(record: Record) -> str:
    """One table beside the paper's; no sentence of the corpus stands on it."""
    rows: list[dict[str, Any]] = record["rows"]
    lines: list[list[Any]] = []
    for r in rows:
        given, ends = f"{r['nll']:.1f}, se {r['nll_se']:.1f}", [f"{r['ppl']:.0f}", f"{r['ppl_without_end']:.0f}"]
        minutes = f"{r['cpu_minutes']:.0f}"
        if r["model"] == LANGUAGE:
            lines.append([LANGUAGE, given, "-", "-", *ends, "-", "-", "-", "-", minutes])
        else:
            tight = f"{r['iw_nll']:.1f}, se of the gap {r['iw_gap_se']:.2f}"
            collapsed = "**yes**" if r["flagged"] else "no"
            lines.append([f"VAE, {r['model']}", given, f"{r['reconstruction']:.1f}", f"{r['kl']:.1f}", *ends, tight,
                          f"{r['iw_ppl']:.0f}", f"{r['active_units']} of {r['latent_dim']}", collapsed, minutes])  # fmt: skip
        if r["model"] in PAPER:
            nll, kl, ppl = PAPER[r["model"]]
            lines.append([f"the paper's, {r['model']}", nll, None, kl, ppl, *[None] * 6])
    vaes = [r for r in rows if r["model"] != LANGUAGE]
    own = [
        "{}: latent {latent_dim}, free bits {free_bits}, word_keep {word_keep:g}.".format(r["model"], **VAES[r["model"]])
        for r in vaes
    ]
    subsets = [
        f"- {r['model']}: on a random {r['iw_sentences']} test sentences, {r['iw_samples']} codes each, IW-NLL "
        f"{r['iw_subset']:.1f} (se {r['iw_subset_se']:.1f}) where the bound is {r['bound_subset']:.1f}."
        for r in vaes
    ]
    titles = ["model", "bound or NLL", "reconstruction", "KL", "PPL", "PPL, no end mark", "IW-NLL", "PPL (IW)", "active units",
              "collapsed", "CPU-min"]  # fmt: skip
    return render(
        "sentences_ptb", table=table(titles, lines, "l"), own=" ".join(own), subsets="\n".join(subsets),
        **{**rows[0], **SIZES, **TRAINING},
    )  # fmt: skip


EXPERIMENT = Experiment(
    "sentences_ptb", __doc__, measure, page,
    flags={
        "--models": one_of(MODELS),
        "--epochs": {"type": int, "default": 4},
        "--sentences": {"type": int, "default": 500, "help": "test sentences whose IW-NLL is measured"},
        "--samples": {"type": int, "default": 100, "help": "codes of each of them"},
        "--seed": {"type": int, "default": 0, "help": "of the codes drawn and the sentences chosen"},
        "--only": {"type": int, "help": "the first N sentences of every part alone: a try, not a result"},
    },
)  # fmt: skip

if __name__ == "__main__":
    EXPERIMENT.main()
