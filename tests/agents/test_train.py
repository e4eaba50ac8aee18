"""Training: files, interruptions, and refused settings."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import envs
from agents.console.cli import UserError, run_main
from agents.runs.folder import RunFolder
from agents.runs.run import load_run
from agents.train import TrainConfig, main, train
from agents.training import callbacks as training_callbacks
from agents.training import loop as training
from agents.training.algorithms import ALGORITHMS, load_hyperparameters
from envs.core.world import World
from envs.errors import UnknownNameError

ROOT = Path(__file__).resolve().parents[2]
SMALL: dict[str, Any] = {"n_envs": 8, "eval_episodes": 5, "pictures": False}
PPO = {"n_steps": 8, "n_epochs": 2, "policy_kwargs": {"net_arch": [16]}}
SAC = {"learning_starts": 32, "batch_size": 16, "gradient_steps": 2, "policy_kwargs": {"net_arch": [16]}}


def small(log_folder: Path, algo: str = "ppo", **settings: Any) -> Any:
    net = {"policy_kwargs": {"net_arch": [16]}}
    params = {"ppo": PPO, "ppo2v": PPO, "a2c": net, "trpo": {**net, "n_steps": 8}}.get(algo, SAC)
    return train(
        **{**SMALL, "algo": algo, "n_timesteps": 256, "hyperparams": params, "log_folder": str(log_folder), **settings}
    )


def policy_bytes(run: Any) -> bytes:
    return (run.folder.checkpoint_path(run.steps) / "policy.safetensors").read_bytes()


def test_settings_may_be_numbers_of_numpy_and_torch(tmp_path: Path) -> None:
    one = small(tmp_path / "one", seed=1, n_timesteps=64, curiosity="vime", eta=0.25, curiosity_kwargs={"min_pool": 32})
    two = small(tmp_path / "two", seed=np.int64(1), n_timesteps=np.array(64), n_envs=torch.tensor(8), curiosity="vime",
                eta=np.float32(0.25), curiosity_kwargs={"min_pool": np.int64(32)}, eval_episodes=np.int16(5),
                hyperparams={**PPO, "n_steps": np.int64(8), "gamma": np.float64(0.98)})  # fmt: skip
    assert policy_bytes(two) == policy_bytes(one)
    assert two.folder.config["seed"] == 1
    assert two.folder.config["curiosity"] == one.folder.config["curiosity"]


def test_a_run_leaves_what_is_needed_and_comes_back(tmp_path: Path) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    run = small(tmp_path, eval_freq=128, save_freq=64)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002
    folder = run.folder.root
    assert folder == tmp_path / "ppo" / "Manifold-Digits-v0_1"
    assert run.folder.checkpoints() == [64, 128, 192, 256]
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["step"] == 256
    tags = set().union(*lines)
    assert {"rollout/ep_rew_mean", "train/loss", "time/fps", "eval/success_rate", "queries/training"} <= tags
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["training_queries"] >= 256
    assert summary["evaluation_queries"] >= 2 * 5 * 2
    text = (folder / "config.json").read_text()
    assert os.uname().nodename not in text
    assert str(tmp_path) not in text
    assert json.loads(text)["hyperparameters"]["policy_kwargs"] == {"net_arch": [16]}
    events = [p.name for p in folder.glob("events.out.tfevents*")]
    assert events
    assert not any(os.uname().nodename in name for name in events)

    again = load_run(folder)
    assert again.steps == 256
    obs = np.random.default_rng(0).uniform(-1, 1, (7, run.world.obs_dim)).astype(np.float32)
    np.testing.assert_array_equal(
        run.model.predict(obs, deterministic=True)[0], again.model.predict(obs, deterministic=True)[0]
    )
    assert again.queries == run.queries
    assert again.walker.name == "policy"
    assert load_run("latest", steps=64, root=tmp_path).steps == 64


def test_tensorboard_holds_the_same_and_the_hparams(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = small(tmp_path, pictures=True)
    events = EventAccumulator(str(run.folder.root)).Reload()
    assert {"rollout/ep_rew_mean", "time/fps", "eval/success_rate"} <= set(events.Tags()["scalars"])
    assert events.Tags()["images"]
    assert any("hparams" in name for name in events.summary_metadata)


@pytest.mark.parametrize("algo", sorted(ALGORITHMS))
def test_the_same_seed_gives_the_same_policy_bytes(tmp_path: Path, algo: str) -> None:
    first = small(tmp_path, algo, seed=3, eval_episodes=0)
    torch.randn(3)
    second = small(tmp_path, algo, seed=3, eval_episodes=0, save_freq=100)
    assert policy_bytes(first) == policy_bytes(second)
    assert first.folder.root != second.folder.root


def test_the_two_headed_ppo_is_set_as_ppo_and_takes_its_own_discount(tmp_path: Path) -> None:
    plain = load_hyperparameters("ppo", "Manifold/DigitsOnePair-v0", {}, 16)
    own = load_hyperparameters("ppo2v", "Manifold/DigitsOnePair-v0", {"intrinsic_gamma": 0.9}, 16)
    assert own == {**plain, "intrinsic_gamma": 0.9}
    with pytest.raises(UserError, match="intrinsic_gamma"):
        load_hyperparameters("ppo2v", "Manifold/DigitsOnePair-v0", {"intrinsic_gama": 0.9})
    with pytest.raises(UserError, match="no such hyperparameter"):
        load_hyperparameters("ppo", "Manifold/DigitsOnePair-v0", {"intrinsic_gamma": 0.9})
    curious = {"curiosity": "vime", "curiosity_kwargs": {"min_pool": 64, "updates": 5}}
    run = small(tmp_path, "ppo2v", **curious, hyperparams={**PPO, "intrinsic_gamma": 0.9})
    assert run.model.intrinsic_gamma == 0.9
    again = load_run(run.folder.root)
    obs = torch.zeros(3, run.world.obs_dim)
    with torch.no_grad():
        told, first = (r.model.policy.predict_intrinsic_values(obs) for r in (again, run))
    assert torch.equal(told, first)
    assert float(told.abs().min()) > 0


def test_another_seed_gives_another_policy(tmp_path: Path) -> None:
    assert policy_bytes(small(tmp_path, seed=0)) != policy_bytes(small(tmp_path, seed=1))


def test_a_live_world_trains_and_is_needed_again(tmp_path: Path) -> None:
    def classifier(x: np.ndarray) -> np.ndarray:
        p = 1 / (1 + np.exp(-(x[:, 2] - 4)))
        return np.stack([1 - p, p], axis=1)

    x = np.random.default_rng(0).normal([5, 3, 4, 1], 1.0, (60, 4))
    world = envs.make_world(data=x, classifier=classifier, manifold="pca", class_names=["short", "long"])
    asked = world.classifier.queries
    run = small(tmp_path, world=world)
    assert asked + run.queries == run.world.classifier.queries
    assert run.folder.config["world"]["class_names"] == ["short", "long"]
    with pytest.raises(UserError, match="world="):
        load_run(run.folder.root)
    again = load_run(run.folder.root, world=world)
    assert again.world is not None
    assert again.world.manifold is world.manifold
    assert again.world.config == run.world.config
    with pytest.raises(UserError, match="already determines"):
        small(tmp_path, world=world, env="Manifold/Digits-v0")


def test_the_fitted_manifold_of_a_run_is_found_again(tmp_path: Path) -> None:
    run = small(tmp_path, env="Manifold/Custom-v0", env_kwargs={"manifold": "pca", "latent_dim": 2})
    again = load_run(run.folder.root)
    z = torch.randn(5, 2)
    assert torch.equal(run.world.manifold.decode(z), again.world.manifold.decode(z))
    assert torch.equal(run.world.reference.z, again.world.reference.z)


# -- interrupts -------------------------------------------------------------------------------------------------------


class RaiseAt(training_callbacks.ProgressCallback):
    """Stands in for the progress bar and raises in the middle of a rollout."""

    error: BaseException = KeyboardInterrupt()
    at = 100

    def _on_step(self) -> bool:
        if self.model.num_timesteps >= self.at:
            raise self.error
        return True


def test_an_interrupt_in_the_middle_keeps_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(training, "ProgressCallback", RaiseAt)
        with pytest.raises(training.TrainingInterrupted, match=r"104 steps are saved.*-i ") as caught:
            small(tmp_path)
    assert caught.value.exit_code == 130
    run = caught.value.folder
    assert RunFolder.open(run.root).checkpoints() == [104]
    assert load_run(run.root).steps == 104
    resumed = train(trained_agent=str(run.root), eval_episodes=0, pictures=False)
    assert resumed.steps == 296  # 3 rollouts of 64 more
    assert resumed.folder.root == run.root


def test_another_error_keeps_what_was_done_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ProgressCallback", RaiseAt)
    monkeypatch.setattr(RaiseAt, "error", RuntimeError("classifier lost"))
    with pytest.raises(RuntimeError, match="classifier lost"):
        small(tmp_path)
    assert RunFolder.open("latest", tmp_path).checkpoints() == [104]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_at_the_next_rollout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int) -> None:
    class Signal(training_callbacks.ProgressCallback):
        def _on_step(self) -> bool:
            if self.model.num_timesteps == 104:
                os.kill(os.getpid(), number)
            return True

    before = signal.signal(number, signal.SIG_DFL)  # tests that run in the background of a shell have SIGINT ignored
    monkeypatch.setattr(training, "ProgressCallback", Signal)
    try:
        with pytest.raises(training.TrainingInterrupted, match="128 steps are saved") as caught:
            small(tmp_path)
        assert signal.getsignal(number) == signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert caught.value.exit_code == code
    assert caught.value.folder.checkpoints() == [128]


def test_a_full_disk_leaves_a_loadable_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from agents.runs import checkpoint_files

    original = checkpoint_files.write_tree
    count = 0

    def full(folder: Path, name: str, tree: Any) -> None:
        nonlocal count
        count += name == "training"
        if count > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(folder, name, tree)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_files, "write_tree", full)
        with pytest.raises(UserError, match=r"no space left.*64 steps are saved.*-i "):
            small(tmp_path, save_freq=64)
    run = RunFolder.open("latest", tmp_path)
    assert run.checkpoints() == [64]
    assert train(trained_agent=str(run.root), eval_episodes=0, pictures=False).steps == 256


# -- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"algo": "pppo"}, "unknown algorithm 'pppo'.*ppo"),
        ({"env": "Manifold/Digitz-v0"}, "Manifold/Digits-v0"),
        ({"hyperparams": {"n_step": 8}}, "n_step.*did you mean n_steps"),
        ({"hyperparams": {"gamma": "high"}}, "gamma is 'high'"),
        ({"n_envs": 0}, "n_envs is 0"),
        ({"n_timesteps": 0}, "-n 0"),
        ({"curiosity": "vme"}, "vme.*vime"),
        ({"eta": -1.0, "curiosity": "vime"}, "--eta"),
        ({"eta": 0.1}, "--eta 0.1 sets a curiosity, and there is none"),
        ({"curiosity": "none", "curiosity_kwargs": {"min_pool": 9}}, "--curiosity-kwargs.*there is none"),
        ({"curiosity": "vime", "curiosity_kwargs": {"eta": 0.1}}, "a flag of its own, --eta"),
        ({"env": "VIME/SparseMountainCr-v0"}, "VIME/SparseMountainCar-v0"),
        ({"seed": -1}, "--seed"),
        ({"device": "quantum"}, "--device"),
        ({"device": "cuda:99"}, "--device"),
        ({"env_kwargs": {"tau": 7}}, "tau"),
        ({"data": "nowhere.npz", "classifier": "a.b:c"}, "nowhere.npz"),
        ({"trained_agent": "nowhere"}, "no run folder 'nowhere'"),
        ({"trained_agent": "model.zip"}, "unpickles.*--trust"),
        ({"steps": 5}, "no setting steps"),
    ],
)
def test_bad_settings_are_named_and_leave_nothing(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        train(**{**SMALL, "n_timesteps": 64, "log_folder": str(tmp_path), **settings})
    assert list(tmp_path.iterdir()) == []


def test_an_id_without_its_name_is_refused() -> None:
    with pytest.raises(UserError, match=r"train\('Manifold/Digits-v0'\): settings are given by name, as in train\(env="):
        train("Manifold/Digits-v0")  # type: ignore[arg-type]


def test_a_trusted_sb3_zip_starts_a_run(tmp_path: Path) -> None:
    run = small(tmp_path)
    run.model.save(tmp_path / "model.zip")
    given = {"trained_agent": str(tmp_path / "model.zip"), "trust": [str(tmp_path / "model.zip")]}
    started = small(tmp_path, **given, n_timesteps=64)
    assert started.folder.root.name == "Manifold-Digits-v0_2"
    with pytest.raises(UserError, match="don't fit"):
        small(tmp_path, **given, hyperparams={"n_steps": 8})
    with pytest.raises(UserError, match=r"agents.train"):
        load_run(tmp_path / "model.zip")


def test_hyperparameters_scale_the_minibatch() -> None:
    own = load_hyperparameters("ppo", "Manifold/Digits-v0")
    share = own["batch_size"] / (own["n_envs"] * own["n_steps"])
    doubled = load_hyperparameters("ppo", "Manifold/Digits-v0", n_envs=2 * own["n_envs"])
    assert doubled["batch_size"] == pytest.approx(share * doubled["n_envs"] * doubled["n_steps"])
    assert load_hyperparameters("ppo", "Manifold/Digits-v0", {"batch_size": 64}, 4)["batch_size"] == 64


# -- the script -------------------------------------------------------------------------------------------------------


def test_help_loads_no_torch() -> None:
    code = (
        "import sys, runpy; sys.argv = ['train', '--help']\n"
        "try: runpy.run_module('agents.train', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as end: assert not end.code\n"
        "loaded = {'torch', 'numpy', 'gymnasium', 'stable_baselines3', 'pyro'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--trained-agent" in done.stdout


def test_the_script_trains_and_says_how_to_go_on(tmp_path: Path) -> None:
    place = tmp_path / "with space"
    command = [sys.executable, "-m", "agents.train", "-n", "64", "--n-envs", "8", "-f", str(place), "-P"]
    command += [
        "--hyperparams",
        "n_steps:8",
        "policy_kwargs:{'net_arch': [16]}",
        "--eval-episodes",
        "5",
        "--no-pictures",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run = place / "ppo" / "Manifold-Digits-v0_1"
    assert f"agents.explain '{run}'" in done.stdout
    assert "success rate" in done.stdout
    assert "training" not in done.stderr  # no progress bar into a pipe


def test_errors_of_the_script_are_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_main(main, ["--algo", "dreamer", "-f", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: unknown algorithm 'dreamer'")
    assert told.count("\n") == 1
    assert run_main(main, ["--env", "NoSuch-v0", "-f", str(tmp_path)]) == 2
    with pytest.raises(UnknownNameError):
        run_main(main, ["--algo", "dreamer", "--debug"])
    with pytest.raises(SystemExit) as refused:
        run_main(main, ["--no-such-flag"])
    assert refused.value.code == 2


def test_defaults_of_the_command_line_are_those_of_python() -> None:
    from agents.console.cli import parse_config

    assert parse_config(TrainConfig, []) == TrainConfig()
    given = parse_config(TrainConfig, ["-n", "2e5", "--hyperparams", "gamma:0.9", "clip_range=0.1", "-P"])
    assert given.n_timesteps == 200_000
    assert given.hyperparams == {"gamma": 0.9, "clip_range": 0.1}
    assert given.progress


def test_a_foreign_distribution_with_our_names_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    from agents.console.cli import check_distributions

    owners = {"agents": ["openai-agents", "manifold_traversal"], "envs": ["manifold-traversal"]}
    monkeypatch.setattr(importlib.metadata, "packages_distributions", lambda: owners)
    with pytest.raises(UserError, match="pip uninstall openai-agents"):
        check_distributions()
    owners["agents"].pop(0)
    check_distributions()


def test_other_gymnasium_ids_train_and_resume(tmp_path: Path) -> None:
    run = small(tmp_path, env="Pendulum-v1", n_envs=2, n_timesteps=32)
    assert run.world is None
    assert set(run.evaluation) == {"mean_reward", "mean_ep_length"}
    resumed = train(trained_agent=str(run.folder.root), n_timesteps=64, eval_episodes=0)
    assert resumed.steps == 64
    assert load_run(run.folder.root).world is None


def test_a_label_only_run_tells_no_probability(tmp_path: Path) -> None:
    run = small(tmp_path, env="Manifold/DigitsLabelOnly-v0", n_timesteps=64)
    assert isinstance(run.world, World)
    assert run.world.label_only
    assert "probab" not in (run.folder.root / "config.json").read_text()


def test_what_a_curiosity_finds_wrong_in_a_training_is_told_without_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Errors that the library raises while it trains, not when it is made."""
    asked = ["--env", "Manifold/Digits-v0", "-n", "64", "--n-envs", "4", "-f", str(tmp_path), "--curiosity", "vime"]
    code = run_main(lambda argv: main([*asked, *argv]), ["--algo", "sac", "--curiosity-kwargs", "mode:rollout"])
    assert code == 2
    assert "off-policy and has no rollout to score" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("vime", {"min_pol": 3}, "unknown setting of --curiosity vime 'min_pol': did you mean 'min_pool'"),
        ("rnd", {"zzz": 3}, "unknown setting of --curiosity rnd 'zzz': known: .*features"),
        ("knn", {"seed": 3}, "unknown setting of --curiosity knn 'seed'"),
    ],
)
def test_unknown_settings_of_the_curiosity_are_named_with_the_close_ones(
    name: str, options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(envs.ManifoldError, match=words):
        small(tmp_path, curiosity=name, curiosity_kwargs=options)
    assert not list(tmp_path.rglob("config.json"))


@pytest.mark.parametrize("kind", ["pca", "joint", "embedding"])
def test_own_data_on_a_manifold_of_choice(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By --manifold; the run folder holds the manifold, and comes back without being fitted again."""
    data = envs.make_world(data="iris")
    np.savez(tmp_path / "flowers.npz", x=data.units.outward(data.reference.x).numpy(), truth=data.reference.label.numpy())
    (tmp_path / "flower_net.py").write_text(
        "import torch\nwith torch.random.fork_rng():\n    torch.manual_seed(3)\n"
        "    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))\n"
        # Odd about the middle of the flowers, so that not all are called alike.
        "net[0].bias.data = -net[0].weight.data @ torch.tensor([5.8, 3.0, 3.8, 1.2])\nnet[2].bias.data.zero_()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = ["--data", str(tmp_path / "flowers.npz"), "--manifold", kind, "-f", str(tmp_path), "-n", "64", "--n-envs", "4"]
    asked += ["-params", "n_steps:8", "n_epochs:1", "--eval-episodes", "0"]
    asked += ["--env-kwargs", "latent_dim:2", "fit:{'epochs': 9}"]
    if kind == "pca":
        asked = asked[:-1]
    if kind != "joint":  # which brings its own
        asked[0:0] = ["--classifier", "sklearn_flowers:model" if kind == "pca" else "flower_net:net"]
    (tmp_path / "sklearn_flowers.py").write_text(
        "from sklearn.datasets import load_iris\nfrom sklearn.linear_model import LogisticRegression\n"
        "model = LogisticRegression(max_iter=500).fit(*load_iris(return_X_y=True))\n"
    )
    assert main(asked) == 0
    folder = tmp_path / "ppo" / "Manifold-Custom-v0_1"
    monkeypatch.setattr("envs.building.world.fitted_manifold", None)  # not to be called
    run = load_run(folder)
    assert run.world is not None
    assert run.world.manifold.kind == kind
    assert json.loads((folder / "manifold" / "manifold.json").read_text())["kind"] == kind
