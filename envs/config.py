"""The configuration of a world: every setting with its default, frozen, and through JSON in both directions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from envs.errors import ManifoldError, UnknownNameError
from envs.files import in_home
from envs.goals.goal import Goal, Request
from envs.query_options import QueryOptions
from envs.reading.checks import check_world_settings
from envs.runtime.plain import listed

ROWS = ("data", "held_out", "truth")  # fields of whole data sets: JSON holds names and flat lists, no nested ones
NAMES = (  # short lists
    "class_names", "class_order", "columns", "data_shape", "free", "input_shape", "pixel_range", "pixel_mean", "pixel_std",
)  # fmt: skip
EXAMPLES = {"dates": "{'joined': 'days'}", "fit": "{'epochs': 10}", "query": "{'retries': 3}", "reward": "{'distance': 1.0}"}
PATHS = ("data", "data_dir", "columns", "classifier", "manifold")  # fields that may name a file or folder
LIVE = "live"  # the key of the JSON under which live objects are named


@dataclass(frozen=True)
class Live:
    """Placeholder of an object that JSON cannot hold, in a config that was read from JSON.

    Args:
        kind: what the object was.

    Example:
        >>> import numpy as np
        >>> WorldConfig.from_json(WorldConfig(data=np.zeros((60, 4))).to_json()).data
        Live(kind='numpy.ndarray of shape (60, 4)')
    """

    kind: str

    def __str__(self) -> str:
        return self.kind


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class WorldConfig:
    """Settings of a world: its data, classifier and manifold, and how its walks move, are rewarded and end.

    Values are names, numbers, lists and mappings, so that a saved run builds the same world again. Live objects (arrays,
    models, functions) are accepted as well; JSON cannot hold them, and marks their place. None stands for the default that
    the field's text names.

    Args:
        data: ``digits``, ``iris``, ``oscillator``, ``sentences``, ``mnist``, ``fashion_mnist`` or ``omniglot`` (the last three
            are read from `data_dir`); a .csv or .tsv file (a mixed table, see `envs.datasets.tables`); an .npz file (see
            `envs.datasets.arrays.load_npz`); a .ts file of series; a file of sentences, .txt, .tsv or .jsonl (see
            `envs.datasets.corpora`); ``module:object``; a `Data`; a data frame, whose columns are described by guesses if they
            are not all numbers; or raw rows (N, ...) in the user's units. Rows with more than one axis are pictures or series,
            strings are sentences.
        modality: ``series``: the rows are series (points,) or (channels, points) at regular times, in arrays, .npz and .csv
            files; ``image``: they are pictures. Default: guessed; rows of 1 to 16 channels with at least 4 times as many
            points are series.
        sampling: time between two points of series, such as ``0.01 s``, for words. Default: points are numbered.
        data_dir: folder of the files of ``mnist``, ``fashion_mnist`` and ``omniglot``. Default: $MANIFOLD_DATA.
        classifier: an asset's name, ``module:object``, an ``.onnx`` file, or a live one (see `envs.classifiers.adapt`).
            Default: the asset that belongs to the data; for a table with a target column, a small network fitted to it (to its
            numbers, with outputs ``score``); for sentences with known classes, logistic regression on their words.
        manifold: a name of `envs.manifolds.FITS` (fitted to the data, and cached), an asset's name, a folder that
            `Manifold.save` wrote, ``module:object``, or a live object: a `Manifold`, its class (fitted to the data), a pair of
            torch modules (encoder, decoder), or one module from codes (B, latent_dim) to data, whose codes are found by
            inversion (see `envs.manifolds.Generator`). Default: the asset that belongs to the data, else ``vae``. A joint
            manifold has its own classifier, which is used if none is given.
        basis: the directions of the latent space in which walks move, for codes of many numbers: a key of
            `envs.manifolds.basis.BASES` (``principal``, ``decoder``, ``first_layer``, ``classes``, ``metric``),
            ``module:object``, a function, or directions (k, d); see `envs.manifolds.Navigated`. The rest of an input's code is
            kept. Default: every direction, without a basis.
        basis_dim: number of these directions. Default: 16, or those that are given, or as many as a code has values.
        typicality: what says how typical a code is of real data: ``usual``, the manifold's own; ``flow``, a normalising flow
            fitted to the codes of the data, which also bounds walks to the likeliest 99 % of them (see
            `envs.manifolds.density.Flow`; it needs zuko); ``neighbours``, the distance to the nearest codes of the data, which
            bounds walks, too (see `envs.manifolds.neighbour_density.Neighbours`); ``module:object`` or an object with ``fit``.
            Default: ``usual``.
        held_out: more raw rows, to be explained. Default: those of the data set, else `data` itself.
        truth: the true classes (N,) of `data`, if its file does not hold them.
        class_names: one name a class. Default: those of the classifier or of the data.
        columns: names of a table's columns, or of the channels of series; or their description, a file or a mapping (see
            `envs.modalities.columns`), which makes a mixed table of rows in memory.
        dates: column of dates or durations -> the unit that it is explained in: seconds, minutes, hours, days or weeks.
        free: columns of a table that may vary though their names look protected (sex, age; see `envs.modalities.protected`):
            a list, or a text with commas. An age then only rises.
        target_column: the column of a .csv, .tsv or .jsonl file that holds the classes.
        text_column: the column of sentences; it makes a corpus of a .csv file.
        encoding: of a corpus, or of a table's file.
        data_shape: shape of a picture, for pictures whose rows are flat.
        pixel_range: lowest and highest value of a pixel, for example ``(0, 16)``. Default: guessed from the type and the
            values of the pictures. The classifier is queried in these values and in the pictures' own type.
        pixel_mean: mean of each channel that normalised pictures were shifted by, such as ImageNet's
            ``(0.485, 0.456, 0.406)``; together with `pixel_std` and instead of `pixel_range`. The classifier is queried in
            normalised values, and pictures are shown in their own colours.
        pixel_std: standard deviation of each channel that they were divided by, such as ``(0.229, 0.224, 0.225)``.
        channels: ``first`` or ``last``: the axis of a picture's channels. Default: guessed from the shape.
        input_shape: shape of one input of the classifier, if it is not that of the data. Pictures with their channels on the
            other axis are transposed.
        outputs: what the model returns: ``score``, one real number; ``labels``, probabilities of independent labels; of a
            torch module also ``logits`` or ``probabilities``. Default: detected; a regressor has a score.
        goal: for such a score, ``">= 0.7"``, ``"<= 3"`` or ``"2..4"``; for labels, ``"NAME=yes, OTHER=no"``; see `envs.goals`.
            The target of an explanation may be another goal. Default: the median of the reference rows' scores; the first
            label.
        spread: unit of the progress towards a goal on a score. Default: the standard deviation of the reference rows' scores.
        class_order: the classes from the lowest to the highest, for targets such as ``">= medium"``. Default: unordered,
            unless they are numbers.
        label_only: the classifier returns only labels. Tasks that need this set it.
        latent_dim: d of a fitted manifold, or of the user's own generator. Small values make walks easy and frames coarse.
            Default: half the size of the data, or as many as hold 98 % of its variance if that is more, from 2 to 8.
        fit: settings of the manifold's fit, for example ``{"hidden": [256]}``; see the `fit` of each manifold.
        task: the goal of a walk: a key of `envs.core.tasks.TASKS`, ``module:object``, or a `Task` or its class. Default:
            ``flip`` (until the prediction changes) for the user's own data or a classifier that shows probabilities;
            ``reach`` for shipped data with their own classifier, if labels alone are shown, and with `tau`.
        tau: the probability in (0, 1] at which a walk has arrived. High values make walks longer and their ends surer.
            Default: the task's, 0.9.
        pair: for the task ``one_pair``: rank of the reference row and its target in `ReferenceData.far_pairs`. Default:
            0, the hardest.
        reward: single weights over the task's own, for example ``{"distance": 1.0}``; see `envs.core.weights.Weights`.
        move: how actions move codes: a key of `envs.core.moves.MOVES`, ``module:object``, a function, or a `Move`. Default:
            ``euclidean``.
        step: median data-space length of a full action, as a share (> 0) of the class distance. Small values make fine paths
            of many steps. Default: 1/8.
        max_step: largest data-space length of a step, as such a share. Default: 0, no bound.
        guidance: whether observations hold the guidance features, see `envs.core.guidance`. Default: False.
        gamma: discount in (0, 1] of the shaping potential; a training sets its own. Default: 0.98.
        max_episode_steps: the step limit, at least 1. Default: 20.
        initial_latent: where the walk of an input begins: ``code``, its code; ``kept``, the nearest code whose frame keeps
            the predicted class; ``module:object``, or a function (see `envs.core.initial_latent`). Default: ``kept`` for
            sentences and the task ``flip``, else ``code``; rows of tables and series begin at the input itself.
        slip: probability in [0, 1] that an action of an environment is replaced by one of the same length in a random
            direction. Explanations and replays never slip. Default: 0.
        distractors: number of further latent dimensions that decode to noise (see `envs.manifolds.Distracted`). Default: 0.
        loudness: of that noise, at least 0; the other numbers of an observation lie in [-1, 1].
        seed: of the split and the fits.
        query: how the classifier is queried, a mapping or `envs.query_options.QueryOptions`: ``cache``, ``repeat``,
            ``retries``, ``batch_size``, ``budget`` and ``temperature``, for slow, noisy, failing or remote classifiers.
        check_rows: number of rows that are queried both as the user has them and from data space, to compare the predictions
            (see `envs.core.round_trip`). Fewer for slow classifiers, 0 for none.

    Raises:
        ManifoldError: a value of another type or outside its range. Names are checked when the world is built.

    Example:
        >>> from envs import make_world
        >>> config = WorldConfig(data="digits", tau=0.8)
        >>> WorldConfig.from_json(config.to_json()) == config
        True
        >>> make_world(config).replace(move="arc").config
        WorldConfig(data='digits', tau=0.8, move='arc')
    """

    data: Any = "iris"
    modality: str | None = None
    sampling: str | float | None = None
    data_dir: str | Path | None = None
    classifier: Any = None
    manifold: Any = None
    basis: Any = None
    basis_dim: int | None = None
    typicality: Any = None
    held_out: Any = None
    truth: Any = None
    class_names: Sequence[Any] | None = None
    columns: Any = None
    dates: Mapping[str, str] | None = None
    free: str | Sequence[str] | None = None
    target_column: str | None = None
    text_column: str | None = None
    encoding: str = "utf-8"
    data_shape: Sequence[int] | None = None
    pixel_range: Sequence[float] | None = None
    pixel_mean: Sequence[float] | None = None
    pixel_std: Sequence[float] | None = None
    channels: str | None = None
    input_shape: Sequence[int] | None = None
    outputs: str | None = None
    goal: Any = None
    spread: float | None = None
    class_order: Sequence[Any] | None = None
    label_only: bool = False
    latent_dim: int | None = None
    fit: Mapping[str, Any] | None = None
    task: Any = None
    tau: float | None = None
    pair: int | None = None
    reward: Mapping[str, float] | None = None
    move: Any = None
    step: float | None = None
    max_step: float | None = None
    guidance: bool | None = None
    gamma: float | None = None
    max_episode_steps: int | None = None
    initial_latent: Any = None
    slip: float = 0.0
    distractors: int = 0
    loudness: float = 1.0
    seed: int = 0
    query: Any = None
    check_rows: int = 2000

    def __post_init__(self) -> None:
        for name in FIELDS:
            value = getattr(self, name)
            if name in NAMES and getattr(value, "ndim", None) == 1 and hasattr(value, "tolist"):
                value = value.tolist()
            value = value.settings() if isinstance(value, QueryOptions) else value
            value = _plain(value, nested=name not in ROWS)
            if name == "goal" and isinstance(value, Goal | Request):
                value = value.text
            self._put(name, in_home(value) if name in PATHS and isinstance(value, str) else value)
        if not isinstance(self.task, type) and (named := getattr(self.task, "settings", None)) is not None:
            self._take_task(named())
        for name in EXAMPLES:
            self._check_mapping(name)
        if isinstance(self.query, Mapping):
            QueryOptions.of(self.query)
        check_world_settings({name: value for name in FIELDS if not isinstance(value := getattr(self, name), Live)})

    def _put(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _take_task(self, named: Mapping[str, Any]) -> None:
        """Take the settings of a task given as an object; those given beside it have priority."""
        for name in ("task", "tau", "pair"):
            if name in named and (name == "task" or getattr(self, name) is None):
                self._put(name, named[name])
        if reward := {**named.get("reward", {}), **(self.reward or {})}:
            self._put("reward", reward)

    def _check_mapping(self, name: str) -> None:
        value, example = getattr(self, name), EXAMPLES[name]
        if value is not None and not isinstance(value, Mapping | Live):
            raise ManifoldError(
                f"{name} is a mapping of settings such as {example}, not {value!r}; "
                f'on a command line: --env-kwargs {name}:"{example}"'
            )

    @cached_property
    def live(self) -> dict[str, str]:
        """The fields that JSON cannot hold, and a description of each value."""
        values = {name: getattr(self, name) for name in FIELDS}
        return {name: _kind(value) for name, value in values.items() if not _is_plain(value, nested=name not in ROWS)}

    def settings(self) -> dict[str, Any]:
        """The fields that differ from their defaults."""
        values = {name: getattr(self, name) for name in FIELDS}
        return {name: value for name, value in values.items() if not _same(value, DEFAULTS[name])}

    def replace(self, **settings: Any) -> Self:
        """A config with other settings.

        Single reward weights are laid over the present ones. A change of the task resets tau, pair and weights.

        Raises:
            UnknownNameError, ManifoldError: no such setting, or a value that it cannot have.
        """
        refuse_unknown(settings)
        present = self.task if self.task is not None or self.tau is None else "reach"  # tau alone means that task
        if not _same(settings.get("task", self.task), self.task) and not _same(settings["task"], present):
            settings = {"tau": None, "pair": None, "reward": None, **settings}
        elif self.reward and isinstance(settings.get("reward"), Mapping):
            settings["reward"] = {**self.reward, **settings["reward"]}
        return dataclasses.replace(self, **settings)

    def to_json(self) -> dict[str, Any]:
        """Every field, in JSON's types; live objects are left out and described under ``live``."""
        live = self.live
        values: dict[str, Any] = {name: getattr(self, name) for name in FIELDS if name not in live}
        return {**values, LIVE: live} if live else values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The config of a JSON object; a `Live` takes the place of each live object.

        Raises:
            UnknownNameError, ManifoldError: an unknown key, or a value that the field cannot have.
        """
        if not isinstance(values, Mapping):
            raise ManifoldError(f"the config of a world is a JSON object of settings, not {values!r:.60}")
        live = values.get(LIVE, {})
        if not isinstance(live, Mapping):
            raise ManifoldError(f"{LIVE!r} in the config of a world names its live objects in a JSON object, not {live!r:.60}")
        own = {name: value for name, value in values.items() if name != LIVE}
        refuse_unknown({**own, **live})
        return cls(**{**own, **{name: Live(str(kind)) for name, kind in live.items()}})

    def portable(self) -> Self:
        """The config with relative paths for files and folders below the current folder."""
        here, below = Path.cwd(), dict[str, Any]()
        for name in PATHS:
            path = getattr(self, name)
            if isinstance(path, str) and Path(path).is_relative_to(here):
                below[name] = str(Path(path).relative_to(here))
        return dataclasses.replace(self, **below)

    def refuse_missing(self) -> None:
        """Refuse to build a world from a config that was read from JSON while live objects are missing.

        Raises:
            ManifoldError: an object is missing; the message names it.
        """
        missing = {name: kind for name, kind in self.live.items() if isinstance(getattr(self, name), Live)}
        if missing:
            objects = ", ".join(f"{name} ({kind})" for name, kind in missing.items())
            raise ManifoldError(
                f"this config is of a world that was built from live objects, which JSON cannot hold: {objects}. "
                f"Pass those objects again: make_world(config.replace({', '.join(f'{name}=...' for name in missing)}))"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WorldConfig):
            return NotImplemented
        return all(_same(getattr(self, name), getattr(other, name)) for name in FIELDS)

    __hash__ = None  # type: ignore[assignment]  # its lists and mappings have no hash

    def __repr__(self) -> str:
        live = self.live
        shown = (f"{n}=<{live[n]}>" if n in live else f"{n}={value!r}" for n, value in self.settings().items())
        return f"WorldConfig({', '.join(shown)})"


DEFAULTS: dict[str, Any] = {field.name: field.default for field in dataclasses.fields(WorldConfig)}
FIELDS = tuple(DEFAULTS)
# Settings that `World.replace` changes; the others belong to the parts that a world is built from.
SETTINGS = (
    "task", "tau", "pair", "reward", "move", "step", "max_step", "guidance", "gamma", "max_episode_steps", "initial_latent",
    "goal", "spread", "class_order",
    "slip",
)  # fmt: skip


def refuse_unknown(settings: Mapping[str, Any]) -> None:
    """Refuse names that are not fields of `WorldConfig`.

    Raises:
        UnknownNameError: the first such name, with the close ones.
    """
    for name in settings:
        if name not in DEFAULTS:
            raise UnknownNameError("setting of a world", name, FIELDS)


def _plain(value: Any, nested: bool = True) -> Any:
    """The value as JSON returns it, if JSON can hold it: paths as text, tuples and arrays of names as lists, numbers of numpy
    and torch as Python's. Any other value as it is."""
    if isinstance(value, Path):
        return str(value)
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        return value.item()
    plain = value
    if isinstance(value, Mapping) and nested:
        plain = {name: _plain(listed(part)) for name, part in value.items()}
    elif type(value) in (list, tuple) and (nested or _is_flat(value)):
        plain = [_plain(part) for part in value]
    return plain if _is_plain(plain) else value  # a pair of modules, say, stays the object that it is


def _is_flat(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str | int | float) for value in values)


def _is_plain(value: Any, nested: bool = True) -> bool:
    """Whether JSON holds the value and returns an equal one."""
    if isinstance(value, str | int | None.__class__):
        return True
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, list):
        return all(map(_is_plain, value)) if nested else _is_flat(value)
    return isinstance(value, dict) and nested and all(isinstance(n, str) and _is_plain(part) for n, part in value.items())


def _same(a: Any, b: Any) -> bool:
    """Whether two values of a field are the same: equal if JSON holds both, else one object."""
    return a is b or (_is_plain(a) and _is_plain(b) and a == b) or (isinstance(a, Live) and isinstance(b, Live) and a == b)


def _kind(value: Any) -> str:
    """What an object is, in a few words."""
    if isinstance(value, Live):
        return value.kind
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__.split('.')[0]}.{kind.__qualname__}"
    shape = getattr(value, "shape", None)
    return f"{name} of shape {tuple(shape)}" if isinstance(shape, tuple) else name
