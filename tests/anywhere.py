"""Parts that tests name as ``tests.anywhere:NAME``."""

from __future__ import annotations

from typing import Any

from sklearn.datasets import load_wine
from sklearn.ensemble import RandomForestClassifier
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm

from envs.datasets import Data

_wine = load_wine()
rows = Data(_wine.data[::2], _wine.data[1::2], _wine.target[::2], _wine.target[1::2], list(_wine.target_names))
forest = RandomForestClassifier(8, random_state=0).fit(rows.x, rows.truth)


class OwnPPO(PPO):
    """PPO under another name."""


class FromNothing(BaseAlgorithm):
    """An algorithm that has nothing in common with those of the table."""

    def _setup_model(self) -> None: ...

    def learn(self, *args: Any, **settings: Any) -> Any:
        raise NotImplementedError
