"""The training behind ``agents.train``: parts to a run folder, and whatever interrupts it."""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stable_baselines3.common.callbacks import BaseCallback, CallbackList

from agents.atomic import write_whole
from agents.cli import UserError
from agents.run import KNOWN_ANSWERS, Run
from agents.run_folder import RunFolder
from agents.training_callbacks import (
    Bookkeeper,
    CheckpointCallback,
    EvaluationCallback,
    HParamCallback,
    ProgressCallback,
    StopRequest,
)
from agents.training_evaluation import evaluate_in_environment, evaluate_in_world
from agents.training_log import close_logger, make_logger, summary_writer
from agents.training_session import Session, begin, check_settings, resume
from envs.known_answers import answers_of

if TYPE_CHECKING:
    from agents.train import TrainConfig
    from envs.world import World


class TrainingInterrupted(KeyboardInterrupt):
    """A signal ended the training; ``folder`` holds what was done, the message says how to go on."""

    def __init__(self, message: str, folder: RunFolder, number: int) -> None:
        super().__init__(message)
        self.folder = folder
        self.exit_code = 128 + number


def run_training(config: TrainConfig, world: World | None) -> Run:
    """See ``agents.train.train``."""
    check_settings(config)
    for package in config.gym_packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise UserError(f"--gym-packages {package}: {error}; install it, or run from the folder that holds it") from None
    resuming = config.trained_agent is not None and not config.trained_agent.endswith(".zip")
    session = resume(config, world) if resuming else begin(config, world)
    fresh = session.folder is None
    if session.folder is None:
        session.folder = _make_folder(config, session)
    elif session.told["n_timesteps"] != session.folder.config["n_timesteps"]:
        session.folder.write_config(session.told)
    return _learn(config, session, session.folder, fresh)


# -- parts to a run ---------------------------------------------------------------------------------------------------


def _make_folder(config: TrainConfig, session: Session) -> RunFolder:
    """The run folder with config.json and, unless it is a registered one, the manifold."""
    try:
        text = json.dumps(session.told)
    except TypeError as error:
        raise UserError(
            f"the settings can't be written as JSON ({error}); give names, numbers or "
            "module:object, or train(world=...)"
        ) from None
    folder = RunFolder.create(config.log_folder, session.told["algo"], session.told["env"]["id"])
    try:
        folder.write_config(json.loads(text))
        own = session.told["env"]["id"] == "Manifold/Custom-v0"
        if session.world is not None and own and session.world.manifold.portable:
            session.world.manifold.save(folder.root / "manifold")
        if session.world is not None and own and "live" not in session.told["env"]:
            write_whole(folder.root / KNOWN_ANSWERS, answers_of(session.world).to_bytes())
    except BaseException:
        shutil.rmtree(folder.root, ignore_errors=True)
        raise
    return folder


def _learn(config: TrainConfig, session: Session, folder: RunFolder, fresh: bool) -> Run:
    """Learn until the asked steps, a signal or an error; save what was done in each case."""
    model, world, told = session.model, session.world, session.told
    books = Bookkeeper(world, session.resumed["progress"] if session.resumed else None)
    stop = StopRequest()

    def evaluate(at_the_end: bool = False) -> dict[str, float]:
        with books.evaluating():
            if world is not None:
                return evaluate_in_world(model, world, config.eval_episodes, told["seed"], with_line=at_the_end)
            return evaluate_in_environment(
                model, told["env"]["id"], told["env"]["kwargs"], config.eval_episodes, told["seed"]
            )

    keeper = CheckpointCallback(folder, config.save_freq, config.keep_checkpoints, stop, books, session.resumed)
    callbacks: list[BaseCallback] = [keeper, ProgressCallback(told["n_timesteps"], config.progress)]
    if config.eval_freq and config.eval_episodes:
        callbacks.append(EvaluationCallback(config.eval_freq, evaluate))
    if fresh:
        callbacks.append(HParamCallback(_flat(told), bool(config.eval_freq and config.eval_episodes)))
    if told["curiosity"] is not None:
        callbacks.append(model.get_env().callback())
    logger = make_logger(folder.root, config.verbose)
    model.set_logger(logger)
    remaining = told["n_timesteps"] - model.num_timesteps
    books.start(session.counted_before, session.evaluated_before)
    try:
        with stop.listening():
            model.learn(
                remaining,
                callback=CallbackList(callbacks),
                # rollouts; episodes off-policy
                log_interval={"ppo": 1, "ppo2v": 1, "trpo": 1, "a2c": 10}.get(told["algo"], 100),
                reset_num_timesteps=session.resumed is None,
            )
        if keeper.stopped:
            raise KeyboardInterrupt
        run = Run(folder, world, model, model.num_timesteps, books.totals())
        if config.eval_episodes:
            run.evaluation = evaluate(at_the_end=True)
            run.progress = {**run.progress, "evaluation_queries": books.evaluation_queries}
        _finish(run, logger, config.pictures)
        return run
    except KeyboardInterrupt:
        _save_what_was_done(keeper)
        number = stop.signal or signal.SIGINT
        raise TrainingInterrupted(_how_to_go_on("interrupted", folder), folder, number) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            _save_what_was_done(keeper)
            raise
        raise UserError(_how_to_go_on(f"no space left on the disk of {str(folder.root)!r}", folder)) from error
    except Exception:
        if model.num_timesteps == 0 and fresh:
            shutil.rmtree(folder.root, ignore_errors=True)
        else:
            _save_what_was_done(keeper)
        raise
    finally:
        for callback in callbacks:
            if isinstance(callback, ProgressCallback) and hasattr(callback, "bar"):
                callback.bar.close()
        with contextlib.suppress(OSError):  # a full disk: it has been told already
            close_logger(logger, folder.root)


def _save_what_was_done(keeper: CheckpointCallback) -> None:
    """In the middle of a rollout: a checkpoint that is resumed with new episodes. A full disk leaves the older ones."""
    if keeper.stopped or not hasattr(keeper, "_last"):
        return
    try:
        keeper.save(whole_episodes=True, last=True)
    except OSError as error:
        print(f"could not save the last steps: {error}", file=sys.stderr)


def _how_to_go_on(what: str, folder: RunFolder) -> str:
    done = folder.checkpoints()
    if not done:
        return f"{what} before the first checkpoint; nothing to resume in {str(folder.root)!r}"
    return f"{what}; {done[-1]:,} steps are saved. Go on with: python -m agents.train -i {_quoted(folder.root)}"


def _quoted(path: Path) -> str:
    return f"'{path}'" if " " in str(path) else str(path)


def _finish(run: Run, logger: Any, pictures: bool) -> None:
    """What a finished run leaves besides its checkpoint: pictures, final scalars, summary.json."""
    if pictures and run.world is not None:
        from agents.explanation.tensorboard import log_training_end

        log_training_end(run, summary_writer(logger))
    for name, value in run.evaluation.items():
        logger.record(f"eval/{name}", value)
    if run.world is not None:
        logger.record("queries/training", run.progress["training_queries"])
        logger.record("queries/evaluation", run.progress["evaluation_queries"])
    logger.dump(run.steps)
    summary = {"steps": run.steps, **run.progress, **run.evaluation}
    write_whole(run.folder.root / "summary.json", json.dumps(summary, indent=2) + "\n")


def _flat(told: dict[str, Any]) -> dict[str, Any]:
    """The settings as one level, for TensorBoard's hparams."""
    flat = {"algo": told["algo"], "env": told["env"]["id"], "seed": told["seed"], **told["hyperparameters"]}
    if told["curiosity"] is not None:
        flat |= {"curiosity": told["curiosity"]["name"], "eta": told["curiosity"]["eta"] or 0.0}
    return flat
