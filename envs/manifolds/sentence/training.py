"""Training of a sentence VAE without posterior collapse: KL annealing, free bits, word dropout, early stopping.

An autoregressive decoder can ignore z, and q(z | x) then collapses to the prior. Bowman and others (2016, section 3) anneal
the weight of the KL term and drop words from the decoder's input. Kingma and others ("Improving Variational Inference with
Inverse Autoregressive Flow", 2016, appendix C) give each latent dimension free nats. Fu and others ("Cyclical Annealing
Schedule", 2019) anneal in cycles. Free nats with sigmoid annealing are the default; docs/results/sentences_grammar.md has the
comparison.
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
COLLAPSED = 0.05  # nats per sentence below which codes carry no information


@dataclass(frozen=True)
class SentenceTraining:
    """Settings of the training.

    Attributes:
        epochs: Passes over the corpus.
        batch_size: Sentences per minibatch.
        learning_rate: Learning rate of the first step of Adam; it falls along a cosine.
        annealing: Schedule of the KL weight, see `kl_weight`.
        word_keep: Share of the decoder's input words that are kept: 1 is no word dropout, 0 an inputless decoder.
        encoder_keep: Share of the words that the encoder sees during training, so that it copes with unknown words (a
            denoising criterion, still a lower bound: Im and others, "Denoising Criterion for Variational Auto-Encoding
            Framework", AAAI 2017).
        free_bits: Nats per latent dimension that cost nothing.
        beta: Final weight of the KL term. Below 1, codes hold more of the words.
        prediction_weight: Weight of the cross-entropy of a classifier's predictions, if there are any.
        clip: Largest norm of the gradient.
        patience: Epochs without a better validation bound after which training stops; 0 disables early stopping. Counting
            starts once the KL weight has settled.
        validation_share: Share of the corpus held out for validation.
        seed: Seed of weights, minibatches and noise.

    Raises:
        UnknownNameError: If there is no such annealing.
        ManifoldError: If a value is out of range.

    Example:
        >>> SentenceTraining(epochs=3).annealing
        'sigmoid'
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
    """Weight of the KL term after a share of the training.

    Args:
        annealing: ``none``: 1. ``linear``: rises to 1 at half of the training. ``sigmoid``: logistic, 1/2 at 40 %, with rate
            20 per training. ``cyclical``: `cycles` linear rises, each within the part `ramp` of its cycle, then 1 (Fu and
            others, 2019, equation 6).
        share: Share of the training, in [0, 1].
        cycles: Number of cycles.
        ramp: Share of a cycle in which the weight rises.

    Raises:
        UnknownNameError: If there is no such annealing.
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
    """KL(q || N(0, I)) of each dimension in nats, (B, d), for means and log variances (B, d)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def training_loss(
    vae: SentenceNetworks,
    ids: Tensor,
    weight: float,
    how: SentenceTraining,
    generator: torch.Generator,
    predictions: Tensor | None = None,
) -> Tensor:
    """Mean negative log likelihood plus the weighted KL beyond the free bits.

    With soft predictions of a classifier, the cross-entropy of the head on the sampled code is added: the joint training of
    `Joint` for a classifier that exists already.

    Args:
        vae: The networks.
        ids: Sentences, (B, L).
        weight: Weight of the KL term.
        how: Settings.
        generator: Draws dropped words and noise.
        predictions: Class probabilities of the sentences, (B, K).

    Returns:
        Scalar, in nats per sentence.
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
    """Train in place. Ctrl-C ends the training and keeps the present weights.

    Args:
        vae: The networks.
        ids: Sentences of known words, (N, L).
        how: Settings.
        progress: Show a progress bar.
        predictions: Class probabilities of the sentences under a classifier, (N, K).

    Returns:
        The settings, the steps taken, whether training was interrupted, and the results of `validated` on the held-out
        sentences.
    """
    generator = torch.Generator().manual_seed(how.seed)
    order = torch.randperm(len(ids), generator=generator)
    held = max(1, int(len(ids) * how.validation_share))
    valid, rows = ids[order[:held]], ids[order[held:]]
    soft = None if predictions is None else predictions[order[held:]].float()
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
                loss = training_loss(vae, part, weight, how, generator, None if soft is None else soft[index])
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
        warnings.warn(f"interrupted after {done} of {steps} steps; the model keeps its present weights", stacklevel=3)
    if weights is not None:
        vae.load_state_dict(weights)
    vae.eval()
    return {**asdict(how), "steps": done, "interrupted": interrupted, **validated(vae, valid, how.seed)}


def batches(ids: Tensor, size: int, generator: torch.Generator) -> list[Tensor]:
    """Row indices of each minibatch, in random order. Sentences of similar length share a batch, which saves padding.
    Args:
        ids: Sentences, (N, L).
        size: Sentences per minibatch.
        generator: Draws the order.
    """
    lengths = (ids != PAD).sum(1)
    shuffled = torch.randperm(len(ids), generator=generator)
    pool = 32 * size  # sorted within pools only, so that batches differ between epochs
    parts: list[Tensor] = []
    for chunk in shuffled.split(pool):
        parts += chunk[lengths[chunk].argsort(stable=True)].split(size)
    return [parts[i] for i in torch.randperm(len(parts), generator=generator).tolist()]


def trimmed(ids: Tensor) -> Tensor:
    """Ids without the columns that hold only padding."""
    return ids[:, : int((ids != PAD).sum(1).max())]


def validated(vae: SentenceNetworks, ids: Tensor, seed: int = 0, batch: int = 256) -> dict[str, Any]:
    """Statistics of sentences without word dropout, in nats per sentence.

    Args:
        vae: The networks.
        ids: Sentences, (N, L).
        seed: Seed of the posterior samples.
        batch: Sentences at once.

    Returns:
        ``nll`` (the negative bound, one sample), ``reconstruction``, ``kl``, ``active_units`` (dimensions whose posterior mean
        varies by more than 0.01: Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016, section 5.2)
        and ``collapsed`` (kl below 0.05).
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
