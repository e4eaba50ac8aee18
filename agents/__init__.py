"""Agents that explain a classifier by walking on a latent manifold to where its prediction changes.

::

    from agents import Explainer

    explainer = Explainer.train(data=X, classifier=model)      # or Explainer.load("latest"), Explainer(world, walker="line")
    path = explainer.explain(X[0], target="versicolor")        # a Trajectory; a list for several inputs
    path.summary(); path.plot(); path.to_pandas(); path.save("path.npz")
    explainer.evaluate(); explainer.report("report.html")

The commands are ``manifold-traversal NAME`` or ``python -m agents.NAME`` with NAME one of train, sweep, explain, replay,
evaluate, report, atlas, app, demo. Importing this package loads neither torch nor numpy, and changes nothing in the process.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agents.constraints import constrained
    from agents.errors import UserError
    from agents.explainer import Explainer
    from agents.explanation.across.audit import audit
    from agents.explanation.report.page import write_report
    from agents.runs.run import Run, load_run
    from agents.training.algorithms import ALGORITHMS
    from agents.training.config import TrainConfig
    from agents.training.loop import TrainingInterrupted
    from agents.trajectories.file import TrajectoryError
    from agents.trajectories.trajectory import Trajectory
    from agents.walkers import WALKERS, make_walker
    from agents.walkers.base import Walk
    from agents.walkers.walker import Walker

__version__ = "0.1.0"  # that of pyproject.toml; a test compares them

_HOME = {
    "ALGORITHMS": "agents.training.algorithms",
    "Explainer": "agents.explainer",
    "Run": "agents.runs.run",
    "TrainConfig": "agents.training.config",
    "TrainingInterrupted": "agents.training.loop",
    "Trajectory": "agents.trajectories.trajectory",
    "TrajectoryError": "agents.trajectories.file",
    "UserError": "agents.errors",
    "WALKERS": "agents.walkers",
    "Walk": "agents.walkers.base",
    "Walker": "agents.walkers.walker",
    "audit": "agents.explanation.across.audit",
    "constrained": "agents.constraints",
    "load_run": "agents.runs.run",
    "make_walker": "agents.walkers",
    "write_report": "agents.explanation.report.page",
}

__all__ = [
    "ALGORITHMS",
    "WALKERS",
    "Explainer",
    "Run",
    "TrainConfig",
    "TrainingInterrupted",
    "Trajectory",
    "TrajectoryError",
    "UserError",
    "Walk",
    "Walker",
    "__version__",
    "audit",
    "constrained",
    "load_run",
    "make_walker",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Names are loaded on first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'agents' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
