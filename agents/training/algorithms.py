"""The algorithms by name or ``module:object``, and their hyperparameters: YAML files keyed by environment id, as in RL Zoo.

Order of precedence: the file's ``default`` group, the group of the environment's id, ``--hyperparams``. Beside the
arguments of the algorithm's constructor a group may hold

    n_envs         how many environments walk at once
    n_timesteps    steps in all, if ``-n`` is not given
    n_eval_envs    how many environments the evaluation walks at once
    env_kwargs     keyword arguments of the environment (reward weights, moves ...), under those of ``--env-kwargs``
    noise_type, noise_std     exploration noise of the off-policy algorithms ("normal")

Minibatches grow with the environments: ``batch_size`` is meant for the file's own ``n_envs`` and is scaled when
another number is requested, unless ``--hyperparams`` gives it. ``learning_rate: lin_7e-4`` falls linearly to zero.
"""

from __future__ import annotations

import difflib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.console.cli import MOST_STEPS, UserError
from agents.runs.checks import MOST_ENVS
from agents.training.deferred_optimizer import DeferredAdam
from envs.core.registry import find
from envs.errors import UnknownNameError
from envs.reading import checks
from envs.reading.files import read_yaml
from envs.reading.objects import load_object

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm

HYPERPARAMETER_FOLDER = Path(__file__).parent / "hyperparameters"
#: name -> module:class
ALGORITHMS: dict[str, str] = {
    "ppo": "stable_baselines3:PPO",
    "ppo2v": "vime.sb3:TwoValuePPO",
    "a2c": "stable_baselines3:A2C",
    "sac": "stable_baselines3:SAC",
    "td3": "stable_baselines3:TD3",
    "tqc": "sb3_contrib:TQC",
    "trpo": "sb3_contrib:TRPO",
}
OURS = ("n_envs", "n_timesteps", "n_eval_envs", "env_kwargs", "noise_type", "noise_std", "warm_start")
SET_BY_US = ("env", "policy", "seed", "device", "verbose", "tensorboard_log", "_init_setup_model", "monitor_wrapper")


def algorithm_class(algo: str | type) -> type[BaseAlgorithm]:
    """The class of an algorithm.

    Args:
        algo: a name of :data:`ALGORITHMS`, ``module:object``, or a class derived from SB3's `BaseAlgorithm`.

    Raises:
        UnknownNameError: unknown name; close names are offered.
        UserError: another kind of object.

    Example:
        >>> algorithm_class("ppo").__name__, algorithm_class("sb3_contrib:TRPO").__name__
        ('PPO', 'TRPO')
    """
    from stable_baselines3.common.base_class import BaseAlgorithm

    found: Any = find("algorithm", algo, ALGORITHMS, ["module:object"])
    found = load_object(found) if isinstance(found, str) else found
    if not (isinstance(found, type) and issubclass(found, BaseAlgorithm)):
        raise UserError(f"the algorithm {algo!r} is {found!r:.60}; a class derived from SB3's BaseAlgorithm is needed")
    return found


def settings_of(algo: str) -> str | None:
    """The name of the hyperparameter file: that of the nearest base class that has one, None without any."""
    if algo in ALGORITHMS and (HYPERPARAMETER_FOLDER / f"{algo}.yml").is_file():
        return algo
    files = {algorithm_class(name): name for name in ALGORITHMS if (HYPERPARAMETER_FOLDER / f"{name}.yml").is_file()}
    return next((files[kind] for kind in algorithm_class(algo).__mro__ if kind in files), None)


def is_on_policy(algo: str) -> bool:
    """Whether an algorithm learns from the rollouts of its present policy alone."""
    from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

    return issubclass(algorithm_class(algo), OnPolicyAlgorithm)


def log_interval(algo: str) -> int:
    """How often SB3 writes its figures: after so many rollouts of an on-policy algorithm, else episodes."""
    return (10 if settings_of(algo) == "a2c" else 1) if is_on_policy(algo) else 100


def load_hyperparameters(
    algo: str, env_id: str, overrides: dict[str, Any] | None = None, n_envs: int | None = None
) -> dict[str, Any]:
    """The settings of one training, plain data (goes into config.json as it is).

    Args:
        algo: a name of :data:`ALGORITHMS`, or ``module:object``. A class without a file of its own takes that of the nearest
            base class that has one.
        env_id: the group of the file to lay over ``default``.
        overrides: from ``--hyperparams``; they win.
        n_envs: from ``--n-envs``; the minibatch grows with it.

    Raises:
        UserError: unknown algorithm or hyperparameter (close names are offered), or a number that cannot be.
    """
    accepted = accepted_hyperparameters(algo)
    file = settings_of(algo)
    groups = read_yaml(HYPERPARAMETER_FOLDER / f"{file}.yml", aliases=True) if file else {}
    settings = {**groups.get("default", {}), **groups.get(env_id, {})}
    overrides = dict(overrides or {})
    for key in overrides:
        if key not in accepted:
            close = difflib.get_close_matches(key, accepted, n=2)
            hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(sorted(accepted))}"
            raise UserError(f"--hyperparams {key}: {algo} has no such hyperparameter; {hint}")
    own_envs = int(settings.get("n_envs", 1))
    settings.update(overrides)
    if n_envs is not None:
        settings["n_envs"] = n_envs
    envs = settings.setdefault("n_envs", 1)
    if not isinstance(envs, int) or envs < 1:
        raise UserError(f"n_envs is {envs!r}; it must be a whole number of at least 1")
    check_hyperparameters(settings, algo)
    if "batch_size" in settings and "batch_size" not in overrides and envs != own_envs:
        settings["batch_size"] = max(32, round(settings["batch_size"] * envs / own_envs))
        if "n_steps" in settings and is_on_policy(algo):
            settings["batch_size"] = min(settings["batch_size"], settings["n_steps"] * envs)
    return settings


def accepted_hyperparameters(algo: str) -> set[str]:
    """What ``--hyperparams`` may name for this algorithm."""
    kinds = (algorithm_class(algo), algorithm_class(settings_of(algo) or algo))
    parameters = [p for kind in kinds for p in inspect.signature(kind.__init__).parameters.values()]
    names = {p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    return (names - {"self", *SET_BY_US}) | set(OURS)


#: Hyperparameters that are numbers -> their least and largest value; ``above``: the least itself is too little.
_WHOLE: dict[str, tuple[int, int]] = {
    "n_envs": (1, MOST_ENVS), "n_eval_envs": (1, MOST_ENVS), "n_timesteps": (1, MOST_STEPS), "n_steps": (1, 10**9),
    "n_epochs": (1, 10**6), "batch_size": (1, 10**9), "buffer_size": (1, 10**10), "learning_starts": (0, 10**12),
    "gradient_steps": (-1, 10**9), "policy_delay": (1, 10**6), "target_update_interval": (1, 10**9),
    "cg_max_steps": (1, 10**6), "n_critic_updates": (1, 10**6), "sub_sampling_factor": (1, 10**6),
    "top_quantiles_to_drop_per_net": (0, 10**6),
}  # fmt: skip
_NUMBERS: dict[str, tuple[float, float, bool]] = {
    "learning_rate": (0, 1e3, True), "gamma": (0, 1, True), "gae_lambda": (0, 1, False), "clip_range": (0, 1e9, True),
    "clip_range_vf": (0, 1e9, True), "ent_coef": (0, 1e9, False), "vf_coef": (0, 1e9, False), "max_grad_norm": (0, 1e9, True),
    "target_kl": (0, 1e9, True), "tau": (0, 1, True), "noise_std": (0, 1e9, False), "rms_prop_eps": (0, 1e9, True),
    "target_policy_noise": (0, 1e9, False), "target_noise_clip": (0, 1e9, False), "target_entropy": (-1e9, 1e9, False),
}  # fmt: skip


AUTOMATIC = ("ent_coef", "target_entropy")  # which SAC and TQC adjust themselves


def check_hyperparameters(settings: dict[str, Any], algo: str | None = None) -> None:
    """Refuse numbers that no algorithm can use, and texts where numbers stand, except ``lin_3e-4`` and ``auto``.

    Raises:
        UserError: naming the hyperparameter, its value and its limits.
    """
    usual = {} if algo is None else inspect.signature(algorithm_class(algo).__init__).parameters
    for name, value in settings.items():
        if value is None:
            continue
        if isinstance(value, str) and name == "learning_rate":
            linear_schedule(value)
            continue
        if isinstance(value, str) and name in AUTOMATIC and re.fullmatch(r"auto(_[0-9.e+-]+)?", value):
            if name in usual and not isinstance(usual[name].default, str):
                raise UserError(f"{name} is {value!r}, which {algo} cannot adjust: a number is needed")
            continue
        if name in _WHOLE:
            checks.whole(value, name, *_WHOLE[name], error=UserError)
        elif name in _NUMBERS:
            low, high, above = _NUMBERS[name]
            checks.number(value, name, low, high, above=above, error=UserError)
        elif isinstance(value, float):
            checks.number(value, name, error=UserError)


def make_model(
    algo: str, env: Any, settings: dict[str, Any], seed: int | None, device: str, *, acts_only: bool = False
) -> Any:
    """The SB3 algorithm on a VecEnv, from plain settings.

    Args:
        algo: a key of :data:`ALGORITHMS`.
        env: the VecEnv.
        settings: hyperparameters, see `load_hyperparameters`.
        seed: of the algorithm.
        device: of its networks.
        acts_only: construct the policy's optimizer only if it is used.

    Raises:
        UnknownNameError: a setting that the algorithm does not have.
        UserError: a setting that the algorithm refuses; its own words are passed on.
    """
    check_hyperparameters(settings, algo)
    accepted = accepted_hyperparameters(algo)
    for key in settings:
        if key not in accepted:
            raise UnknownNameError(f"hyperparameter of {algo}", key, sorted(accepted))
    arguments = {key: value for key, value in settings.items() if key not in OURS}
    if isinstance(rate := arguments.get("learning_rate"), str):
        arguments["learning_rate"] = linear_schedule(rate)
    if "policy_kwargs" in arguments:
        arguments["policy_kwargs"] = _policy_kwargs(arguments["policy_kwargs"])
    if settings.get("noise_type") is not None:
        arguments["action_noise"] = _action_noise(settings, env.action_space.shape[0])
    if isinstance(arguments.get("train_freq"), list):
        arguments["train_freq"] = tuple(arguments["train_freq"])
    if acts_only and "use_rms_prop" not in accepted:  # A2C has an optimizer of its own
        arguments["policy_kwargs"] = {"optimizer_class": DeferredAdam, **arguments.get("policy_kwargs", {})}
    try:
        return algorithm_class(algo)("MlpPolicy", env, seed=seed, device=device, verbose=0, **arguments)
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{algo} refuses its settings ({error}); settings: {settings}") from error


def linear_schedule(text: str) -> Any:
    """``lin_3e-4``: 3e-4 at the start, zero at the end."""
    if not text.startswith("lin_"):
        raise UserError(f"learning_rate is {text!r}; write a number or lin_<number>")
    try:
        start = checks.number(float(text[4:]), "learning_rate", 0, above=True)
    except ValueError:
        raise UserError(f"learning_rate is {text!r}; write a number or lin_<number>") from None
    return lambda progress_remaining: progress_remaining * start


def _policy_kwargs(given: Any) -> dict[str, Any]:
    """``activation_fn`` by name -> torch class; the rest as it is."""
    import torch

    if not isinstance(given, dict):
        raise UserError(f"policy_kwargs is {given!r}; it must be a dict such as {{'net_arch': [64, 64]}}")
    activations = {
        "tanh": torch.nn.Tanh,
        "relu": torch.nn.ReLU,
        "silu": torch.nn.SiLU,
        "elu": torch.nn.ELU,
        "gelu": torch.nn.GELU,
    }
    result = dict(given)
    if "activation_fn" in result:
        name = str(result["activation_fn"]).lower()
        if name not in activations:
            raise UserError(f"activation_fn is {result['activation_fn']!r}; known: {', '.join(activations)}")
        result["activation_fn"] = activations[name]
    return result


def _action_noise(settings: dict[str, Any], size: int) -> Any:
    import numpy as np
    from stable_baselines3.common.noise import NormalActionNoise

    if settings["noise_type"] != "normal":
        raise UserError(f"noise_type is {settings['noise_type']!r}; known: normal")
    return NormalActionNoise(np.zeros(size), np.full(size, float(settings.get("noise_std", 0.1))))
