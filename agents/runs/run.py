"""A training run in memory: its folder, world and model; and how to load one from a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.console.cli import UserError
from agents.runs.arguments import check_arguments
from agents.runs.checks import check_progress, check_summary
from agents.runs.folder import RunFolder, read_json
from agents.runs.world_record import build_world
from agents.console.threads import one_threaded
from agents.training.algorithms import make_model
from envs.errors import UnknownNameError
from envs.reading import checks
from envs.reading.trust import trusting

#: key in JSON files of ours: which values were NaN or infinite, and stand there as null
NOT_FINITE = "not_finite"
WITH_WORLD = (
    "Pass load_run(..., world=make_world(...)) with them, or train with --data FILE.npz --classifier module:object, which a "
    "saved run can find again"
)

if TYPE_CHECKING:
    from agents.walkers.planning.ensemble import Ensemble
    from agents.walkers.planning.surrogate import Surrogate
    from agents.walkers.policy import PolicyWalker
    from envs.core.world import World

CLEARLY = 0.02  # difference of success rates that is more than a few inputs


@dataclass
class Run:
    """The result of a training, and of ``load_run``.

    Attributes:
        folder: the run folder.
        world: the world of the training (None for an environment that is not a latent space).
        model: the SB3 algorithm; its policy is the checkpoint's.
        steps: environment steps of the training so far.
        progress: ``training_queries``, ``evaluation_queries``, ``seconds``, ``cpu_seconds``.
        evaluation: ``success_rate`` and other rates on held-out inputs, if they were measured.

    Example:
        >>> import tempfile
        >>> from agents import load_run
        >>> from agents.train import train
        >>> quick = dict(n_timesteps=128, n_envs=2, hyperparams={"n_steps": 64}, eval_episodes=0, pictures=False)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = train(data="iris", log_folder=folder, progress=False, **quick)
        ...     load_run(run.folder.root).steps
        128
    """

    folder: RunFolder
    world: World | None
    model: Any
    steps: int
    progress: dict[str, Any] = field(default_factory=dict)
    evaluation: dict[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Two lines: what was trained, and how well it does."""
        config = self.folder.run_config()
        curious = "" if config.curiosity is None else f" with the curiosity {config.curiosity.name}"
        shown = ", ".join(f"{name} {value:.3g}" for name, value in self.evaluation.items()) or "not evaluated"
        first = f"<Run {str(self.folder.root)!r}: {config.algo}{curious}, {config.env_id}, {self.steps:,} steps>"
        return f"{first}\n{self.queries:,} classifier queries; {shown}"

    def _repr_html_(self) -> str:
        """For notebooks: the settings and the evaluation as a table. Every text is escaped."""
        from html import escape

        config = self.folder.run_config()
        rows: dict[str, Any] = {
            "folder": self.folder.root,
            "algorithm": config.algo,
            "environment": config.env_id,
            "curiosity": "none" if config.curiosity is None else config.curiosity.name,
            "steps": f"{self.steps:,}",
            "classifier queries": f"{self.queries:,}",
            **{name.replace("_", " "): f"{value:.3g}" for name, value in self.evaluation.items()},
        }
        cells = (f"<tr><th>{escape(name)}</th><td>{escape(str(value))}</td></tr>" for name, value in rows.items())
        return f"<table>{''.join(cells)}</table>"

    @cached_property
    def walker(self) -> PolicyWalker:
        """The trained policy as a walker, with retries; its last step is planned where the run has a surrogate."""
        from agents.walkers.policy import RETRIES, PolicyWalker

        return PolicyWalker(self.model, self.surrogate, retries=RETRIES, ensemble=self.ensemble)

    @cached_property
    def surrogate(self) -> Surrogate | None:
        """The surrogate distilled from the training's predictions; None for label-only classifiers and other environments."""
        from agents.walkers.planning.surrogate import Surrogate

        weights = self._distilled.get("surrogate")
        return None if self.world is None or weights is None else Surrogate.of(self.world, weights)

    @cached_property
    def ensemble(self) -> Ensemble | None:
        """The ensemble that judges the plausibility of ends, fitted to the reference rows; None as for `surrogate`, and for
        older runs."""
        from agents.walkers.planning.ensemble import Ensemble

        weights = self._distilled.get("ensemble")
        return None if self.world is None or weights is None else Ensemble.of(self.world, weights)

    @cached_property
    def queried_rows(self) -> tuple[Any, Any, Any] | None:
        """A sample of the codes and predictions that the training queried, see `QueriedRows.rows`; None where none is kept."""
        from agents.walkers.planning.surrogate import QueriedRows

        if self.world is None:
            return None
        layers = self.folder.load_checkpoint(self.steps, only=("environment",))["environment"]
        rows = QueriedRows()
        for layer in layers:
            if layer["name"] == "LatentVecEnv" and layer["state"] is not None:
                rows.load_state_dict(layer["state"]["queried"])
        return rows.rows()

    @property
    def trails_the_line(self) -> bool:
        """Whether the line explained clearly more held-out inputs than the policy at the end of the training."""
        line = self.evaluation.get("line_success_rate", 0.0)
        return line - self.evaluation.get("success_rate", 1.0) > CLEARLY

    @cached_property
    def _distilled(self) -> dict[str, Any]:
        """The parts of the last checkpoint that serve planning."""
        return {} if self.world is None else self.folder.load_checkpoint(self.steps, only=("surrogate", "ensemble"))

    @property
    def queries(self) -> int:
        """Classifier queries of training and evaluation together."""
        return int(self.progress.get("training_queries", 0)) + int(self.progress.get("evaluation_queries", 0))

    @cached_property
    def bonus(self) -> Any:
        """The curiosity bonus as the checkpoint left it, or None if the run had none."""
        config = self.folder.run_config()
        if config.curiosity is None:
            return None
        from agents.training.environments import add_curiosity, curiosity_of

        if (learned := curiosity_of(self.model.get_env())) is not None:
            return learned.bonus  # the model comes straight from a training
        state = self.folder.load_checkpoint(self.steps, only=("curiosity",)).get("curiosity")
        if state is None:
            raise UserError(f"{str(self.folder.root)!r} has a curiosity, but its checkpoint at {self.steps} lacks it: damaged")
        wrapper = add_curiosity(self.model.get_env(), config.curiosity, config.seed, self.world)
        wrapper.load_state_dict(state)
        return wrapper.bonus


@one_threaded
def load_run(
    path: str | Path,
    steps: int | None = None,
    trust: Sequence[str] = (),
    world: World | None = None,
    root: str | Path = "runs",
    device: str = "cpu",
    query: Mapping[str, Any] | None = None,
) -> Run:
    """Read a run back; nothing is unpickled.

    Args:
        path: run folder, ``"latest"`` or shorthand (see ``RunFolder.open``).
        steps: which checkpoint; the last by default.
        trust: objects that may be loaded though the run names them and this account did not make it, each as
            ``module:object`` (see `envs.reading.trust`).
        world: the live world, for runs that were trained on live objects.
        root: where shorthands are looked up.
        device: of the policy.
        query: options of the classifier's queries over those of the run, see `envs.query_options.QueryOptions`.

    Raises:
        UntrustedNameError: the run of another account names objects that are not in `trust`; they are listed.
        UserError: no such run, a damaged file, or a live world that isn't given.
    """
    if str(path).endswith(".zip"):
        how = f"python -m agents.train --env ID --algo ALGO -i {path} --trust {path}"
        raise UserError(
            f"{str(path)!r} is an SB3 .zip, not a run folder: it names no world, and reading it unpickles it, which "
            f"runs whatever code its maker put there. If you trust that maker, make a run of it first: {how}"
        )
    from agents.runs.random_state import fenced_random_state
    from agents.training.environments import make_vec_env
    from vime.bonuses import BONUSES

    folder = RunFolder.open(path, root)
    config = folder.run_config()
    folder.refuse_untrusted_objects(trust)
    if config.curiosity is not None and ":" not in config.curiosity.name and config.curiosity.name not in BONUSES:
        raise UnknownNameError(f"curiosity of {str(folder.root / 'config.json')!r}", config.curiosity.name, BONUSES)
    steps = folder.latest_checkpoint() if steps is None else steps
    state = folder.load_checkpoint(steps, device, only=("policy", "progress"))
    world = world_of(folder, world, trust, query)
    with fenced_random_state():
        env = make_vec_env(config.env_id, config.env_kwargs, world, config.n_envs)
        settings = dict(config.hyperparameters)
        if "buffer_size" in settings:
            settings["buffer_size"] = config.n_envs  # nothing will be stored
        model = make_model(config.algo, env, settings, seed=None, device=device, acts_only=True)
    load_policy(model, state["policy"], folder)
    progress, evaluation = totals_of(folder, steps, state["progress"])
    return Run(folder, world, model, steps, progress, evaluation)


def totals_of(folder: RunFolder, steps: int, progress: dict[str, Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """Progress and evaluation at a checkpoint: the last one was evaluated after it had been saved, see summary.json."""
    check_progress(progress, f"the progress of {str(folder.checkpoint_path(steps))!r} is damaged")
    file = folder.root / "summary.json"
    if not file.is_file():
        return progress, {}
    summary = read_json(file)
    checks.texts(summary.pop(NOT_FINITE, []), f"{str(file)!r} is damaged: {NOT_FINITE}", error=UserError)
    check_summary(summary, f"{str(file)!r} is damaged")
    if summary.pop("steps", None) != steps:
        return progress, {}
    measured = {key: value for key, value in summary.items() if value is not None}  # NaN and infinity are null in the file
    evaluation = {key: value for key, value in measured.items() if key not in progress}
    return {key: measured.get(key, value) for key, value in progress.items()}, evaluation


def load_policy(model: Any, weights: dict[str, Any], folder: RunFolder) -> None:
    """Put the weights into the model's policy.

    Raises:
        UserError: they have other names or shapes than the run's configuration makes.
    """
    try:
        model.policy.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError(
            f"the policy in {str(folder.root)!r} doesn't fit its config.json: {str(error).splitlines()[-1].strip()}"
        ) from None


def world_of(
    folder: RunFolder, live: World | None = None, trust: Sequence[str] = (), query: Mapping[str, Any] | None = None
) -> World | None:
    """The world that a run folder describes, or the `live` one set up as the run's was; None where there is none.

    Raises:
        UntrustedNameError: the run of another account names objects that are not in `trust`.
        UserError: the run was trained on live objects, and `live` is not given; or the world differs from the run's.
    """
    from agents.training.environments import is_latent

    config = folder.run_config()
    if is_latent(config.env_id) != (config.world is not None):
        found = "holds no world, though its environment has one"
        if config.world is not None:
            found = "holds a world, though its environment has none"
        raise UserError(f"{str(folder.root / 'config.json')!r} is damaged: it {found}: {config.env_id}")
    if config.world is None:
        if live is not None:
            raise UserError(f"{str(folder.root)!r} was trained in {config.env_id}, which is not a latent space: leave world= out")
        with trusting(trust):
            check_arguments(config.env_id, config.env_kwargs, folder.root / "config.json", folder.is_own())
        return None
    where, file = repr(str(folder.root)), folder.root / "config.json"
    return build_world(config.world, folder.root, live, where, WITH_WORLD, trust, file, _queried(config.world, live, query))


def _queried(record: Mapping[str, Any], live: World | None, query: Mapping[str, Any] | None) -> dict[str, Any]:
    """The query options of a record with others laid over them, as `build_world` takes them."""
    if not query:
        return {}
    if live is not None:
        raise UserError(f"query options {dict(query)} belong to a world that is built: make the live world with query=...")
    return {"query": {**(record.get("config", {}).get("query") or {}), **query}}


__all__ = ["Run", "load_policy", "load_run", "totals_of", "world_of"]
