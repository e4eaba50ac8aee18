"""The two edges of the data: the user's units outside, data space inside."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from envs.core.factual import Factual
from envs.errors import ManifoldError


@dataclass
class Units:
    """How raw data become data space and back.

    Tables are `NumberUnits` and `TableUnits`, standardised inside; text has `TextUnits`; pictures lie in [0, 1] with channels
    first inside, and the user's own are `ImageUnits`. What comes in is copied: nobody's array is written to.

    Attributes:
        modality: ``image``, ``table`` or ``text`` (see `envs.modalities.text`).
        data_shape: shape of one datum.
        columns: column names of a table.
    """

    modality: str
    data_shape: tuple[int, ...]
    columns: list[str] = field(default_factory=list)

    def inward(self, raw: object) -> Tensor:
        """Data space (B, \\*data_shape) of raw data, checked.

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
        """Data space (B, \\*data_shape) of raw data, and their cells (B, C), see `Factual.cells`."""
        x = self.inward(raw)
        return x, torch.zeros(len(x), 0, dtype=torch.float64)

    def outward(self, x: Tensor) -> Tensor:
        """Raw values of data-space rows, the same shape."""
        return x

    def exact(self, x: Tensor, factual: Factual | None) -> Tensor | None:
        """Cells (B, C) that the classifier is asked about for frames x (B, \\*data_shape) of walks from `factual`: the input's
        own ones, bit for bit, where a frame has not moved. None: the classifier is asked about the frames themselves."""
        return None

    def shown(self, x: Tensor, factual: Factual | None = None) -> dict[str, Any]:
        """One row (D,) for people, a frame of the walk from `factual` if that is known: column -> value."""
        return dict(zip(self.columns, x.reshape(-1).tolist(), strict=True))

    @property
    def anchored(self) -> bool:
        """Whether frame 0 is the input itself, and a frame the input plus what the decoded code has changed since; if not,
        frames are what codes decode to, and frame 0 is a reconstruction."""
        return False

    def laid(self, decoded: Tensor, factual: Factual) -> Tensor:
        """Frames (B, \\*data_shape) of decoded codes in walks from `factual`."""
        return self.hold(decoded, factual.x)

    @property
    def holds(self) -> bool:
        """Whether `hold` does anything."""
        return False

    def hold(self, frame: Tensor, factual: Tensor) -> Tensor:
        """Frames (B, \\*data_shape) with whatever a walk may not change taken from the input; here nothing is held."""
        return frame

    def input_shape(self, classifier: Any, asked: Sequence[int] | None) -> tuple[int, ...]:
        """Shape of one input of `classifier`: as asked for, else that of the data, flat for scikit-learn estimators.

        Raises:
            ManifoldError: a shape that holds another number of values.
        """
        size = int(np.prod(self.data_shape))
        if asked is not None and int(np.prod(tuple(asked))) != size:
            raise ManifoldError(f"input_shape {tuple(asked)} holds {int(np.prod(tuple(asked)))} values, the data {size}")
        if asked is not None:
            return tuple(asked)
        flat = not isinstance(classifier, torch.nn.Module) and (
            hasattr(classifier, "predict_proba") or hasattr(classifier, "predict")
        )
        return (size,) if flat else tuple(self.data_shape)

    def torch_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of an input that a torch module may expect where none is declared, the likeliest first."""
        return [tuple(self.data_shape)]

    @property
    def layouts_differ(self) -> bool:
        """Whether the `torch_shapes` order the same values differently."""
        return False

    def shaped(self, x: Tensor, input_shape: Sequence[int]) -> Tensor:
        """The user's values (B, \\*input_shape) of data-space rows."""
        return self.outward(x).reshape(len(x), *input_shape)

    def asker(self, classifier: Any, input_shape: Sequence[int]) -> Callable[[Tensor], Any]:
        """The function that makes what `classifier` is shown (numpy, its own to write to) of data-space rows."""
        return lambda x: self.shaped(x, input_shape).numpy()

    def raw_asker(self, classifier: Any, input_shape: Sequence[int]) -> Callable[[Any], Any]:
        """The function that makes what `classifier` is shown of the user's own rows, without a way through data space; it
        gives None where the classifier is not asked in the user's values."""
        return lambda raw: self.ordered(np.array(raw), input_shape)

    def ordered(self, raw: np.ndarray, input_shape: Sequence[int]) -> np.ndarray:
        """The user's own rows (B, ...) in the shape (B, \\*input_shape) that a classifier is asked with."""
        return raw.reshape(len(raw), *input_shape)

    # ---- for people and for distances --------------------------------------------------------------------------------

    initial_latent: ClassVar[str] = "code"  # default of `WorldConfig.entry`
    codes_are_coordinates: ClassVar[bool] = False  # True: data have no metric of their own and lie where their codes do
    metric_is_of_coordinates: ClassVar[bool] = True  # False: `Manifold.metric` measures something else than `coordinates`

    def render(self, x: Tensor, factual: Factual | None = None) -> Any:
        """One datum for people: a picture (H, W, 3) uint8, a row by column, or a sentence.

        Args:
            x: one datum in data space.
            factual: the input of the walk of which x is a frame, if that is known.
        """
        return picture(x)

    def distance(self, x: Tensor, others: Tensor) -> Tensor:
        """Distances (B, C), Euclidean, from data x (B, \\*data_shape) to others (B, C, \\*data_shape)."""
        return (others.flatten(2) - x.reshape(len(x), 1, -1)).norm(dim=2)

    def difference(self, before: Tensor, after: Tensor) -> str:
        """What changed from one datum to another, in a few words."""
        return f"{float((after - before).norm()):.3g} from the input"

    @property
    def unseen(self) -> list[Any]:
        """What data space and cells do not say of the values that a classifier is asked with, as JSON holds it."""
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
    """A sentence that says where the first NaN or infinity stands."""
    place = np.argwhere(~np.isfinite(array))[0]
    column = f" (column {columns[place[-1]]!r})" if columns and array.ndim == 2 else ""
    value = array[tuple(place)]
    return f"the data hold {value} at index {tuple(int(i) for i in place)}{column}; remove or impute such rows first"
