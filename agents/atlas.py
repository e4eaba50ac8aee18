"""Pictures of a latent space: ``python -m agents.atlas RUN_OR_ID --figure mine``, or :func:`atlas` from Python.

::

    from agents.atlas import atlas
    drawn = atlas(world, "strip", index=[3, 40])             # drawn.image is a PNG, drawn.note says how it was made

A new figure is one function and one line in `FIGURES`, or ``module:function``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from agents.console.cli import SEEDS, NamingConfig, UserError, option, parse_config, prepare_process, program, run_main
from agents.console.deferred import in_usual_torch, with_plain_arguments
from agents.console.threads import one_threaded

if TYPE_CHECKING:
    from agents.runs.run import Run
    from envs.core.world import World

#: name -> module:function; the function takes a world and an `AtlasConfig` and gives a `Drawing`.
FIGURES: dict[str, str] = {
    "j-diagram": "agents.explanation.atlas.j_diagram:draw",
    "mine": "agents.explanation.atlas.mine:draw",
    "strip": "agents.explanation.atlas.strip:draw",
    "map": "agents.explanation.atlas.map:draw",
    "homotopy": "agents.explanation.atlas.homotopy:draw",
    "explored": "agents.explanation.atlas.explored:draw",
}
WAYS = ("lerp", "slerp", "matched")


class Drawing(NamedTuple):
    """A picture as PNG, and one or two sentences about how it was made."""

    image: bytes
    note: str


@dataclass(kw_only=True)
class AtlasConfig(NamingConfig):
    """Draw a picture of a latent space as PNG; for a run it goes into the run's folder and its TensorBoard logs, too."""

    run: str = option(
        "latest", "run folder, 'latest', or an environment id such as Manifold/Digits-v0", positional=True,
        metavar="RUN_OR_ID",
    )  # fmt: skip
    figure: str = option("map", f"the picture: {', '.join(FIGURES)}, or module:function", metavar="NAME")
    index: list[int] = option(  # noqa: RUF009
        [],
        "inputs: two for a strip or homotopy, three for a J-diagram (A B C of A:B::C:D); default: chosen automatically",
        metavar="N",
    )
    between: list[str] = option([], "two sentences of your own for a homotopy", metavar="TEXT")  # noqa: RUF009
    split: str = option("held_out", "which data --index counts in", choices=("held_out", "reference"))
    way: str = option("slerp", "how the cells of j-diagram and mine are interpolated", choices=WAYS)
    rows: int | None = option(None, "rows of a grid (default: 7 for j-diagram, 21 for mine)", metavar="N", low=1, high=1000)
    columns: int | None = option(
        None, "columns of a grid (default: 9; 29 for mine; frames of a strip: 11)", metavar="N", low=1, high=1000
    )
    spacing: int = option(4, "cells from one anchor of a MINE grid to the next", metavar="N", low=1, high=1000)
    arrange: str = option("umap", "method that lays out the anchors of a MINE grid", choices=("umap", "pca"))
    curiosity: str = option("vime", "bonus that explores for the figure 'explored', or none", metavar="NAME")
    queries: int = option(20_000, "queries of that exploration", metavar="N", low=1024, high=100_000_000)
    seed: int = option(0, "seed of all random draws", metavar="N", **SEEDS)
    env_kwargs: dict[str, Any] = option({}, "arguments of the environment, with an id, e.g. tau:0.8")  # noqa: RUF009
    checkpoint: int | None = option(None, "steps of the run's checkpoint (default: the last)", metavar="STEPS", low=0)
    out: str | None = option(
        None, "the PNG file (default: atlas/FIGURE.png in the run's folder, FIGURE.png here with an id)", metavar="FILE"
    )
    log_folder: str = option("runs", "where runs are looked up", "-f", metavar="DIR")


@in_usual_torch
@with_plain_arguments
@one_threaded
def atlas(source: Run | World | str | Path, figure: str | Callable[..., Drawing] = "map", **options: Any) -> Drawing:
    """Draw a picture of a latent space.

    Args:
        source: a run (or its folder), or a world.
        figure: a name of `FIGURES`, ``module:function``, or a function of a world and an `AtlasConfig`.
        options: fields of `AtlasConfig`: index, split, way, rows, columns, spacing, arrange, seed.

    Raises:
        UnknownNameError: no such figure or option; close names are offered.
        ManifoldError: a world that has no such picture, or options that do not fit.
    """
    from agents.explanation.explain import world_and_run
    from envs.errors import UnknownNameError

    draw = figure_of(figure)
    known = [field.name for field in fields(AtlasConfig)]
    for name in options:
        if name not in known:
            raise UnknownNameError("option of the atlas", name, known)
    world, _ = world_and_run(source)
    return draw(world, AtlasConfig(figure=figure if isinstance(figure, str) else figure.__name__, **options))


def figure_of(figure: str | Callable[..., Drawing]) -> Callable[..., Drawing]:
    """The function that draws a figure.

    Raises:
        UnknownNameError: no such name in `FIGURES`; close names are offered.
        ManifoldError: an object that cannot be loaded.
    """
    from envs.errors import UnknownNameError
    from envs.reading.objects import load_object

    if not isinstance(figure, str):
        return figure
    if ":" not in figure and figure not in FIGURES:
        raise UnknownNameError("figure", figure, FIGURES)
    found: Callable[..., Drawing] = load_object(FIGURES.get(figure, figure))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """The command, see `AtlasConfig`."""
    config = parse_config(AtlasConfig, argv, program("atlas"))
    by_id = "/" in config.run and not os.path.isdir(config.run) and config.run.split("/")[0] == "Manifold"
    for name in ("env_kwargs", "class_names"):
        if getattr(config, name) and not by_id:
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{flag} belongs to an environment id; a run has its own in its config.json")
    if config.out is not None and not Path(config.out).resolve().parent.is_dir():
        raise UserError(f"--out {config.out}: there is no folder {Path(config.out).resolve().parent}")
    prepare_process(config.num_threads)
    from agents.files import write_whole, writing

    draw = figure_of(config.figure)
    world, run = _open(config, by_id)
    drawn = draw(world, config)
    name = config.figure.replace(":", ".")
    if config.out is not None:
        file = Path(config.out)
    elif run is None:
        file = Path(f"{name}.png")
    else:
        file = run.folder.root / "atlas" / f"{name}.png"
    with writing("the picture", "make room, or choose another place with --out FILE"):
        file.parent.mkdir(exist_ok=True)
        write_whole(file, drawn.image)
    print(drawn.note)
    print(f"wrote {file}")
    if run is not None:
        _log(run, name, drawn.image)
        print(f"logged as atlas/{name}: tensorboard --logdir {run.folder.root}")
    return 0


def _open(config: AtlasConfig, by_id: bool) -> tuple[World, Run | None]:
    """The world of an id, or a run and its world."""
    if by_id:
        from envs.building.world import make_world_named
        from envs.reading.trust import trusting

        with trusting(config.trust):  # a saved manifold's folder may name what it is made of
            names = {} if config.class_names is None else {"class_names": config.class_names}
            return make_world_named(config.run, {**config.env_kwargs, **names}), None
    from agents.explanation.explain import world_and_run
    from agents.runs.run import load_run

    return world_and_run(load_run(config.run, config.checkpoint, trust=config.trust, root=config.log_folder))


def _log(run: Run, figure: str, image: bytes) -> None:
    """The picture in TensorBoard's logs, as a run of its own, at the step of the run's checkpoint.

    TensorBoard follows one file per folder: a second one in the run's own folder would hide a training in progress.
    """
    from agents.explanation.tensorboard import log_png
    from agents.training.event_files import EventWriter

    with EventWriter(run.folder.root / "atlas") as writer:
        log_png(writer, f"atlas/{figure}", image, run.steps)


if __name__ == "__main__":
    sys.exit(run_main(main))
