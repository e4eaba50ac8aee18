"""Minibatches of a fit grow with the data, so that the number of steps does not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from envs import make_world
from envs.building import manifold as building
from envs.building.manifold import LARGEST_BATCH, LEAST_EPOCHS, MOST_FIT_STEPS, batch_of


@pytest.mark.parametrize(
    ("rows", "usual", "batch"), [(100, 32, 32), (64_000, 32, 32), (64_001, 32, 64), (10**6, 128, 512), (10**8, 32, 1024)]
)
def test_the_batch_keeps_the_steps_and_has_a_limit(rows: int, usual: int, batch: int) -> None:
    assert batch_of(rows, usual) == batch
    assert batch == LARGEST_BATCH or LEAST_EPOCHS * rows / batch <= MOST_FIT_STEPS


def test_a_fit_of_many_rows_is_called_with_it_and_one_of_few_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []
    kept = building._kept

    def watched(maker: Any, name: str, settings: Any, *rest: Any) -> Any:
        seen.append(dict(settings))
        return kept(maker, name, settings, *rest)

    monkeypatch.setattr(building, "_kept", watched)
    monkeypatch.setattr(building, "MOST_FIT_STEPS", 20)
    x = np.random.default_rng(0).random((100, 4))
    one = {
        "data": x,
        "classifier": lambda rows: np.stack([rows[:, 0], 1 - rows[:, 0]], 1),
        "class_names": ["a", "b"],
        "progress": False,
    }
    make_world(**one, manifold="vae")
    make_world(**one, manifold="vae", fit={"batch_size": 16})
    monkeypatch.setattr(building, "MOST_FIT_STEPS", 200)
    make_world(**one, manifold="vae")
    assert [settings.get("batch_size") for settings in seen] == [64, 16, None]
