"""The measures of explanations: their names for people, what they mean, and their units.

Vocabulary: an explanation is *valid* where its last frame satisfies the task; *proximity* is the distance of the last frame to
    the
input, *sparsity* the number of values or words that differ; an end is *plausible* where it is near real data of its class
(implausibility: the kNN ratio, IM1) and where an *oracle*, an independent classifier, agrees with it. Cost is counted in
*queries*, rows that the classifier predicted.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Measure(NamedTuple):
    """One measure.

    Attributes:
        label: its name in tables and reports.
        meaning: one line of explanation.
        unit: of its values.
        outcomes: label and meaning on paths with a goal on a score or on labels, whose frames have outcomes in place of
            classes; None where it has no meaning there; empty where it is the same.

    Example:
        >>> MEASURES["l2_input"].label
        'L2 to the input'
    """

    label: str
    meaning: str
    unit: str
    outcomes: tuple[str, ...] | None = ()


#: key in JSON files and TensorBoard tags -> what it is; the order is the order of tables.
MEASURES: dict[str, Measure] = {
    "validity": Measure("validity", "items whose last frame satisfies the task by its own stop rule", "share"),
    "validity_90": Measure(
        "validity at p >= 0.9", "items whose last frame has p(target) >= 0.9, whatever the task's tau", "share", None
    ),
    "validity_argmax": Measure(
        "validity by class",
        "items whose last frame is predicted as the target class",
        "share",
        ("validity by outcome", "items whose last frame has the wanted outcome"),
    ),
    "class_kept": Measure(
        "frame 0 keeps the class",
        "items whose reconstruction is predicted as the input's class",
        "share",
        ("frame 0 keeps the outcome", "items whose reconstruction has the input's outcome"),
    ),
    "coverage": Measure("coverage", "items that the distances below are taken over: the valid ones", "share"),
    "l2_input": Measure("L2 to the input", "proximity: distance from the last frame to the true input", "data space"),
    "l2_reconstruction": Measure("L2 to frame 0", "the same to the reconstruction: the change by the walk", "data space"),
    "l1_input": Measure("L1 to the input", "sum of absolute differences to the true input", "data space"),
    "l1_reconstruction": Measure("L1 to frame 0", "the same to the reconstruction", "data space"),
    "edit_input": Measure("words changed", "words inserted, deleted or replaced between input and last frame (text)", "words"),
    "changed_columns": Measure("columns changed", "columns of the last frame that differ from the input (tables)", "columns"),
    "latent_length": Measure("latent length", "sum of the latent lengths of the steps", "latent"),
    "path_length": Measure("path length", "sum of the distances from frame to frame", "data space"),
    "pullback_length": Measure("pullback length", "length of the decoded latent polyline (pullback metric)", "data space"),
    "line_ratio": Measure("length / straight line", "pullback length over that of the straight latent line", "ratio"),
    "detour_ratio": Measure("length / geodesic", "pullback length over that of a geodesic to the end", "ratio"),
    "straightness": Measure("straightness", "distance from first to last frame as a share of the path length", "share"),
    "rising_share": Measure(
        "rising steps",
        "steps of valid items along which p(target) does not fall",
        "share",
        ("rising steps", "steps of valid items that do not lead away from the goal"),
    ),
    "tv_ratio": Measure(
        "rise / total variation",
        "rise of p(target) as a share of all its changes",
        "share",
        ("rise / total variation", "progress to the goal as a share of all its changes"),
    ),
    "class_switches": Measure(
        "class switches",
        "changes of the predicted class along the path; 1 is the least",
        "count",
        ("outcome switches", "changes of the outcome along the path; 1 is the least"),
    ),
    "p_end": Measure("p(target) at the end", "probability of the target at the last frame", "probability", None),
    "cout": Measure(
        "COUT", "area under p(target) - p(source) by arc length: high where the prediction changes early", "area", None
    ),
    "completeness_gap": Measure(
        "completeness gap",
        "rise of p(target) that the latent-LIME slopes along the path do not add up to",
        "probability",
        None,
    ),
    "lime_r2": Measure("R2 of latent LIME", "mean over the frames of a path", "share", None),
    "knn_ratio": Measure(
        "kNN ratio",
        "distance to the 5 nearest real items of the class; 1: as real items",
        "ratio",
        ("kNN ratio", "distance to the 5 nearest real items at the goal; 1: as real items"),
    ),
    "worst_knn_ratio": Measure(
        "kNN ratio, worst frame",
        "the same at a path's worst frame, to items of any class",
        "ratio",
        ("kNN ratio, worst frame", "the same at a path's worst frame, to items of any outcome"),
    ),
    "im1": Measure(
        "IM1",
        "reconstruction error by the target class's autoencoder over that by the source class's",
        "ratio",
        ("IM1", "reconstruction error by an autoencoder of items at the goal over that of the input's outcome"),
    ),
    "oracle": Measure(
        "oracle agrees",
        "last frames that an independent classifier predicts as the target class",
        "share",
        ("oracle agrees", "last frames that an independent classifier of outcomes sees at the goal"),
    ),
    "roughness": Measure("roughness", "log(1 + dimensionless jerk) of 32 points at equal arc length", "log"),
    "largest_step_ratio": Measure("longest / mean step", "longest step between frames over the mean step", "ratio"),
    "frames": Measure("frames, median", "number of frames of a path", "count"),
    "longest_step": Measure("longest step", "longest step between frames, over all items", "data space"),
    "step_bound_share": Measure("steps within the bound", "steps no longer than the world's bound", "share"),
    "queries": Measure("queries", "classifier queries per item: input, frame 0, search and retries included", "rows"),
}


def measures_of(goal: Any = None) -> dict[str, Measure]:
    """`MEASURES` in the words of a goal on a score or on labels, without those that have no meaning there; None: of classes.

    Example:
        >>> from envs.goals import ScoreGoal
        >>> measures_of(ScoreGoal(low=2.0))["class_switches"].label, "p_end" in measures_of(ScoreGoal(low=2.0))
        ('outcome switches', False)
    """
    if goal is None:
        return MEASURES
    named = {key: each for key, each in MEASURES.items() if each.outcomes is not None}
    return {
        key: each._replace(label=each.outcomes[0], meaning=each.outcomes[1]) if each.outcomes else each
        for key, each in named.items()
    }


def label(key: str, goal: Any = None) -> str:
    """The name of a measure for people; of any other figure, its key in words."""
    known = measures_of(goal)
    return known[key].label if key in known else key.replace("_", " ")
