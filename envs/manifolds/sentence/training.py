"""How a sentence VAE is trained without losing its code: KL weights, free bits, word dropout, early stopping.

An autoregressive decoder can do without z, and then q(z | x) collapses to the prior. Bowman and others (2016, section 3)
anneal the KL term's weight and drop words from the decoder's input; Kingma and others (2016, appendix C) leave each latent
dimension a number of free nats; Fu and others (2019) anneal in cycles. Free nats and a sigmoid are the default, see
docs/results/sentences_grammar.md.
"""

from __future__ import annotations

import copy
import math
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds.sentence.networks import SentenceNetworks, decoder_inputs, sentence_nll
from envs.modalities.vocabulary import END, PAD, UNKNOWN
from envs.runtime.progress import progress_bar

ANNEALINGS = ("none", "linear", "sigmoid", "cyclical")
COLLAPSED = 0.05  # nats a sentence below which a code says nothing


@dataclass(frozen=True)
class SentenceTraining:
    """How to train.

    Attributes:
        epochs, batch_size, learning_rate: Adam's; the rate falls along a cosine.
        annealing: weight of the KL term over time, see `kl_weight`.
        word_keep: share of the decoder's input words that are kept; 1: no word dropout, 0: inputless.
        encoder_keep: share of words that the encoder sees while training, so that it can read round unknown ones (a denoising
            criterion: still a bound, Im and others 2017).
        free_bits: nats a latent dimension may cost before its KL counts.
        beta: weight of the KL term at the end of the annealing; below 1, codes hold more of the words.
        answer_weight: how many nats of a sentence's likelihood a nat of a classifier's answer is worth, if there are answers.
        clip: largest norm of the gradient.
        patience: epochs without a better validation bound after which the training stops; 0: never. Counted once the KL
            weight has come to stay.
        validation_share: part of the corpus held out for that.
        seed: of weights, batches and noise.
    """

    epochs: int = 18
    batch_size: int = 64
    learning_rate: float = 5e-3
    annealing: str = "sigmoid"
    word_keep: float = 1.0
    encoder_keep: float = 0.95
    free_bits: float = 0.2
    beta: float = 1.0
    prediction_weight: float = 10.0
    clip: float = 5.0
    patience: int = 0
    validation_share: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.annealing not in ANNEALINGS:
            raise UnknownNameError("KL annealing", self.annealing, ANNEALINGS)
        for name in ("word_keep", "encoder_keep"):
            if not 0 <= getattr(self, name) <= 1:
                raise ManifoldError(f"{name} is a share in [0, 1], not {getattr(self, name)}")
        if not 0 < self.validation_share < 1:
            raise ManifoldError(f"validation_share lies between 0 and 1, not {self.validation_share}")
        if self.free_bits < 0 or self.epochs < 1 or self.batch_size < 1:
            raise ManifoldError("free_bits must not be negative, epochs and batch_size at least 1")


def kl_weight(annealing: str, share: float, cycles: int = 4, ramp: float = 0.5) -> float:
    """Weight of the KL term after a share in [0, 1] of the training.

    ``none``: 1. ``linear``: up to 1 at half of the training. ``sigmoid``: logistic, 1/2 at 40 %, rate 20 a training.
    ``cyclical``: `cycles` times linear up within the part `ramp` of the cycle, then 1 (Fu and others 2019, equation 6).
    """
    if annealing == "none":
        return 1.0
    if annealing == "linear":
        return min(1.0, 2 * share)
    if annealing == "sigmoid":
        return 1 / (1 + math.exp(-20 * (share - 0.4)))
    if annealing == "cyclical":
        within = (share * cycles) % 1.0 if share < 1 else 1.0
        return min(1.0, within / ramp)
    raise UnknownNameError("KL annealing", annealing, ANNEALINGS)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(q || N(0, I)) of each dimension in nats, (B, d)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def training_loss(
    vae: SentenceNetworks,
    ids: Tensor,
    weight: float,
    how: SentenceTraining,
    generator: torch.Generator,
    predictions: Tensor | None = None,
) -> Tensor:
    """Mean negative log likelihood of sentences plus `weight` times the KL that exceeds the free bits, a scalar in nats.

    With soft answers (B, K) of a classifier, plus `prediction_weight` times the cross-entropy of the head on the sampled code: the
    joint training of `Joint`, for a classifier that stands already.
    """
    seen = torch.rand(ids.shape, generator=generator) < how.encoder_keep
    mean, log_variance = vae.encoder(ids.where(seen | (ids == END) | (ids == PAD), UNKNOWN))
    z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator)
    logits = vae.decoder(z, decoder_inputs(ids, how.word_keep, generator))
    cost = gaussian_kl(mean, log_variance).mean(0).clamp_min(how.free_bits).sum()
    loss = sentence_nll(logits, ids).mean() + weight * cost
    if predictions is None:
        return loss
    assert vae.head is not None
    return loss + how.prediction_weight * nn.functional.cross_entropy(vae.head(z), predictions)


def train(
    vae: SentenceNetworks, ids: Tensor, how: SentenceTraining, progress: bool = False, predictions: Tensor | None = None
) -> dict[str, Any]:
    """Train in place on ids (N, L) of known words, and on answers (N, K) of a classifier if there are any; Ctrl-C ends the
    training and keeps what was learned.

    Returns:
        JSON-able account: the settings, steps taken, whether it was interrupted, and on the validation sentences nll (bound),
        reconstruction, kl, active_units and collapsed.
    """
    generator = torch.Generator().manual_seed(how.seed)
    order = torch.randperm(len(ids), generator=generator)
    held = max(1, int(len(ids) * how.validation_share))
    valid, rows = ids[order[:held]], ids[order[held:]]
    told = None if predictions is None else predictions[order[held:]].float()
    optimizer = torch.optim.Adam(vae.parameters(), lr=how.learning_rate)
    steps = how.epochs * math.ceil(len(rows) / how.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=how.learning_rate / 50)
    best, weights, waited, done, interrupted = math.inf, None, 0, 0, False
    vae.train()
    try:
        for epoch in progress_bar(range(how.epochs), "fitting the sentences", progress):
            for index in batches(rows, how.batch_size, generator):
                part = trimmed(rows[index])
                weight = how.beta * kl_weight(how.annealing, done / steps)
                loss = training_loss(vae, part, weight, how, generator, None if told is None else told[index])
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(vae.parameters(), how.clip)
                optimizer.step()
                schedule.step()
                done += 1
            if how.patience and kl_weight(how.annealing, (epoch + 1) / how.epochs) > 0.99:
                bound = validated(vae, valid, how.seed)["nll"]
                waited = 0 if bound < best else waited + 1
                if bound < best:
                    best, weights = bound, copy.deepcopy(vae.state_dict())
                if waited >= how.patience:
                    break
    except KeyboardInterrupt:
        interrupted = True
        warnings.warn(f"interrupted after {done} of {steps} steps; the model is kept as it was then", stacklevel=3)
    if weights is not None:
        vae.load_state_dict(weights)
    vae.eval()
    return {**asdict(how), "steps": done, "interrupted": interrupted, **validated(vae, valid, how.seed)}


def batches(ids: Tensor, size: int, generator: torch.Generator) -> list[Tensor]:
    """Rows of each batch, in random order; sentences of like length stand together, so that little padding is computed."""
    lengths = (ids != PAD).sum(1)
    shuffled = torch.randperm(len(ids), generator=generator)
    pool = 32 * size  # sorted within pools alone: batches still differ from epoch to epoch
    parts: list[Tensor] = []
    for chunk in shuffled.split(pool):
        parts += chunk[lengths[chunk].argsort(stable=True)].split(size)
    return [parts[i] for i in torch.randperm(len(parts), generator=generator).tolist()]


def trimmed(ids: Tensor) -> Tensor:
    """Ids without the columns that are padding for all."""
    return ids[:, : int((ids != PAD).sum(1).max())]


def validated(vae: SentenceNetworks, ids: Tensor, seed: int = 0, batch: int = 256) -> dict[str, Any]:
    """Figures on sentences ids (N, L), nats a sentence, no word dropped.

    Returns:
        nll (the negative bound, one sample), reconstruction, kl, active_units (dimensions whose posterior mean varies by more
        than 0.01, Burda and others 2016) and collapsed (kl below 0.05).
    """
    training, generator = vae.training, torch.Generator().manual_seed(seed)
    vae.eval()
    nll, kl, means = [], [], []
    with torch.inference_mode():
        for part in ids.split(batch):
            part = trimmed(part)
            mean, log_variance = vae.encoder(part)
            z = mean + (0.5 * log_variance).exp() * torch.randn(mean.shape, generator=generator)
            nll.append(sentence_nll(vae.decoder(z, decoder_inputs(part)), part))
            kl.append(gaussian_kl(mean, log_variance).sum(1))
            means.append(mean)
    vae.train(training)
    reconstruction, cost = float(torch.cat(nll).mean()), float(torch.cat(kl).mean())
    centred = torch.cat(means)
    active = int((centred.var(0, unbiased=False) > 0.01).sum())
    return {"nll": reconstruction + cost, "reconstruction": reconstruction, "kl": cost, "active_units": active,
            "collapsed": cost < COLLAPSED}  # fmt: skip
