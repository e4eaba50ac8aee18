"""The Stable-Baselines3 wrapper and its callback."""

import warnings

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib import TQC, TRPO, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback, EvalCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

import vime
from vime import CuriosityVecEnvWrapper, make_bonus
from vime.sb3 import WrapperOrderError

SMALL = {"min_pool": 32, "updates": 3, "batch_size": 32}


class Corridor(gym.Env):
    """x moves by the action from a random start; +1 and the end at x >= 1, cut off after 7 steps.

    One clock dimension.
    """

    observation_space = spaces.Box(-20, 20, (3,), np.float32)

    def __init__(self, discrete=False, as_dict=False, tells=False):
        self.discrete, self.as_dict, self.tells = discrete, as_dict, tells
        self.action_space = spaces.Discrete(3) if discrete else spaces.Box(-1, 1, (1,), np.float32)
        if as_dict:
            self.observation_space = spaces.Dict({"x": spaces.Box(-20, 20, (2,)), "t": spaces.Box(-20, 20, (1,))})

    def _obs(self):
        if self.as_dict:
            return {"x": self.x.astype(np.float32), "t": np.array([self.t], np.float32)}
        return np.array([*self.x, self.t], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.t = self.np_random.uniform(-1, 1, 2), 0
        return self._obs(), {}

    def step(self, action):
        push = float(action) - 1 if self.discrete else float(action[0])
        self.x = self.x + 0.3 * np.array([push, np.sin(self.x[0])])
        self.t += 1
        done = bool(self.x[0] >= 1)
        told = {"is_success": done} if self.tells else {}
        return self._obs(), float(done), done, self.t >= 7 and not done, told


def monitored(envs=4, **options):
    venv = VecMonitor(DummyVecEnv([lambda: Corridor(**options)] * envs))
    venv.seed(0)
    return venv


def curious(name="l2", eta=0.5, envs=4, env_options=None, bonus_options=None, **options):
    venv = monitored(envs, **(env_options or {}))
    bonus = make_bonus(name, venv.observation_space, venv.action_space, **(SMALL | (bonus_options or {})))
    return CuriosityVecEnvWrapper(venv, bonus, eta, **options)


def ppo(env, **options):
    return PPO("MlpPolicy", env, **({"n_steps": 16, "batch_size": 32, "n_epochs": 1, "seed": 0, "device": "cpu"} | options))


class Spy(BaseCallback):
    """Runs before the curiosity callback and keeps what the algorithm had computed."""

    def __init__(self, keep):
        super().__init__()
        self.keep = keep

    def _on_step(self):
        return True

    def _on_rollout_end(self):
        buffer = self.model.rollout_buffer
        self.keep.append(
            {k: getattr(buffer, k).copy() for k in ("rewards", "advantages", "returns", "values", "episode_starts")}
        )


# ---- on-policy ------------------------------------------------------------------------------------------------------


def recurrent(env, **options):
    return RecurrentPPO("MlpLstmPolicy", env, n_steps=16, batch_size=32, n_epochs=1, seed=0, device="cpu")


def a2c(env):
    return A2C("MlpPolicy", env, n_steps=16, seed=0, device="cpu")


def trpo(env):
    return TRPO("MlpPolicy", env, n_steps=16, batch_size=32, seed=0, device="cpu")


@pytest.mark.parametrize("make", [ppo, a2c, trpo, recurrent])
@pytest.mark.parametrize("eta", [0.0, 0.5])
def test_advantages_are_computed_again_with_the_bonus(make, eta):
    wrapper = curious(eta=eta)
    model = make(wrapper)
    before, after = [], []
    model.learn(16 * 4 * 3, callback=[Spy(before), wrapper.callback(), Spy(after)])
    assert len(before) == 3
    for rollout, (old, new) in enumerate(zip(before, after, strict=True)):
        paid = new["rewards"] - old["rewards"]
        if eta == 0 or rollout == 0:  # nothing is known of the first rollout
            for key in old:
                np.testing.assert_allclose(new[key], old[key], atol=1e-6)
            continue
        assert np.abs(paid).max() > 0.01
        assert abs(paid.sum()) < 1e-3
        # The advantage's change is the discounted sum of the bonus along the episode: checked without the library's
        # code.
        expected, running = np.zeros_like(paid), np.zeros(4)
        for t in reversed(range(16)):
            alive = 1.0 - new["episode_starts"][t + 1] if t < 15 else 0.0
            running = paid[t] + model.gamma * model.gae_lambda * alive * running
            expected[t] = running
        np.testing.assert_allclose(new["advantages"] - old["advantages"], expected, atol=1e-5)
        np.testing.assert_allclose(new["returns"], new["advantages"] + new["values"], atol=1e-6)


def test_the_bonus_of_a_rollout_differs_by_transition():
    wrapper = curious("vime")
    before, after = [], []
    ppo(wrapper).learn(16 * 4 * 2, callback=[Spy(before), wrapper.callback(), Spy(after)])
    paid = after[1]["rewards"] - before[1]["rewards"]
    assert len(np.unique(paid.round(7))) > 0.9 * paid.size
    shared = np.full_like(paid, paid.max())  # the defect: one bonus for the batch
    assert not len(np.unique(shared.round(7))) > 0.9 * paid.size


def test_reported_returns_stay_extrinsic():
    wrapper = curious(eta=100.0)
    model = ppo(VecNormalize(wrapper))
    model.learn(16 * 4 * 4, callback=wrapper.callback())
    assert all(info["r"] in (0.0, 1.0) for info in model.ep_info_buffer)
    step = curious(eta=100.0, fit_every=32, mode="step")
    model = ppo(step)
    model.learn(16 * 4 * 4, callback=step.callback())
    assert all(info["r"] in (0.0, 1.0) for info in model.ep_info_buffer)


# ---- transitions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["rollout", "step"])
@pytest.mark.parametrize("env_options", [{}, {"discrete": True}, {"as_dict": True}], ids=["box", "discrete", "dict"])
def test_no_transition_crosses_the_end_of_an_episode(mode, env_options):
    """The clock counts up by one in every true transition; a pair over a reset would count down."""
    wrapper = curious(env_options=env_options, mode=mode)
    policy = "MultiInputPolicy" if env_options.get("as_dict") else "MlpPolicy"
    model = PPO(policy, wrapper, n_steps=32, batch_size=64, n_epochs=1, seed=0, device="cpu")
    model.learn(32 * 4 * 2, callback=wrapper.callback())
    pool = wrapper.bonus.pool.all()
    clock = 0 if env_options.get("as_dict") else 2  # Dict spaces order their keys
    assert len(pool.obs) == 256
    assert torch.equal(pool.next_obs[:, clock], pool.obs[:, clock] + 1)
    assert pool.next_obs[:, clock].max() == 7  # ends are there, not left out


def test_a_missing_terminal_observation_is_named():
    class Forgetful(VecMonitor):
        def step_wait(self):
            obs, rewards, dones, infos = super().step_wait()
            return obs, rewards, dones, [{} for _ in infos]

    venv = Forgetful(DummyVecEnv([Corridor] * 2))
    wrapper = CuriosityVecEnvWrapper(venv, "knn")
    wrapper.reset()
    for env in wrapper.unwrapped.envs:
        env.t = 6
    with pytest.raises(KeyError, match="terminal_observation"):
        wrapper.step(np.zeros((2, 1), np.float32))


def test_info_dicts_are_not_written_into():
    shared = {}

    class Native(VecMonitor):
        def step_wait(self):
            obs, rewards, dones, _ = super().step_wait()
            return obs, rewards, dones * False, [shared] * self.num_envs

    wrapper = CuriosityVecEnvWrapper(Native(DummyVecEnv([Corridor] * 2)), "knn")
    wrapper.reset()
    _, rewards, _, infos = wrapper.step(np.zeros((2, 1), np.float32))
    assert shared == {}  # a start never reaches the goal by itself
    assert [info["extrinsic_reward"] for info in infos] == [0.0, 0.0]
    assert [info["curiosity_bonus"] for info in infos] == [0.0, 0.0]
    assert rewards.dtype == np.float32


# ---- step by step ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [SAC, TD3, TQC, DQN])
@pytest.mark.parametrize("with_callback", [True, False])
def test_off_policy_algorithms_are_paid_step_by_step(cls, with_callback):
    wrapper = curious(envs=2, env_options={"discrete": cls is DQN}, fit_every=40)
    model = cls("MlpPolicy", wrapper, learning_starts=20, batch_size=16, train_freq=16, seed=0, device="cpu")
    model.learn(300, callback=wrapper.callback() if with_callback else None, log_interval=None)
    rewards = model.replay_buffer.rewards[: model.replay_buffer.pos]
    assert np.isfinite(rewards).all()
    assert wrapper.bonus.fits == 8
    assert np.all(np.isin(rewards[:40], [0.0, 1.0]))  # two windows of 40 transitions in 2 environments: no scale yet
    assert len(np.unique(rewards[40:].round(6))) > 50


def test_extrinsic_and_bonus_add_up():
    wrapper = curious(fit_every=32)
    wrapper.reset()
    rng, seen = np.random.default_rng(0), 0.0
    for _ in range(60):
        _, rewards, _, infos = wrapper.step(rng.uniform(-1, 1, (4, 1)).astype(np.float32))
        bonus = np.array([i["curiosity_bonus"] for i in infos])
        np.testing.assert_allclose(rewards, [i["extrinsic_reward"] + b for i, b in zip(infos, bonus, strict=True)], rtol=1e-6)
        seen += np.abs(bonus).sum()
    assert seen > 0.1


# ---- order, errors --------------------------------------------------------------------------------------------------


def test_any_other_order_of_wrappers_is_an_error():
    plain = DummyVecEnv([Corridor] * 2)
    bonus = make_bonus("knn", plain.observation_space, plain.action_space)
    with pytest.raises(WrapperOrderError, match=r"CuriosityVecEnvWrapper\(VecMonitor\(venv\), bonus\)"):
        CuriosityVecEnvWrapper(plain, bonus)
    with pytest.raises(WrapperOrderError, match="VecNormalize is below"):
        CuriosityVecEnvWrapper(VecNormalize(VecMonitor(plain)), bonus)
    wrapper = CuriosityVecEnvWrapper(VecMonitor(plain), bonus)
    with pytest.raises(WrapperOrderError, match="already wrapped"):
        CuriosityVecEnvWrapper(wrapper, bonus)
    with pytest.raises(WrapperOrderError, match="VecMonitor is above"):
        ppo(VecMonitor(wrapper)).learn(32, callback=wrapper.callback())
    with pytest.raises(WrapperOrderError, match="not in the model's environment"):
        ppo(VecMonitor(plain)).learn(32, callback=wrapper.callback())
    CuriosityVecEnvWrapper(DummyVecEnv([lambda: Monitor(Corridor())]), bonus)


def test_impossible_options_are_named():
    venv = monitored()
    other = make_bonus("knn", spaces.Box(-1, 1, (5,)), venv.action_space)
    with pytest.raises(ValueError, match=r"made for the observation space Box\(-1.0, 1.0, \(5,\)"):
        CuriosityVecEnvWrapper(venv, other)
    for options, message in (
        ({"eta": -1.0}, "eta"),
        ({"mode": "always"}, "mode"),
        ({"fit_every": 0}, "fit_every"),
        ({"squash": "tanh"}, "squash"),
    ):
        with pytest.raises(ValueError, match=message):
            CuriosityVecEnvWrapper(venv, "knn", **options)
    with pytest.raises(ValueError, match="no bonus is called"):
        CuriosityVecEnvWrapper(venv, "surprise")


def test_rollout_mode_needs_its_callback():
    wrapper = curious(mode="rollout")
    with pytest.raises(RuntimeError, match=r"callback=wrapper.callback\(\)"):
        ppo(wrapper).learn(64)
    with pytest.raises(ValueError, match="SAC is off-policy"):
        SAC("MlpPolicy", wrapper, device="cpu").learn(10, callback=wrapper.callback())
    auto = curious()
    model = ppo(auto)
    model.learn(64, callback=auto.callback())
    model.learn(64)  # without it, after a run with it: step by step
    assert auto.bonus.fits >= 1


def test_non_finite_observations_and_actions_stop_at_the_step_that_had_them():
    wrapper = curious()
    wrapper.reset()
    with pytest.raises(ValueError, match="action row 1, number 0 of 1 is nan"):
        wrapper.step(np.array([[0.0], [np.nan], [0.0], [0.0]], np.float32))
    wrapper.step(np.zeros((4, 1), np.float32))
    wrapper.venv.venv.envs[2].x[:] = np.inf
    with pytest.raises(ValueError, match="observation row 2"), np.errstate(invalid="ignore"):
        wrapper.step(np.zeros((4, 1), np.float32))
    with pytest.raises(RuntimeError, match="reset"):
        curious().step(np.zeros((4, 1), np.float32))


# ---- logging, state -------------------------------------------------------------------------------------------------


class Logged(BaseCallback):
    """Keeps what is logged at the end of every rollout."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def _on_step(self):
        return True

    def _on_rollout_end(self):
        self.rows.append({k: v for k, v in self.logger.name_to_value.items() if k.startswith("curiosity/")})


def test_logged_figures():
    wrapper = curious("vime", eta=vime.linear_eta(0.4))
    log = Logged()
    ppo(wrapper).learn(16 * 4 * 4, callback=[wrapper.callback(), log])
    names = (
        "info_gain_nats_mean info_gain_nats_p95 bonus_mean bonus_size bonus_fraction elbo kl_posterior_prior r2 "
        "sigma_ratio "
        "fit_seconds eta"
    )
    last = log.rows[-1]
    assert set(names.split()) <= {k.removeprefix("curiosity/") for k in last}
    assert all(np.isfinite(v) for v in last.values())
    assert [round(row["curiosity/eta"], 6) for row in log.rows] == [0.4, 0.3, 0.2, 0.1]
    assert 0 < last["curiosity/bonus_fraction"] <= 1
    assert abs(last["curiosity/bonus_mean"]) < 1e-5
    assert last["curiosity/info_gain_nats_p95"] >= last["curiosity/info_gain_nats_mean"] * 0.5


@pytest.mark.parametrize("mode", ["auto", "step"])
def test_success_takes_the_bonus_away(mode):
    wrapper = curious(success_decay=0.2, mode=mode, fit_every=32, env_options={"tells": True})
    wrapper.reset()
    ended, won, paid = 0, 0, []
    if mode == "auto":
        wrapper.start_rollout(80)
    for push in [-1.0] * 40 + [1.0] * 40:
        _, _, dones, infos = wrapper.step(np.full((4, 1), push, np.float32))
        ended, won = ended + int(dones.sum()), won + sum(infos[i]["is_success"] for i in np.flatnonzero(dones))
        paid.append(max(abs(info.get("curiosity_bonus", 0.0)) for info in infos))
    assert 0 < won <= ended
    assert wrapper.mixer.success_rate > 0.2 > 0.0 == wrapper.mixer.eta()
    if mode == "step":
        assert max(paid[:40]) > 0 == max(paid[-5:])
    restored = curious(success_decay=0.2, env_options={"tells": True})
    restored.load_state_dict(wrapper.state_dict())
    assert restored.mixer.success_rate == wrapper.mixer.success_rate
    silent = curious(success_decay=0.2, mode="step")
    with pytest.raises(KeyError, match="is_success"):
        ppo(silent).learn(64)


@pytest.mark.parametrize("mode", ["auto", "step"])
def test_an_interrupted_run_goes_on_exactly(mode):
    """At a rollout's boundary: load the wrapper's state, step with the same actions, get the same bonuses."""
    one, two = (
        curious("vime", mode=mode, fit_every=40),
        curious("vime", mode=mode, fit_every=40, bonus_options={"seed": 9}),
    )
    model = ppo(one)
    model.learn(16 * 4 * 3, callback=one.callback())
    two.load_state_dict({k: v.clone() for k, v in one.state_dict().items()})
    two.venv.reset()
    for a, b in zip(one.venv.venv.envs, two.venv.venv.envs, strict=True):
        b.x, b.t = a.x.copy(), a.t
        b.np_random.bit_generator.state = a.np_random.bit_generator.state
    rng = np.random.default_rng(1)
    for wrapper in (one, two):
        if mode == "auto":
            wrapper.start_rollout(30)
    for _ in range(30):
        actions = rng.uniform(-1, 1, (4, 1)).astype(np.float32)
        assert np.array_equal(one.step(actions)[1], two.step(actions)[1])
    if mode == "auto":
        for wrapper in (one, two):
            batch = wrapper.take_rollout()
            scores = wrapper.bonus.score_transitions(batch)
            wrapper.paid = wrapper.mixer.rollout(scores)
        assert torch.equal(one.paid, two.paid)
    ours, theirs = one.state_dict(), two.state_dict()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    with pytest.raises(vime.StateMismatchError, match="as many environments"):
        curious("vime", envs=3).load_state_dict(ours)


def test_a_seeded_run_twice_is_the_same_to_the_byte():
    def run():
        wrapper = curious("vime")
        model = ppo(wrapper)
        model.learn(16 * 4 * 3, callback=wrapper.callback())
        return torch.cat([p.detach().flatten() for p in model.policy.parameters()])

    first = run()
    torch.rand(7)
    assert torch.equal(first, run())


# ---- what is said where nothing would be paid, and when the model learns -----------------------------------------------


def test_short_rollouts_are_gathered_before_the_model_learns():
    wrapper = curious("l2", fit_every=100, bonus_options={"min_pool": 8})
    A2C("MlpPolicy", wrapper, n_steps=5, seed=0, device="cpu").learn(5 * 4 * 15, callback=wrapper.callback())
    assert wrapper.bonus.fits == 3, "300 transitions, 100 between fits"
    often = curious("l2", bonus_options={"min_pool": 8})
    A2C("MlpPolicy", often, n_steps=5, seed=0, device="cpu").learn(5 * 4 * 8, callback=often.callback())
    assert often.bonus.fits == 4, "160 transitions, a minibatch of 32 between fits: every second rollout of 20"


def test_a_world_without_reward_owes_all_to_the_bonus():
    class Nothing(Corridor):
        def step(self, action):
            obs, _, _, truncated, info = super().step(np.zeros(1))
            return obs, 0.0, False, truncated or self.t >= 7, info

    venv = VecMonitor(DummyVecEnv([Nothing] * 4))
    bonus = make_bonus("l2", venv.observation_space, venv.action_space, **SMALL)
    wrapper = CuriosityVecEnvWrapper(venv, bonus, 0.5)
    model = ppo(wrapper, gamma=0.99)
    model.learn(16 * 4 * 4, callback=wrapper.callback())
    assert wrapper.figures["bonus_size"] > 0
    assert wrapper.figures["bonus_fraction"] == 1.0, "the value bootstrap of time limits is not a reward"


def test_a_training_that_paid_nothing_says_so():
    wrapper = curious(bonus_options={"min_pool": 5000, "pool_size": 10_000})
    with pytest.warns(UserWarning, match=r"no bonus was paid.*64 transitions.*min_pool \(5000\)"):
        ppo(wrapper).learn(64, callback=wrapper.callback())
    fitted = curious(fit_every=150)  # once, which tells how large scores are; nothing is paid before the second time
    model = SAC("MlpPolicy", fitted, learning_starts=1_000, seed=0, device="cpu")
    with pytest.warns(UserWarning, match=r"no bonus was paid.*fit_every \(150\)"):
        model.learn(200, callback=fitted.callback())
    assert fitted.bonus.fits == 1


def test_a_wrapper_that_evaluates_cannot_be_trained_on():
    wrapper = curious(training=False)
    with pytest.raises(vime.VimeError, match="training=False"):
        ppo(wrapper).learn(64, callback=wrapper.callback())


@pytest.mark.parametrize(
    ("with_callback", "options", "warned"), [(True, {"decay": 0.5}, 0), (False, {}, 0), (False, {"decay": 0.5}, 1)]
)
def test_an_eta_that_falls_needs_the_progress_of_the_training(with_callback, options, warned):
    wrapper = curious(fit_every=64, **options)
    model = SAC("MlpPolicy", wrapper, learning_starts=1_000, seed=0, device="cpu")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.learn(200, callback=wrapper.callback() if with_callback else None)
    assert sum("eta depends on the progress" in str(warning.message) for warning in caught) == warned


def test_a_bonus_may_be_a_name_or_a_class_and_nothing_else():
    assert type(CuriosityVecEnvWrapper(monitored(), vime.RND).bonus) is vime.RND
    assert type(CuriosityVecEnvWrapper(monitored(), "vime.bonuses.rnd:RND").bonus) is vime.RND
    with pytest.raises(TypeError, match="made for the environment's spaces"):
        CuriosityVecEnvWrapper(monitored(), 3)
    with pytest.raises(TypeError, match=r"not a subclass of vime\.Bonus"):
        CuriosityVecEnvWrapper(monitored(), dict)


def test_a_single_environment_of_gymnasium_is_named():
    with pytest.raises(vime.OptionTypeError, match=r"Corridor of Gymnasium.*DummyVecEnv"):
        CuriosityVecEnvWrapper(Corridor(), "rnd")


def test_the_callback_finds_the_wrapper():
    wrapper = curious("l2", bonus_options={"min_pool": 8})
    ppo(wrapper).learn(128, callback=vime.CuriosityCallback())
    assert wrapper.has_paid
    with pytest.raises(WrapperOrderError, match="has no CuriosityVecEnvWrapper"):
        ppo(monitored()).learn(64, callback=vime.CuriosityCallback())


def test_hindsight_replay_is_warned_of():
    """It recomputes the rewards of relabelled transitions: these hold no bonus."""
    from stable_baselines3 import DQN, HerReplayBuffer
    from stable_baselines3.common.envs import BitFlippingEnv

    venv = VecMonitor(DummyVecEnv([lambda: BitFlippingEnv(n_bits=3)]))
    wrapper = CuriosityVecEnvWrapper(venv, "rnd")
    model = DQN("MultiInputPolicy", wrapper, replay_buffer_class=HerReplayBuffer, learning_starts=1_000, device="cpu")
    with pytest.warns(UserWarning, match="HerReplayBuffer recomputes the rewards"):
        model.learn(20, callback=wrapper.callback())


def test_algorithms_that_the_bonus_cannot_reach_are_refused():
    """ARS learns from the returns of VecMonitor: the bonus would be without effect."""
    ars = pytest.importorskip("sb3_contrib").ARS
    wrapper = curious("l2")
    with pytest.raises(vime.ModeError, match="ARS is neither on-policy nor off-policy"):
        ars("LinearPolicy", wrapper, device="cpu").learn(64, callback=wrapper.callback())


def test_an_environment_that_evaluates_pays_and_learns_nothing():
    wrapper = curious("l2", bonus_options={"min_pool": 8})
    ppo(wrapper).learn(64 * 2, callback=wrapper.callback())
    before = {key: value.clone() for key, value in wrapper.bonus.state_dict().items()}
    wrapper.training = False
    wrapper.reset()
    for _ in range(20):
        _, rewards, _, infos = wrapper.step(np.ones((4, 1), np.float32))
        assert set(rewards) <= {0.0, 1.0}
        assert [info["extrinsic_reward"] for info in infos] == rewards.tolist()
        assert all("curiosity_bonus" not in info for info in infos)
    after = wrapper.bonus.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)
    wrapper.training = True
    assert any(info["curiosity_bonus"] for _ in range(5) for info in wrapper.step(np.ones((4, 1), np.float32))[3])


def test_evaluation_under_vec_normalize():
    wrapper = curious("l2")
    model = ppo(VecNormalize(wrapper))
    aside = VecNormalize(curious("l2", training=False), training=False, norm_reward=False)
    callback = EvalCallback(aside, eval_freq=16, n_eval_episodes=4, verbose=0)
    model.learn(64 * 2, callback=[wrapper.callback(), callback])
    assert 0 <= callback.last_mean_reward <= 1
