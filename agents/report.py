"""Write the HTML report of a run's paths, or of one path: ``python -m agents.report RUN_OR_PATH``.

``--card N --format png`` writes one card of it as a picture, a page (pdf), an animation (gif) or its numbers (json);
``--lime`` and ``--treeview`` add those layers. From Python: `agents.write_report`, or `agents.Explainer.report`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.console.cli import LoadingConfig, UserError, option, parse_config, prepare_process, program, run_main

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory

CARD_FORMATS = ("png", "gif", "pdf", "json")


@dataclass(kw_only=True)
class ReportConfig(LoadingConfig):
    """Write one self-contained report.html for the paths of a run, or for one path; or one card of it as a file."""

    source: str = option(
        "latest", "a run or folder of paths, 'latest', or a path (.npz)", positional=True, metavar="RUN_OR_PATH"
    )
    out: str | None = option(None, "file to write (default: report.html in the run folder, or card-N.FORMAT)", metavar="FILE")
    card: int | None = option(None, "write this card alone, counted from 1 as in the report", metavar="N", low=1)
    format: str = option("png", "format of the card's file", choices=CARD_FORMATS)
    lime: bool = option(False, "show at every frame what moves the prediction there (latent LIME; queries the classifier)")
    treeview: bool = option(False, "show each path's route through a TreeView of the classifier (needs a torch one)")
    audit: bool = option(False, "tables: add an audit of the columns that look protected (queries the classifier)")
    part_names: dict[str, Any] = option({}, "your names for columns or parts, which headlines then use")  # noqa: RUF009
    redact: list[str] = option([], "columns of a table to hide", metavar="COLUMN")  # noqa: RUF009
    log_folder: str = option("runs", "where runs are looked up", "-f", metavar="DIR")


def main(argv: Sequence[str] | None = None) -> int:
    """The command, see `ReportConfig`. Files that cannot be read or belong to another world are left out."""
    config = parse_config(ReportConfig, argv, program("report"))
    prepare_process(config.num_threads)
    from agents.explanation.across.audit import audit
    from agents.explanation.contributions.names import rename_parts
    from agents.explanation.figures.explored import coverage_panels
    from agents.explanation.figures.gain import gain_panels
    from agents.explanation.metrics.evaluate import evaluate_paths
    from agents.explanation.report.extras import Extras, layers
    from agents.explanation.report.page import MOST_PATHS, write_report
    from agents.explanation.report.statement import add_contributions
    from agents.redaction import redacted

    world, paths, names, run = read_paths(config)
    if config.part_names:
        add_contributions(paths[:MOST_PATHS], world)
        rename_parts(paths, config.part_names, world)
    paths = redacted(paths, world, config.redact)
    if config.card is not None:
        print(f"wrote {write_card(config, world, paths, run)}")
        return 0
    whole = [path for path in paths if not path.lacks_values]
    if (config.lime or config.treeview) and len(whole) < len(paths):
        raise UserError("--lime and --treeview query the classifier, and some of these files leave out values of the input")
    extras = layers(paths[:MOST_PATHS], world, names, config.lime, config.treeview)
    extras += [Extras(file=name) for name in names[MOST_PATHS:]]
    out = config.out or (run / "report.html" if run is not None else "report.html")
    over = f"these {len(paths)} paths" if len(paths) > 1 else "this path"
    over += f" but {len(paths) - len(whole)} with hidden values" if len(whole) < len(paths) else ""
    made = {"command": "python -m agents.report RUN", "measured over": over}
    measured, panels = evaluate_paths(world, whole) if whole else {}, gain_panels(run, paths[:MOST_PATHS], config.trust)
    panels += coverage_panels(run, config.trust)
    found = audit(world) if config.audit else None
    page = write_report(out, paths, world, metrics=measured, made=made, extras=extras, panels=panels, audit=found)
    print(f"wrote {page}")
    return 0


def read_paths(config: ReportConfig) -> tuple[Any, list[Trajectory], list[str], Path | None]:
    """The world, the paths that can be read, their file names, and the run folder, if they lie in one.

    Raises:
        UserError: none can be read.
    """
    from agents.replay import ReplayConfig, find_paths
    from agents.runs.world_record import build_world
    from agents.trajectories.trajectory import Trajectory

    files, run = find_paths(ReplayConfig(source=config.source, log_folder=config.log_folder, all=True))
    world, paths, names = None, [], []
    for file in files:
        try:
            path = Trajectory.load(file)
            world = world or build_world(path.environment, run, where=file.name, trust=config.trust, file=file)
            path.check_world(world)
        except UserError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        paths.append(path)
        names.append(file.name)
    if world is None or not paths:
        raise UserError(f"{config.source}: none of its {len(files)} paths could be read")
    return world, paths, names, run


def write_card(config: ReportConfig, world: Any, paths: Sequence[Trajectory], run: Path | None) -> Path:
    """Write one card as a file.

    Raises:
        UserError: there is no such card.
    """
    from agents.explanation.report.export import export
    from agents.explanation.report.page import cards_of
    from agents.explanation.report.statement import add_contributions
    from agents.files import write_whole, writing
    from envs.files import in_home

    number, cards = config.card or 1, cards_of(paths, world)
    if number > len(cards):
        raise UserError(f"--card {number}: {config.source} has {len(cards)} paths with a card, counted from 1")
    default = (run or Path(".")) / f"card-{number}.{config.format}"
    target = Path(in_home(config.out)) if config.out else default
    chosen = cards[number - 1]
    shown = [chosen.path, *(other.path for other in chosen.others)]
    add_contributions(shown, world)
    for path in shown:
        path.badge(world)
    chosen.mapped = False
    card = export(chosen, config.format)
    with writing("the card", "make room, or choose another place with --out FILE"):
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, card)
    return target


if __name__ == "__main__":
    sys.exit(run_main(main))
