"""The parts of a world of sentences: a manifold, fitted to them by default, and a default classifier of their words."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from envs.assets import ASSETS
from envs.building.manifold import refuse_fit
from envs.classifiers import Classifier
from envs.classifiers.bag_of_words import BagOfWords
from envs.config import WorldConfig
from envs.core.reference_data import BATCH
from envs.datasets import Data
from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds import Edits, Manifold, SentenceVAE
from envs.manifolds.cache import fit_key, kept_fit
from envs.manifolds.edits.filler import FillerTraining
from envs.manifolds.edits.language import identity
from envs.manifolds.sentence.training import SentenceTraining
from envs.modalities.vocabulary import Vocabulary
from envs.reading.objects import load_object

LONGEST = 40  # words of a user's sentence; longer ones are cut, with a warning
STEPS = 3000  # gradient steps of a fit: what the grammar takes, half a minute
LATENT_DIM = 16
ANCHOR = 4.0  # nats in favour of the words of a walk's input, see `SentenceVAE.decode_near`


def text_manifold(
    config: WorldConfig, key: str | None, parts: Data, asker: Callable[[Vocabulary], Classifier], progress: bool
) -> tuple[SentenceVAE | Edits, Tensor | None, int]:
    """The manifold of sentences: shipped, saved, live, or fitted to them.

    Args:
        config: its manifold, latent_dim, fit and seed.
        key: name of the data set if the data are the ones that the shipped assets belong to, else None.
        parts: the raw data.
        asker: from a vocabulary to the classifier to be explained, as it is queried with ids of that vocabulary.
        progress: show the fit.

    Returns:
        The manifold; the codes (N, d) of the data if they are shipped, else None; and the queries of a fit that learns the
        classifier's predictions.

    Raises:
        UnknownNameError, ManifoldError: no such manifold, or one of other data.
    """
    manifold, latent_dim, fit, seed = config.manifold, config.latent_dim, config.fit, config.seed
    if manifold in (None, key) and key in ASSETS and latent_dim is None and not fit:
        return (*ASSETS[key].manifold(), 0)  # type: ignore[return-value]
    if manifold in (None, "vae", Edits.kind):
        texts = [str(text) for text in parts.x]
        if manifold == Edits.kind:
            if latent_dim is not None:
                raise ManifoldError(
                    "the latent dimensions of edits are K - 1 and meanings: give fit={'meanings': 7} instead of latent_dim"
                )
            edits, queries = _fitted_edits(texts, asker, dict(fit or {}), seed, progress)
            return edits, None, queries
        vae, queries = _fitted(texts, asker, latent_dim or LATENT_DIM, dict(fit or {}), seed, progress)
        return vae, None, queries
    if isinstance(manifold, str) and manifold in ASSETS:
        manifold = ASSETS[manifold].manifold()[0]
    elif isinstance(manifold, str) and ":" in manifold:
        manifold = load_object(manifold)
    elif isinstance(manifold, str | Path):
        if not os.path.isdir(manifold):
            raise UnknownNameError(
                "manifold of sentences", manifold, ("vae", "edits", "sentences", "a folder of Manifold.save")
            )
        manifold = Manifold.load(manifold)
    if not isinstance(manifold, SentenceVAE | Edits):
        raise ManifoldError(f"sentences need a SentenceVAE or Edits, not a {type(manifold).__name__}")
    refuse_fit(manifold, latent_dim, fit)
    return manifold, None, 0


def _fitted(
    texts: list[str],
    asker: Callable[[Vocabulary], Classifier],
    latent_dim: int,
    fit: dict[str, Any],
    seed: int,
    progress: bool,
) -> tuple[SentenceVAE, int]:
    """A sentence VAE, from the cache if it was fitted before, and the queries of its fit, one a sentence.

    Its codes are trained to predict the classifier's output, unless ``prediction_weight`` is 0.
    """
    known = [field.name for field in fields(SentenceTraining) if field.name != "seed"]
    known += ["embedding", "hidden", "feed_code", "anchor", "reach"]
    for name in fit:
        if name not in known:
            raise UnknownNameError("setting of the fit of sentences", name, known)
    vocabulary = Vocabulary.of(texts, length=LONGEST + 1)
    epochs = int(np.clip(STEPS * 64 / len(texts), 5, 100))
    settings = {"latent_dim": latent_dim, "epochs": epochs, "seed": seed, "anchor": ANCHOR, **fit}
    ids, queries = vocabulary.ids(texts), 0
    predictions = None
    if settings.get("prediction_weight", 1):
        predictions, queries = _predictions(asker(vocabulary), ids)
    key = fit_key(
        "sentences", {**settings, "words": vocabulary.words}, {"x": vocabulary.known(ids), "predictions": predictions}
    )
    more: dict[str, Any] = {"vocabulary": vocabulary, "predictions": predictions, "progress": progress}
    kept = kept_fit(key, lambda: SentenceVAE.fit(texts, **more, **settings))
    assert isinstance(kept, SentenceVAE)
    return kept, queries


def _predictions(classifier: Classifier, ids: Tensor) -> tuple[Tensor, int]:
    """The classifier's predictions (N, K) for sentences (N, L), and the queries that they took."""
    before = classifier.queries
    return torch.cat([classifier.predict_proba(part) for part in ids.split(BATCH)]), classifier.queries - before


def _fitted_edits(
    texts: list[str], asker: Callable[[Vocabulary], Classifier], fit: dict[str, Any], seed: int, progress: bool
) -> tuple[Edits, int]:
    """A manifold of edits, from the cache if it was fitted before, and the queries of its fit, one a sentence."""
    known = [*inspect.signature(Edits.fit).parameters, *(field.name for field in fields(FillerTraining))]
    known = [name for name in known if name not in ("texts", "predictions", "vocabulary", "progress", "training", "seed")]
    for name in fit:
        if name not in known:
            raise UnknownNameError("setting of the fit of edits", name, known)
    vocabulary = Vocabulary.of(texts, length=LONGEST + 1)
    ids = vocabulary.ids(texts)
    predictions, queries = _predictions(asker(vocabulary), ids)
    proposer = fit.pop("proposer", None)  # another one needs no other fit
    if proposer is not None:
        identity(proposer)
    settings = {"seed": seed, **fit}
    key = fit_key(
        Edits.kind, {**settings, "words": vocabulary.words}, {"x": vocabulary.known(ids), "predictions": predictions}
    )
    more: dict[str, Any] = {"vocabulary": vocabulary, "progress": progress}
    kept = kept_fit(key, lambda: Edits.fit(texts, predictions, **more, **settings))
    assert isinstance(kept, Edits)
    kept.proposer = None if proposer is None else str(proposer)
    return kept, queries


def word_classifier(parts: Data) -> BagOfWords:
    """Logistic regression on the words of sentences with known classes."""
    names = parts.class_names or [str(name) for name in np.unique(np.asarray(parts.truth))]
    return BagOfWords.fit([str(text) for text in parts.x], parts.truth, names)
