"""Arms of the benchmarks of curiosity that are a bonus with other options, beside the bonuses themselves."""

from __future__ import annotations

from typing import Any

_LINEARIZED: dict[str, Any] = {"estimator": "linearized", "updates": 12, "learning_rate": 1e-2}
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "vime_second_order": ("vime", {"estimator": "second_order"}),
    "vime_linearized": ("vime", _LINEARIZED),
    "vime_frame": ("vime", _LINEARIZED | {"prediction_target": "frame"}),
    "vime_early_decay": ("vime", _LINEARIZED | {"success_decay": 0.02}),
    "vime_anchored": ("vime", _LINEARIZED | {"noise": "anchored"}),
    "vime_last_layer": ("vime", _LINEARIZED | {"posterior": "last_layer"}),
    "vime_last_layer_joint": ("vime", _LINEARIZED | {"posterior": "last_layer", "joint": True}),
    "vime_last_layer_anchored": ("vime", _LINEARIZED | {"posterior": "last_layer", "noise": "anchored"}),
    "vime_deep_ensemble": ("vime", _LINEARIZED | {"posterior": "deep_ensemble", "learning_rate": 3e-3}),
}
"""arm -> the bonus, and options over those that ship for it."""


def bonus_of(arm: str) -> tuple[str, dict[str, Any]]:
    """The bonus of an arm, and the options that make it a variant."""
    return VARIANTS.get(arm, (arm, {}))
