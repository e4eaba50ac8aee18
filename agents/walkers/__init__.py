"""Walkers, the search strategies of explanations: learned and classical ones, under one interface.

A new walker is one class and one line in `WALKERS`, or nothing but its name: wherever a walker is chosen, ``module:object``
and a live object are taken, too. The table holds names, so that listing the walkers loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.walkers.walker import Walker
    from envs.core.world import World

#: name -> module:class. `policy` is a trained agent: it needs the model of a run.
WALKERS: dict[str, str] = {
    "line": "agents.walkers.line:LineWalker",
    "slerp": "agents.walkers.interpolation:SlerpWalker",
    "matched": "agents.walkers.interpolation:MatchedWalker",
    "geodesic": "agents.walkers.geodesic:GeodesicWalker",
    "graph": "agents.walkers.geodesic:GraphWalker",
    "spheres": "agents.walkers.spheres:SpheresWalker",
    "face": "agents.walkers.face:FaceWalker",
    "random": "agents.walkers.random:RandomWalker",
    "greedy": "agents.walkers.greedy:GreedyWalker",
    "gradient": "agents.walkers.gradient:GradientWalker",
    "pullback_gradient": "agents.walkers.pullback_gradient:PullbackGradientWalker",
    "edits": "agents.walkers.edits:EditsWalker",
    "policy": "agents.walkers.policy:PolicyWalker",
}


def walker_class(name: str) -> type[Walker]:
    """The class of a name in `WALKERS`.

    Raises:
        UnknownNameError: there is no such walker; the message offers close names.
    """
    from envs.errors import UnknownNameError

    if name not in WALKERS:
        raise UnknownNameError("walker", name, WALKERS)
    module, _, kind = WALKERS[name].partition(":")
    found: type[Walker] = getattr(import_module(module), kind)
    return found


def make_walker(walker: str | Walker | type[Walker], *args: Any, **settings: Any) -> Walker:
    """Build a walker.

    Args:
        walker: a name of `WALKERS`; ``package.module:object`` for one of your own, a class or an instance; a class; or an
            instance, which is returned as it is.
        *args: positional arguments of its class.
        **settings: keyword arguments of its class.

    Returns:
        The walker.

    Raises:
        UnknownNameError: there is no such walker; the message offers close names.
        ManifoldError: `policy` without a model, an object without a `walk` method, or settings for an instance.

    Example:
        >>> make_walker("line", refine=0).to_known_goals
        True
    """
    from envs.errors import ManifoldError

    given: Any = walker
    if isinstance(walker, str):
        if ":" in walker:
            from envs.reading.objects import load_object

            given = load_object(walker)
        else:
            given = walker_class(walker)
    if isinstance(given, type):
        if getattr(given, "needs_model", False) and not (args or "model" in settings):
            name = getattr(given, "name", walker)
            raise ManifoldError(f"the walker {name!r} is a trained agent: name a run (python -m agents.train makes one)")
        given = given(*args, **settings)
    elif args or settings:
        raise ManifoldError(f"the walker {walker!r} is built already; pass its settings {sorted(settings)} to its class")
    if not callable(getattr(given, "walk", None)) or not isinstance(getattr(given, "name", None), str):
        raise ManifoldError(
            f"{walker!r} is not a walker: it needs a text `name` and a method `walk`, see agents.walkers.walker.Walker"
        )
    found: Walker = given
    return found


def walkers_for(world: World, has_model: bool = False) -> list[str]:
    """The names in `WALKERS` that can walk in `world`, in the order of the table.

    Args:
        world: where to walk.
        has_model: whether there is the model of a run, for the walkers that need one.
    """
    classes = {name: walker_class(name) for name in WALKERS}
    return [name for name, kind in classes.items() if (has_model or not kind.needs_model) and kind.obstacle(world) is None]


def default_walker(world: World) -> str:
    """The name of the walker that walks in `world` without a run: one that is made for such worlds, else the line.

    Example:
        >>> from envs import make_world
        >>> default_walker(make_world())
        'line'
    """
    return next((name for name in WALKERS if walker_class(name).made_for(world)), "line")
