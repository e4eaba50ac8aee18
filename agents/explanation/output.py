"""The output of `agents.explain`: files of each path, and the text in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.console.cli import UserError, progress_bar
from agents.console.threads import one_threaded
from agents.files import remove_litter, write_whole, writing
from envs.files import in_home

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory
    from envs.core.world import World

FORMATS = ("npz", "png", "gif", "json")
MEANING = "A path changes this model's prediction; it promises nothing about the world."
SHOWN = 5  # of more paths than this, each gets one line


@one_threaded
def save(
    paths: Sequence[Trajectory],
    world: World,
    folder: str | Path,
    formats: Sequence[str] = ("npz",),
    bar: bool = False,
    saved: list[Path] | None = None,
) -> list[Path]:
    """Write every path into a folder; existing files are kept.

    Args:
        paths: to be written.
        world: where they were walked; decodes the frames.
        folder: created if need be.
        formats: of `FORMATS`; one file each per path.
        bar: show a progress bar.
        saved: a list to which the first file of each path is added as soon as it is written, so that it is complete when an
            error interrupts the writing.

    Returns:
        The first file of each path.

    Raises:
        UserError: the folder cannot be written, or the disk is full; it says how many paths are saved.
    """
    folder = Path(in_home(str(folder)))
    first = [] if saved is None else saved
    elsewhere = "make room, or choose another folder with --out DIR"
    with writing("to the folder", elsewhere):
        folder.mkdir(parents=True, exist_ok=True)
    remove_litter(folder)
    taken: dict[str, int] = {}  # looking for a free name from 1 for each of n equal names would take n^2 looks
    with progress_bar(len(paths), "saving", bar, unit="path") as progress:
        for path in paths:
            stem, k = path.name, taken.get(path.name, 1)
            while any((folder / f"{stem if k == 1 else f'{stem}_{k}'}.{kind}").exists() for kind in FORMATS):
                k += 1
            taken[path.name] = k
            stem = stem if k == 1 else f"{stem}_{k}"
            with writing("a path", f"{len(first)} paths are saved in {str(folder)!r}: {elsewhere}"):
                files = [_write(path, world, folder / f"{stem}.{kind}") for kind in formats]
            first.append(files[0])
            progress.update(1)
    return first


def _write(path: Trajectory, world: World, file: Path) -> Path:
    """Write one path in the format of the file's extension."""
    if file.suffix == ".npz":
        return path.save(file)
    if file.suffix == ".json":
        write_whole(file, path.to_json(indent=1))
    elif file.suffix == ".gif":
        from agents.explanation.figures.gif import save_gif

        save_gif(path, world, file)
    else:
        from agents.explanation.figures.path import film_strip

        write_whole(file, film_strip(path, world))
    return file


def report(paths: Sequence[Trajectory], files: Sequence[Path], brief: bool = False, world: World | None = None) -> None:
    """Print the results: summary and tables of a few paths, one line for each of many, and where the files are.

    Args:
        paths: that were found.
        files: the first file of each path; empty if nothing was saved.
        brief: print the number of valid paths, and which inputs have none, instead of a line each.
        world: where they were walked; adds the parts that changed, and the values along few paths.
    """
    from agents.console.terminal import console as visible_console
    from agents.explanation.figures.renderer import renderer_of
    from agents.explanation.headline import headline
    from agents.explanation.report.groups import grouped

    console = visible_console(highlight=False)
    for path in () if brief else paths:
        place = place_of(path, world)
        label = (f"[{place}] " if place else "") + (f"{path.scenario}: " if path.scenario else "")
        console.print(label + headline(path, world=world), markup=False, soft_wrap=True)
        console.print(path.summary(), markup=False, soft_wrap=True)
        show_worth(console, path)
        if len(paths) <= SHOWN:
            steps = step_table(path)
            whole = console.measure(steps, options=console.options.update(width=10 * console.width)).maximum
            steps.collapse_padding = whole > console.width  # narrower, before titles are cut
            console.print(steps)
            if world is not None and (values := renderer_of(path).terminal_table(path, world, console.width)) is not None:
                console.print(values)
    if brief:
        paths = [paths[first] for first, *_ in grouped(paths)]
        arrived = sum(path.success for path in paths)
        queries = sum(path.queries for path in paths) / max(len(paths), 1)
        console.print(f"{arrived} of {len(paths)} inputs explained, {queries:.1f} queries each on average")
        failed = [_short(path) for path in paths if not path.success]
        lost = [_short(path) for path in paths if not path.keeps_class]
        if lost:
            rows = f"{', '.join(lost[:20])}{' ...' if len(lost) > 20 else ''}"
            console.print(
                f"frame 0 keeps the {paths[0].kind_of_end} for {1 - len(lost) / len(paths):.2f} of inputs; not for {rows}"
            )
        if failed:
            console.print(f"not explained: {', '.join(failed[:20])}{' ...' if len(failed) > 20 else ''}")
    if world is not None and paths and not brief:
        console.print(MEANING, markup=False, soft_wrap=True)
    if not files:
        console.print("not saved: name a folder with --out DIR", markup=False)
        return
    number = f"{len(files)} path{'' if len(files) == 1 else 's'}"
    console.print(f"saved {number} in {files[0].parent}", markup=False, soft_wrap=True)
    if files[0].suffix == ".npz":
        quoted = f"'{files[0]}'" if " " in str(files[0]) else str(files[0])
        console.print(f"replay with: python -m agents.replay {quoted}", markup=False, soft_wrap=True)


def for_machines(paths: Sequence[Trajectory], files: Sequence[Path] = ()) -> list[dict[str, Any]]:
    """What ``--json`` prints of each path: classes by name, whether it arrived, queries, its frames, and its first file."""
    return [
        {
            "index": path.index,
            "row": path.row,
            "source": path.class_names[path.source],
            "target": path.class_names[path.target],
            "end": path.class_names[path.predicted[-1]],
            "success": path.success,
            "steps": path.steps,
            "queries": path.queries,
            "walker": path.walker,
            **({} if path.scenario is None else {"scenario": path.scenario}),
            "headline": path.headline,
            "summary": path.summary(),
            "contributions": None if path.saved_contributions is None else path.saved_contributions.to_json(),
            "badge": None if path.saved_badge is None else path.saved_badge.to_json(),
            "file": str(files[k]) if k < len(files) else None,
            "frames": path.table(),
            **({} if path.texts is None else {"texts": path.texts}),
        }
        for k, path in enumerate(paths)
    ]


def columns_said(world: World) -> dict[str, Any]:
    """What ``--json`` prints of the columns of a table whose description has units or says what they hold."""
    found = {
        key: getattr(world.units, name)
        for key, name in (("units", "units_of_measure"), ("descriptions", "descriptions"))
        if getattr(world.units, name, None)
    }
    return {"columns": found} if found else {}


def place_of(path: Trajectory, world: World | None = None) -> str:
    """Which input a path is of: the row of the user's file, with its line, or of the user's data frame; else the row of the
    split; empty for an input of the user's own."""
    if path.row is None:
        return "" if path.index is None else str(path.index)
    known = None if world is None or path.index is None else world.row_labels
    return f"row {path.row}" if known is None else known.words(path.row)


def _short(path: Trajectory) -> str:
    """The row of a path in a list."""
    return str(path.index if path.row is None else path.row)


def add_contributions(paths: Sequence[Trajectory]) -> None:
    """Compute the contributions of paths, and keep them with each; where one has too many parts, that is said instead."""
    for path in paths:
        try:
            path.contributions()
        except UserError as error:
            print(f"no contributions: {error}", file=sys.stderr)


def show_worth(console: Any, path: Trajectory) -> None:
    """Print the badge and the contributions of a path, as far as they were computed."""
    from agents.explanation.figures.terminal import contribution_table
    from agents.trajectories.shown import shown_of

    if path.saved_badge is not None:
        text = f"Badge: {path.saved_badge.kind}. {' '.join(path.saved_badge.reasons)}"
        console.print(text, markup=False, soft_wrap=True)
    if (found := path.saved_contributions) is None:
        return
    console.print(
        contribution_table(found, shown_of(path, found.explained) or path.class_names[found.explained], console.width)
    )
    console.print(f"queries: search {path.queries}, contributions {found.queries}", markup=False, soft_wrap=True)


def step_table(path: Trajectory) -> Any:
    """The frames of a path as a rich table, without the columns that were not measured."""
    from rich.table import Table
    from rich.text import Text

    from agents.console.terminal import name_cell
    from agents.explanation.sentences import is_planned

    titles = {
        "frame": "frame", "class": path.kind_of_end, "score": "score", "p_target": f"p({path.class_names[path.target]})",
        "p_source": f"p({path.class_names[path.source]})", "step_length": "step", "path_length": "path",
        "distance": "to input", "edit_distance": "words changed", "typicality": "typicality",
        "information_gain": "gain (nats)",
    }  # fmt: skip
    if path.target == path.source:
        titles.pop("p_source")
    rows = path.table()
    shown = [name for name in titles if any(row.get(name) is not None for row in rows)]
    table = Table(box=None, pad_edge=False)
    for name in shown:
        title, named = name_cell(titles[name]), name == "class"  # of a title of one word, wrapping would cut letters
        table.add_column(Text(title), justify="left" if named else "right", no_wrap=not named and " " not in title)
    for row in rows:
        cells = [row.get(name) for name in shown]
        if is_planned(path, row["frame"]):
            cells[0] = f"{cells[0]} (planned)"
        table.add_row(*(Text("" if c is None else f"{c:.3f}" if isinstance(c, float) else name_cell(str(c))) for c in cells))
    return table
