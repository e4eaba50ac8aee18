"""The training behind ``agents.train``: it fills the run folder, and saves its state when it is interrupted."""

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

from agents.console.cli import UserError
from agents.files import sync_tree, write_whole
from agents.runs.config import RunConfig
from agents.runs.folder import RunFolder
from agents.runs.random_state import fenced_random_state
from agents.runs.run import Run
from agents.training.algorithms import log_interval
from agents.training.callbacks import (
    Bookkeeper,
    CheckpointCallback,
    EvaluationCallback,
    HParamCallback,
    ProgressCallback,
    StopRequest,
)
from agents.training.coverage import CoverageCallback
from agents.training.evaluation import evaluate_in_environment, evaluate_in_world
from agents.training.finite import DivergedTrainingError, check_finite
from agents.training.log import finite_or_null, make_logger, summary_writer
from agents.training.session import Session, begin, check_settings, resume
from envs.core.known_predictions import FILE as KNOWN_PREDICTIONS
from envs.core.known_predictions import predictions_of
from envs.errors import QueryBudgetError
from envs.runtime.threads import one_thread

if TYPE_CHECKING:
    from agents.training.config import TrainConfig
    from envs.core.world import World

EVALUATIONS = 5  # of a training in a latent space, the one at its end included


OF_BUDGET = " (a budget counts anew in each command; --classifier-budget N changes it)"


class TrainingInterrupted(KeyboardInterrupt):
    """A signal ended the training; ``folder`` holds the steps done so far, and the message says how to resume."""

    def __init__(self, message: str, folder: RunFolder, number: int) -> None:
        super().__init__(message)
        self.folder = folder
        self.exit_code = 128 + number


def train_alone(config: TrainConfig, world: World | None = None) -> Run:
    """Train by a config, see `agents.train.train`: with its number of threads, and the caller's random states put back."""
    with one_thread(config.num_threads), fenced_random_state():
        return run_training(config, world)


def run_training(config: TrainConfig, world: World | None) -> Run:
    """Train by a config, see `agents.train.train`."""
    check_settings(config)
    for package in config.gym_packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise UserError(f"--gym-packages {package}: {error}; install it, or run from the folder that holds it") from None
    if config.trained_agent is None or config.trained_agent.endswith(".zip"):
        session = begin(config, world)
        folder = _make_folder(config, session)
        with folder.lock():
            return _learn(config, session, folder, fresh=True)
    folder = RunFolder.open(config.trained_agent, config.log_folder)
    with folder.lock():
        folder = RunFolder.open(folder.root)  # as the last holder of the lock left it
        session = resume(config, world, folder)
        if session.config != folder.run_config():
            own = folder.is_own()
            folder.write_config(session.config.to_json())
            if own:
                folder.remember()
        return _learn(config, session, folder, fresh=False)


# -- parts to a run ---------------------------------------------------------------------------------------------------


def _make_folder(config: TrainConfig, session: Session) -> RunFolder:
    """The run folder with config.json and, unless it is a registered one, the manifold."""
    try:
        text = json.dumps(session.config.to_json())
    except TypeError as error:
        raise UserError(
            f"the settings can't be written as JSON ({error}); give names, numbers or module:object, or train(world=...)"
        ) from None
    folder = RunFolder.create(config.log_folder, session.config.algo, session.config.env_id)
    try:
        folder.write_config(json.loads(text))
        own = session.config.env_id == "Manifold/Custom-v0"
        if session.world is not None and own and session.world.manifold.portable:
            session.world.manifold.save(folder.root / "manifold")
            sync_tree(folder.root / "manifold")
        if session.world is not None and own and not session.world.config.live:
            write_whole(folder.root / KNOWN_PREDICTIONS, predictions_of(session.world).to_bytes())
        folder.remember()
    except BaseException:
        shutil.rmtree(folder.root, ignore_errors=True)
        raise
    return folder


def _learn(config: TrainConfig, session: Session, folder: RunFolder, fresh: bool) -> Run:
    """Learn until the requested steps, a signal or an error; save the steps done so far in each case."""
    model, world, made = session.model, session.world, session.config
    books = Bookkeeper(world, session.resumed["progress"] if session.resumed else None)
    stop = StopRequest()

    def evaluate(at_the_end: bool = False) -> dict[str, float]:
        with books.evaluating():
            if world is not None:
                return evaluate_in_world(model, world, config.eval_episodes, made.seed, with_line=at_the_end)
            return evaluate_in_environment(model, made.env_id, made.env_kwargs, config.eval_episodes, made.seed)

    keeper = CheckpointCallback(folder, config.save_freq, config.keep_checkpoints, stop, books, session.resumed)
    callbacks: list[BaseCallback] = [keeper, ProgressCallback(made.n_timesteps, config.progress)]
    often = config.eval_freq
    if often is None:  # a curve of a few points, where an evaluation is one batch of walks
        often = 0 if world is None else max(made.n_timesteps // EVALUATIONS, 1)
    if often and config.eval_episodes:
        callbacks.append(EvaluationCallback(often, evaluate))
    if fresh:
        callbacks.append(HParamCallback(_flat(made), bool(often and config.eval_episodes)))
    if made.curiosity is not None:
        callbacks.append(model.get_env().callback())
    callbacks.append(CoverageCallback(world, made.n_timesteps, config.pictures))
    logger = make_logger(folder.root, config.verbose, None if fresh else model.num_timesteps)
    model.set_logger(logger)
    remaining = made.n_timesteps - model.num_timesteps
    books.start(session.counted_before, session.evaluated_before)
    try:
        with stop.listening():
            model.learn(
                remaining,
                callback=CallbackList(callbacks),
                log_interval=log_interval(made.algo),
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
    except DivergedTrainingError as error:
        raise _diverged(error, made, folder) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            _save_what_was_done(keeper)
            raise
        raise UserError(_how_to_go_on(f"no space left on the disk of {str(folder.root)!r}", folder)) from error
    except QueryBudgetError as error:
        _save_what_was_done(keeper)
        raise UserError(_how_to_go_on(f"{error}", folder) + OF_BUDGET) from None
    except Exception as error:
        if model.num_timesteps == 0 and fresh:
            shutil.rmtree(folder.root, ignore_errors=True)
            raise
        try:
            check_finite(model)
        except DivergedTrainingError as found:  # torch refuses NaN in its own words
            raise _diverged(found, made, folder) from error
        _save_what_was_done(keeper)
        raise
    finally:
        for callback in callbacks:
            if isinstance(callback, ProgressCallback) and hasattr(callback, "bar"):
                callback.bar.close()
        with contextlib.suppress(OSError):  # a full disk: reported already
            logger.close()


def _save_what_was_done(keeper: CheckpointCallback) -> None:
    """In the middle of a rollout: a checkpoint that is resumed with new episodes. A full disk leaves the older ones."""
    if keeper.stopped or not hasattr(keeper, "_last"):
        return
    try:
        keeper.save(whole_episodes=True, last=True)
    except (OSError, DivergedTrainingError) as error:
        print(f"could not save the last steps: {error}", file=sys.stderr)


def _diverged(error: DivergedTrainingError, config: RunConfig, folder: RunFolder) -> UserError:
    """The error of weights that are not finite, with the way out."""
    rate = config.hyperparameters.get("learning_rate")
    lower = "--hyperparams learning_rate:X" + ("" if rate is None else f" (it was {rate})")
    done = folder.checkpoints()
    good = f"the last good checkpoint is the one at {done[-1]:,} steps" if done else "there is no checkpoint yet"
    return UserError(
        f"the training diverged: {error}, and nothing of that is saved; {good}, in {str(folder.root)!r}. Train anew with a "
        f"lower {lower}; large rewards or reward weights do the same harm"
    )


def _how_to_go_on(what: str, folder: RunFolder) -> str:
    done = folder.checkpoints()
    if not done:
        return f"{what} before the first checkpoint; nothing to resume in {str(folder.root)!r}"
    return f"{what}; {done[-1]:,} steps are saved. Go on with: python -m agents.train -i {_quoted(folder.root)}"


def _quoted(path: Path) -> str:
    return f"'{path}'" if " " in str(path) else str(path)


def _finish(run: Run, logger: Any, pictures: bool) -> None:
    """Write the pictures, final scalars and summary.json of a finished run."""
    if pictures and run.world is not None:
        from agents.explanation.tensorboard import log_training_end

        log_training_end(run, summary_writer(logger))
    for name, value in run.evaluation.items():
        logger.record(f"eval/{name}", value)
    if run.world is not None:
        logger.record("queries/training", run.progress["training_queries"])
        logger.record("queries/evaluation", run.progress["evaluation_queries"])
    logger.dump(run.steps)
    summary = finite_or_null({"steps": run.steps, **run.progress, **run.evaluation})
    write_whole(run.folder.root / "summary.json", json.dumps(summary, indent=2, allow_nan=False) + "\n", durable=True)


def _flat(config: RunConfig) -> dict[str, Any]:
    """The settings as one level, for TensorBoard's hparams."""
    flat = {"algo": config.algo, "env": config.env_id, "seed": config.seed, **config.hyperparameters}
    if config.curiosity is not None:
        flat |= {"curiosity": config.curiosity.name, "eta": config.curiosity.eta or 0.0}
    return flat
