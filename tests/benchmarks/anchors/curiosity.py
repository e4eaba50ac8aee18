"""Information gain and the other bonuses, without training."""

from __future__ import annotations

from functools import partial

import numpy as np

from tests.benchmarks.anchors.material import normal, transitions
from tests.benchmarks.anchors.values import Measured, System, digest, figures


def network_gain() -> Measured:
    """The two formulas of the gain on a network whose weights are fixed and noise is drawn by numpy."""
    import torch

    from vime import closed_form_gain, expected_gain
    from vime.bnn.dynamics import Head
    from vime.bnn.gaussian_weights import LayerWeights

    sizes = ((6, 8), (8, 7), (7, 8))  # a mean and a log standard deviation of each of four targets
    layers = [
        LayerWeights(0.5 * normal(a + 1, b, seed=k), 0.1 + 0.05 * normal(a + 1, b, seed=9 + k).abs(), True)
        for k, (a, b) in enumerate(sizes)
    ]
    noise = [normal(4, 1, b, seed=20 + k) for k, (_, b) in enumerate(sizes)]
    inputs, targets, mask = normal(30, 6, seed=30), normal(30, 4, seed=31), torch.tensor([1.0, 1.0, 0.0, 1.0])
    found: Measured = {}
    for name, head, ends in (("learned", Head(4, None), 8), ("fixed", Head(4, 0.5), 4)):
        kept = [*layers[:-1], LayerWeights(layers[-1].mean[:, :ends], layers[-1].scale[:, :ends], True)]
        drawn = [*noise[:-1], noise[-1][..., :ends]]
        found[f"gain, {name} noise"] = figures(closed_form_gain(kept, head, inputs, targets, drawn))
        found[f"masked, {name} noise"] = figures(closed_form_gain(kept, head, inputs, targets, drawn, mask=mask))
        found[f"unbiased, {name} noise"] = figures(closed_form_gain(kept, head, inputs, targets, drawn, unbiased=True))
        found[f"expected, {name} noise"] = figures(expected_gain(kept, head, inputs, drawn))
    return found


def vime_expected() -> Measured:
    """VIME by every estimator on one pool, and its gain expected before the next observation is known."""
    from gymnasium import spaces

    from vime import VIME

    found: Measured = {}
    for estimator in ("linearized", "second_order", "gradient_step", "expected"):
        bonus = VIME(
            spaces.Box(-np.inf, np.inf, (4,)), spaces.Box(-1, 1, (2,)), min_pool=100, updates=40, batch_size=64, seed=1,
            hidden=(16,), estimator=estimator,
        )  # fmt: skip
        bonus.add(*transitions(300, seed=1))
        bonus.fit()
        found[estimator] = figures(bonus.score(*transitions(50, seed=2)))
        found[f"before, {estimator}"] = figures(bonus.expected_information_gain(*transitions(50, seed=2)[:2]))
    return found


def bonus_scores(name: str) -> Measured:
    """A bonus fitted to 300 transitions: its scores on known and unknown ones."""
    from gymnasium import spaces

    from vime import make_bonus

    options = {"min_pool": 100, "updates": 30, "batch_size": 64, "seed": 1}
    bonus = make_bonus(name, spaces.Box(-np.inf, np.inf, (4,)), spaces.Box(-1, 1, (2,)), **options)
    bonus.add(*transitions(300, seed=1))
    bonus.fit()
    near, far = bonus.score(*transitions(50, seed=2)), bonus.score(*transitions(50, seed=3, scale=4.0))
    return {"near": figures(near), "far": figures(far), "scores": digest([near.numpy(), far.numpy()])}


BONUSES = ("vime", "bald", "rnd", "l2", "disagreement", "knn")
SYSTEMS = {
    "network gain": System(network_gain),
    "vime estimators": System(vime_expected),
    **{f"bonus {name}": System(partial(bonus_scores, name)) for name in BONUSES},
}
