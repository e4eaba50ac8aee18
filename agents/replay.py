"""Replay a saved path: show every step, and check that the environment reproduces it.

``python -m agents.replay PATH_OR_RUN`` rebuilds the world from the path's own record, takes the recorded actions from the
recorded input, and compares latents and step lengths (the walk), and apart from them the classifier's predictions. Exit code
0: the walk reproduces, whatever the classifier predicts now; 1: it does not; 2: the path or run cannot be used.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.console.cli import LoadingConfig, UserError, option, parse_config, prepare_process, program, run_main
from agents.console.threads import one_threaded

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory

TOLERANCE = 1e-5  # last bits differ between batch sizes; anything above is another walk


class Comparison(NamedTuple):
    """Largest absolute differences between a recorded path and its repetition.

    Attributes:
        latents: of the latents.
        lengths: of the step lengths, in data space.
        predictions: of the probabilities; 0 where the classifier returns only labels.
        mean: the mean absolute difference of the probabilities, or share of other labels where there are labels alone.
        noise: the mean absolute difference between two identical queries of these frames; 0 where the first one agrees with
            the record, because no second one is needed.
        frames: number of frames.
        rewards: of the rewards; for information, since their logarithms amplify rounding.
        labels: frames whose class differs.
        ended: both end at the same step.
        tolerance: the largest difference that counts as equal.
    """

    latents: float
    lengths: float
    predictions: float
    mean: float
    noise: float
    frames: int
    rewards: float
    labels: tuple[int, ...]
    ended: bool
    tolerance: float

    @property
    def moved_alike(self) -> bool:
        """The same latents and steps, whatever the classifier predicts."""
        return max(self.latents, self.lengths) <= self.tolerance

    @property
    def predicted_alike(self) -> bool:
        """The same probabilities and classes."""
        return self.predictions <= self.tolerance and not self.labels

    @property
    def walk_reproduced(self) -> bool:
        """The same latents and steps; and the same end, unless the classifier's predictions differ."""
        return self.moved_alike and (self.ended or not self.predicted_alike)

    @property
    def reproduced(self) -> bool:
        """Latents, steps, predictions and the end are the same."""
        return self.moved_alike and self.predicted_alike and self.ended


@dataclass(kw_only=True)
class ReplayConfig(LoadingConfig):
    """Show a saved path step by step, repeat its actions in the environment, and check that it reproduces."""

    source: str = option(
        "latest", "a path (.npz), a run or folder of paths, or 'latest'", positional=True, metavar="PATH_OR_RUN"
    )
    path: int | None = option(None, "which path of a run, counted from 1 as they are listed", metavar="N")
    all: bool = option(False, "replay every path of the run")
    gif: str | None = option(None, "write the path as a GIF", metavar="FILE")
    live: bool = option(False, "play the frames in place, like a film")
    delay: float = option(0.6, "seconds per frame with --live", metavar="SECONDS", low=0, high=3600)
    show: bool = option(True, "show the steps; --no-show: only compare")
    log_folder: str = option("runs", "where runs are looked up", "-f")
    tolerance: float = option(TOLERANCE, "largest difference that still counts as the same", low=0)


@one_threaded
def compare(path: Trajectory, world: Any, tolerance: float = TOLERANCE) -> Comparison:
    """Enter the recorded input, take the recorded actions, and compare.

    Raises:
        TrajectoryError: the world has another manifold or other classes.
        UserError: the path was saved without the values of hidden columns.
    """
    import numpy as np
    import torch

    from agents.trajectories.goal import recorded_input
    from envs.core import dynamics

    world, x, cells, held = recorded_input(path, world)
    state, _ = dynamics.enter(world, x, torch.tensor([path.target]), cells)
    source = int(state.source[0])
    state = state._replace(source=torch.tensor([path.source]), held=state.held if held is None else held)
    states, lengths, rewards, ended = [state], [], [], bool(dynamics.arrived(world, state)[0])
    early = ended and path.steps > 0
    # Planned steps beyond the first one begin where the walk has arrived, and people may go on after that.
    last = path.steps - max(path.planned - 1, path.beyond, 0)
    ended = ended and path.keeps_class
    for t, action in enumerate(path.actions):
        state, info = dynamics.step(world, state, torch.from_numpy(action)[None])
        states.append(state)
        lengths.append(float(info.step_length[0]))
        rewards.append(float(info.reward[0]))
        ended = bool(info.terminated[0])
        early = early or (ended and t + 1 < last)
    z = np.concatenate([s.z.numpy() for s in states])
    predictions = np.concatenate([s.prediction.numpy() for s in states])
    labels = np.flatnonzero(predictions.argmax(1) != path.predicted).tolist()
    known = np.eye(world.classes, dtype=np.float32)[path.predicted] if path.predictions is None else path.predictions
    largest = 0.0 if path.predictions is None else _largest(predictions, path.predictions)
    noise = 0.0
    if labels or largest > tolerance:
        frames = torch.cat([s.frame for s in states])
        again = world.predictions(frames, state.home.chosen(torch.zeros(len(frames), dtype=torch.int64))).numpy()
        noise = _mean(again, predictions, path.label_only)
    return Comparison(
        latents=_largest(z, path.z),
        lengths=_largest(np.array(lengths), path.step_lengths),
        predictions=largest,
        mean=_mean(predictions, known, path.label_only),
        noise=noise,
        frames=len(z),
        rewards=_largest(np.array(rewards), path.rewards),
        labels=tuple(labels),
        ended=ended == path.success and not early and source == path.source,
        tolerance=tolerance,
    )


def _largest(a: Any, b: Any) -> float:
    import numpy as np

    return float(np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)).max(initial=0.0))


def _mean(a: Any, b: Any, labels: bool) -> float:
    """Mean absolute difference of probabilities (T+1, K), or the share of frames with other labels."""
    import numpy as np

    return float((a.argmax(1) != b.argmax(1)).mean() if labels else np.abs(a - b).mean())


NOISE = 3.0  # a difference of more than so many times the one between two identical queries is more than noise


def verdict(path: Trajectory, found: Comparison) -> str:
    """The comparison as one sentence."""
    if found.reproduced:
        largest = max(found.latents, found.lengths, found.predictions)
        return f"reproduced: largest difference {largest:.1e} (tolerance {found.tolerance:.0e})"
    if not found.moved_alike:
        return (
            f"NOT reproduced: the walk itself differs, latents by up to {found.latents:.3g} and steps by up to "
            f"{found.lengths:.3g} (tolerance {found.tolerance:.0e}): other actions, move or manifold than recorded"
        )
    if not found.walk_reproduced:
        return "NOT reproduced: walk and predictions are the same, but the recorded end is not where the task is satisfied"
    by = "" if path.predictions is None else f" by up to {found.predictions:.3g}, {found.mean:.3g} on average;"
    if found.labels:
        names = ", ".join(map(str, found.labels))
        other = f"another class on {len(found.labels) / found.frames:.2f} of the frames ({names})"
    else:
        other = "the same class on every frame" + ("" if found.ended else ", but the walk ends elsewhere")
    if found.noise <= found.tolerance:
        why = "two identical queries give the same prediction now, so it has changed since"
    elif found.mean <= NOISE * found.noise:
        why = f"it is noisy: between two identical queries its predictions differ as much ({found.noise:.3g} on average)"
    else:
        why = f"it is noisy ({found.noise:.3g} on average between two identical queries), and has changed by more than that"
    return f"the walk reproduces, frame by frame; the classifier's predictions differ{by} {other}; {why}"


def find_paths(config: ReplayConfig) -> tuple[list[Path], Path | None]:
    """The files to replay and the run folder they lie in, if it is one.

    Raises:
        UserError: no such path or run, no path in it, or a number outside the list.
    """
    from agents.runs.folder import RunFolder

    given = Path(config.source)
    if given.suffix == ".npz" or os.path.isfile(given):
        return [given], _run_above(given.resolve().parent)
    files = sorted(given.glob("*.npz")) if os.path.isdir(given) and not os.path.isfile(given / "config.json") else []
    if files:
        root, run = given, _run_above(given.resolve())
    else:
        folder = RunFolder.open(config.source, config.log_folder)
        root = run = folder.root
        files = folder.trajectories()
    if not files:
        raise UserError(f"{root} has no paths yet: make some with python -m agents.explain RUN --index 0")
    if config.all:
        return files, run
    if config.path is not None and not 1 <= config.path <= len(files):
        raise UserError(f"--path {config.path}: {root} has {len(files)} paths, counted from 1")
    if config.path is None:
        print(f"paths in {root}, the first is replayed (--path N: another, --all: every one)")
        for number, file in enumerate(files, start=1):
            print(f"  {number:3d}  {file.name}")
    return [files[(config.path or 1) - 1]], run


def _run_above(folder: Path) -> Path | None:
    """The run whose paths lie in a folder, if there is one."""
    return folder.parent if (folder.parent / "config.json").is_file() else None


@one_threaded
def replay(file: Path, run: Path | None, config: ReplayConfig, worlds: dict[str, Any]) -> bool:
    """Show one path, compare it with its repetition, write its GIF. ``worlds`` keeps the worlds made so far."""
    from agents.console.terminal import console as visible_console
    from agents.explanation.headline import headline
    from agents.explanation.output import show_worth
    from agents.runs.world_record import build_world
    from agents.trajectories.trajectory import Trajectory

    path = Trajectory.load(file)
    key = json.dumps(path.environment, sort_keys=True)
    if key not in worlds:
        worlds[key] = build_world(path.environment, run, where=file.name, trust=config.trust, file=file)
    world = worlds[key]
    path.check_world(world)
    console = visible_console(highlight=False)
    console.print(f"\n{file.name}: {headline(path, world=world)}", markup=False, soft_wrap=True)
    console.print(path.summary(), markup=False, soft_wrap=True)
    show_worth(console, path)
    if config.show or config.live:
        from agents.explanation.figures.terminal import PathScreen

        screen = PathScreen(path, world, console)
        if config.live:
            screen.play(config.delay)
        else:
            screen.show()
    if config.gif is not None:
        from agents.explanation.figures.gif import save_gif

        console.print(f"wrote {save_gif(path, world, config.gif)}", markup=False, soft_wrap=True)
    found = compare(path, world, config.tolerance)
    console.print(verdict(path, found), markup=False, soft_wrap=True)
    return found.walk_reproduced


def main(argv: Sequence[str] | None = None) -> int:
    """The command, see `ReplayConfig`."""
    config = parse_config(ReplayConfig, argv, program("replay"))
    if config.all and config.gif is not None:
        raise UserError("--gif takes one path: choose it with --path N, or leave out --all")
    prepare_process(config.num_threads)
    files, run = find_paths(config)
    worlds: dict[str, Any] = {}
    if not config.all:
        return 0 if replay(files[0], run, config, worlds) else 1
    good = 0
    for file in files:
        try:
            good += replay(file, run, config, worlds)
        except UserError as error:  # one damaged file does not keep the others from being looked at
            print(f"error: {error}", file=sys.stderr)
    print(f"\n{good} of {len(files)} paths reproduced")
    return 0 if good == len(files) else 1


if __name__ == "__main__":
    sys.exit(run_main(main))
