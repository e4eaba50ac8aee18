"""The registered ids pass Gymnasium's and SB3's checkers; configs go through JSON; an import changes nothing."""

from __future__ import annotations

import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.env_checker import check_env as sb3_check_env

import envs
from envs import SPECS, LatentEnv, LatentVectorEnv, UnknownNameError
from envs.registration import MAX_EPISODE_STEPS, register_all, spec_kwargs

gym.register_envs(envs)

IDS = sorted(SPECS)

# Warnings of the checkers that are not turned into errors, each with its reason: none so far.
EXPLAINED: list[str] = []


@pytest.mark.parametrize("env_id", IDS)
def test_gymnasiums_checker_has_nothing_to_say(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for message in EXPLAINED:
            warnings.filterwarnings("ignore", message)
        env = gym.make(env_id)
        check_env(env.unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_stable_baselines_checker_has_nothing_to_say(env_id):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for message in EXPLAINED:
            warnings.filterwarnings("ignore", message)
        sb3_check_env(gym.make(env_id, render_mode="rgb_array"))
        sb3_check_env(gym.make(env_id).unwrapped)


@pytest.mark.parametrize("env_id", IDS)
def test_the_spec_goes_through_json(env_id):
    env = gym.make(env_id, tau=0.8, move="spherical", render_mode="ansi")
    spec = EnvSpec.from_json(env.spec.to_json())
    again = gym.make(spec)
    assert again.spec.to_json() == env.spec.to_json()
    assert again.unwrapped.world.config == env.unwrapped.world.config
    assert again.unwrapped.world.task.tau == 0.8
    assert again.render_mode == "ansi"
    first, second = (e.reset(seed=1)[0] for e in (env, again))
    np.testing.assert_array_equal(first, second)
    action = np.ones(env.action_space.shape, np.float32)
    assert env.step(action)[1] == again.step(action)[1]


@pytest.mark.parametrize("env_id", IDS)
def test_plain_specs_make_what_the_table_says(env_id):
    spec = gym.spec(env_id)
    assert spec.max_episode_steps == SPECS[env_id].get("max_episode_steps", MAX_EPISODE_STEPS)
    assert EnvSpec.from_json(spec.to_json()).kwargs == SPECS[env_id]
    env = gym.make(env_id)
    assert isinstance(env.unwrapped, LatentEnv)
    told = env.unwrapped.world.config.to_json()
    for name, value in SPECS[env_id].items():
        assert told[name] == value


@pytest.mark.parametrize("env_id", IDS)
def test_many_at_once(env_id):
    vector = gym.make_vec(env_id, num_envs=3)
    assert isinstance(vector.unwrapped, LatentVectorEnv)
    observed, _ = vector.reset(seed=0)
    assert vector.observation_space.contains(observed)
    assert vector.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    lengths, limit = 0, gym.spec(env_id).max_episode_steps
    for t in range(limit):
        _, _, terminated, truncated, _ = vector.step(np.zeros((3, *vector.single_action_space.shape), np.float32))
        lengths = t + 1
        if truncated.any():
            break
    assert terminated.any() or lengths == limit
    for mode in (AutoresetMode.SAME_STEP, "SameStep"):
        same = gym.make_vec(env_id, num_envs=2, autoreset_mode=mode)
        assert same.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    sync = gym.make_vec(env_id, num_envs=3, vectorization_mode="sync")
    np.testing.assert_allclose(sync.reset(seed=0)[0], observed, atol=1e-5)


def test_the_step_limit_truncates():
    env = gym.make("Manifold/Digits-v0", max_episode_steps=4)
    env.reset(seed=0)
    ends = [env.step(np.zeros(8, np.float32))[2:4] for _ in range(4)]
    assert ends == [(False, False)] * 3 + [(False, True)]
    vector = gym.make_vec("Manifold/Digits-v0", num_envs=2, max_episode_steps=4)
    vector.reset(seed=0)
    cut = [vector.step(np.zeros((2, 8), np.float32))[3].tolist() for _ in range(4)]
    assert cut == [[False] * 2] * 3 + [[True] * 2]


def test_order_is_enforced():
    env = gym.make("Manifold/Digits-v0")
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(8, np.float32))


@pytest.mark.parametrize(
    ("wrong", "close"),
    [("Manifold/Digit-v0", "Digits"), ("Manifold/Custm-v0", "Custom"), ("Manifol/Digits-v0", "Manifold")],
)
def test_unknown_ids_offer_close_names(wrong, close):
    with pytest.raises(gym.error.Error, match=close):
        gym.make(wrong)
    with pytest.raises(UnknownNameError, match=f"did you mean 'Manifold/.*{close}|{close}"):
        spec_kwargs(wrong)


def test_a_table_lookup_gives_a_copy():
    spec_kwargs(IDS[0])["data"] = "changed"
    assert SPECS[IDS[0]]["data"] != "changed"


def test_registering_twice_changes_nothing():
    before = {env_id: gym.registry[env_id] for env_id in IDS}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        register_all()
    assert all(gym.registry[env_id] is spec for env_id, spec in before.items())


def test_unknown_arguments_are_refused():
    with pytest.raises(UnknownNameError, match="colour"):
        gym.make("Manifold/Digits-v0", colour="red")


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_envs_loads_nothing_heavy_and_changes_nothing():
    out = run(
        "import os, sys, random, warnings, logging\n"
        "environment, path, state = dict(os.environ), list(sys.path), random.getstate()\n"
        "filters, handlers = list(warnings.filters), list(logging.getLogger().handlers)\n"
        "import gymnasium, numpy\n"
        "numpy_state, printing = str(numpy.random.get_state()), str(numpy.get_printoptions())\n"
        "import envs\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'umap', 'lime', 'ray', 'matplotlib', 'PIL', 'pyro', 'stable_baselines3'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert dict(os.environ) == environment and sys.path == path and random.getstate() == state\n"
        "assert str(numpy.random.get_state()) == numpy_state and str(numpy.get_printoptions()) == printing\n"
        "assert logging.getLogger().handlers == handlers\n"
        "print(*envs.SPECS)\n"
    )
    assert out.split() == list(SPECS)


def test_walking_changes_nothing_global():
    run(
        "import torch, random, numpy, sklearn.datasets, sklearn.linear_model\n"
        "torch.set_num_threads(1)\n"
        "def now(): return (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(),\n"
        "                   torch.get_rng_state().tolist(), random.getstate(), str(numpy.random.get_state()), str(numpy.geterr()))\n"
        "before = now()\n"
        "import envs\n"
        "env = envs.LatentEnv(data='digits', render_mode='rgb_array')\n"
        "env.reset(seed=0); env.step(env.action_space.sample()); env.render()\n"
        "assert now() == before\n"
        "vae = envs.make_world(data='iris', manifold='vae', latent_dim=2)\n"
        "assert now() == before\n"
    )


def test_envs_imports_neither_vime_nor_agents():
    out = run(
        "import sys, pkgutil, importlib, envs\n"
        "for module in pkgutil.walk_packages(envs.__path__, 'envs.'):\n"
        "    importlib.import_module(module.name)\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ('vime', 'agents', 'stable_baselines3', 'pyro')))\n"
    )
    assert out.strip() == "[]"


def test_lazy_names_are_there_and_others_are_refused():
    for name in envs.__all__:
        assert getattr(envs, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'LatentEnvironment'"):
        _ = envs.LatentEnvironment
