"""The counterfactual explanation as a path: one walk from an input to where the classifier's prediction changes.

A `Trajectory` holds arrays and plain metadata, never a live object. On disk it is an ``.npz`` of numbers and one JSON text: no
pickle, written atomically, with a sha256 checksum of all content.

Symbols: T steps, T+1 frames, d latent dimensions, K classes. *Data space* is the decoder's output.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from agents.explanation.badge.result import Badge
from agents.explanation.contributions.result import Contributions
from agents.trajectories.arrays import ARRAYS, check_arrays, typed
from agents.trajectories.file import TrajectoryError, as_object, as_text, blanked, checksum, file_name, read_parts, write_parts
from agents.trajectories.notebook import InNotebooks
from agents.trajectories.resampling import Resampled, resample
from agents.trajectories.shown import WithGoal
from agents.trajectories.world import check_world, decode, factual_of, filled
from envs.reading.trust import digest_of, names_in, remember

if TYPE_CHECKING:
    from envs.core.factual import Factual

DERIVED = ("saved_contributions", "saved_badge")  # from the rest: stored where they were computed, and not compared


@dataclass(frozen=True, eq=False, kw_only=True)
class Trajectory(InNotebooks, WithGoal):
    """One explanation: latents, actions, the classifier's prediction on every frame, and how it was made.

    Attributes:
        z: (T+1, d) latents; row 0 is the encoded input.
        actions: (T, d) as given to the environment's step.
        predictions: (T+1, K) probabilities on the frames; None where labels alone are shown.
        labels: (T+1,) classes on the frames where labels alone are shown, else None (see `predicted`).
        rewards: (T,) of the environment, without curiosity.
        step_lengths: (T,) data-space L2 length of each step (text: between codes).
        information_gain: (T,) in nats; nan where not measured.
        typicality: (T+1,) 1.0: as typical as real data, less beyond; None if not measured.
        distances: (T+1,) data-space L2 (text: between codes) from each frame to the true input; None if not measured.
        source_input: (*data) the true input in data space.
        source_cells: (C,) float64 the user's own cells of a table's row, see `envs.core.factual.Factual`; frame 0 is exactly
            this row. None for pictures and text, whose frame 0 is the reconstruction of the input.
        source, target: predicted class of the true input, and target class (if equal: leave it, or become typical of it).
        environment: the record of the world with its whole config, see `agents.runs.world_record.describe_world`.
        manifold_key: identifies the manifold of the latents.
        walker, seed, index: name of the walker, its seed, and the row of the input in its split, if it has one.
        row: the number of the row in the user's file (from 0), or its index label in the user's data frame, if it has one.
        success: whether the last frame satisfies the task; False for a path of frame 0 alone, of another class than the input.
        queries: classifier queries for this path, including input, frame 0 and search.
        training_queries: queries made before, in training.
        planned: number of last steps that were planned on the agent's surrogate instead of chosen by its policy.
        beyond: number of last steps taken after the task was satisfied for the first time, as people do (`agents.app`).
        versions: installed distribution -> version.
        hidden: column -> its cell and its places in data space, of columns whose values are shown as hidden and left out of
            files, see `agents.redaction`; None: no column is.
        texts: (T+2) the input and every frame as sentences; None where the data are not text.
        saved_contributions, saved_badge: what `contributions` and `badge` found, once they were computed; None: not computed.
        requested: the target as it was given, where it is not one class: a group, or a goal such as ``+10 %``.
        held: names of the table's columns that this path keeps as in the input, so that few change.
        scenario: what this path is among several of its input, such as ``way 2``; None: it is no one of several.

    Raises:
        TrajectoryError: arrays of contradicting shapes or with values that are not finite, classes outside `class_names`.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> path = explain(make_world(), 0, walker="line")
        >>> path.name, path.steps, path.success
        ('line-0000-virginica-to-versicolor', 15, True)
    """

    z: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    step_lengths: np.ndarray
    source_input: np.ndarray
    source: int
    target: int
    class_names: list[str]
    environment: dict[str, Any]
    manifold_key: str
    walker: str
    success: bool
    queries: int
    source_cells: np.ndarray | None = None
    predictions: np.ndarray | None = None
    labels: np.ndarray | None = None
    information_gain: np.ndarray | None = None
    typicality: np.ndarray | None = None
    distances: np.ndarray | None = None
    seed: int = 0
    index: int | None = None
    row: int | str | None = None
    training_queries: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    label_only: bool = False
    texts: list[str] | None = None
    planned: int = 0
    beyond: int = 0
    saved_contributions: Contributions | None = None
    held: list[str] = field(default_factory=list)
    saved_badge: Badge | None = None
    requested: str | None = None
    hidden: dict[str, list[int]] | None = None
    scenario: str | None = None

    walked_here: ClassVar[bool] = False  # set where the path is made: this account may load again the objects that it names
    position: ClassVar[int | None] = None  # set by `agents.explain.explain`: which of the inputs that it was given
    world: ClassVar[Any] = None  # set by `agents.explain.explain`: the live world; neither saved, copied nor compared

    @classmethod
    def trusted(cls, **fields: Any) -> Self:
        """Make a path without conversions or checks, of fields with the right types, shapes and values.

        `versions` and `information_gain` must be given.
        """
        path = object.__new__(cls)
        path.__dict__.update(fields)
        return path

    def __post_init__(self) -> None:
        plain: dict[str, Any] = {n: int(getattr(self, n)) for n in ("source", "target", "queries", "training_queries")}
        plain |= {"seed": int(self.seed), "index": None if self.index is None else int(self.index)}
        plain |= {"success": bool(self.success), "label_only": bool(self.label_only)}
        plain |= {"planned": int(self.planned), "beyond": int(self.beyond)}
        plain["class_names"] = [str(name) for name in self.class_names]
        if self.information_gain is None:
            plain["information_gain"] = np.full(len(self.actions), np.nan)
        plain |= {name: typed(name, plain.get(name, getattr(self, name))) for name in ARRAYS}
        if isinstance(self.saved_contributions, dict):
            plain["saved_contributions"] = Contributions.from_json(
                self.saved_contributions, error=TrajectoryError, scored=self.goal is not None and self.goal.scored
            )
        if isinstance(self.saved_badge, dict):
            plain["saved_badge"] = Badge.from_json(self.saved_badge, error=TrajectoryError)
        for name, value in plain.items():
            object.__setattr__(self, name, value)
        check_arrays(self)

    @property
    def steps(self) -> int:
        """T, the number of steps."""
        return len(self.actions)

    @property
    def predicted(self) -> np.ndarray:
        """(T+1,) predicted class of every frame."""
        return self.predictions.argmax(axis=1) if self.predictions is not None else np.asarray(self.labels)

    @property
    def keeps_class(self) -> bool:
        """Whether frame 0, the reconstruction, has the predicted class of the input."""
        return bool(self.predicted[0] == self.source)

    @property
    def modality(self) -> str:
        """`image`, `table`, `text` or `series`: as the world is described, else by shape and type of the input."""
        x = self.source_input
        return self.environment.get("modality") or ("text" if x.dtype.kind == "i" else "image" if x.ndim > 1 else "table")

    @property
    def name(self) -> str:
        """A file name for any system: walker, input and the two classes, such as ``policy-0042-4-to-9``.

        Each part has at most 40 bytes, of digits, underscores, and letters that file names of this system may have.
        """
        own = self.index if self.row is None else self.row
        place = "input" if own is None else f"{own:04d}" if isinstance(own, int) else own
        return file_name([self.walker, place, *self.plain_names(self.source, self.target)])

    def summary(self) -> str:
        """The path in one or two sentences; without probabilities where labels alone are shown."""
        return _display("agents.explanation.sentences:summarise")(self)

    @property
    def headline(self) -> str:
        """The path in two sentences, see `agents.explanation.headline`."""
        return str(_display("agents.explanation.headline:headline")(self))

    def contributions(self, world: Any = None, **settings: Any) -> Contributions:
        """What each changed part is worth: changes of the target's probability, or of the score, which sum to the change from
        the input to the end.

        The result is kept, and saved with the path; a second call without settings costs no query.

        Args:
            world: the world of a path that was loaded from a file; a path of `explain` knows its own.
            settings: `orders`, `max_queries`, `seed`, `part_names`, `segments`, see
                `agents.explanation.contributions.compute.contributions`.

        Raises:
            UserError: no world is known, or the parts take more queries than `max_queries`.
        """
        if self.saved_contributions is None or settings:
            found = _display("agents.explanation.contributions.compute:contributions")(self, world, **settings)
            object.__setattr__(self, "saved_contributions", found)
        assert self.saved_contributions is not None
        return self.saved_contributions

    def badge(self, source: Any = None) -> Badge:
        """Whether the end holds up: ``holds``, ``unusual end``, ``flips this model only`` or ``not reached``, with reasons.

        The first badge of a world fits other classifiers, in seconds; no query is made. The result is kept, and saved with
        the path.

        Args:
            source: the world or run of a path that was loaded from a file; a path of `explain` knows its own.

        Raises:
            UserError: no world is known.
        """
        if self.saved_badge is None:
            object.__setattr__(self, "saved_badge", _display("agents.explanation.badge.judge:badge")(self, source))
        assert self.saved_badge is not None
        return self.saved_badge

    def plot(self, ax: Any = None) -> Any:
        """Draw the probability of each class against the frame number; labels where the classifier returns only labels.

        Args:
            ax: a matplotlib ``Axes``; None: a new figure, independent of pyplot's global state.

        Returns:
            The axes; ``ax.figure.savefig("path.png")`` writes the picture.
        """
        return _display("agents.trajectories.display:plot")(self, ax)

    def to_pandas(self, world: Any = None) -> Any:
        """One row per frame, as a ``pandas.DataFrame`` indexed by ``frame``.

        The columns are those of :meth:`table`; for a table of data, the row of each frame in the user's own units comes
        first; for text, the sentence (``text``).

        Args:
            world: the world of a path that was loaded from a file; a path of `explain` knows its own. Without a world, the
                columns of a table of data are left out.

        Raises:
            ImportError: pandas is not installed.
            TrajectoryError: `world` has another manifold.
        """
        return _display("agents.trajectories.display:to_pandas")(self, world)

    def __repr__(self) -> str:
        """Two lines: what the path is, and what it says."""
        return f"<Trajectory {self.name}: {self.steps} steps by {self.walker!r}>\n{self.summary()}"

    def __getstate__(self) -> dict[str, Any]:
        """What pickle and copy take: the fields, without the live world."""
        return {name: value for name, value in self.__dict__.items() if name != "world"}

    def table(self) -> list[dict[str, Any]]:
        """One row per frame; the numbers of a step are in the row of the frame it leads to; None where not measured.

        Keys: frame, class, p_target, p_source (both absent where labels alone are shown; in their place score, where the model
        has one), step_length, path_length, distance (to the true input), typicality, reward, information_gain; for text also
        edit_distance (words inserted, deleted or replaced since the true input).
        """
        found: list[dict[str, Any]] = _display("agents.trajectories.display:table")(self)
        return found

    def frames(self, world: Any) -> np.ndarray:
        """Decode the frames.

        Args:
            world: where the path was walked.

        Returns:
            (T+1, *data) float32; word ids for text.

        Raises:
            TrajectoryError: `world` has another manifold.
        """
        return decode(world, self.z, self.factual(world))

    def factual(self, world: Any) -> Factual:
        """The input in the form that decoding needs, a batch of one.

        Raises:
            TrajectoryError: `world` has another manifold, or the path of a table lacks the user's own cells.
        """
        import torch

        self.check_world(world)
        cells = None if self.source_cells is None else self.source_cells[None]
        if cells is None and world.units.anchored:
            raise TrajectoryError(
                "this path of a table was made by an earlier version, whose frames did not start at the input: explain that "
                "input again"
            )
        if self.lacks_values:
            cells = filled(world, self.source_input[None], cells, [column for column, *_ in (self.hidden or {}).values()])
        found = factual_of(world, self.source_input[None], self.z[:1], cells)
        if not self.held:
            return found
        names = [str(name) for name in world.units.columns]
        return found._replace(held=torch.isin(world.units.column_of, torch.tensor([names.index(n) for n in self.held]))[None])

    @property
    def lacks_values(self) -> bool:
        """Whether this path was read from a file that leaves out the values of hidden columns."""
        columns = [column for column, *_ in (self.hidden or {}).values()]
        return bool(columns) and self.source_cells is not None and bool(np.isnan(self.source_cells[columns]).all())

    @property
    def reconstructs(self) -> bool:
        """Whether frame 0 is the reconstruction of the input (pictures, text), not the input itself (tables)."""
        return self.source_cells is None

    def resample(self, n: int, world: Any) -> Resampled:
        """Resample at equal arc length in data space along the straight latent segments, ends included.

        Args:
            n: number of points, at least 1.
            world: where the path was walked.
        """
        return resample(world, self.z, self.factual(world), n)

    def check_world(self, world: Any) -> None:
        """Check that `world` has the manifold and the classes of this path.

        Raises:
            TrajectoryError: it has others.
        """
        check_world(self, world)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trajectory):
            return NotImplemented
        return checksum(*self._parts(DERIVED)) == checksum(*other._parts(DERIVED))

    # ---- to disk and back --------------------------------------------------------------------------------------

    def _parts(self, without: Sequence[str] = ()) -> tuple[dict[str, np.ndarray], str]:
        """The arrays that are not None, and all other fields as one JSON text."""
        arrays = blanked({name: getattr(self, name) for name in ARRAYS if getattr(self, name) is not None}, self.hidden)
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name not in (*ARRAYS, *without)}
        for name in DERIVED:
            found = fields.pop(name, None)
            fields |= {} if found is None else {name: found.to_json()}
        return arrays, as_text(fields)

    def to_json(self, indent: int | None = None) -> str:
        """All fields as one JSON text: arrays as nested lists, not measured as null."""
        whole = as_object(*self._parts()) | {"predicted": self.predicted.tolist(), "summary": self.summary()}
        return json.dumps(whole, indent=indent, ensure_ascii=False, allow_nan=False)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write an ``.npz`` atomically.

        The objects named by a path that was made in this process are remembered as trusted (see `envs.reading.trust`).

        Args:
            path: of the file; ``.npz`` is added if missing.

        Returns:
            The path of the file.
        """
        file = write_parts(path, *self._parts())
        if self.walked_here and names_in(self.environment):
            remember(digest_of(file))
        return file

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trajectory:
        """Read a file of `save`; nothing in it is executed.

        Raises:
            TrajectoryError: the file is missing, truncated, changed since it was written, of another format, or has pickles.
        """
        arrays, fields = read_parts(path)
        try:
            return cls(**{**fields, **arrays})
        except TypeError as error:
            raise TrajectoryError(f"{path}: lacks a field or has one too many ({error})") from None


def _display(name: str) -> Callable[..., Any]:
    """The function ``module:function`` that presents a path: loaded on first use, since it imports this module."""
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)
