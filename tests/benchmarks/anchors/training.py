"""Short trainings: digests of the policies that they end with."""

from __future__ import annotations

import tempfile
from functools import partial
from typing import Any

import numpy as np

from tests.benchmarks.anchors.material import walked
from tests.benchmarks.anchors.values import Measured, System, digest, figures, weights

DIGITS: dict[str, Any] = {"env": "Manifold/Digits-v0"}
ONE_PAIR: dict[str, Any] = {"env": "Manifold/DigitsOnePair-v0", "curiosity": "vime", "n_timesteps": 4096, "n_envs": 32}
CAR: dict[str, Any] = {"env": "VIME/SparseMountainCar-v0", "curiosity": "rnd", "n_timesteps": 2048, "n_envs": 8}
ON_POLICY: dict[str, Any] = {**DIGITS, "n_timesteps": 512, "n_envs": 16, "hyperparams": {"n_steps": 16}}
OFF_POLICY: dict[str, Any] = {
    **DIGITS,
    "n_timesteps": 512,
    "n_envs": 8,
    "hyperparams": {
        "learning_starts": 64, "batch_size": 32, "gradient_steps": 4, "policy_kwargs": {"net_arch": [32]},
    },
}  # fmt: skip


def trained(**settings: Any) -> Measured:
    """A short training with the settings of the files: digests of the policy, and of the bonus's scores if it is curious."""
    from agents.train import train

    with tempfile.TemporaryDirectory() as folder:
        run = train(seed=3, eval_episodes=0, pictures=False, log_folder=folder, **settings)
        space = run.model.observation_space
        obs = np.random.default_rng(0).uniform(-1, 1, (8, *space.shape)).astype(np.float32)
        action, _ = run.model.predict(obs, deterministic=True)
        found: Measured = {"timesteps": run.steps, "action": figures(action), "policy": weights(run.model.policy)}
        if run.bonus is not None:
            scores = run.bonus.score(obs[:-1], action[:-1], obs[1:])
            found |= {"scores": figures(scores), "bonus": digest([scores.numpy()])}
    return found


def resumed() -> Measured:
    """A curious training in two parts, the second from the checkpoint of the first, and the gain along a path of its agent."""
    from agents.explain import explain
    from agents.train import train

    with tempfile.TemporaryDirectory() as folder:
        first = train(
            **DIGITS, curiosity="vime", n_timesteps=2048, n_envs=32, eval_episodes=10, pictures=False, log_folder=folder,
            hyperparams={"n_steps": 32, "batch_size": 128, "n_epochs": 2},
        )  # fmt: skip
        run = train(trained_agent=str(first.folder.root), n_timesteps=4096, log_folder=folder)
        [path] = explain(run, [3])
        return {
            **walked([path]),
            "timesteps": run.steps,
            "policy": weights(run.model.policy),
            "gain": figures(path.information_gain),
            "evaluation": figures([value for _, value in sorted(run.evaluation.items())]),
        }


RUNS: dict[str, dict[str, Any]] = {
    "ppo digits": {**DIGITS, "n_timesteps": 8192},
    "ppo vime one pair": ONE_PAIR,
    "ppo2v rnd car": {**CAR, "algo": "ppo2v"},
    **{f"{algo} digits": {**ON_POLICY, "algo": algo} for algo in ("a2c", "trpo")},
    **{f"{algo} digits": {**OFF_POLICY, "algo": algo} for algo in ("sac", "td3", "tqc")},
}
SYSTEMS = {
    **{f"training {name}": System(partial(trained, **how), portable=False, slow=True) for name, how in RUNS.items()},
    "training resumed": System(resumed, portable=False, slow=True),
}
