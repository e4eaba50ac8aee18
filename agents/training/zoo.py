"""Hyperparameters in the format of RL Baselines3 Zoo: ``python -m agents.training.zoo ppo > ppo.yml``.

The file is made from `agents/training/hyperparameters/`, so that the zoo trains as `agents.train` does::

    python -m rl_zoo3.train --algo ppo --env VIME/SparseMountainCar-v0 --gym-packages envs --conf-file ppo.yml
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from agents.console.cli import run_main
from envs.registration import CONTROL, CUSTOM, SPECS

OURS = ("n_eval_envs", "warm_start")  # what the zoo does not know


def zoo_settings(algo: str, env_id: str) -> dict[str, Any]:
    """The zoo's settings of one environment.

    Args:
        algo: a key of `agents.training.algorithms.ALGORITHMS` that the zoo has: ppo, a2c, sac, td3, tqc or trpo.
        env_id: a registered id.

    Returns:
        n_envs, n_timesteps, policy, the arguments of the algorithm, and ``env_kwargs``, the settings with which `agents.train`
        walks.
    """
    from agents.training.algorithms import HYPERPARAMETER_FOLDER, load_hyperparameters
    from envs.core.tasks import TASKS, Task
    from envs.reading.files import read_yaml

    settings: dict[str, Any] = {"policy": "MlpPolicy", **load_hyperparameters(algo, env_id)}
    if "policy_kwargs" in settings:
        own = ", ".join(
            f"{name}=nn.{value}" if name == "activation_fn" else f"{name}={value!r}"
            for name, value in settings["policy_kwargs"].items()
        )
        settings["policy_kwargs"] = f"dict({own})"  # the zoo evaluates text, with torch.nn as nn
    spec = SPECS.get(env_id, {})
    if env_id in SPECS and not TASKS.get(spec.get("task", "reach"), Task).scores_coverage:
        walks = read_yaml(HYPERPARAMETER_FOLDER / "walks.yml", aliases=True)
        usual = walks["labels" if spec.get("label_only") else "probabilities"]
        env_kwargs = {name: value for name, value in usual.items() if name not in spec}
        settings["env_kwargs"] = {**env_kwargs, **settings.get("env_kwargs", {})}
    return {name: value for name, value in settings.items() if name not in OURS}


def zoo_file(algo: str) -> str:
    """The zoo's YAML file of an algorithm, with a group for each latent space and control task.

    Example:
        >>> import yaml
        >>> yaml.safe_load(zoo_file("ppo"))["VIME/SparsePendulum-v0"]["n_envs"]
        16
    """
    import yaml

    groups = {env_id: zoo_settings(algo, env_id) for env_id in (*SPECS, *CONTROL) if env_id != CUSTOM}
    return yaml.safe_dump(groups, sort_keys=False)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the file of the algorithm that is named."""
    import argparse

    parser = argparse.ArgumentParser("python -m agents.training.zoo", description=__doc__)
    parser.add_argument("algo", choices=("ppo", "a2c", "sac", "td3", "tqc", "trpo"), help="the algorithm")
    sys.stdout.write(zoo_file(parser.parse_args(argv).algo))
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
