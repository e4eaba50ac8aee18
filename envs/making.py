"""From JSON-able arguments to a `World`: the keys and names of the registered ids, or the user's own parts."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from envs.classifiers import Classifier, adapt
from envs.datasets import TextUnits, Units, read_corpus
from envs.datasets.corpora import is_corpus
from envs.datasets.text_units import is_text
from envs.datasets.vocabulary import Vocabulary
from envs.errors import ManifoldError, UnknownNameError
from envs.making_classifier import fitted_classifier, names_for, standing_classifier
from envs.making_data import classes_of, gathered, units_of
from envs.making_manifold import fitted_manifold, standing_manifold
from envs.making_text import text_manifold, word_classifier
from envs.manifolds import Joint
from envs.registration import spec_kwargs
from envs.round_trip import ROWS, check_round_trip
from envs.starts import Examples, make_starts
from envs.tasks import TASKS, OnePair, Task, Weights
from envs.world import World

# What a training run may set of a world that stands already; the rest are its parts.
NUMBERS = ("tau", "pair", "step", "max_step", "gamma", "max_episode_steps")
PARTS = ("data", "classifier", "manifold", "fit", "held_out")
SETTINGS = ("task", "tau", "pair", "reward", "move", "step", "max_step", "compass", "gamma", "max_episode_steps", "entry")


def make_world(
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
    live: bool = False,
    check_rows: int = ROWS,
) -> World:
    """Build a world. Everything may be given by name, so that a saved run finds it again; live objects work too.

    Args:
        data: ``digits``, ``iris``, ``sentences``, ``mnist`` or ``omniglot`` (from files of the user's own), a .csv or .tsv (a
            mixed table, see `envs.datasets.tables`), an .npz file (see `envs.datasets.arrays.load_npz`), sentences in a .txt,
            .tsv or .jsonl (see `envs.datasets.corpora`), ``module:object``, a `Data`, a data frame (described by guesses
            where it is not all numbers), or raw rows (N, ...) in the user's units; rows with more than one axis are pictures
            in [0, 1], strings are sentences.
        data_dir: folder of the files of ``mnist`` and ``omniglot``; default: $MANIFOLD_DATA.
        classifier: an asset's name, ``module:object``, or a live one (see `envs.classifiers.adapt`). Default: the asset that
            belongs to the data; for a table with a target column, a small network fitted to it; for sentences with known
            classes, logistic regression on their words.
        manifold: ``vae``, ``conv_vae``, ``gan``, ``pca``, ``umap``, ``joint`` or ``embedding`` (fitted to the data, and kept
            in the user's cache folder), an asset's name, a folder that `Manifold.save` wrote, ``module:object`` or live
            objects: a `Manifold`, a pair of torch modules (encoder, decoder), or one module from codes (B, latent_dim) to
            data, entered by inversion (see `envs.manifolds.Generator`). Default: the asset that belongs to the data, else
            ``vae``. A joint manifold brings its own classifier where none is given.
        held_out, truth: more raw rows to be explained; the true classes of `data`.
        class_names: names for people.
        columns: names of a table's columns; or their description, a file or mapping (see `envs.datasets.table_columns`), which
            makes a mixed table of rows in memory, too.
        target_column: the column of a .csv, .tsv or .jsonl that holds the classes.
        text_column: the column of sentences; makes a corpus of a .csv, too.
        encoding: of a corpus, or of a table's file.
        data_shape: shape of a picture where rows are flat.
        input_shape: shape of one input of the classifier where it is not that of the data.
        label_only: the classifier shows labels alone.
        latent_dim: d of a fitted manifold, or of the user's own generator; refused for one that stands already.
        fit: settings of its fit, e.g. ``{"hidden": [256]}``; see the `fit` of each manifold.
        task, tau, reward: see `envs.tasks`; `reward` overrides single weights.
        move: a key of `envs.moves.MOVES`; ``euclidean`` if nothing is said.
        pair: of the task ``one_pair``: the rank of the start and its target in `World.far_pairs`, 0 is the hardest.
        step, max_step: median and largest length of a full action's step, as shares of the class distance: an eighth, and 0
            (no bound), if nothing is said.
        compass, gamma, max_episode_steps: see `World`; off, 0.98 and 20 if nothing is said.
        entry: where walks from inputs begin, see `envs.entry`: at the ``code``, or, if its frame is called otherwise than the
            input, at the nearest candidate that keeps the class, ``kept``. If nothing is said: ``kept`` for sentences, else
            ``code``.
        seed: of the split and the fits.
        progress: show fits.
        check_rows: how many rows are asked as the user has them and as walks know them, to see that the classifier is asked
            what it was fitted to (see `envs.round_trip`); fewer for slow classifiers, 0 for none.
        live: marks the `World.spec` of a world built from live objects; refused here, for what is missing cannot be guessed.

    Raises:
        ManifoldError: whatever does not fit together, with the way out.
    """
    if live:
        raise ManifoldError(
            "this spec is of a world that was built from live objects, which JSON cannot hold: "
            "pass those objects again, without live="
        )
    given = {k: v for k, v in locals().items() if k not in ("progress", "live") and _differs(v, _DEFAULTS[k])}
    if fit is not None and not isinstance(fit, Mapping):
        raise ManifoldError(
            f"fit is a mapping of settings such as {{'epochs': 10}}, not {fit!r}; "
            "on a command line: --env-kwargs fit:\"{'epochs': 10}\""
        )
    if is_corpus(data, text_column):
        data, target_column = read_corpus(data, text_column, target_column, encoding), None
    parts, key = gathered(data, data_dir, held_out, truth, class_names, columns, target_column, data_shape, seed, encoding)
    only_labels = label_only or (isinstance(task, str) and task in TASKS and TASKS[task].needs_label_only)
    asked = 0
    if is_text(parts.x):  # data space is made of the words that the manifold knows: it comes first
        if classifier is None and key is None and parts.truth is not None:
            classifier = word_classifier(parts)

        def asker(vocabulary: Vocabulary) -> Classifier:
            standing = standing_classifier(classifier, data, parts, key, seed)
            names = class_names if class_names is not None else names_for(parts, standing)
            return adapt(standing, units=TextUnits(vocabulary), class_names=names, label_only=only_labels)

        sentences, codes, asked = text_manifold(manifold, key, parts, asker, latent_dim, fit, seed, progress)
        model: Any = sentences
        units: Units = TextUnits(sentences.vocabulary)
        x, cells = units.entered(parts.x)
    else:
        units = units_of(parts, classifier)
        x, cells = units.entered(parts.x)
        if progress and parts.frame is not None and parts.table is not None:
            print(f"the columns of the data frame, as described or guessed:\n{parts.table.as_yaml()}", file=sys.stderr)
        model, codes = standing_manifold(manifold, key, latent_dim, fit, x, units)
    fitting: dict[str, Any] = {"latent_dim": latent_dim, "fit": fit, "seed": seed, "progress": progress}
    asked_in = units
    if classifier is None and (model == "joint" or isinstance(model, Joint)):
        if isinstance(model, str):
            count = len(parts.class_names) if parts.class_names is not None else None
            model = fitted_manifold(model, x, units, truth=classes_of(parts.truth), classes=count, **fitting)
        classifier = model.classifier()
        asked_in = Units(units.modality, units.data_shape, units.columns)  # it reads data space, as its encoder does
    elif classifier is None and parts.table is not None and parts.truth is not None:
        classifier = fitted_classifier(x, np.asarray(parts.truth), seed, progress)
    else:
        classifier = standing_classifier(classifier, data, parts, key, seed)
    adapted = adapt(
        classifier,
        units=asked_in,
        class_names=class_names if class_names is not None else names_for(parts, classifier),
        input_shape=input_shape,
        label_only=only_labels,
    )
    adapted.queries += asked
    if isinstance(model, str):
        model = fitted_manifold(model, x, units, classifier=adapted, cells=cells, **fitting)
    model.attach(adapted)
    starts = make_starts(model, adapted, x, codes, units, cells)
    checked = None
    if classifier is not None and adapted is not classifier and classifier is given.get("classifier"):
        raw = parts.x if parts.own is None else parts.own
        checked = check_round_trip(adapted, units, raw, x, cells, starts, check_rows)
    if progress and checked is not None:
        print(checked, file=sys.stderr)
    explained = (x, cells) if parts.held_out is None else units.entered(parts.held_out)
    examples = Examples(
        explained[0], classes_of(parts.truth if parts.held_out is None else parts.held_out_truth), explained[1]
    )
    world = World(model, adapted, units, starts, _task(task, None, None, None), examples, spec=_spec(given))
    world.round_trip = checked
    world.entry = "kept" if world.modality == "text" else "code"
    return configure(world, **{name: value for name, value in given.items() if name in SETTINGS and name != "task"})


def make_world_named(env_id: str, arguments: Mapping[str, Any], progress: bool = False) -> World:
    """The world of a registered id with further arguments, as a command line gives them.

    Raises:
        UnknownNameError: no such id or argument; close names are offered.
        ManifoldError: the id has data, classifier and manifold of its own.
    """
    own = spec_kwargs(env_id)
    for name in arguments:
        if name not in _DEFAULTS:
            raise UnknownNameError("argument of the environment", name, _DEFAULTS)
        if name in PARTS and env_id != "Manifold/Custom-v0":
            raise ManifoldError(f"{name} belongs to Manifold/Custom-v0; {env_id} has its own: leave the id or {name} out")
    return make_world(**{**own, **arguments, "progress": progress})


def configure(world: World, **settings: Any) -> World:
    """The world with other `SETTINGS`; what is not named, or None, stays as it is.

    Raises:
        UnknownNameError, ManifoldError: no such setting, or a value that it cannot have.
    """
    for name in settings:
        if name not in SETTINGS:
            raise UnknownNameError("setting", name, SETTINGS)
    settings = {name: value for name, value in settings.items() if value is not None}
    for name in NUMBERS:
        if isinstance(settings.get(name, 1), bool) or not isinstance(settings.get(name, 1), int | float):
            raise ManifoldError(f"{name} is a number, not {settings[name]!r}")
    if not isinstance(settings.get("compass", False), bool):
        raise ManifoldError(f"compass is true or false, not {settings['compass']!r}")
    named = settings.get("task", world.task.name)
    same = isinstance(named, str) and named == world.task.name
    task = _task(world.task if same else named, settings.get("tau"), settings.get("pair"), settings.get("reward"))
    changes: dict[str, Any] = {
        name: settings[name] for name in ("step", "compass", "gamma", "max_episode_steps") if name in settings
    }
    if "entry" in settings:
        changes["entry"] = settings["entry"]
    if "move" in settings:
        changes["move_name"] = settings["move"]
    if "step" in settings and not settings["step"] > 0:
        raise ManifoldError(f"step is a positive share of the class distance, not {settings['step']}")
    if "max_step" in settings:
        share = settings["max_step"]
        if not share >= 0:
            raise ManifoldError(f"max_step is a share of the class distance, 0 for no bound, not {share}")
        changes["max_step"] = share * world.class_distance if share else None
    # Another task begins with its own tau and weights; the same one keeps what it was told before.
    spec = {name: value for name, value in world.spec.items() if same or name not in ("tau", "pair", "reward")}
    told = _spec(settings)
    if told.get("reward"):
        told["reward"] = {**(spec.get("reward") or {}), **told["reward"]}
    return world.replace(task=task, **changes, spec={**spec, **told})


def _task(task: str | Task, tau: float | None, pair: int | None, reward: Mapping[str, float] | None) -> Task:
    """The task, by name or as it is, with tau, pair and single weights replaced."""
    if isinstance(task, str):
        if task not in TASKS:
            raise UnknownNameError("task", task, TASKS)
        task = TASKS[task]()
    if tau is not None:
        task = replace(task, tau=tau)
    if pair is not None:
        if not isinstance(task, OnePair):
            raise ManifoldError(f"pair= belongs to task='one_pair'; the task {task.name!r} draws its starts: leave it out")
        task = replace(task, pair=int(pair))
    unknown = set(reward or {}) - set(asdict(Weights()))
    if unknown:
        raise UnknownNameError("reward weight", sorted(unknown)[0], asdict(Weights()))
    return replace(task, weights=replace(task.weights, **reward)) if reward else task


def _differs(value: Any, default: Any) -> bool:
    """Whether a value is no default: by value, so that a spec that went through JSON is the same spec."""
    plain = str | int | float | bool | None.__class__
    return not (value is default or (isinstance(value, plain) and isinstance(default, plain) and value == default))


def _spec(given: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON-able arguments; objects that JSON cannot hold are left out and said to be live."""
    spec: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, str | int | float | bool | None.__class__):
            spec[name] = value
        elif isinstance(value, Mapping) or (
            isinstance(value, list | tuple) and all(isinstance(v, str | int | float) for v in value)
        ):
            spec[name] = dict(value) if isinstance(value, Mapping) else list(value)
        elif isinstance(value, Path):
            spec[name] = str(value)
        else:
            spec["live"] = True
    return spec


_DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(make_world).parameters.items()}
