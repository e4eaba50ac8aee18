"""One object for the whole way: train or load, explain, evaluate, report, save."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from agents.app.notebook import Explored
from agents.console.cli import UserError
from agents.constraints import constrained_source
from agents.evaluate import evaluate
from agents.explanation.explain import explain, world_and_run
from agents.train import train
from agents.training.config import TrainConfig
from agents.walkers import default_walker
from envs.config import FIELDS
from envs.errors import UnknownNameError
from envs.files import in_home

if TYPE_CHECKING:
    from agents.engine.parts import Parts
    from agents.runs.run import Run
    from agents.trajectories.trajectory import Trajectory
    from agents.walkers.walker import Walker
    from envs.core.world import World

REPORTED = 12  # held-out inputs that a report shows, unless it is given paths


class Explainer(Explored):
    """Explain a classifier's predictions by walks to where they change.

    A walk begins at the input, follows the latent manifold of a generative model, and ends where the classifier's prediction
    changes. The whole path is the counterfactual explanation. The search strategy (the *walker*) is a trained agent or a rule
    such as the straight latent line.

    Args:
        source: a `World`, a `Run`, the folder of a run, or a registered id such as ``Manifold/Digits-v0``.
        walker: a name of `agents.walkers.WALKERS`, ``module:object``, or a live walker. None: the run's trained agent; for a
            world, ``line``.

    Attributes:
        world: what is walked in: data, classifier and manifold.
        run: the training behind it, or None.
        walker: as given.

    Example:
        >>> import envs
        >>> from agents import Explainer
        >>> explainer = Explainer(envs.make_world(data="iris", progress=False), walker="line")
        >>> path = explainer.explain([6.9, 3.1, 5.4, 2.1], target="versicolor")
        >>> path.class_names[path.source], path.class_names[path.predicted[-1]], path.success
        ('virginica', 'versicolor', True)
    """

    def __init__(self, source: World | Run | str | Path, walker: str | Walker | None = None) -> None:
        self.world, self.run = world_and_run(source)
        self.walker: str | Walker | None = default_walker(self.world) if walker is None and self.run is None else walker

    @classmethod
    def train(
        cls,
        data: Any = None,
        classifier: Any = None,
        *,
        world: World | None = None,
        manifold: Any = None,
        columns: Any = None,
        class_names: Sequence[Any] | None = None,
        target_column: str | None = None,
        algo: str | None = None,
        n_timesteps: int | None = None,
        curiosity: str | None = None,
        seed: int = 0,
        log_folder: str | Path = "runs",
        progress: bool = True,
        **settings: Any,
    ) -> Self:
        """Build a world around data and classifier, and train an agent in it; the run folder holds everything.

        Args:
            data: a data frame, an array of rows or pictures, a list of sentences, a file, or a name (see `envs.WorldConfig`).
            classifier: a torch module, an estimator with ``predict_proba``, a callable, or a name.
            world: a world that exists already, instead of all that describes one.
            manifold: the generative model, live or by name; default: fitted to the data.
            columns: names of a table's columns, or their description.
            class_names: one name per class; default: those of the classifier or of the data.
            target_column: the column of a file that holds the classes.
            algo: a name of `agents.training.algorithms.ALGORITHMS`; default: ``ppo``.
            n_timesteps: environment steps in all; default: that of the settings (ppo: 290,000, on tables 60,000).
            curiosity: a bonus for new transitions, such as ``vime``; default: none.
            seed: of everything random.
            log_folder: where the run folder is made.
            progress: show bars, on a terminal.
            settings: any other field of `envs.WorldConfig` or `agents.TrainConfig`, such as ``tau=0.8``, ``n_envs=8``.

        Raises:
            UnknownNameError: no such setting; close names are offered.
            ManifoldError: data, classifier and manifold that do not fit together.

        Example:
            >>> import tempfile
            >>> from agents import Explainer
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     small = dict(n_timesteps=256, eval_episodes=0, pictures=False, progress=False, log_folder=folder)
            ...     explainer = Explainer.train(data="iris", n_envs=4, hyperparams={"n_steps": 64}, **small)
            >>> explainer.run.steps
            256
        """
        from envs.building.world import make_world

        ours = {"manifold": manifold, "columns": columns, "class_names": class_names, "target_column": target_column}
        described = {
            name: value for name, value in {"data": data, "classifier": classifier, **ours}.items() if value is not None
        }
        trained = set(TrainConfig.__dataclass_fields__)
        for name in settings:
            if name not in FIELDS and name not in trained:
                raise UnknownNameError("setting of Explainer.train", name, sorted({*FIELDS, *trained}))
        described |= {name: value for name, value in settings.items() if name in FIELDS}
        if world is not None and described:
            raise UserError(f"Explainer.train(world=...) together with {', '.join(described)}: the world already says that")
        if world is None:
            world = make_world(**described, seed=seed, progress=progress)
        training = {name: value for name, value in settings.items() if name not in FIELDS}
        return cls(
            train(
                world=world, algo=algo, n_timesteps=n_timesteps, curiosity=curiosity, seed=seed, log_folder=str(log_folder),
                progress=progress, **training,
            )
        )  # fmt: skip

    @classmethod
    def load(
        cls,
        path: str | Path = "latest",
        walker: str | Walker | None = None,
        *,
        world: World | None = None,
        checkpoint: int | None = None,
        trust: Sequence[str] = (),
        log_folder: str | Path = "runs",
        **live: Any,
    ) -> Self:
        """Read an explainer back from a run folder, or from a folder that :meth:`save` wrote.

        Args:
            path: the folder, its name in `log_folder`, or ``latest``.
            walker: as for the constructor; default: the saved one, or the run's agent.
            world: the world of a run that was trained on live objects.
            checkpoint: environment steps of the checkpoint; default: the last one.
            trust: objects that may be loaded though the folder names them and this account did not write it.
            log_folder: where names are looked up.
            live: what no file can hold, such as ``data=X, classifier=model``, instead of `world`.

        Raises:
            UserError: no such folder, a damaged file, or live objects that are missing.
            UntrustedNameError: the folder names objects that nobody allowed.
        """
        from agents.runs.explainer_folder import FILE, read_explainer, world_of_run
        from agents.runs.folder import RunFolder
        from agents.runs.run import load_run

        _refuse_unknown(live)
        folder = Path(in_home(str(path)))
        if (folder / FILE).is_file():
            found, name = read_explainer(folder, world, trust, live)
            return cls(found, name if walker is None else walker)
        if live:
            world = world_of_run(RunFolder.open(path, log_folder), world, trust, live)
        return cls(load_run(path, checkpoint, trust, world, log_folder), walker)

    def explain(
        self,
        X: Any = None,
        target: Any = None,
        *,
        n: int = 1,
        rows: Any = None,
        split: str = "held_out",
        features_to_vary: str | Sequence[str] = "all",
        permitted_range: Mapping[str, Sequence[float]] | None = None,
        rules: Mapping[str, Any] | None = None,
        sparse: bool = True,
        convincing: bool = False,
        max_steps: int | None = None,
        seed: int = 0,
        skip_present: bool = False,
        progress: bool = False,
        on_batch: Callable[[list[Trajectory]], Any] | None = None,
    ) -> Any:
        """Walk from inputs to where the prediction changes.

        Args:
            X: inputs in your own units: one (an array, a Series, a dictionary, a string) or several (a batch, a DataFrame, a
                list); or the number of one row of `split`; None with `rows`: all rows of `split`.
            target: class name or index for all inputs, a list of one each, ``own`` (the most typical form of the predicted
                class), or None: the task's own rule, the nearest other class by default.
            n: most paths for each input, diverse in what they change; fewer where no more are found.
            rows: numbers of rows of `split`, instead of X.
            split: ``held_out``, ``reference``, or ``own``: row numbers of your file (from 0), or index labels of your frame.
            features_to_vary: columns of a table that may change; the others keep the input's values exactly.
            permitted_range: column -> (least, largest) value, in your own units.
            rules: further constraints, by the keywords of `agents.constraints.constrained`: ``direction``, ``ordered``,
                ``forbidden``, ``relations``.
            sparse: for tables and series, change few columns or intervals; False: all that the walk changes.
            convincing: for pictures, continue until an ensemble predicts the target class, see `agents.explanation.explain`.
            max_steps: step limit; default: the world's.
            seed: of walkers that sample.
            skip_present: leave out inputs of the target class instead of an error.
            progress: show a bar.
            on_batch: called with the paths of each finished batch.

        Returns:
            A `Trajectory` for one input; a list of them, in the order of the inputs, for several. With n > 1, `Alternatives`
            instead of each.

        Raises:
            ManifoldError: inputs, targets or constraints that do not fit; the message says what would.
        """
        options: dict[str, Any] = {
            "rows": rows, "split": split, "max_steps": max_steps, "seed": seed, "sparse": sparse, "convincing": convincing,
            "skip_present": skip_present, "progress": progress, "on_batch": on_batch,
        }  # fmt: skip
        source = constrained_source(self.world, self.run, features_to_vary=features_to_vary, permitted_range=permitted_range,
                                    **rules or {})  # fmt: skip
        from agents.explanation.alternatives.ways import several_ways

        more = {} if n == 1 else {"n": n}
        return self._explained(several_ways if more else explain, source, X, target, {**options, **more})

    def scenarios(self, X: Any = None, target: Any = None, features_to_vary: Sequence[str] = (), **options: Any) -> Any:
        """The nearest path, the most typical one and, of a table, one that changes only some columns, side by side.

        Args:
            X, target: as for :meth:`explain`.
            features_to_vary: the columns of the third path; none: no such path.
            options: further arguments of :meth:`explain`.

        Returns:
            `Alternatives` for one input, else a list of them; see `agents.explanation.alternatives.scenarios`.
        """
        from agents.explanation.alternatives.scenarios import scenarios

        ranges, rules = options.pop("permitted_range", None), options.pop("rules", None) or {}
        source = constrained_source(self.world, self.run, permitted_range=ranges, **rules)
        return self._explained(scenarios, source, X, target, {"features_to_vary": features_to_vary, **options})

    def _explained(self, how: Any, source: World | Run, X: Any, target: Any, options: dict[str, Any]) -> Any:
        """What a function of inputs returns; for one row of whole numbers, that of one input."""
        from agents.explanation.inputs import is_whole_row

        single = X is not None and not self.world.units.rows_are_strings and is_whole_row(X)
        found = how(source, [X] if single else X, target, walker=self.walker, **options)
        return found[0] if single and isinstance(found, list) and found else found

    def explain_dataset(self, rows: str | Path, out: str | Path, **options: Any) -> Parts:
        """Explain all rows of a file into a folder, see `agents.engine.dataset.explain_dataset`.

        Args:
            rows: a file of rows, or a folder of pictures.
            out: folder of the results; a second call continues an interrupted one.
            options: ``engine``, ``jobs``, ``target``, ``batch_size`` and the other arguments of `explain_dataset`.

        Raises:
            UserError: a live walker, or a folder with results of another job.
        """
        from agents.engine.dataset import explain_dataset

        if self.walker is not None and not isinstance(self.walker, str):
            raise UserError("explain_dataset needs the name of its walker: make the explainer with walker='name'")
        source: Run | World = self.world if self.run is None else self.run
        return explain_dataset(source, rows, out, **{"walker": self.walker, **options})

    def explain_to_frame(self, X: Any = None, target: Any = None, **options: Any) -> Any:
        """Explain several inputs and return their ends, see :meth:`explain` and :meth:`paths_to_pandas`.

        Inputs that are of the target class already are left out.

        Args:
            X: inputs; the index of a DataFrame becomes that of the result.
            target: as for :meth:`explain`.
            options: further arguments of :meth:`explain`.

        Returns:
            A ``pandas.DataFrame``, one row per explained input.
        """
        from agents.explanation.alternatives.result import flat

        paths = flat(self.explain(X, target, **{"skip_present": True, **options}))
        index = list(X.index) if hasattr(X, "columns") and hasattr(X, "index") else None
        return self.paths_to_pandas(paths, index)

    def paths_to_pandas(self, paths: Iterable[Trajectory], index: Sequence[Any] | None = None) -> Any:
        """The ends of paths as a ``pandas.DataFrame``, in the units of the user's own data.

        Args:
            paths: of this explainer.
            index: keys of the inputs that :meth:`explain` was given; default: row numbers of the user's file or labels
                of the user's data frame, else positions.

        Returns:
            One row per path. For a table: the data's columns with the row at the end of the path; for text: ``text``. Then
            ``from`` and ``to`` (predicted classes of the input and of the end), ``success``, ``steps``, ``distance`` (from the
            input, in data space) and ``queries``. A column of the data with such a name makes ours ``path_<name>``.

        Raises:
            ImportError: pandas is not installed.
        """
        from agents.trajectories.display import ends_to_pandas

        return ends_to_pandas(list(paths), self.world, index)

    def evaluate(self, walkers: Sequence[str | Walker] | None = None, *, frame: bool = False, **options: Any) -> Any:
        """Explain held-out inputs by one or more walkers, and measure the paths.

        Args:
            walkers: compared on the same inputs and targets; default: this explainer's own, and for a run ``policy`` and
                ``line``.
            frame: return a ``pandas.DataFrame`` (one row per measure, one column per walker) instead of a dictionary.
            options: further arguments of `agents.evaluate.evaluate`, such as ``inputs=range(50)``, ``targets="nearest"``.

        Returns:
            walker -> measure -> `Estimate` (value with a 95 % bootstrap interval); see `agents.evaluate.evaluate`.
        """
        chosen = walkers
        if chosen is None:
            chosen = ("policy", "line") if self.walker is None else (self.walker,)
        found = evaluate(self.run or self.world, chosen, **options)
        if not frame:
            return found
        from agents.trajectories.display import measures_to_pandas

        return measures_to_pandas(found)

    def report(
        self, file: str | os.PathLike[str] = "report.html", paths: Sequence[Trajectory] | None = None, title: str | None = None
    ) -> Path:
        """Write one self-contained HTML page: it loads nothing, and opens from disk.

        Args:
            file: where to.
            paths: what is shown; default: the first held-out inputs, explained now.
            title: of the page; default: who explained how many inputs.
        """
        from agents.explanation.metrics.evaluate import evaluate_paths
        from agents.explanation.report.page import write_report

        if paths is None:
            paths = self.explain(rows=range(min(REPORTED, len(self.world.held_out.x))))
        world = self.world if not paths or paths[0].world is None else paths[0].world
        measured = {"measured over": f"these {len(paths)} paths" if len(paths) > 1 else "this path"}
        return write_report(file, paths, world, title=title, metrics=evaluate_paths(world, paths), made=measured)

    def save(self, folder: str | Path) -> Path:
        """Write everything that :meth:`load` needs into a new folder; for a run, a copy of its run folder.

        Live objects cannot be written; pass them again to :meth:`load`.

        Raises:
            UserError: the folder exists, or the explainer has a live walker.
        """
        from agents.runs.explainer_folder import write_explainer

        return write_explainer(Path(in_home(str(folder))), self.world, self.run, self.walker)

    def __repr__(self) -> str:
        """Two lines: who walks, and in what."""
        walker = "the trained agent" if self.walker is None else f"walker {self.walker!r}"
        trained = "" if self.run is None else f", run {str(self.run.folder.root)!r}"
        classes = ", ".join(map(str, self.world.class_names[:6])) + (", ..." if self.world.classes > 6 else "")
        where = f"{self.world.modality} data, {self.world.latent_dim} latent dimensions, classes: {classes}"
        return f"<Explainer: {walker}{trained}>\n{where}"


def _refuse_unknown(live: Mapping[str, Any]) -> None:
    for name in live:
        if name not in FIELDS:
            raise UnknownNameError("setting of a world in Explainer.load", name, sorted(FIELDS))
