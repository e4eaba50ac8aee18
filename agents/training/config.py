"""The settings of a training, as a user requests them. It loads no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agents.console.cli import DataConfig, option

DEFAULT_ALGO = "ppo"
ENGINES = ("local", "ray")


@dataclass(kw_only=True)
class TrainConfig(DataConfig):
    """Train an agent to walk from an input to where the classifier's prediction changes; fills a run folder."""

    algo: str | None = option(
        None,
        f"ppo, ppo2v (with a value head for the bonus), a2c, sac, td3, tqc, trpo or module:object (default: {DEFAULT_ALGO})",
    )
    n_timesteps: int | None = option(
        None,
        "total steps over all environments (default: that of the settings; ppo: 290,000, on tables 60,000)",
        "-n",
        metavar="N",
    )
    seed: int | None = option(None, "seed of everything random (default: 0)", metavar="N")
    curiosity: str | None = option(
        None, "bonus for new transitions: vime, bald, l2, rnd, disagreement, knn, counts, e3b, icm, noveld, module:object or "
        "none (default: none)",
    )  # fmt: skip
    eta: float | None = option(None, "weight of the bonus (default: the bonus's own)", metavar="X")
    curiosity_kwargs: dict[str, Any] = option({}, "further settings of the curiosity, e.g. min_pool:1000")  # noqa: RUF009
    n_envs: int | None = option(None, "environments in parallel; the minibatch grows with them", metavar="N")
    hyperparams: dict[str, Any] = option({}, "settings that override agents/training/hyperparameters/ALGO.yml", "-params")  # noqa: RUF009
    trained_agent: str | None = option(None, "run folder to resume (or 'latest'), up to -n steps in all", "-i", metavar="RUN")
    checkpoint: int | None = option(
        None, "with -i: resume from this checkpoint; later ones are removed at the next save (default: the last intact one)",
        metavar="STEPS",
    )  # fmt: skip
    log_folder: str = option("runs", "where run folders are made", "-f", metavar="DIR")
    save_freq: int = option(50_000, "steps between checkpoints; 0: only one at the end", metavar="N")
    keep_checkpoints: int = option(5, "how many checkpoints to keep, the newest; 0: all", metavar="N")
    eval_freq: int | None = option(
        None, "steps between evaluations on held-out inputs; 0: only one at the end (default: a fifth of -n)", metavar="N"
    )
    eval_episodes: int = option(100, "held-out inputs of an evaluation; 0: none at all", metavar="N")
    pictures: bool = option(True, "at the end, log film strips and the latent map of a few held-out inputs")
    device: str = option("cpu", "cpu, cuda or cuda:N; these networks are faster on the CPU")
    gym_packages: list[str] = option([], "packages to import first (further ids)", metavar="NAME")  # noqa: RUF009
    progress: bool = option(True, "show progress bars, on a terminal", "-P")
    verbose: int = option(0, "1: SB3's table at every update", metavar="N")
    trust: list[str] = option(  # noqa: RUF009
        [], "code that may be loaded: objects that the run of -i names, or the .zip of -i",
        metavar="MODULE:OBJECT",
    )  # fmt: skip


@dataclass(kw_only=True)
class TrainCommand(TrainConfig):
    """Train an agent to walk from an input to where the classifier's prediction changes; fills a run folder."""

    seeds: str | None = option(
        None, "one training per seed, such as 0-4 or 0,3,7, in LOG_FOLDER/seed-S; the same call resumes missing ones",
        metavar="SEEDS",
    )  # fmt: skip
    jobs: int = option(1, "with --seeds: trainings at once, each with one thread", metavar="N", low=1)
    engine: str = option("local", "with --seeds: processes of this machine, or Ray", choices=ENGINES)
    address: str | None = option(None, "with --engine ray: address of the cluster (default: a local one)")
