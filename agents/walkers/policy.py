"""The trained agent as a walker: its deterministic policy, a better last step, and sampled retries of what failed."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from agents.walkers.base import Recorder, Walk, lost_at_the_start, select
from agents.walkers.merge import merge
from agents.walkers.planning.ensemble import Ensemble
from agents.walkers.planning.last_step import PlanSettings, plan_last
from agents.walkers.planning.refine import refine_last
from agents.walkers.planning.surrogate import Surrogate
from agents.walkers.policy_mean import actor_of
from agents.walkers.walker import Walker
from envs.core import dynamics
from envs.core.state import State
from envs.core.world import World

RETRIES = 2  # sampled walks for inputs that the deterministic policy of a run did not explain


class PolicyWalker(Walker):
    """Walks by a stable-baselines3 model, or anything whose `predict(observations, deterministic=)` gives actions.

    Args:
        model: the trained model.
        surrogate: plans the last step, see `agents.walkers.planning.last_step`; None: the last step is shortened instead.
        refine: the most further queries per item for a shorter last step where it is not planned; 0: none.
        retries: how often an item that failed is walked again from frame 0 with sampled actions.
        ensemble: with a surrogate: the end is planned so that the ensemble predicts the target as well, with one more step
            where need be.
        plan: how the end is planned, see `agents.walkers.planning.settings.PLANS`; None: near the input.

    Example:
        >>> import numpy as np
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> class Still:
        ...     def predict(self, observation, deterministic):
        ...         return np.zeros((len(observation), 2), dtype=np.float32), None
        >>> explain(make_world(), 0, walker=PolicyWalker(Still()), max_steps=2, fallback=False).steps
        2
    """

    name: ClassVar[str] = "policy"
    needs_model: ClassVar[bool] = True

    def __init__(
        self,
        model: Any,
        surrogate: Surrogate | None = None,
        refine: int = 2,
        retries: int = 0,
        ensemble: Ensemble | None = None,
        plan: PlanSettings | None = None,
    ) -> None:
        self.model = model
        self.surrogate = surrogate
        self.ensemble = ensemble
        self.plan = plan
        self.mean = actor_of(model)
        self.refine = refine
        self.retries = retries

    def walk(
        self,
        world: World,
        state: State,
        initial_latent_queries: Tensor,
        generator: torch.Generator,
        max_steps: int | None = None,
    ) -> Walk:
        """Walk deterministically, then retry what failed with sampled actions; arguments as in `Walker.walk`.

        Only the retries draw from `generator`.
        """
        walk = self._once(world, state, initial_latent_queries, max_steps, deterministic=True)
        for _ in range(self.retries):
            rows = torch.nonzero(~walk.success & ~lost_at_the_start(state, walk.predictions[0], walk.length)).flatten()
            if len(rows) == 0:
                break
            with torch.random.fork_rng(devices=self._cuda):  # SB3 samples from torch's global generator of its device
                torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))
                nothing = torch.zeros(len(rows), dtype=torch.int64)
                again = self._once(world, select(state, rows), nothing, max_steps, deterministic=False)
            walk = merge(walk, rows, again)
        return walk

    @property
    def _cuda(self) -> list[torch.device]:
        """The policy's device, if it is a GPU: draws there differ from those on the CPU, from the same seed."""
        device = getattr(self.model, "device", None)
        return [device] if device is not None and device.type == "cuda" else []

    def _once(self, world: World, state: State, queries: Tensor, max_steps: int | None, deterministic: bool) -> Walk:
        recorder = Recorder(world, state, queries, max_steps)
        while len(rows := recorder.active()):
            observations = dynamics.observe(world, select(recorder.state, rows))
            recorder.step(rows, self.mean(observations) if deterministic else self._drawn(observations))
        if self.surrogate is not None:
            plan_last(recorder, self.surrogate, self.ensemble, self.plan)
        else:
            refine_last(recorder, self.refine)
        return recorder.walk()

    def _drawn(self, observations: Tensor) -> Tensor:
        """Sampled actions (B, d)."""
        action, _ = self.model.predict(observations.numpy(), deterministic=False)
        return torch.as_tensor(np.asarray(action), dtype=torch.float32)
