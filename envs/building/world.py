"""From a `WorldConfig`, or its settings as keywords, to a `World`."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.assets import ASSETS
from envs.building.assembly import assemble, check_names
from envs.building.basis import navigated
from envs.building.calibration import calibrated
from envs.building.classifier import fitted_classifier, fitted_regressor, given_classifier, names_for
from envs.building.data import classes_of, gathered, refuse_pixels, units_of
from envs.building.density import with_density
from envs.building.goals import classifier_for, no_outputs, with_goal
from envs.building.manifold import fitted_manifold, given_manifold, labels_of
from envs.building.protection import protect
from envs.building.reference import make_reference
from envs.building.sentences import text_manifold, word_classifier
from envs.classifiers import Classifier, adapt
from envs.classifiers.adapters import predicts_a_score
from envs.classifiers.goals import GoalClassifier
from envs.classifiers.querying import QueriedClassifier, queried
from envs.config import FIELDS, WorldConfig, refuse_unknown
from envs.core.known_predictions import KnownPredictions, digest_of
from envs.core.reference_data import Examples, ReferenceData
from envs.core.round_trip import ROWS, RoundTrip, check_round_trip
from envs.core.row_labels import RowLabels
from envs.core.tasks import Task, make_task
from envs.core.world import World
from envs.datasets import Data, ImageUnits, SeriesUnits, TextUnits, Units
from envs.errors import ManifoldError, UnknownNameError
from envs.manifolds import Distracted, Joint, Manifold, Navigated
from envs.modalities.text import is_text
from envs.modalities.vocabulary import Vocabulary
from envs.query_options import QueryOptions
from envs.registration import CUSTOM, spec_kwargs
from envs.runtime.progress import on_terminal
from envs.runtime.threads import one_thread
from envs.runtime.torch_defaults import in_usual_torch

PARTS = ("data", "modality", "classifier", "manifold", "fit", "held_out")  # fixed by a registered id
SAMPLE = 16  # rows that show what kind of predictions a classifier returns


def make_world(
    config: WorldConfig | None = None,
    *,
    data: Any = "iris",
    modality: str | None = None,
    sampling: str | float | None = None,
    data_dir: str | Path | None = None,
    classifier: Any = None,
    manifold: Any = None,
    basis: Any = None,
    basis_dim: int | None = None,
    typicality: Any = None,
    held_out: Any = None,
    truth: Any = None,
    class_names: Sequence[Any] | None = None,
    columns: Any = None,
    dates: Mapping[str, str] | None = None,
    free: str | Sequence[str] | None = None,
    target_column: str | None = None,
    text_column: str | None = None,
    encoding: str = "utf-8",
    data_shape: Sequence[int] | None = None,
    pixel_range: Sequence[float] | None = None,
    pixel_mean: Sequence[float] | None = None,
    pixel_std: Sequence[float] | None = None,
    channels: str | None = None,
    input_shape: Sequence[int] | None = None,
    outputs: str | None = None,
    goal: Any = None,
    spread: float | None = None,
    class_order: Sequence[Any] | None = None,
    label_only: bool = False,
    latent_dim: int | None = None,
    fit: Mapping[str, Any] | None = None,
    task: str | Task | type[Task] | None = None,
    tau: float | None = None,
    pair: int | None = None,
    reward: Mapping[str, float] | None = None,
    move: Any = None,
    step: float | None = None,
    max_step: float | None = None,
    guidance: bool | None = None,
    gamma: float | None = None,
    max_episode_steps: int | None = None,
    initial_latent: Any = None,
    slip: float = 0.0,
    distractors: int = 0,
    loudness: float = 1.0,
    seed: int = 0,
    query: Any = None,
    check_rows: int = ROWS,
    known_predictions: str | Path | None = None,
    progress: bool = True,
    **unknown: Any,
) -> World:
    """Build a world from a config, or from its settings as keywords; `World.config` holds it.

    `envs.config.WorldConfig` describes each setting. With names alone, a saved run builds the same world again; live objects
    are accepted as well.

    Args:
        config: the whole description, instead of keywords: ``make_world(config.replace(tau=0.8))``.
        known_predictions: a file of predictions for the reference rows, as a saved run keeps it (see
            `envs.core.known_predictions`). The classifier is then queried for a few rows, to see whether it has changed.
        progress: show fits on a terminal.

    Raises:
        ManifoldError: settings that do not fit together, and what to do instead; an unknown setting, with close names.

    Example:
        >>> world = make_world(data="digits", tau=0.8)
        >>> world.latent_dim, world.classes
        (8, 10)
    """
    settings = {name: value for name, value in locals().items() if name in FIELDS}
    refuse_unknown(unknown)
    if config is None:
        return build(WorldConfig(**settings), known_predictions=known_predictions, progress=progress)
    if not isinstance(config, WorldConfig):
        raise ManifoldError(f"make_world takes a WorldConfig, or keywords such as data='digits', not {config!r:.60}")
    if given := WorldConfig(**settings).settings():
        changed = ", ".join(f"{name}=..." for name in given)
        raise ManifoldError(f"pass either a config or settings: make_world(config.replace({changed}))")
    return build(config, known_predictions=known_predictions, progress=progress)


class _Parts(NamedTuple):
    """Parts of a world.

    Attributes:
        manifold: of the world.
        codes: (N, d) codes of the data, if they are known.
        units: of the data.
        x, cells: (N, ...) the data in data space, and the user's own values, see `Units.entered`.
        classifier: as the world queries it.
        given: the classifier as the user gave it.
    """

    manifold: Manifold
    codes: Tensor | None
    units: Units
    x: Tensor
    cells: Tensor
    classifier: Classifier
    given: Any


@one_thread()
@in_usual_torch
def build(
    config: WorldConfig,
    manifold: Manifold | None = None,
    *,
    known_predictions: str | Path | None = None,
    progress: bool = True,
) -> World:
    """The world of a config.

    Args:
        config: its description.
        manifold: the manifold that the config describes, if it exists already, as in the folder of a run; the config stays
            as it is.
        known_predictions: see `make_world`.
        progress: show fits on a terminal.

    Raises:
        ManifoldError: settings that do not fit together, and what to do instead.
    """
    whole = config if manifold is None else config.replace(manifold=manifold, latent_dim=None, fit=None)
    whole.refuse_missing()
    check_names(whole)  # before anything is fitted
    data, key = gathered(whole)
    parts = _distracted((_of_text if is_text(data.x) else _of_numbers)(whole, data, key, progress), config)
    parts.manifold.attach(parts.classifier)
    if config.basis is not None and not isinstance(parts.manifold, Navigated):
        manifold, codes = navigated(parts.manifold, parts.x, parts.codes, config, lambda: _own_labels(parts, data), progress)
        parts = parts._replace(manifold=manifold, codes=codes)
    dense, known_codes = with_density(parts.manifold, parts.x, parts.codes, whole, progress)
    parts = parts._replace(manifold=dense, codes=known_codes)
    if isinstance(parts.units, ImageUnits):
        config = config.replace(**parts.units.declared)  # a guess is kept: the pictures may be others next time
    entered = (parts.x, parts.cells) if data.held_out is None else parts.units.entered(data.held_out)
    truth = classes_of(data.truth if data.held_out is None else data.held_out_truth)
    examples = Examples(entered[0], _aligned(truth, data.class_names, parts.classifier.class_names), entered[1])
    config = calibrated(config, parts.classifier, data, Examples(parts.x, None, parts.cells), examples, progress)
    known = None
    if known_predictions is not None:
        known = _known(
            known_predictions, digest_of(parts.x, parts.cells, parts.units, parts.manifold, parts.classifier, parts.given)
        )
    reference = make_reference(parts.manifold, parts.classifier, parts.x, parts.codes, parts.units, parts.cells, known)
    if isinstance(parts.classifier, QueriedClassifier):
        parts.classifier.forget()
    kept = known is not None and known.belongs_to(reference)
    if isinstance(parts.classifier, GoalClassifier):
        config = with_goal(config, parts.classifier, reference)
        viewed = classifier_for(config, parts.classifier)
        parts, reference = parts._replace(classifier=viewed), reference.viewed(viewed)
    checked = None if kept else _round_trip(whole, data, parts, reference, progress)
    labels = None
    if data.labels is not None:
        labels = RowLabels(data.labels, data.labels if data.held_out is None else data.held_out_labels, data.lines)
    shown = parts.manifold, parts.classifier, parts.units, reference, examples
    return assemble(*shown, config, round_trip=checked, row_labels=labels)


def _distracted(parts: _Parts, config: WorldConfig) -> _Parts:
    """The parts with the distractors of the config in their manifold, unless it was saved with them."""
    if not config.distractors or isinstance(parts.manifold, Distracted):
        return parts
    codes = None if parts.codes is None else torch.nn.functional.pad(parts.codes, (0, config.distractors))
    return parts._replace(manifold=Distracted(parts.manifold, config.distractors, config.loudness), codes=codes)


def _own_labels(parts: _Parts, data: Data) -> Tensor:
    """Classes (N,) of the data: the true ones, else the classifier's, at a query a row."""
    truth, cells = classes_of(data.truth), parts.cells if parts.units.anchored else None
    return labels_of(parts.x, parts.classifier if truth is None else None, truth, cells)


def _round_trip(config: WorldConfig, data: Data, parts: _Parts, reference: ReferenceData, progress: bool) -> RoundTrip | None:
    """The comparison of the user's own rows with those in data space; None for a classifier of this library."""
    if config.classifier is None or parts.classifier is config.classifier or parts.given is not config.classifier:
        return None
    raw = data.x if data.own is None else data.own
    checked = check_round_trip(parts.classifier, parts.units, raw, parts.x, parts.cells, reference, config.check_rows)
    if on_terminal(progress) and checked is not None:
        print(checked, file=sys.stderr)
    return checked


def _of_text(config: WorldConfig, data: Data, key: str | None, progress: bool) -> _Parts:
    """The parts of a world of sentences. The manifold's vocabulary defines data space, so the manifold comes first."""
    refuse_pixels(data)
    classifier = config.classifier
    if classifier is None and key is None and data.truth is not None:
        classifier = word_classifier(data)
    standing = given_classifier(classifier, config.data, data, key, config.seed)

    def asker(vocabulary: Vocabulary) -> Classifier:
        return _adapted(config, standing, data, TextUnits(vocabulary))

    sentences, codes, queries = text_manifold(config, key, data, asker, progress)
    units = TextUnits(sentences.vocabulary)
    protect(units, config.free)
    x, cells = units.entered(data.x)
    adapted = _adapted(config, standing, data, units, x, cells)
    adapted.queries += queries
    return _Parts(sentences, codes, units, x, cells, adapted, standing)


def _of_numbers(config: WorldConfig, data: Data, key: str | None, progress: bool) -> _Parts:
    """The parts of a world of pictures or tables. A manifold that is fitted may need the classifier, or have its own."""
    classifier = config.classifier
    units = asked_in = units_of(data, classifier)
    protect(units, config.free)
    x, cells = units.entered(data.x)
    if on_terminal(progress) and data.frame is not None and data.table is not None:
        print(f"the columns of the data frame, as described or guessed:\n{data.table.as_yaml()}", file=sys.stderr)
    model, codes = given_manifold(config, key, x, units)
    if classifier is None and (isinstance(model, Joint) or (isinstance(model, type) and issubclass(model, Joint))):
        if isinstance(model, type):
            count = len(data.class_names) if data.class_names is not None else None
            model = fitted_manifold(model, x, units, config, truth=classes_of(data.truth), classes=count, progress=progress)
        classifier = model.classifier()
        asked_in = Units(units.modality, units.data_shape, units.columns)  # it reads data space, as its encoder does
    elif classifier is None and isinstance(units, SeriesUnits) and key is None and data.truth is not None:
        classifier = fitted_classifier(x, np.asarray(data.truth), config.seed, progress, units.shape)
        asked_in = Units(units.modality, units.data_shape, units.columns)
    elif classifier is None and data.table is not None and data.truth is not None:
        if predicts_a_score(None, config.outputs):
            classifier = _regressor(config, data, units, x, progress)
        else:
            classifier = fitted_classifier(x, np.asarray(data.truth), config.seed, progress)
    else:
        shipped = classifier is None or (isinstance(classifier, str) and classifier in ASSETS)
        if shipped and isinstance(units, ImageUnits | SeriesUnits):
            asked_in = Units(units.modality, units.data_shape)  # shipped classifiers of pictures and series read data space
        classifier = given_classifier(classifier, config.data, data, key, config.seed)
    adapted = _adapted(config, classifier, data, asked_in, x, cells)
    if isinstance(model, type):
        model = fitted_manifold(model, x, units, config, classifier=adapted, cells=cells, progress=progress)
    return _Parts(model, codes, units, x, cells, adapted, classifier)


def _regressor(config: WorldConfig, data: Data, units: Units, x: Tensor, progress: bool) -> torch.nn.Module:
    """The default model with a score; on a terminal, how well it predicts the held-out rows is said."""
    module = fitted_regressor(x, np.asarray(data.truth, dtype=np.float64), config.seed, progress)
    if on_terminal(progress) and data.held_out is not None and data.held_out_truth is not None:
        with torch.inference_mode():
            guess = module(units.entered(data.held_out)[0])[:, 0].double().numpy()
        true = np.asarray(data.held_out_truth, dtype=np.float64)
        r2 = 1 - float(((guess - true) ** 2).mean() / max(true.var(), 1e-300))
        print(f"a small network was fitted to the target column; R2 on {len(true)} held-out rows: {r2:.2f}", file=sys.stderr)
    return module


def _adapted(
    config: WorldConfig, classifier: Any, data: Data, units: Units, x: Tensor | None = None, cells: Tensor | None = None
) -> Classifier:
    """The classifier as a world queries it; a few rows of x, with their cells, show what kind of predictions it returns."""
    needs_labels = config.task is not None and make_task(config.task, None, None, None).needs_label_only
    few = range(0) if x is None else range(0, len(x), max(1, len(x) // SAMPLE))[:SAMPLE]
    adapted = adapt(
        classifier,
        units=units,
        class_names=config.class_names if config.class_names is not None else names_for(data, classifier),
        input_shape=config.input_shape,
        label_only=config.label_only or needs_labels,
        outputs=config.outputs,
        sample=None if x is None else x[few],
        sample_cells=None if cells is None else cells[few],
    )
    if config.goal is not None and not isinstance(adapted, GoalClassifier):
        raise ManifoldError(no_outputs(config.goal))
    if config.query:
        adapted = queried(adapted, QueryOptions.of(config.query))
    return classifier_for(config, adapted) if isinstance(adapted, GoalClassifier) and config.goal is not None else adapted


def _known(file: str | Path, digest: str) -> KnownPredictions | None:
    """The predictions kept in a file; None, with a warning, if they belong to other data, another manifold or classifier."""
    known = KnownPredictions.read(file)
    if known.digest == digest:
        return known
    warnings.warn(
        f"the predictions kept in {str(file)!r} belong to other data, another manifold or another classifier: "
        f"all {len(known.label):,} reference rows are queried again",
        stacklevel=4,
    )
    return None


def _aligned(truth: Tensor | None, names: Sequence[Any] | None, known: list[str]) -> Tensor | None:
    """True classes (M,), indices of the data's `names`, as indices of the classifier's classes `known`; None if a name is not
    among these."""
    if truth is None or names is None or [str(name) for name in names] == known:
        return truth
    order = [known.index(str(name)) if str(name) in known else -1 for name in names]
    return torch.tensor(order)[truth] if min(order) >= 0 and int(truth.max()) < len(order) else None


def named_config(env_id: str, settings: Mapping[str, Any]) -> WorldConfig:
    """The config of a registered id with further settings, as from a command line.

    Raises:
        UnknownNameError: no such id or setting; close names are offered.
        ManifoldError: the id has data, classifier and manifold of its own.
    """
    own = spec_kwargs(env_id)
    for name in settings:
        if name not in FIELDS:
            raise UnknownNameError("argument of the environment", name, FIELDS)
        if name in PARTS and env_id != CUSTOM:
            raise ManifoldError(f"{name} belongs to {CUSTOM}; {env_id} has its own: leave the id or {name} out")
    return WorldConfig(**{**own, **settings})


def make_world_named(env_id: str, arguments: Mapping[str, Any], progress: bool = True) -> World:
    """The world of a registered id with further settings, see `named_config`."""
    return build(named_config(env_id, arguments), progress=progress)
