"""Ways of walking, learned and not, under one interface. A new walker is one file and one line in `WALKERS`.

The table is by name, so that asking what walkers there are loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.walkers.base import Walker

#: name -> module:class. `policy` is the trained agent: it needs a model (a run).
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
    "policy": "agents.walkers.policy:PolicyWalker",
}


def make_walker(name: str, *args: Any, **settings: Any) -> Walker:
    """The walker of this name, built with its own settings.

    Raises:
        UnknownNameError: no such walker; close names are offered.
        ManifoldError: `policy` without a model.
    """
    from envs.errors import ManifoldError, UnknownNameError

    if name not in WALKERS:
        raise UnknownNameError("walker", name, WALKERS)
    if name == "policy" and not (args or "model" in settings):
        raise ManifoldError("the walker 'policy' is a trained agent: name a run (python -m agents.train makes one)")
    module, _, kind = WALKERS[name].partition(":")
    walker: Walker = getattr(import_module(module), kind)(*args, **settings)
    return walker
