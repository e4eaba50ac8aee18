"""From JSON-able arguments to a `World`: the keys and names of the registered ids, or the user's own parts."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from envs.assets import ASSETS
from envs.classifiers import Classifier, adapt
from envs.datasets import DATASETS, ImageUnits, TextUnits, Units, read_corpus
from envs.datasets.corpora import is_corpus
from envs.datasets.text_units import is_text
from envs.datasets.vocabulary import Vocabulary
from envs.errors import ManifoldError, UnknownNameError
from envs.known_answers import KnownAnswers, digest_of
from envs.making_classifier import fitted_classifier, names_for, standing_classifier
from envs.making_data import classes_of, gathered, refuse_pixels, units_of
from envs.making_manifold import fitted_manifold, standing_manifold
from envs.making_text import text_manifold, word_classifier
from envs.manifolds import Joint
from envs.plain import with_plain_arguments
from envs.progress import on_terminal
from envs.registration import CUSTOM, SPECS, spec_kwargs
from envs.round_trip import ROWS, check_round_trip
from envs.starts import Examples, make_starts
from envs.tasks import TASKS, Flip, OnePair, Task, Weights
from envs.torch_defaults import in_usual_torch
from envs.world import World

# What a training run may set of a world that stands already; the rest are its parts.
NUMBERS = ("tau", "pair", "step", "max_step", "gamma", "max_episode_steps")
UNSAID = ("progress", "live", "known_answers")  # arguments that describe no world
PARTS = ("data", "classifier", "manifold", "fit", "held_out")
VECTORS = ("class_names", "columns", "data_shape", "input_shape", "pixel_range")  # arguments that are lists
SAMPLE = 16  # rows that show what kind of answers a classifier gives
SETTINGS = ("task", "tau", "pair", "reward", "move", "step", "max_step", "compass", "gamma", "max_episode_steps", "entry")


@in_usual_torch
@with_plain_arguments(*VECTORS)
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
    pixel_range: Sequence[float] | None = None,
    channels: str | None = None,
    input_shape: Sequence[int] | None = None,
    outputs: str | None = None,
    label_only: bool = False,
    latent_dim: int | None = None,
    fit: Mapping[str, Any] | None = None,
    task: str | Task | None = None,
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
    known_answers: str | Path | None = None,
    progress: bool = True,
    live: bool = False,
    check_rows: int = ROWS,
) -> World:
    """Build a world. Everything may be given by name, so that a saved run finds it again; live objects work too.

    Args:
        data: ``digits``, ``iris``, ``sentences``, ``mnist`` or ``omniglot`` (from files of the user's own), a .csv or .tsv (a
            mixed table, see `envs.datasets.tables`), an .npz file (see `envs.datasets.arrays.load_npz`), sentences in a .txt,
            .tsv or .jsonl (see `envs.datasets.corpora`), ``module:object``, a `Data`, a data frame (described by guesses
            where it is not all numbers), or raw rows (N, ...) in the user's units; rows with more than one axis are pictures,
            strings are sentences.
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
        pixel_range: lowest and highest value of a pixel, e.g. ``(0, 16)``. If nothing is said, it is guessed from the type and
            the values of the pictures. The classifier is asked in these values and in the pictures' own type.
        channels: ``first`` or ``last``: where pictures have their channels; guessed from their shape if nothing is said.
        input_shape: shape of one input of the classifier where it is not that of the data. Pictures with their channels
            elsewhere are transposed.
        outputs: what a torch module gives, ``logits`` or ``probabilities``; noticed if nothing is said.
        label_only: the classifier shows labels alone.
        latent_dim: d of a fitted manifold, or of the user's own generator; refused for one that stands already.
        fit: settings of its fit, e.g. ``{"hidden": [256]}``; see the `fit` of each manifold.
        task: see `envs.tasks`. Default: ``flip`` (until the answer changes) for the user's own data or classifier that shows
            probabilities; ``reach`` for shipped data with their own classifier, where labels alone are shown, and with `tau`.
        tau, reward: see `envs.tasks`; `reward` overrides single weights. `tau` alone means the task ``reach``.
        move: a key of `envs.moves.MOVES`; ``euclidean`` if nothing is said.
        pair: of the task ``one_pair``: the rank of the start and its target in `World.far_pairs`, 0 is the hardest.
        step, max_step: median and largest length of a full action's step, as shares of the class distance: an eighth, and 0
            (no bound), if nothing is said.
        compass, gamma, max_episode_steps: see `World`; off, 0.98 and 20 if nothing is said.
        entry: where walks from inputs begin, see `envs.entry`: at the ``code``, or, if its frame is called otherwise than the
            input, at the nearest candidate that keeps the class, ``kept``. If nothing is said: ``kept`` for sentences, else
            ``code``.
        seed: of the split and the fits.
        known_answers: a file of the classifier's answers on these data, as a saved run keeps it (see `envs.known_answers`);
            the classifier is then queried for a few rows only, to see whether it has changed. A world does not remember it.
        progress: show fits, on a terminal.
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
    given = {k: v for k, v in locals().items() if k not in UNSAID and _differs(v, _DEFAULTS[k])}
    if fit is not None and not isinstance(fit, Mapping):
        raise ManifoldError(
            f"fit is a mapping of settings such as {{'epochs': 10}}, not {fit!r}; "
            "on a command line: --env-kwargs fit:\"{'epochs': 10}\""
        )
    if task is None:
        task = default_task(data, classifier, tau, label_only)
    if is_corpus(data, text_column):
        data, target_column = read_corpus(data, text_column, target_column, encoding), None
    parts, key = gathered(data, data_dir, held_out, truth, class_names, columns, target_column, data_shape, seed, encoding)
    if pixel_range is not None:
        parts = parts._replace(pixel_range=tuple(pixel_range))
    if channels is not None:
        parts = parts._replace(channels=channels)
    only_labels = label_only or (isinstance(task, str) and task in TASKS and TASKS[task].needs_label_only)
    asked = 0
    if is_text(parts.x):  # data space is made of the words that the manifold knows: it comes first
        refuse_pixels(parts)
        if classifier is None and key is None and parts.truth is not None:
            classifier = word_classifier(parts)

        def asker(vocabulary: Vocabulary) -> Classifier:
            standing = standing_classifier(classifier, data, parts, key, seed)
            names = class_names if class_names is not None else names_for(parts, standing)
            return adapt(standing, units=TextUnits(vocabulary), class_names=names, label_only=only_labels, outputs=outputs)

        sentences, codes, asked = text_manifold(manifold, key, parts, asker, latent_dim, fit, seed, progress)
        model: Any = sentences
        units: Units = TextUnits(sentences.vocabulary)
        x, cells = units.entered(parts.x)
    else:
        units = units_of(parts, classifier)
        if isinstance(units, ImageUnits):
            given |= units.declared
        x, cells = units.entered(parts.x)
        if on_terminal(progress) and parts.frame is not None and parts.table is not None:
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
        if isinstance(units, ImageUnits) and (classifier is None or (isinstance(classifier, str) and classifier in ASSETS)):
            asked_in = Units("image", units.data_shape)  # shipped classifiers of pictures read data space
        classifier = standing_classifier(classifier, data, parts, key, seed)
    few = range(0, len(x), max(1, len(x) // SAMPLE))[:SAMPLE]
    adapted = adapt(
        classifier,
        units=asked_in,
        class_names=class_names if class_names is not None else names_for(parts, classifier),
        input_shape=input_shape,
        label_only=only_labels,
        outputs=outputs,
        sample=x[few],
        sample_cells=cells[few],
    )
    adapted.queries += asked
    if isinstance(model, str):
        model = fitted_manifold(model, x, units, classifier=adapted, cells=cells, **fitting)
    model.attach(adapted)
    known = None if known_answers is None else _known(known_answers, digest_of(x, cells, units, model, adapted, classifier))
    starts = make_starts(model, adapted, x, codes, units, cells, known)
    asks_nothing = known is not None and starts.answer is known.answer
    checked = None
    if not asks_nothing and classifier is not None and adapted is not classifier and classifier is given.get("classifier"):
        raw = parts.x if parts.own is None else parts.own
        checked = check_round_trip(adapted, units, raw, x, cells, starts, check_rows)
    if on_terminal(progress) and checked is not None:
        print(checked, file=sys.stderr)
    explained = (x, cells) if parts.held_out is None else units.entered(parts.held_out)
    truths = classes_of(parts.truth if parts.held_out is None else parts.held_out_truth)
    examples = Examples(explained[0], _aligned(truths, parts.class_names, adapted.class_names), explained[1])
    if adapted.label_only and task == Flip.name and "task" not in given:
        task = Task.name  # labels alone are shown: reaching one is what changes the answer
    world = World(model, adapted, units, starts, _task(task, None, None, None), examples, spec=_spec(given))
    world.round_trip = checked
    if known is not None and known.elsewhere is not None and asks_nothing:
        world.start_answers = known.elsewhere
    if world.task.name != Task.name:
        world.spec.setdefault("task", world.task.name)  # a spec without a task means `reach`
    world.entry = "kept" if world.modality == "text" else "code"
    settings = {name: value for name, value in given.items() if name in SETTINGS and name != "task"}
    if isinstance(given.get("task"), str):
        settings["task"] = given["task"]
    return configure(world, **settings)


def make_world_named(env_id: str, arguments: Mapping[str, Any], progress: bool = True) -> World:
    """The world of a registered id with further arguments, as a command line gives them.

    Raises:
        UnknownNameError: no such id or argument; close names are offered.
        ManifoldError: the id has data, classifier and manifold of its own.
    """
    own = spec_kwargs(env_id)
    for name in arguments:
        if name not in _DEFAULTS:
            raise UnknownNameError("argument of the environment", name, _DEFAULTS)
        if name in PARTS and env_id != CUSTOM:
            raise ManifoldError(f"{name} belongs to {CUSTOM}; {env_id} has its own: leave the id or {name} out")
    return make_world(**{**own, **arguments, "progress": progress})


def _known(file: str | Path, digest: str) -> KnownAnswers | None:
    """The answers kept in a file, or None with a warning where they belong to other data, another manifold or classifier."""
    known = KnownAnswers.read(file)
    if known.digest == digest:
        return known
    warnings.warn(
        f"the answers kept in {str(file)!r} belong to other data, another manifold or another classifier: "
        f"all {len(known.label):,} reference rows are queried again",
        stacklevel=3,
    )
    return None


def saved_arguments(env_id: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an id as a run or a path holds them: where they name no task, it is the id's own, or ``reach``."""
    return {"task": SPECS.get(env_id, {}).get("task", Task.name), **arguments}


def default_task(data: Any, classifier: Any, tau: float | None, label_only: bool) -> str:
    """The task where none is requested; see `make_world`."""
    shipped = isinstance(data, str) and data in DATASETS and data != SPECS[CUSTOM]["data"]
    usual = shipped and (classifier is None or (isinstance(classifier, str) and classifier in ASSETS))
    return Task.name if usual or label_only or tau is not None else Flip.name


@in_usual_torch
@with_plain_arguments()
def configure(world: World, **settings: Any) -> World:
    """The world with other `SETTINGS`; what is not named, or None, stays as it is. `tau` where the present task has none means
    the task ``reach``.

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
    if "tau" in settings and "task" not in settings and not world.task.takes_tau:
        settings["task"] = Task.name
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
        if not task.takes_tau:
            raise ManifoldError(
                f"tau={tau} belongs to tasks such as 'reach'; the task {task.name!r} ends at {task.stop_rule()}: "
                "leave tau out, or use task='reach'"
            )
        task = replace(task, tau=tau)
    if pair is not None:
        if not isinstance(task, OnePair):
            raise ManifoldError(f"pair= belongs to task='one_pair'; the task {task.name!r} draws its starts: leave it out")
        task = replace(task, pair=int(pair))
    unknown = set(reward or {}) - set(asdict(Weights()))
    if unknown:
        raise UnknownNameError("reward weight", sorted(unknown)[0], asdict(Weights()))
    return replace(task, weights=replace(task.weights, **reward)) if reward else task


def _aligned(truth: torch.Tensor | None, names: Sequence[Any] | None, known: list[str]) -> torch.Tensor | None:
    """True classes (M,), indices of the data's `names`, as indices of the classifier's classes, which may have another order;
    None where a name is not among them."""
    if truth is None or names is None or [str(name) for name in names] == known:
        return truth
    order = [known.index(str(name)) if str(name) in known else -1 for name in names]
    return torch.tensor(order)[truth] if min(order) >= 0 and int(truth.max()) < len(order) else None


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
