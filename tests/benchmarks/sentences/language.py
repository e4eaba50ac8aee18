"""A recurrent language model, the baseline of sentence VAEs: their decoder without a code, trained in the same way."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from agents.files import write_whole
from envs.manifolds.sentence.decoding import FREE, beam
from envs.manifolds.sentence.networks import Decoder, decoder_inputs, sentence_nll
from envs.manifolds.sentence.training import batches, trimmed
from envs.modalities.vocabulary import Vocabulary


class LanguageModel:
    """One LSTM over the words of a vocabulary, with Adam, a cosine, clipping and batches as `SentenceVAE.fit` has them.

    Args:
        vocabulary: the words.
        embedding, hidden: widths; give those of the VAE that it is compared with.
    """

    def __init__(self, vocabulary: Vocabulary, embedding: int, hidden: int) -> None:
        self.vocabulary, self.widths = vocabulary, (embedding, hidden)
        self.decoder = Decoder(vocabulary.size, embedding, hidden, 0)

    @classmethod
    def fit(cls, ids: Tensor, vocabulary: Vocabulary, *, embedding: int, hidden: int, epochs: int, batch_size: int,
            learning_rate: float, clip: float = 5.0, seed: int = 0) -> LanguageModel:  # fmt: skip
        """Trained on known ids (N, L)."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = cls(vocabulary, embedding, hidden)
        generator = torch.Generator().manual_seed(seed)
        optimizer = torch.optim.Adam(model.decoder.parameters(), lr=learning_rate)
        steps = epochs * math.ceil(len(ids) / batch_size)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=learning_rate / 50)
        for _ in range(epochs):
            for index in batches(ids, batch_size, generator):
                part = trimmed(ids[index])
                loss = sentence_nll(model.decoder(_codes(len(part)), decoder_inputs(part)), part).mean()
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.decoder.parameters(), clip)
                optimizer.step()
                schedule.step()
        model.decoder.eval().requires_grad_(False)
        return model

    def nll(self, ids: Tensor, batch: int = 64) -> Tensor:
        """Negative log likelihood (N,) in nats of known ids (N, L), end marks included."""
        found = torch.empty(len(ids))
        with torch.inference_mode():
            for rows in by_length(ids, batch):
                part = trimmed(ids[rows])
                found[rows] = sentence_nll(self.decoder(_codes(len(part)), decoder_inputs(part)), part)
        return found

    def impute(self, ids: Tensor, missing: Tensor, width: int) -> Tensor:
        """Known ids (B, L) with the missing words (B, L) filled in by a beam search; the known ones stay."""
        with torch.inference_mode():
            best, _ = beam(self.decoder, _codes(len(ids)), ids.shape[1], width, ids.masked_fill(missing, FREE))
        return torch.where(missing, best, ids)

    def save(self, folder: Path) -> None:
        """Weights and widths; the vocabulary is the caller's."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.decoder.state_dict(), folder / "weights.safetensors")
        widths: dict[str, Any] = {"embedding": self.widths[0], "hidden": self.widths[1]}
        write_whole(folder / "widths.json", json.dumps(widths))

    @classmethod
    def load(cls, folder: Path, vocabulary: Vocabulary) -> LanguageModel:
        """What `save` wrote."""
        model = cls(vocabulary, **json.loads((folder / "widths.json").read_text()))
        model.decoder.load_state_dict(load_file(folder / "weights.safetensors"))
        model.decoder.eval().requires_grad_(False)
        return model


def by_length(ids: Tensor, batch: int) -> Iterable[Tensor]:
    """Row numbers in batches of like length, so that little padding is computed."""
    return (ids != 0).sum(1).argsort(stable=True).split(batch)


def _codes(count: int) -> Tensor:
    """Codes of no dimension, (B, 0)."""
    return torch.zeros(count, 0)
