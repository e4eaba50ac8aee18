"""From a `WorldConfig`, or its settings as keywords, to a `World`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from envs.classifiers import Classifier, adapt
from envs.config import FIELDS, WorldConfig, refuse_unknown
from envs.datasets import Data, TextUnits, Units
from envs.datasets.text_units import is_text
from envs.datasets.vocabulary import Vocabulary
from envs.errors import ManifoldError, UnknownNameError
from envs.making_classifier import fitted_classifier, names_for, standing_classifier
from envs.making_data import classes_of, gathered, units_of
from envs.making_manifold import fitted_manifold, standing_manifold
from envs.making_text import text_manifold, word_classifier
from envs.manifolds import Joint, Manifold
from envs.registration import spec_kwargs
from envs.starts import Examples, make_starts
from envs.tasks import TASKS, Task
from envs.threads import one_thread
from envs.world import World, check_names

PARTS = ("data", "classifier", "manifold", "fit", "held_out")  # what a registered id has of its own


def make_world(
    config: WorldConfig | None = None,
    *,
    data: Any = "iris",
    data_dir: str | Path | None = None,
    classifier: Any = None,
    manifold: Any = None,
    held_out: Any = None,
    truth: Any = None,
    class_names: Sequence[Any] | None = None,
    columns: Any = None,
    target_column: str | None = None,
    text_column: str | None = None,
    encoding: str = "utf-8",
    data_shape: Sequence[int] | None = None,
    input_shape: Sequence[int] | None = None,
    label_only: bool = False,
    latent_dim: int | None = None,
    fit: Mapping[str, Any] | None = None,
    task: str | Task = "reach",
    tau: float | None = None,
    pair: int | None = None,
    reward: Mapping[str, float] | None = None,
    move: str | None = None,
    step: float | None = None,
    max_step: float | None = None,
    compass: bool | None = None,
    gamma: float | None = None,
    max_episode_steps: int | None = None,
    entry: str | None = None,
    seed: int = 0,
    progress: bool = False,
    **unknown: Any,
) -> World:
    """Build a world from a config, or from the settings of one as keywords; `World.config` holds it.

    Each setting is described in `envs.config.WorldConfig`. Everything may be given by name, so that a saved run builds the
    same world again; live objects work too.

    Args:
        config: the whole description, instead of keywords: ``make_world(config.replace(tau=0.8))``.
        progress: show fits.

    Raises:
        ManifoldError: whatever does not fit together, with the way out; an unknown setting, with the close names.
    """
    settings = {name: value for name, value in locals().items() if name in FIELDS}
    refuse_unknown(unknown)
    if config is None:
        return build(WorldConfig(**settings), progress=progress)
    if not isinstance(config, WorldConfig):
        raise ManifoldError(f"make_world takes a WorldConfig, or keywords such as data='digits', not {config!r:.60}")
    if given := WorldConfig(**settings).settings():
        changed = ", ".join(f"{name}=..." for name in given)
        raise ManifoldError(f"pass either a config or settings: make_world(config.replace({changed}))")
    return build(config, progress=progress)


class _Parts(NamedTuple):
    """A manifold, codes of the data where they are known, units, the data in data space, and the classifier."""

    manifold: Manifold
    codes: Tensor | None
    units: Units
    x: Tensor
    classifier: Classifier


@one_thread()
def build(config: WorldConfig, manifold: Manifold | None = None, progress: bool = False) -> World:
    """The world of a config.

    Args:
        config: its description.
        manifold: the manifold that the config describes, where it exists already, as in the folder of a run: it is not built
            again, and the config stays as it is.
        progress: show fits.

    Raises:
        ManifoldError: whatever does not fit together, with the way out.
    """
    whole = config if manifold is None else config.replace(manifold=manifold, latent_dim=None, fit=None)
    whole.refuse_missing()
    check_names(whole)  # before anything is fitted
    data, key = gathered(whole)
    parts = (_of_text if is_text(data.x) else _of_numbers)(whole, data, key, progress)
    parts.manifold.attach(parts.classifier)
    starts = make_starts(parts.manifold, parts.classifier, parts.x, parts.codes, parts.units)
    examples = Examples(
        parts.x if data.held_out is None else parts.units.inward(data.held_out),
        classes_of(data.truth if data.held_out is None else data.held_out_truth),
    )
    return World(parts.manifold, parts.classifier, parts.units, starts, examples, config)


def _of_text(config: WorldConfig, data: Data, key: str | None, progress: bool) -> _Parts:
    """The parts of a world of sentences. Data space is made of the words that the manifold knows: it comes first."""
    classifier = config.classifier
    if classifier is None and key is None and data.truth is not None:
        classifier = word_classifier(data)
    standing = standing_classifier(classifier, config.data, data, key, config.seed)

    def asker(vocabulary: Vocabulary) -> Classifier:
        return _adapted(config, standing, data, TextUnits(vocabulary))

    sentences, codes, asked = text_manifold(config, key, data, asker, progress)
    units = TextUnits(sentences.vocabulary)
    adapted = _adapted(config, standing, data, units)
    adapted.queries += asked
    return _Parts(sentences, codes, units, units.inward(data.x), adapted)


def _of_numbers(config: WorldConfig, data: Data, key: str | None, progress: bool) -> _Parts:
    """The parts of a world of pictures or tables. A manifold that is fitted may need the classifier, or bring it."""
    units = asked_in = units_of(data)
    x = units.inward(data.x)
    model, codes = standing_manifold(config, key, x, units)
    classifier = config.classifier
    if classifier is None and (model == "joint" or isinstance(model, Joint)):
        if isinstance(model, str):
            count = len(data.class_names) if data.class_names is not None else None
            model = fitted_manifold(model, x, units, config, truth=classes_of(data.truth), classes=count, progress=progress)
        classifier = model.classifier()
        asked_in = Units(units.modality, units.data_shape, units.columns)  # it reads data space, as its encoder does
    elif classifier is None and data.table is not None and data.truth is not None:
        classifier = fitted_classifier(x, np.asarray(data.truth), config.seed, progress)
    else:
        classifier = standing_classifier(classifier, config.data, data, key, config.seed)
    adapted = _adapted(config, classifier, data, asked_in)
    if isinstance(model, str):
        model = fitted_manifold(model, x, units, config, classifier=adapted, progress=progress)
    return _Parts(model, codes, units, x, adapted)


def _adapted(config: WorldConfig, classifier: Any, data: Data, units: Units) -> Classifier:
    """The classifier as a world asks it."""
    needs_labels = isinstance(config.task, str) and config.task in TASKS and TASKS[config.task].needs_label_only
    return adapt(
        classifier,
        units=units,
        class_names=config.class_names if config.class_names is not None else names_for(data, classifier),
        input_shape=config.input_shape,
        label_only=config.label_only or needs_labels,
    )


def named_config(env_id: str, settings: Mapping[str, Any]) -> WorldConfig:
    """The config of a registered id with further settings, as a command line gives them.

    Raises:
        UnknownNameError: no such id or setting; close names are offered.
        ManifoldError: the id has data, classifier and manifold of its own.
    """
    own = spec_kwargs(env_id)
    for name in settings:
        if name not in FIELDS:
            raise UnknownNameError("argument of the environment", name, FIELDS)
        if name in PARTS and env_id != "Manifold/Custom-v0":
            raise ManifoldError(f"{name} belongs to Manifold/Custom-v0; {env_id} has its own: leave the id or {name} out")
    return WorldConfig(**{**own, **settings})


def make_world_named(env_id: str, arguments: Mapping[str, Any], progress: bool = False) -> World:
    """The world of `named_config`."""
    return build(named_config(env_id, arguments), progress=progress)
