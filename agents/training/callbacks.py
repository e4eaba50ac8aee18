"""What happens beside the learning: checkpoints, a calm stop, the progress bar, evaluation, TensorBoard's hparams."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import HParam

from agents.console.cli import progress_bar
from agents.runs.checkpoint import capture_state, restore_random_state
from agents.runs.folder import RunFolder
from agents.training.finite import check_finite
from agents.walkers.planning.ensemble import Ensemble
from agents.walkers.planning.surrogate import Surrogate

if TYPE_CHECKING:
    from envs.core.world import World


STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class StopRequest:
    """Whether a stop was requested, by SIGINT, SIGTERM or SIGHUP (a closed terminal)."""

    def __init__(self) -> None:
        self.signal: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within: the first of these signals asks for a stop at the next rollout, a second SIGINT interrupts at once.

        A signal that is ignored (SIGHUP under nohup) stays so. Outside the main thread Python cannot listen; then nothing
        is changed.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.getsignal(number) for number in STOPPING}
        before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}

        def note(number: int, frame: Any) -> None:
            if self.signal is not None and number == signal.SIGINT:
                raise KeyboardInterrupt
            self.signal = number

        for number in before:
            signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Bookkeeper:
    """Queries and seconds of a run, over all its resumptions.

    Attributes:
        evaluation_queries: queries of evaluations.
        training_queries: all other queries, those of the reference rows included.
        seconds, cpu_seconds: spent learning.
    """

    def __init__(self, world: World | None, progress: dict[str, Any] | None = None) -> None:
        progress = progress or {}
        self.world = world
        self._before = int(progress.get("training_queries", 0))
        self.evaluation_queries = int(progress.get("evaluation_queries", 0))
        self._evaluated_here = 0
        self._seconds = (float(progress.get("seconds", 0.0)), float(progress.get("cpu_seconds", 0.0)))
        self._offset = 0
        self._start = (time.perf_counter(), time.process_time())

    def start(self, counted_before: int = 0, evaluated_before: int = 0) -> None:
        """The clock starts; ``counted_before`` are rows that the world's classifier predicted for other purposes,
        ``evaluated_before`` those of the diagnosis, which are evaluation."""
        self._offset = counted_before
        self.evaluation_queries += evaluated_before
        self._evaluated_here += evaluated_before
        self._start = (time.perf_counter(), time.process_time())

    @property
    def training_queries(self) -> int:
        queried = self.world.classifier.queries if self.world is not None else 0
        return self._before + queried - self._offset - self._evaluated_here

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Queries made within count as evaluation."""
        before = self.world.classifier.queries if self.world is not None else 0
        try:
            yield
        finally:
            queried = (self.world.classifier.queries if self.world is not None else 0) - before
            self.evaluation_queries += queried
            self._evaluated_here += queried

    def totals(self) -> dict[str, Any]:
        """Plain data for the checkpoint."""
        return {
            "training_queries": self.training_queries,
            "evaluation_queries": self.evaluation_queries,
            "seconds": self._seconds[0] + time.perf_counter() - self._start[0],
            "cpu_seconds": self._seconds[1] + time.process_time() - self._start[1],
        }


class CheckpointCallback(BaseCallback):
    """Saves where a rollout is about to begin: every ``every`` steps, when a stop is requested, and at the end.

    Must be the first of the callbacks: what the others do at a rollout's start then happens again after a resume.
    """

    def __init__(
        self,
        folder: RunFolder,
        every: int,
        keep: int,
        stop: StopRequest,
        books: Bookkeeper,
        resumed: dict[str, Any] | None,
    ) -> None:
        super().__init__()
        self.folder, self.every, self.keep, self.stop, self.books = folder, every, keep, stop, books
        self.resumed = resumed
        self.saved_at = -1
        self.stopped = False

    def _on_training_start(self) -> None:
        self.saved_at = self.model.num_timesteps if self.resumed is not None else -1
        self._last = self.model.num_timesteps

    def _on_rollout_start(self) -> None:
        if self.resumed is not None:
            restore_random_state(self.resumed)  # exactly where they were captured
            self.resumed = None
        steps = self.model.num_timesteps
        due = self.every > 0 and steps - self._last >= self.every
        if due or self.stop.signal is not None:
            self.save(last=self.stop.signal is not None)
        if self.stop.signal is not None:
            self.stopped = True

    def _on_step(self) -> bool:
        return not self.stopped

    def _on_training_end(self) -> None:
        if not self.stopped:
            self.save(last=True)

    def save(self, whole_episodes: bool = False, last: bool = False) -> None:
        """Save now, unless these very steps are saved already; the `last` one also holds surrogate and ensemble.

        Raises:
            DivergedTrainingError: a weight is NaN or infinite; nothing is saved.
        """
        steps = self.model.num_timesteps
        if steps == self.saved_at:
            return
        check_finite(self.model)
        state = capture_state(self.model, whole_episodes=whole_episodes, **self.books.totals())
        state |= self._distilled() if last else {}
        self.folder.save_checkpoint(steps, state, self.keep)
        self.saved_at = self._last = steps

    def _distilled(self) -> dict[str, Any]:
        """For the planned last step: the weights of the surrogate, distilled from the predictions so far, and of the
        ensemble; empty for label-only classifiers."""
        world = self.books.world
        if world is None or world.label_only:
            return {}
        queried = self.model.get_env().unwrapped.queried  # type: ignore[union-attr]
        return {"surrogate": Surrogate.fit(world, queried).weights(), "ensemble": Ensemble.fit(world).weights()}


class ProgressCallback(BaseCallback):
    """A bar over the steps, with the success rate beside it."""

    def __init__(self, total: int, enabled: bool) -> None:
        super().__init__()
        self.total, self.enabled = total, enabled

    def _on_training_start(self) -> None:
        self.bar = progress_bar(self.total, "training", self.enabled, unit="step")
        self.bar.update(self.model.num_timesteps)

    def _on_rollout_start(self) -> None:
        successes = self.model.ep_success_buffer
        if self.enabled and successes:
            self.bar.set_postfix_str(f"success {sum(successes) / len(successes):.2f}", refresh=False)

    def _on_step(self) -> bool:
        self.bar.update(self.model.num_timesteps - self.bar.n)
        return True

    def _on_training_end(self) -> None:
        self.bar.close()


class EvaluationCallback(BaseCallback):
    """Walks held-out inputs by the deterministic policy every ``every`` steps, and logs ``eval/*``."""

    def __init__(self, every: int, evaluate: Callable[[], dict[str, float]]) -> None:
        super().__init__()
        self.every, self.evaluate = every, evaluate

    def _on_training_start(self) -> None:
        self._last = self.model.num_timesteps

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps - self._last >= self.every:
            self._last = self.model.num_timesteps
            for name, value in self.evaluate().items():
                self.logger.record(f"eval/{name}", value)

    def _on_step(self) -> bool:
        return True


class HParamCallback(BaseCallback):
    """TensorBoard's hparams at the start; the metrics it names are scalars that the training logs."""

    def __init__(self, settings: dict[str, Any], evaluates: bool) -> None:
        super().__init__()
        self.settings = {
            key: value if isinstance(value, int | float | str | bool) else str(value) for key, value in settings.items()
        }
        self.metrics = ["rollout/success_rate", "rollout/ep_rew_mean", "rollout/ep_len_mean"]
        self.metrics += ["eval/success_rate"] if evaluates else []
        # Written by the demo once all held-out inputs are explained; a metric that never comes leaves its column empty.
        self.metrics += [f"explain/{name}" for name in ("validity", "l2_input", "knn_ratio", "queries")]

    def _on_training_start(self) -> None:
        values = HParam(self.settings, dict.fromkeys(self.metrics, 0.0))
        self.logger.record("hparams", values, exclude=("stdout", "log", "json", "csv"))

    def _on_step(self) -> bool:
        return True
