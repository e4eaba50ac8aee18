"""Every kind of space and every algorithm of Stable-Baselines3 and sb3-contrib is paid a bonus, or refused by name."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import ARS, QRDQN, TQC, TRPO, CrossQ, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from vime import CuriosityVecEnvWrapper, ModeError, OptionError, make_bonus
from vime.encoders import RandomConv

torch.set_num_threads(1)
OBSERVATIONS = {
    "box": spaces.Box(-1, 1, (3,), np.float32),
    "discrete": spaces.Discrete(5),
    "multi_discrete": spaces.MultiDiscrete([3, 4]),
    "multi_binary": spaces.MultiBinary(4),
    "dict": spaces.Dict({"x": spaces.Box(-1, 1, (2,), np.float32), "k": spaces.Discrete(3)}),
    "image": spaces.Box(0, 255, (36, 36, 1), np.uint8),
}
BOX, DISCRETE = spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(3)


class Drawn(gym.Env):
    """Observations are drawn from the space; episodes of five steps."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.age = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.age += 1
        return self.observation_space.sample(), 0.0, False, self.age >= 5, {}

    def action_masks(self):
        return np.ones(3, bool)


def curious(observation_space, action_space, name="l2", **options):
    venv = VecMonitor(DummyVecEnv([lambda: Drawn(observation_space, action_space)] * 2))
    venv.seed(0)
    small = {"min_pool": 32, "updates": 2, "batch_size": 32, "pool_size": 500}
    bonus = make_bonus(name, venv.observation_space, venv.action_space, **(small | options))
    return CuriosityVecEnvWrapper(venv, bonus, 0.1, fit_every=32)


ON = {"n_steps": 16, "seed": 0, "device": "cpu"}
OFF = {"learning_starts": 20, "buffer_size": 500, "batch_size": 16, "train_freq": 8, "seed": 0, "device": "cpu"}
ALGORITHMS = {
    "ppo": (PPO, BOX, ON | {"batch_size": 32, "n_epochs": 1}),
    "a2c": (A2C, BOX, ON),
    "trpo": (TRPO, BOX, ON | {"batch_size": 32}),
    "recurrent_ppo": (RecurrentPPO, BOX, ON | {"batch_size": 32, "n_epochs": 1}),
    "maskable_ppo": (MaskablePPO, DISCRETE, ON | {"batch_size": 32, "n_epochs": 1}),
    "dqn": (DQN, DISCRETE, OFF),
    "qrdqn": (QRDQN, DISCRETE, OFF),
    "sac": (SAC, BOX, OFF),
    "td3": (TD3, BOX, OFF),
    "ddpg": (DDPG, BOX, OFF),
    "tqc": (TQC, BOX, OFF),
    "crossq": (CrossQ, BOX, OFF),
}


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_every_algorithm_is_paid(name):
    algorithm, actions, settings = ALGORITHMS[name]
    env = curious(OBSERVATIONS["box"], actions)
    policy = "MlpLstmPolicy" if name == "recurrent_ppo" else "MlpPolicy"
    algorithm(policy, env, **settings).learn(160, callback=env.callback())
    assert env.has_paid
    assert env.figures["bonus_size"] > 0


def test_an_algorithm_that_learns_from_reported_returns_is_refused_by_name():
    env = curious(OBSERVATIONS["box"], BOX)
    with pytest.raises(ModeError, match="ARS is neither"):
        ARS("LinearPolicy", env, seed=0).learn(50, callback=env.callback())


@pytest.mark.parametrize("name", ["vime", "rnd", "e3b"])
@pytest.mark.parametrize("kind", list(OBSERVATIONS))
def test_every_space_is_paid(kind, name):
    options = {"encoder": "random_conv"} if kind == "image" else {}
    env = curious(OBSERVATIONS[kind], DISCRETE, name, **options)
    policy = {"dict": "MultiInputPolicy", "image": "CnnPolicy"}.get(kind, "MlpPolicy")
    A2C(policy, env, **ON).learn(160, callback=env.callback())
    assert env.has_paid


def test_tuples_without_stable_baselines():
    space = spaces.Tuple((spaces.Discrete(3), spaces.Box(-1, 1, (2,), np.float32)))
    draw = np.random.default_rng(0)
    bonus = make_bonus("vime", space, DISCRETE, min_pool=32, updates=2, batch_size=32)
    rows = [(draw.integers(3, size=64), draw.uniform(-1, 1, (64, 2))) for _ in range(2)]
    bonus.add(rows[0], draw.integers(3, size=64), rows[1])
    bonus.fit()
    assert torch.isfinite(bonus.score(rows[0], draw.integers(3, size=64), rows[1])).all()


def test_an_encoder_keeps_large_images_small_and_resumes():
    space = spaces.Box(0, 255, (84, 84, 4), np.uint8)
    with pytest.raises(OptionError, match='encoder="random_conv"'):
        make_bonus("rnd", space, DISCRETE)
    bonus = make_bonus("rnd", space, DISCRETE, encoder="random_conv", min_pool=32, updates=2)
    draw = np.random.default_rng(0)
    frames = [draw.integers(256, size=(40, 84, 84, 4)).astype(np.uint8) for _ in range(2)]
    bonus.add(frames[0], draw.integers(3, size=40), frames[1])
    bonus.fit()
    other = make_bonus("rnd", space, DISCRETE, encoder=RandomConv(space), min_pool=32, updates=2, seed=5)
    other.load_state_dict(bonus.state_dict())
    probe = frames[0][:5], np.zeros(5, int), frames[1][:5]
    assert torch.equal(bonus.score(*probe), other.score(*probe))
    with pytest.raises(OptionError, match="returned shape"):
        make_bonus("rnd", space, DISCRETE, encoder=lambda images: np.zeros(3))
    with pytest.raises(OptionError, match="needs a Box of images"):
        make_bonus("rnd", OBSERVATIONS["box"], DISCRETE, encoder="random_conv")


def test_a_bonus_that_drowns_is_warned_of_once():
    env = curious(OBSERVATIONS["box"], DISCRETE)
    paid = torch.ones(4), torch.full((4,), 0.001), np.full(4, 100.0)
    with pytest.warns(UserWarning, match="it has no effect; raise eta"):
        env.record(*paid)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.record(*paid)
