"""The interface of walkers."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from agents.walkers.base import Recorder, Walk
from agents.walkers.planning.refine import refine_last
from envs.core.state import State
from envs.core.world import World


class Walker:
    """A search strategy: it walks from a batch of inputs, step by step, until the task is satisfied.

    A subclass gives `name` and `steps`; what it needs is said by its class attributes. Any other object with a text `name` and
    a method `walk` of this signature is a walker as well; attributes that it lacks are taken to be False.

    Attributes:
        name: what tables and saved paths call it.
        needs_gradient: it differentiates the classifier (white box). All others only query it.
        to_known_goals: it walks towards reference inputs whose predictions are known: those queries were made before and are
            reported as such (`rows_queried_before`).
        needs_model: it is a trained agent and is built with the model of a run.
        straight: its paths are straight lines to ends that are known before, so that another search may choose the end.
        refine: the most further queries per item for a shorter last step, see `agents.walkers.planning.refine`.

    Example:
        >>> from agents.explain import explain
        >>> from envs import make_world
        >>> class Homewards(Walker):
        ...     name = "homewards"
        ...     def steps(self, recorder, generator):
        ...         while len(rows := recorder.active()):
        ...             recorder.step(rows, -recorder.state.z[rows])
        >>> explain(make_world(), 0, walker=Homewards(), max_steps=3, fallback=False).walker
        'homewards'
    """

    name: ClassVar[str]
    needs_gradient: ClassVar[bool] = False
    to_known_goals: ClassVar[bool] = False
    needs_model: ClassVar[bool] = False
    straight: ClassVar[bool] = False
    refine: int = 0

    def walk(
        self,
        world: World,
        state: State,
        initial_latent_queries: Tensor,
        generator: torch.Generator,
        max_steps: int | None = None,
    ) -> Walk:
        """Walk from every state of the batch until success or the step limit.

        Args:
            world: where to walk.
            state: (B) states at frame 0.
            initial_latent_queries: (B,) classifier queries made for each item so far (the input and frame 0).
            generator: source of all random draws; walkers that draw nothing leave it untouched.
            max_steps: step limit; None: the world's own.

        Returns:
            The paths of all items.

        Raises:
            ManifoldError: the walker cannot walk in this world, see `obstacle`.
        """
        recorder = Recorder(world, state, initial_latent_queries, max_steps)
        self.steps(recorder, generator)
        refine_last(recorder, self.refine)
        return recorder.walk()

    def steps(self, recorder: Recorder, generator: torch.Generator) -> None:
        """Take the steps of all items, by `Recorder.step` or by `Recorder.trial` and `Recorder.accept`.

        Args:
            recorder: holds the world, the states (B) at frame 0, and what is written down.
            generator: source of all random draws.
        """
        raise NotImplementedError(f"{type(self).__name__} takes no steps: override `steps`, or `walk` as a whole")

    @classmethod
    def obstacle(cls, world: World) -> str | None:
        """Why the walker cannot walk in `world`; None where it can."""
        if not cls.needs_gradient or (world.classifier.torch_module is not None and not world.label_only):
            return None
        why = "returns only labels" if world.label_only else f"({type(world.classifier).__name__}) has no gradients"
        return (
            f"the walker {cls.name!r} is a white-box one and needs the classifier's gradients, but this classifier {why}; "
            "choose a black-box walker, for example line or spheres"
        )

    @classmethod
    def made_for(cls, world: World) -> bool:
        """Whether it walks in such worlds where no walker is named and there is no run; the line does elsewhere."""
        return False


def rows_queried_before(walker: Walker, world: World) -> int:
    """Queries that a walker without training rests on: those of the reference inputs if it walks towards them, else 0.

    Two for each reference input, the second one on frame 0 or on the decoded code, and a third where the manifold is
    conditioned on the input (`World.reference.end_predictions`). On a graph of edits: one for the fit of the codes, and one.
    """
    each = 3 if world.manifold.input_conditioned and not world.manifold.on_graph else 2
    return each * len(world.reference.x) if getattr(walker, "to_known_goals", False) else 0
