"""PPO with a value head of its own for a non-episodic intrinsic return."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from vime import CuriosityVecEnvWrapper, make_bonus
from vime.sb3 import TwoValuePPO
from vime.sb3.two_value_policy import non_episodic_advantages

OPTIONS = {"n_steps": 16, "batch_size": 32, "n_epochs": 2, "seed": 0, "device": "cpu"}


class Ladder(gym.Env):
    """Counts up by the action; ends after 5 steps with reward 1."""

    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def __init__(self, as_dict=False):
        box = spaces.Box(-20, 20, (2,), np.float32)
        self.as_dict = as_dict
        self.observation_space = spaces.Dict({"x": box}) if as_dict else box

    def _obs(self):
        row = np.array([self.x, self.t], np.float32)
        return {"x": row} if self.as_dict else row

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.t = self.np_random.uniform(-1, 1), 0
        return self._obs(), {}

    def step(self, action):
        self.x += float(action[0])
        self.t += 1
        return self._obs(), float(self.t == 5), self.t == 5, False, {}


def curious(eta=0.5, as_dict=False):
    venv = VecMonitor(DummyVecEnv([lambda: Ladder(as_dict)] * 4))
    venv.seed(0)
    bonus = make_bonus("l2", venv.observation_space, venv.action_space, min_pool=32, updates=3)
    return CuriosityVecEnvWrapper(venv, bonus, eta, fit_every=1)


def test_the_intrinsic_return_runs_on_over_the_ends_of_episodes():
    rng = np.random.default_rng(0)
    rewards, values, last = rng.normal(size=(6, 2)), rng.normal(size=(6, 2)), rng.normal(size=2)
    found = non_episodic_advantages(rewards, values, last, gamma=0.9, gae_lambda=1.0)
    powers = 0.9 ** np.arange(6)
    for t in range(6):
        expected = (powers[: 6 - t, None] * rewards[t:]).sum(0) + 0.9 ** (6 - t) * last - values[t]
        np.testing.assert_allclose(found[t], expected, atol=1e-9)
    one_step = non_episodic_advantages(rewards, values, last, gamma=0.9, gae_lambda=0.0)
    np.testing.assert_allclose(one_step[:-1], rewards[:-1] + 0.9 * values[1:] - values[:-1], atol=1e-9)


@pytest.mark.parametrize("as_dict", [False, True])
def test_it_trains_and_both_heads_learn(as_dict):
    wrapper = curious(as_dict=as_dict)
    model = TwoValuePPO("MultiInputPolicy" if as_dict else "MlpPolicy", wrapper, **OPTIONS)
    heads = [model.policy.value_net.weight, model.policy.intrinsic_value_net.weight]
    before = [head.detach().clone() for head in heads]
    model.learn(16 * 4 * 4, callback=wrapper.callback())
    assert all(not torch.equal(a, b) for a, b in zip(before, heads, strict=True))
    assert model.vf_coef == 0.5
    assert wrapper.bonus.fits == 4
    buffer = model.rollout_buffer
    assert np.isfinite(buffer.intrinsic_returns).all()
    assert np.abs(buffer.intrinsic_returns).max() > 0
    assert set(np.unique(buffer.rewards)) <= {0.0, 1.0}  # the bonus is never mixed into the extrinsic stream


def test_without_a_bonus_it_is_ppo():
    """Same weights, same seeds, eta 0 and an intrinsic head of zeros: the same policy after training."""
    ours, plain = (kind("MlpPolicy", curious(eta=0.0), **OPTIONS) for kind in (TwoValuePPO, PPO))
    torch.nn.init.zeros_(ours.policy.intrinsic_value_net.weight)
    torch.nn.init.zeros_(ours.policy.intrinsic_value_net.bias)
    shared = {k: v for k, v in ours.policy.state_dict().items() if not k.startswith("intrinsic")}
    plain.policy.load_state_dict(shared)
    for model in (ours, plain):
        model.set_random_seed(0)
        model.learn(16 * 4 * 3, callback=model.get_env().callback())
    found = ours.policy.state_dict()
    for key, value in plain.policy.state_dict().items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6)
    assert not torch.equal(found["value_net.weight"], shared["value_net.weight"] * 0)


def test_the_value_loss_is_the_sum_of_both_heads():
    """One gradient of the value loss by hand: samples interleave (extrinsic, intrinsic) exactly as the policy does."""
    wrapper = curious()
    model = TwoValuePPO("MlpPolicy", wrapper, **OPTIONS)
    model.learn(64, callback=wrapper.callback())
    sample = next(iter(model.rollout_buffer.get(64)))
    values, _, _ = model.policy.evaluate_actions(sample.observations, sample.actions)
    assert values.shape == (64, 2)
    both = 2 * torch.nn.functional.mse_loss(sample.returns, values.flatten())
    rows = sample.returns.view(64, 2)
    apart = (rows[:, 0] - values[:, 0]).square().mean() + (rows[:, 1] - values[:, 1]).square().mean()
    torch.testing.assert_close(both, apart)
    torch.testing.assert_close(values[:, :1], model.policy.predict_values(sample.observations))
    torch.testing.assert_close(values[:, 1:], model.policy.predict_intrinsic_values(sample.observations))


def test_a_saved_model_loads(tmp_path):
    wrapper = curious()
    model = TwoValuePPO("MlpPolicy", wrapper, intrinsic_gamma=0.9, **OPTIONS)
    model.save(tmp_path / "model.zip")
    loaded = TwoValuePPO.load(tmp_path / "model.zip", env=wrapper)
    assert loaded.intrinsic_gamma == 0.9
    pairs = zip(model.policy.state_dict().values(), loaded.policy.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_impossible_options_are_named():
    with pytest.raises(ValueError, match="intrinsic_gamma"):
        TwoValuePPO("MlpPolicy", curious(), intrinsic_gamma=1.0)
    venv = VecMonitor(DummyVecEnv([Ladder] * 2))
    step = CuriosityVecEnvWrapper(venv, "knn", mode="step")
    with pytest.raises(ValueError, match='mode="auto"'):
        TwoValuePPO("MlpPolicy", step, **OPTIONS).learn(16, callback=step.callback())
