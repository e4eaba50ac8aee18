"""The arrays of a path: their names, types and shapes.

T steps, T+1 frames, d latent dimensions, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.trajectories.file import TrajectoryError

STEP_ARRAYS = ("actions", "rewards", "information_gain", "step_lengths")
FRAME_ARRAYS = ("z", "predictions", "labels", "typicality", "distances")
ARRAYS = (*FRAME_ARRAYS, *STEP_ARRAYS, "source_input", "source_cells")
OF_INPUT = ("source_input", "source_cells")


def typed(name: str, value: Any) -> np.ndarray | None:
    """The values of an array in its type; None stays None."""
    if value is None:
        return None
    whole = name == "labels" or (name == "source_input" and np.asarray(value).dtype.kind in "iu")
    return np.ascontiguousarray(value, dtype=np.float64 if name == "source_cells" else np.int64 if whole else np.float32)


def check_arrays(path: Any) -> None:
    """Check the fields of a `Trajectory` against each other.

    Raises:
        TrajectoryError: arrays of contradicting shapes or with values that are not finite, classes outside `class_names`.
    """
    if path.z.ndim != 2 or len(path.z) == 0:
        raise TrajectoryError(f"z has shape {path.z.shape}; a path needs (T+1, d) with at least one frame")
    frames, d, k = len(path.z), path.z.shape[1], len(path.class_names)
    tails = {"z": (d,), "actions": (d,), "predictions": (k,)}
    for name in ARRAYS:
        value = getattr(path, name)
        if value is None:
            continue
        shape = (frames - (name in STEP_ARRAYS), *tails.get(name, ()))
        if name not in OF_INPUT and value.shape != shape:
            raise TrajectoryError(f"{name} has shape {value.shape}; with z {path.z.shape} it must have {shape}")
        if name not in ("information_gain", "source_cells") and not np.isfinite(value).all():
            raise TrajectoryError(f"{name} holds values that are not finite; a path is made of numbers")
    if path.texts is not None and len(path.texts) != frames + 1:
        raise TrajectoryError(f"{len(path.texts)} texts for the input and {frames} frames; one each is needed")
    if path.label_only != (path.predictions is None) or path.label_only != (path.labels is not None):
        raise TrajectoryError("label_only paths have labels and no probabilities, all others probabilities and no labels")
    if path.predictions is not None and (path.predictions.min() < -1e-5 or np.abs(path.predictions.sum(1) - 1).max() > 1e-3):
        raise TrajectoryError("rows of predictions are not probabilities: each must be at least 0 and sum to 1")
    if path.goal is not None and path.goal.names != path.class_names:
        raise TrajectoryError(
            f"the goal {path.goal.text!r} has the outcomes {path.goal.names}, the path {path.class_names[:12]}"
        )
    columns = 0 if path.source_cells is None else len(path.source_cells)
    if any(cell >= columns or max(places) >= path.source_input.size for cell, *places in (path.hidden or {}).values()):
        raise TrajectoryError(f"hidden columns at {path.hidden}, but the row has {columns} cells")
    extremes = () if path.labels is None else (path.labels.min(), path.labels.max())
    for name, value in (("source", path.source), ("target", path.target), *(("labels", c) for c in extremes)):
        if not 0 <= value < k:
            raise TrajectoryError(f"{name} {value} is not one of the {k} classes {path.class_names[:12]}")
