"""Coverage over a training whose task is exploration: scalars, and a map of what was visited, in TensorBoard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stable_baselines3.common.callbacks import BaseCallback

if TYPE_CHECKING:
    from envs.core.world import World

MAPS = 5  # over a training


class CoverageCallback(BaseCallback):
    """Logs ``coverage/cells`` and ``coverage/regions`` at every rollout, and ``coverage/map`` some times over the training.

    Args:
        world: of the training; nothing is logged for tasks that do not score coverage.
        total: steps of the whole training.
        pictures: whether maps are drawn.
    """

    def __init__(self, world: World | None, total: int, pictures: bool) -> None:
        super().__init__()
        self.world, self.every, self.pictures = world, max(total // MAPS, 1), pictures
        self.wanted = world is not None and world.task.scores_coverage

    def _on_training_start(self) -> None:
        self._drawn = self.model.num_timesteps // self.every

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if not self.wanted:
            return
        adapter: Any = self.model.get_env().unwrapped  # type: ignore[union-attr]
        for name in ("cells", "regions"):
            self.logger.record(f"coverage/{name}", int(adapter.step_infos[f"{name}_covered"][0]))
        due = self.model.num_timesteps // self.every
        if self.pictures and due > self._drawn and (rows := adapter.queried.rows()) is not None:
            from agents.explanation.explored import Explored
            from agents.explanation.figures.explored import explored_figure
            from agents.explanation.tensorboard import log_png
            from agents.training.log import summary_writer

            self._drawn = due
            image = explored_figure(Explored(rows[0], rows[1].argmax(1)), self.world)
            log_png(summary_writer(self.logger), "coverage/map", image, self.model.num_timesteps)
