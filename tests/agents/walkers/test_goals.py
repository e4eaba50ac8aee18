"""The ends that walks head for."""

from __future__ import annotations

import numpy as np
import pandas

import envs
from agents.walkers.goals import queried_goals
from envs.core import dynamics


def test_ends_that_fit_what_a_walk_keeps_are_found_behind_nearer_ones() -> None:
    """Age is kept. The nearest and surest rows of the other class are some years older, and lie there for their age alone."""
    random = np.random.default_rng(0)
    rows = pandas.DataFrame({"age": random.uniform(20, 80, 1500).round(), "income": random.normal(size=1500)})
    rows["city"] = random.choice(["a", "b"], 1500)

    def answer(given: pandas.DataFrame) -> np.ndarray:
        yes = (given["age"].astype(float) >= 50) | (given["income"].astype(float) > 1.8)
        return np.stack([1 - yes, yes], axis=1).astype(float)

    world = envs.make_world(data=rows, classifier=answer, class_names=["no", "yes"], progress=False, manifold="pca")
    assert world.units.holds
    x, cells = world.units.entered(pandas.DataFrame({"age": [49.0, 48.0], "income": [0.0, -0.5], "city": ["a", "b"]}))
    state, _ = dynamics.enter(world, x, cells=cells)
    goals, found, queries = queried_goals(world, state, tries=16)
    assert found.all()
    assert (queries <= 24).all()
    ends = world.units.exact(world.decode(goals, state.home), state.home)
    assert ends[:, 0].tolist() == [49, 48]
    assert (ends[:, 1] > 1.8).all()
