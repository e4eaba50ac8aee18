"""A run folder: everything that one training writes, in files that hold data only.

::

    runs/<algo>/<id with - for />_<k>/
        config.json                    the settings, with versions; no host name
        checkpoints/<steps>/           training state (agents.runs.checkpoint_files); manifest.json (sha256s) last
        manifold/                      a fitted manifold's weights (registered ids need none)
        known_predictions.safetensors  the predictions of the reference rows of the user's data
        metrics.jsonl, events.out.tfevents*
        paths/*.npz, report.html

A checkpoint is built in a temporary folder and renamed, so that it is complete or absent whenever the process ends; to remove
one, it is renamed first. Names that begin with a dot are unfinished or set aside, and are removed at the next save. Reading
verifies every checksum and never unpickles.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import sys
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.console.cli import UserError
from agents.files import remove_litter, sync_folder, sync_tree, write_whole
from agents.runs.arguments import texts_of
from agents.runs.checks import check_files, check_summary, check_version
from agents.runs.config import RunConfig
from agents.runs.finding import find
from agents.runs.lock import run_lock
from envs.errors import UntrustedNameError
from envs.files import in_home
from envs.reading.files import check_links, read_object
from envs.reading.trust import check_place, digest_of, names_in, names_of_file, remember, remembered, source_of, trusting

if TYPE_CHECKING:
    from agents.trajectories.trajectory import Trajectory

FORMAT_VERSION = 2
SET_ASIDE = "-replaced"


class RunFolder:
    """The folder of one run. :meth:`create` makes one, :meth:`open` finds one.

    Attributes:
        root: the folder.
        config: the content of config.json.

    Example:
        >>> import tempfile
        >>> from agents.runs.folder import RunFolder
        >>> with tempfile.TemporaryDirectory() as root:
        ...     folder = RunFolder.create(root, "ppo", "Manifold/Digits-v0")
        ...     folder.root.name, folder.checkpoints()
        ('Manifold-Digits-v0_1', [])
    """

    def __init__(self, root: Path, config: dict[str, Any]) -> None:
        self.root = root
        self.config = config

    def __repr__(self) -> str:
        return f"RunFolder({str(self.root)!r})"

    # -- making and finding ---------------------------------------------------------------------------------------

    @classmethod
    def create(cls, root: str | Path, algo: str, env_id: str) -> RunFolder:
        """Make ``root/<algo>/<id with - for />_<k>`` with the next free k. Two processes at once get different numbers.

        Raises:
            UserError: ``root`` cannot be written to.
        """
        parent = Path(in_home(str(root))) / algo.replace(":", "-")
        stem = env_id.replace("/", "-").replace(":", "-") + "_"
        try:
            parent.mkdir(parents=True, exist_ok=True)
            while True:
                taken = [int(p.name[len(stem) :]) for p in parent.glob(stem + "*") if p.name[len(stem) :].isdigit()]
                folder = parent / f"{stem}{max(taken, default=0) + 1}"
                try:
                    folder.mkdir()  # atomic: of two processes one makes it, the other tries the next number
                except FileExistsError:
                    continue
                return cls(folder, {})
        except OSError as error:
            raise UserError(
                f"cannot make a run folder in {str(parent)!r}: {error.strerror}; choose another place with --log-folder"
            ) from error

    @classmethod
    def open(cls, path: str | Path, root: str | Path = "runs") -> RunFolder:
        """Open a run and check its configuration; checkpoints are checked when one is read.

        Args:
            path: the folder; or ``"latest"``; or what follows ``root`` in its path (``ppo/Manifold-Digits-v0_3``), or
                its name alone.
            root: where shorthands are looked up.

        Raises:
            UserError: there is no such run, or a file of it is missing or damaged; the message names the file.
        """
        folder = find(in_home(str(path)), Path(in_home(str(root))))
        if folder.suffix == ".zip":
            raise UserError(
                f"{str(folder)!r} is an SB3 .zip, not a run folder. Reading one unpickles it, which runs whatever code "
                "its maker put there: if you trust that maker, make a run of it by agents.train -i FILE.zip --trust FILE.zip"
            )
        file = folder / "config.json"
        if not file.is_file():
            raise UserError(
                f"{str(folder)!r} is not a run folder: it has no config.json. Runs are made by python -m agents.train"
            )
        config = read_json(file)
        if "format_version" not in config:
            raise UserError(f"{str(file)!r} is damaged: it lacks format_version")
        check_version(config["format_version"], str(file), FORMAT_VERSION)
        if config["format_version"] < FORMAT_VERSION:
            raise UserError(
                f"{str(file)!r} has format version {config['format_version']}, this release reads {FORMAT_VERSION}: "
                "train again, or read it with the release that wrote it"
            )
        check_links(folder, error=UserError)
        run = cls(folder, config)
        run.run_config(repr(str(file)))
        return run

    def run_config(self, where: str = "config.json") -> RunConfig:
        """The settings in config.json; `where` names the file for messages.

        Raises:
            UnknownNameError, UserError: a key that is not a setting, a missing one, or a value of another type.
        """
        return RunConfig.from_json({name: value for name, value in self.config.items() if name != "format_version"}, where)

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.json whole (beside, then renamed)."""
        self.config = {"format_version": FORMAT_VERSION, **config}
        write_whole(self.root / "config.json", json.dumps(self.config, indent=2) + "\n", durable=True)

    def lock(self) -> AbstractContextManager[None]:
        """Within: no other training writes into this run; see :func:`agents.runs.lock.run_lock`."""
        return run_lock(self.root)

    # -- trust ----------------------------------------------------------------------------------------------------

    def names(self) -> dict[str, str]:
        """What config.json and the saved manifold name, objects (``module:object``) and files -> the setting that names it."""
        world = self.config.get("world") or {}
        found = texts_of(self.config["env"].get("kwargs", {})) | names_in(world.get("config")) | self.names_of_manifold()
        return found | self.names_of_training()

    def names_of_training(self) -> dict[str, str]:
        """As `names`, of the algorithm and the bonus alone."""
        used = {"algo": self.config.get("algo", ""), "curiosity": (self.config.get("curiosity") or {}).get("name", "")}
        return {name: setting for setting, name in used.items() if ":" in name}

    def refuse_untrusted_objects(self, trust: Sequence[str] = ()) -> None:
        """Refuse a run whose algorithm or bonus is an object that nobody allowed.

        Raises:
            envs.errors.UntrustedNameError: this account did not make the run, and `trust` does not name the object.
        """
        wanted = self.names_of_training()
        own = wanted if wanted and self.is_own() else ()
        with trusting(trust), names_of_file(self.root / "config.json", wanted, self.root, own=own):
            for name in wanted:
                check_place(name)

    def names_of_manifold(self) -> dict[str, str]:
        """As `names`, of the saved manifold alone."""
        card = self.root / "manifold" / "manifold.json"
        return source_of(read_json(card)) if card.is_file() else {}

    def is_own(self) -> bool:
        """Whether this account wrote config.json and the manifold's description as they are now."""
        return remembered(self._digest())

    def remember(self) -> None:
        """Remember that this account wrote the names in the run; a run without names needs no note."""
        if (names := self.names()) and not remember(self._digest()):
            print(
                f"the run names objects of yours, which cannot be remembered (no configuration folder can be written to): "
                f"scripts that read it need --trust {' '.join(sorted(names))}",
                file=sys.stderr,
            )

    def _digest(self) -> str:
        return digest_of(self.root / "config.json", self.root / "manifold" / "manifold.json")

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def checkpoint_path(self, steps: int) -> Path:
        """Where the checkpoint of these steps lies, or will lie."""
        place, aside = self.root / "checkpoints" / str(steps), self._aside(steps)
        return aside if aside.is_dir() and not place.is_dir() else place

    def _aside(self, steps: int) -> Path:
        """Where a checkpoint waits while another one of the same steps takes its place."""
        return self.root / "checkpoints" / f".{steps}{SET_ASIDE}"

    def checkpoints(self) -> list[int]:
        """The steps of the checkpoints, ascending. Unfinished ones (other names) don't count."""
        folder = self.root / "checkpoints"
        names = [place.name for place in folder.iterdir()] if folder.is_dir() else []
        steps = [name.removesuffix(SET_ASIDE)[1:] if name.endswith(SET_ASIDE) else name for name in names]
        return sorted({int(name) for name in steps if _is_steps(name)})

    def latest_checkpoint(self) -> int:
        """The steps of the newest checkpoint that is whole; damaged ones are skipped with a warning.

        Raises:
            UserError: there is none.
        """
        damaged: list[UserError] = []
        for steps in reversed(self.checkpoints()):
            try:
                self._check(steps)
            except UserError as error:
                damaged.append(error)
                continue
            for found in damaged:
                warnings.warn(f"{found}; it is skipped, and the checkpoint at {steps} steps is taken", stacklevel=2)
            return steps
        if damaged:
            raise damaged[0]
        raise UserError(f"{str(self.root)!r} has no checkpoint: its training ended before the first one; train again")

    def save_checkpoint(self, steps: int, state: dict[str, Any], keep: int = 0) -> Path:
        """Write ``state`` as checkpoints/<steps>: complete or, whatever happens, not at all.

        Whenever the process is killed, the newest whole checkpoint can be read. What killed processes left is removed.

        Args:
            steps: environment steps done; an older checkpoint of the same steps is replaced. Checkpoints of more steps
                belong to a training that was resumed from an earlier one, and are removed.
            state: see :mod:`agents.runs.checkpoint_files`.
            keep: how many checkpoints to keep, the newest (0: all).

        Raises:
            OSError: e.g. the disk is full; earlier checkpoints are untouched and nothing half-written stays.
        """
        from agents.runs.checkpoint_files import write_state

        parent = self.root / "checkpoints"
        parent.mkdir(exist_ok=True)
        self._remove_unfinished()
        beside = parent / f".{steps}-{secrets.token_hex(4)}"
        final, aside = parent / str(steps), self._aside(steps)
        try:
            beside.mkdir()
            write_state(beside, state)
            files = {p.name: {"sha256": _sha256(p), "bytes": p.stat().st_size} for p in sorted(beside.iterdir())}
            manifest = {"format_version": FORMAT_VERSION, "steps": steps, "files": files}
            write_whole(beside / "manifest.json", json.dumps(manifest, indent=1) + "\n")
            sync_tree(beside)
            if final.exists():
                os.rename(final, aside)  # it counts there until the new one is in its place
            os.rename(beside, final)
            sync_folder(parent)
        except BaseException:
            if aside.exists() and not final.exists():
                os.rename(aside, final)
            shutil.rmtree(beside, ignore_errors=True)
            raise
        shutil.rmtree(aside, ignore_errors=True)
        found = self.checkpoints()
        later, kept = [s for s in found if s > steps], [s for s in found if s <= steps]
        for old in [*later, *(kept[:-keep] if keep else [])]:
            self._remove(old)
        return final

    def _remove(self, steps: int) -> None:
        """Remove a checkpoint, renamed first: a kill in the middle leaves nothing that looks like one."""
        place = self.checkpoint_path(steps)
        gone = place.parent / f".{steps}-{secrets.token_hex(4)}"
        with suppress(OSError):
            os.rename(place, gone)
            shutil.rmtree(gone)

    def _remove_unfinished(self) -> None:
        """Remove what processes that were killed left; a checkpoint that was being replaced goes back to its place."""
        for place in (self.root / "checkpoints").glob(".*"):
            steps = place.name.removesuffix(SET_ASIDE)[1:]
            final = place.parent / steps
            if place.name.endswith(SET_ASIDE) and steps.isdecimal() and not final.exists():
                os.rename(place, final)
            else:
                shutil.rmtree(place, ignore_errors=True)
        remove_litter(self.root)

    def load_checkpoint(
        self, steps: int | None = None, device: Any = "cpu", only: tuple[str, ...] | None = None
    ) -> dict[str, Any]:
        """The state saved at ``steps`` (default: the newest that is whole), all checksums verified.

        ``only`` names the entries to read.

        Raises:
            UserError: no such checkpoint; a file is missing or differs from its checksum (the message names it).
        """
        from agents.runs.checkpoint_files import read_state

        if steps is None:
            steps = self.latest_checkpoint()  # which has checked it
        else:
            self._check(steps)
        folder = self.checkpoint_path(steps)
        state = read_state(folder, device, only)
        for name in ("policy", "progress"):
            if name not in state and (only is None or name in only):
                raise UserError(f"{str(folder)!r} is damaged: it lacks the checkpoint's {name}; {self._others(steps)}")
        if "progress" in state:
            check_summary(state["progress"], f"{str(folder / 'progress.json')!r} is damaged")
        return state

    def _check(self, steps: int) -> None:
        """Raise UserError unless the checkpoint exists and every file matches its manifest."""
        folder = self.checkpoint_path(steps)
        if not folder.is_dir():
            raise UserError(f"{str(self.root)!r} has no checkpoint at {steps} steps; it has {self.checkpoints() or 'none'}")
        for name, entry in _read_manifest(folder)["files"].items():
            file = folder / name
            if not file.is_file():
                raise UserError(f"{str(file)!r} is missing, though the checkpoint's manifest names it; {self._others(steps)}")
            if _sha256(file) != entry["sha256"]:
                raise UserError(f"{str(file)!r} is damaged: its sha256 differs from the manifest's; {self._others(steps)}")

    def _others(self, steps: int) -> str:
        others = [s for s in self.checkpoints() if s != steps]
        return (
            f"other checkpoints of this run: {', '.join(map(str, others))}" if others else "this run has no other checkpoint"
        )

    # -- paths ----------------------------------------------------------------------------------------------------

    def add_trajectory(self, trajectory: Trajectory, name: str | None = None) -> Path:
        """Save a trajectory as paths/<name>.npz; the default name is the trajectory's own, and never overwrites."""
        folder = self.root / "paths"
        folder.mkdir(exist_ok=True)
        if name is None:
            stem = name = trajectory.name
            k = 1
            while (folder / f"{name}.npz").exists():
                k += 1
                name = f"{stem}_{k}"
        path = folder / f"{name}.npz"
        trajectory.save(path)
        return path

    def trajectories(self) -> list[Path]:
        """The saved paths, by name; read one with ``agents.trajectories.trajectory.Trajectory.load``."""
        return sorted((self.root / "paths").glob("*.npz"))


def _is_steps(name: str) -> bool:
    """Whether a checkpoint could have this name."""
    return name.isascii() and name.isdecimal() and len(name) < 19


def _read_manifest(folder: Path) -> dict[str, Any]:
    manifest = read_json(folder / "manifest.json")
    if not isinstance(manifest.get("files"), dict) or "policy.safetensors" not in manifest["files"]:
        raise UserError(f"{str(folder / 'manifest.json')!r} is damaged: it doesn't list the policy's file")
    check_files(manifest["files"], folder)
    return manifest


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UserError: missing or damaged; the message names the file.
    """
    try:
        return read_object(file, error=UserError)
    except FileNotFoundError:
        raise UserError(f"{str(file)!r} is missing: the run folder is damaged") from None


def _sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
