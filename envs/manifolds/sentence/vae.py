"""Sentences as a latent space: a recurrent variational auto-encoder.

Bowman, Vilnis, Vinyals, Dai, Jozefowicz and Bengio, "Generating Sentences from a Continuous Space", CoNLL 2016.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from envs.errors import ManifoldError
from envs.manifolds.base import Manifold
from envs.manifolds.fitting import untrained
from envs.manifolds.prior import Prior
from envs.manifolds.sentence.anchor import anchored
from envs.manifolds.sentence.decoding import greedy
from envs.manifolds.sentence.networks import Decoder, Encoder, SentenceNetworks, decoder_inputs, sentence_nll
from envs.manifolds.sentence.training import SentenceTraining, train, trimmed
from envs.modalities.vocabulary import END, PAD, Vocabulary
from envs.runtime.torch_defaults import in_usual_torch

REACH = 0.5  # share of the typical radius of codes at which the words of an input are favoured no more


class SentenceVAE(Manifold, SentenceNetworks):
    """LSTM encoder and decoder, normal prior. Data space are ids (B, L) int64, see `envs.modalities.vocabulary`.

    Ids have no metric of their own: distances, moves and the compass are measured between codes (`coordinates`).

    Args:
        words: the vocabulary without its specials, see `Vocabulary`.
        length: L.
        latent_dim: d.
        embedding, hidden: widths of both networks.
        tokeniser: of the vocabulary.
        feed_code: give the decoder z at every step; without, it is its first state alone, which invites collapse.
        classes: K, how many answers of a classifier a linear head on z foretells; 0: it has no head.
        anchor: nats by which walks favour the words of their input, see `decode_near`; 0: they do not.
        reach: where that ends.
        account: what `fit` told of the training, kept with the weights.
    """

    kind = "sentences"
    modality = "text"

    def __init__(
        self,
        words: Sequence[str],
        length: int,
        latent_dim: int = 16,
        embedding: int = 32,
        hidden: int = 96,
        tokeniser: str = "words",
        feed_code: bool = True,
        account: dict[str, Any] | None = None,
        classes: int = 0,
        anchor: float = 0.0,
        reach: float = REACH,
    ) -> None:
        super().__init__(latent_dim)
        if not anchor >= 0 or not reach > 0:
            raise ManifoldError(f"an anchor is a number of nats, at least 0, and its reach positive, not {anchor} and {reach}")
        self.vocabulary = Vocabulary(words, length, tokeniser)
        self.data_shape = (self.vocabulary.length,)
        self.prior = Prior("normal", latent_dim)
        self.widths = (embedding, hidden)
        self.account = dict(account or {})
        self.encoder = Encoder(self.vocabulary.size, embedding, hidden, latent_dim)
        self.decoder = Decoder(self.vocabulary.size, embedding, hidden, latent_dim, feed_code)
        self.head = nn.Linear(latent_dim, classes) if classes else None
        self.anchor, self.reach = float(anchor), float(reach)

    @property
    def settings(self) -> dict[str, Any]:
        """See `Manifold.settings`."""
        return {
            "words": list(self.vocabulary.words),
            "length": self.vocabulary.length,
            "latent_dim": self.latent_dim,
            "embedding": self.widths[0],
            "hidden": self.widths[1],
            "tokeniser": self.vocabulary.tokeniser,
            "feed_code": self.decoder.feed_code,
            "account": self.account,
            "classes": 0 if self.head is None else self.head.out_features,
            "anchor": self.anchor,
            "reach": self.reach,
        }

    @property
    def input_conditioned(self) -> bool:  # type: ignore[override]  # it follows from the anchor
        """Whether walks favour the words of their input."""
        return self.anchor > 0

    @property
    def collapsed(self) -> bool:
        """Whether the code says nothing: KL below 0.05 nats when it was fitted."""
        return bool(self.account.get("collapsed", False))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z | x), each (B, d), of ids (B, L)."""
        return self.encoder(self.vocabulary.known(x))

    def encode(self, x: Tensor) -> Tensor:
        """Posterior means (B, d) of ids (B, L), kept inside the typical set."""
        return self.prior.project(self.posterior(x)[0])

    def decode(self, z: Tensor) -> Tensor:
        """The likeliest word after word, ids (B, L) of codes (B, d)."""
        return greedy(self.decoder, z, self.vocabulary.length)

    def decode_near(self, z: Tensor, factual: Tensor | None) -> Tensor:
        """Ids (B, L) of codes (B, d) in walks from inputs `factual` (B, L), whose words stay where the code allows.

        They are favoured by `anchor` nats at the input's own code, and by less the further z lies from there: by nothing from
        the share `reach` of the typical radius of codes on, where this is what `decode` gives, but for its guard against
        repetition.
        """
        if not self.input_conditioned:
            return self.decode(z)
        if factual is None:
            nothing = torch.full((len(z), self.vocabulary.length), PAD).index_fill_(1, torch.tensor([0]), END)
            return anchored(self.decoder, z, nothing, torch.zeros(len(z)), self.vocabulary.size)
        away = torch.linalg.vector_norm(z - self.encode(factual), dim=1) / torch.linalg.vector_norm(self.code_scale)
        return anchored(self.decoder, z, factual, self.anchor * (1 - away / self.reach).clamp_min(0), self.vocabulary.size)

    def coordinates(self, z: Tensor, x: Tensor) -> Tensor:
        """The codes themselves; see `Manifold.coordinates`."""
        return z

    def jvp(self, z: Tensor, tangent: Tensor) -> Tensor:
        """See `Manifold.jvp`: the coordinates are the codes."""
        return tangent

    def vjp(self, z: Tensor, cotangent: Tensor) -> Tensor:
        """See `Manifold.vjp`: the coordinates are the codes."""
        return cotangent

    def jacobian(self, z: Tensor) -> Tensor:
        """Derivative (B, L V, d) by the code of the logits of all words, along the decoded sentence (teacher forced).

        Rows of padding are zero: what stands after the end mark is nowhere seen.
        """
        words = self.decode(z)
        inputs = decoder_inputs(words)
        mask, cell = (words != PAD).float(), self.decoder.cell()

        def logits(code: Tensor, fed: Tensor, seen: Tensor) -> Tensor:
            memory, rows = cell.begin(code[None]), []
            for place in range(fed.shape[0]):
                row, memory = cell.step(memory, code[None], fed[place : place + 1])
                rows.append(row[0] * seen[place])
            return torch.stack(rows).flatten()

        return torch.func.vmap(torch.func.jacfwd(logits), chunk_size=16)(z, inputs, mask)

    def log_likelihood(self, z: Tensor, x: Tensor) -> Tensor:
        """log p(x | z) in nats, (B,), of codes (B, d) and ids (B, L)."""
        ids = trimmed(self.vocabulary.known(x))
        return -sentence_nll(self.decoder(z, decoder_inputs(ids)), ids)

    def importance_weighted_nll(self, x: Tensor, samples: int = 100, seed: int = 0, rows: int = 4096) -> Tensor:
        """-log p(x) in nats, (B,), by importance sampling from q(z | x): an upper bound on average, tighter with `samples`.

        Source: Burda, Grosse and Salakhutdinov, "Importance Weighted Autoencoders", 2016, equation 8.
        """
        generator = torch.Generator().manual_seed(seed)
        found = []
        with torch.inference_mode():
            for part in x.split(max(1, rows // samples)):
                mean, log_variance = self.posterior(part)
                noise = torch.randn(samples, *mean.shape, generator=generator)
                z = mean + (0.5 * log_variance).exp() * noise
                log_q = -0.5 * (noise.square() + log_variance + math.log(2 * math.pi)).sum(2)
                flat = z.flatten(0, 1)
                log_joint = self.log_likelihood(flat, part.repeat(samples, 1)) + self.prior.log_prob(flat)
                weight = log_joint.view(samples, len(part)) - log_q
                found.append(math.log(samples) - weight.logsumexp(0))
        return torch.cat(found)

    @classmethod
    @in_usual_torch
    def fit(
        cls,
        texts: Sequence[str],
        *,
        latent_dim: int = 16,
        embedding: int = 32,
        hidden: int = 96,
        feed_code: bool = True,
        vocabulary: Vocabulary | None = None,
        predictions: Tensor | None = None,
        anchor: float = 0.0,
        reach: float = REACH,
        progress: bool = False,
        **training: Any,
    ) -> SentenceVAE:
        """Train on a corpus.

        Args:
            texts: the sentences.
            latent_dim, embedding, hidden, feed_code, anchor, reach: see the class.
            vocabulary: of the corpus, if it was made already.
            answers: (N, K) what a classifier answers on the sentences: a linear head on z learns to foretell it, so that codes
                hold what the classifier tells apart.
            progress: show a bar.
            training: fields of `SentenceTraining`.

        Raises:
            ManifoldError: an empty corpus, one word alone, fewer than two sentences, or sizes below 1.
        """
        if min(latent_dim, embedding, hidden) < 1:
            told = {"latent_dim": latent_dim, "embedding": embedding, "hidden": hidden}
            raise ManifoldError(f"sizes must be at least 1, got {told}")
        vocabulary = Vocabulary.of(texts) if vocabulary is None else vocabulary
        ids = vocabulary.known(vocabulary.ids(list(texts)))
        if len(ids) < 2:
            raise ManifoldError(f"a sentence VAE needs at least 2 sentences, got {len(ids)}")
        how = SentenceTraining(**training)
        if predictions is not None and len(predictions) != len(ids):
            raise ManifoldError(f"{len(predictions)} answers of a classifier for {len(ids)} sentences; one each is needed")
        classes = 0 if predictions is None else predictions.shape[1]
        sizes = (latent_dim, embedding, hidden)
        more: dict[str, Any] = {"classes": classes, "anchor": anchor, "reach": reach}
        vae = untrained(
            lambda: cls(vocabulary.words, vocabulary.length, *sizes, vocabulary.tokeniser, feed_code, **more), how.seed
        )
        vae.account = train(vae, ids, how, progress, predictions)
        if vae.collapsed:
            warnings.warn(
                f"the posterior collapsed (KL {vae.account['kl']:.3f} nats): codes say nothing about sentences. "
                "Anneal the KL term (annealing='sigmoid'), drop words (word_keep=0.5) or give free_bits",
                stacklevel=2,
            )
        vae.requires_grad_(False)
        with torch.no_grad():
            vae.remember_codes(torch.cat([vae.encode(part) for part in ids.split(1024)]))
        return vae
