"""The contract of a modality: the user's units outside, data space inside, and what people see."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.errors import ManifoldError
from envs.modalities.components import Component, composed
from envs.modalities.regions import regions


@dataclass
class Units:
    """Conversion between the user's units and data space, and everything that depends on the modality.

    Tables have `NumberUnits` or `TableUnits`, standardised in data space. Text has `TextUnits`. Pictures are in [0, 1] with
    channels first in data space; the user's own have `ImageUnits`. Arrays of the user are copied, never written to.

    Args:
        modality: ``image``, ``table``, ``text`` or ``series``.
        data_shape: shape of one datum in data space.
        columns: column names of a table.

    Attributes:
        initial_latent: the modality's default of `WorldConfig.initial_latent`.
        rows_are_strings: the user's rows, which a classifier receives, are strings.
        keeps_all: whether rows come back from data space as they were; if not, by design, other predictions are warned of.
        codes_are_coordinates: data have no metric of their own and use their codes as coordinates.
        metric_is_of_coordinates: whether `Manifold.metric` measures lengths in `Manifold.coordinates`.

    Example:
        >>> units = Units("image", (2, 2))
        >>> units.inward(np.ones((1, 2, 2))).shape
        torch.Size([1, 2, 2])
        >>> units.render(torch.ones(2, 2)).shape
        (2, 2, 3)
    """

    modality: str
    data_shape: tuple[int, ...]
    columns: list[str] = field(default_factory=list)

    def inward(self, raw: object) -> Tensor:
        """Convert raw data to data space (B, \\*data_shape).

        Raises:
            ManifoldError: another shape, not numeric, NaN or infinite values, pictures outside [0, 1].
        """
        array = _numbers(raw)
        size = int(np.prod(self.data_shape))
        if array.ndim == 0 or array.size == 0 or array.size != len(array) * size:
            raise ManifoldError(
                f"data of shape {array.shape} do not fit: a batch (n, {', '.join(map(str, self.data_shape))}) is needed"
            )
        if not np.isfinite(array).all():
            raise ManifoldError(_where_not_finite(array, self.columns))
        x = torch.from_numpy(array).reshape(len(array), *self.data_shape)
        low, high = float(x.min()), float(x.max())
        if low < 0 or high > 1:
            raise ManifoldError(
                f"pictures must have values in [0, 1], these reach from {low:.4g} to {high:.4g}; "
                "divide by their largest value (often 255)"
            )
        return x.float()

    def entered(self, raw: object) -> tuple[Tensor, Tensor]:
        """Convert raw data to data space (B, \\*data_shape) and cells (B, C), see `Factual.cells`."""
        x = self.inward(raw)
        return x, torch.zeros(len(x), 0, dtype=torch.float64)

    def outward(self, x: Tensor) -> Tensor:
        """Raw values of data-space rows, the same shape."""
        return x

    def exact(self, x: Tensor, factual: Factual | None) -> Tensor | None:
        """Cells (B, C) with which the classifier is queried for frames x (B, \\*data_shape) of walks from `factual`: bit for
        bit the input's own where a frame has not moved. None: the classifier is queried with the frames."""
        return None

    def shown(self, x: Tensor, factual: Factual | None = None) -> dict[str, Any]:
        """One row x (D,) for people, by column; `factual`: the input of its walk, if known."""
        return dict(zip(self.columns, x.reshape(-1).tolist(), strict=True))

    @property
    def anchored(self) -> bool:
        """Whether frame 0 is the input, and later frames are the input plus the change of the decoded code. Otherwise frames
        are what codes decode to, and frame 0 is a reconstruction."""
        return False

    def laid(self, decoded: Tensor, factual: Factual) -> Tensor:
        """Frames (B, \\*data_shape) of decoded codes in walks from `factual`."""
        return self.hold(decoded, factual.x)

    @property
    def holds(self) -> bool:
        """Whether `hold` does anything."""
        return False

    def hold(self, frame: Tensor, factual: Tensor) -> Tensor:
        """Frames (B, \\*data_shape) in which everything that a walk may not change is the input's; here nothing is held."""
        return frame

    def input_shape(self, classifier: Any, requested: Sequence[int] | None) -> tuple[int, ...]:
        """Shape of one input of `classifier`: `requested` if given, else that of the data, flat for scikit-learn estimators.

        Raises:
            ManifoldError: a shape that holds another number of values.
        """
        size = int(np.prod(self.data_shape))
        if requested is not None and int(np.prod(tuple(requested))) != size:
            raise ManifoldError(
                f"input_shape {tuple(requested)} holds {int(np.prod(tuple(requested)))} values, the data {size}"
            )
        if requested is not None:
            return tuple(requested)
        flat = not isinstance(classifier, torch.nn.Module) and (
            hasattr(classifier, "predict_proba") or hasattr(classifier, "predict")
        )
        return (size,) if flat else tuple(self.data_shape)

    def torch_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of an input that a torch module may expect, the likeliest first."""
        return [tuple(self.data_shape)]

    @property
    def layouts_differ(self) -> bool:
        """Whether the `torch_shapes` order the same values differently."""
        return False

    def shaped(self, x: Tensor, input_shape: Sequence[int]) -> Tensor:
        """The user's values (B, \\*input_shape) for data-space rows."""
        return self.outward(x).reshape(len(x), *input_shape)

    def asker(self, classifier: Any, input_shape: Sequence[int]) -> Callable[[Tensor], Any]:
        """The function from data-space rows to a fresh array for `classifier`."""
        return lambda x: self.shaped(x, input_shape).numpy()

    def raw_asker(self, classifier: Any, input_shape: Sequence[int]) -> Callable[[Any], Any]:
        """The function from the user's own rows to what `classifier` sees, without data space in between; it returns None if
        the classifier is not queried in the user's values."""
        return lambda raw: self.ordered(np.array(raw), input_shape)

    def ordered(self, raw: np.ndarray, input_shape: Sequence[int]) -> np.ndarray:
        """The user's own rows (B, ...) in the shape (B, \\*input_shape) of a classifier's input."""
        return raw.reshape(len(raw), *input_shape)

    # ---- for people and for distances --------------------------------------------------------------------------------

    initial_latent: ClassVar[str] = "code"
    rows_are_strings: ClassVar[bool] = False
    codes_are_coordinates: ClassVar[bool] = False
    keeps_all: ClassVar[bool] = True
    in_time: ClassVar[bool] = False  # values follow each other: what walks change are intervals
    metric_is_of_coordinates: ClassVar[bool] = True

    def render(self, x: Tensor, factual: Factual | None = None) -> Any:
        """One datum for people: a picture (H, W, 3) uint8, a row by column, or a sentence.

        Args:
            x: one datum in data space.
            factual: the input of the walk of which x is a frame, if that is known.
        """
        return picture(x)

    def sketch(self, x: Tensor, factual: Factual | None = None) -> list[str] | None:
        """One datum as lines of text for a terminal; None: made of what `render` gives."""
        return None

    def texts(self, x: Tensor) -> list[str] | None:
        """The sentences of data x (B, \\*data_shape); None for other modalities."""
        return None

    def distance(self, x: Tensor, others: Tensor) -> Tensor:
        """Distances (B, C), Euclidean, from data x (B, \\*data_shape) to others (B, C, \\*data_shape)."""
        return (others.flatten(2) - x.reshape(len(x), 1, -1)).norm(dim=2)

    def difference(self, before: Tensor, after: Tensor) -> str:
        """What changed from one datum to another, in a few words."""
        return f"{float((after - before).norm()):.3g} from the input"

    # ---- parts -------------------------------------------------------------------------------------------------------

    follows_frames: ClassVar[bool] = True  # parts of different frames correspond; else the two ends alone are compared

    def components(self, frames: Tensor, factual: Factual) -> list[Component]:
        """The parts that differ between frames (F, \\*data_shape) of one walk, the input first; they hold everything that
        changes and do not overlap. Of pictures: regions, see `envs.modalities.regions`."""
        return regions(frames)

    def composed(self, frames: Tensor, components: Sequence[Component], choice: Tensor) -> Tensor:
        """Data (R, \\*data_shape) whose components come from the frames `choice` (R, n), see `components.composed`."""
        return composed(frames, components, choice)

    @property
    def unseen(self) -> list[Any]:
        """Everything else that determines the values in a classifier's input, in JSON's types."""
        return []


def picture(x: Tensor, channels_first: bool = False) -> np.ndarray:
    """A picture (H, W, 3) uint8 of values in [0, 1]; without `channels_first`, channels lie where 1 or 3 of them are."""
    shown = x.detach().cpu().numpy()
    if shown.ndim == 3 and (channels_first or shown.shape[-1] not in (1, 3)):
        shown = np.moveaxis(shown, 0, -1)
        shown = shown[:, :, :3] if shown.shape[-1] == 4 else shown  # without transparency
    grey = shown if shown.ndim == 2 or shown.shape[-1] == 3 else shown[:, :, 0]
    levels = np.clip(grey * 255 + 0.5, 0, 255).astype(np.uint8)
    return np.repeat(levels[:, :, None], 3, axis=2) if levels.ndim == 2 else levels


def _numbers(raw: object) -> np.ndarray:
    """A float copy of the user's array: float32 where that loses nothing, else float64.

    Raises:
        ManifoldError: text, ragged rows, complex numbers.
    """
    try:
        array = np.asarray(raw)
        if np.iscomplexobj(array):
            raise TypeError("complex numbers")
        return np.array(array, dtype=np.float32 if np.can_cast(array.dtype, np.float32) else np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise ManifoldError(f"the data must be numbers, each row as long as the others: {error}") from error


def _where_not_finite(array: np.ndarray, columns: Sequence[str]) -> str:
    """A sentence with the place of the first NaN or infinity."""
    place = np.argwhere(~np.isfinite(array))[0]
    column = f" (column {columns[place[-1]]!r})" if columns and array.ndim == 2 else ""
    value = array[tuple(place)]
    return f"the data hold {value} at index {tuple(int(i) for i in place)}{column}; remove or impute such rows first"
