"""A run folder: everything one training leaves behind, in files that hold data only.

::

    runs/<algo>/<id with - for />_<k>/
        config.json                    what was asked, with versions; no host name
        checkpoints/<steps>/           training state (agents.checkpoint_files); manifest.json (sha256s) last
        manifold/                      a fitted manifold's weights (registered ids need none)
        known_answers.safetensors      what the classifier said of the reference rows of own data
        metrics.jsonl, events.out.tfevents*
        paths/*.npz, report.html

A checkpoint is built in a folder beside and renamed whole, so that it is there completely or not at all, whenever the
process ends. Reading verifies every checksum and never unpickles.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agents.atomic import write_whole
from agents.cli import UserError

if TYPE_CHECKING:
    from agents.trajectory import Trajectory

FORMAT_VERSION = 1
CONFIG_KEYS = ("format_version", "algo", "env", "hyperparameters", "seed", "n_envs", "n_timesteps")


class RunFolder:
    """One run's folder. Make one with :meth:`create`, find one with :meth:`open`."""

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
        parent = Path(root) / algo
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
        """Open a run and check its configuration and the manifests of its checkpoints (the checksums when one is read).

        Args:
            path: the folder; or ``"latest"``; or what follows ``root`` in its path (``ppo/Manifold-Digits-v0_3``), or
                its name alone.
            root: where shorthands are looked up.

        Raises:
            UserError: there is no such run, or a file of it is missing or damaged; the message names the file.
        """
        folder = cls._find(str(path), Path(root))
        if folder.suffix == ".zip":
            raise UserError(
                f"{str(folder)!r} is an SB3 .zip, not a run folder. Reading one unpickles it, which runs whatever code "
                "its maker put there: if you trust that maker, make a run of it by agents.train -i FILE.zip --trust"
            )
        file = folder / "config.json"
        if not file.is_file():
            raise UserError(
                f"{str(folder)!r} is no run folder: it has no config.json. Runs are made by python -m agents.train"
            )
        config = read_json(file)
        missing = [key for key in CONFIG_KEYS if key not in config]
        if missing:
            raise UserError(f"{str(file)!r} is damaged: it lacks {', '.join(missing)}")
        if config["format_version"] > FORMAT_VERSION:
            raise UserError(
                f"{str(file)!r} has format version {config['format_version']}, this release reads up to "
                f"{FORMAT_VERSION}: install a newer one"
            )
        run = cls(folder, config)
        for steps in run.checkpoints():
            _read_manifest(run.checkpoint_path(steps))
        return run

    @staticmethod
    def _find(path: str, root: Path) -> Path:
        if path == "latest":
            found = sorted(root.glob("*/*_*/config.json"), key=lambda file: (file.stat().st_mtime, str(file)))
            if not found:
                example = root / "example"
                instead = f"{str(example)!r}, which came with this checkout" if example.is_dir() else "a folder's path"
                raise UserError(
                    f"there is no run in {str(root)!r} yet: train one with python -m agents.train, or give {instead}"
                )
            return found[-1].parent
        folder = Path(path)
        if folder.name == "config.json":
            folder = folder.parent
        if folder.exists():
            return folder
        for candidate in (root / path, *sorted(root.glob(f"*/{path}"))) if not folder.is_absolute() else ():
            if candidate.is_dir():
                return candidate
        found = [*root.glob("example/config.json"), *sorted(root.glob("*/*_*/config.json"))]
        known = [str(file.parent) for file in found]
        hint = f"known: {', '.join(known[-5:])}" if known else f"there are no runs in {str(root)!r}"
        raise UserError(f"no run folder {path!r}; {hint}")

    def write_config(self, config: dict[str, Any]) -> None:
        """Write config.json whole (beside, then renamed)."""
        self.config = {"format_version": FORMAT_VERSION, **config}
        write_whole(self.root / "config.json", json.dumps(self.config, indent=2) + "\n")

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def checkpoint_path(self, steps: int) -> Path:
        return self.root / "checkpoints" / str(steps)

    def checkpoints(self) -> list[int]:
        """The steps of the checkpoints, ascending. Unfinished ones (other names) don't count."""
        folder = self.root / "checkpoints"
        return sorted(int(p.name) for p in folder.iterdir() if p.name.isdigit()) if folder.is_dir() else []

    def latest_checkpoint(self) -> int:
        """The steps of the last checkpoint.

        Raises:
            UserError: there is none.
        """
        found = self.checkpoints()
        if not found:
            raise UserError(
                f"{str(self.root)!r} has no checkpoint: its training ended before the first one; train again"
            )
        return found[-1]

    def save_checkpoint(self, steps: int, state: dict[str, Any], keep: int = 0) -> Path:
        """Write ``state`` as checkpoints/<steps>: complete or, whatever happens, not at all.

        Args:
            steps: environment steps done; an older checkpoint of the same steps is replaced.
            state: see :mod:`agents.checkpoint_files`.
            keep: how many checkpoints to keep, the newest (0: all).

        Raises:
            OSError: e.g. the disk is full; earlier checkpoints are untouched and nothing half-written stays.
        """
        from agents.checkpoint_files import write_state

        parent = self.root / "checkpoints"
        parent.mkdir(exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{steps}-", dir=parent))
        try:
            os.chmod(beside, 0o777 & ~_umask())
            write_state(beside, state)
            files = {p.name: {"sha256": _sha256(p), "bytes": p.stat().st_size} for p in sorted(beside.iterdir())}
            manifest = {"format_version": FORMAT_VERSION, "steps": steps, "files": files}
            write_whole(beside / "manifest.json", json.dumps(manifest, indent=1) + "\n")
            final = self.checkpoint_path(steps)
            if final.exists():
                shutil.rmtree(final)
            os.rename(beside, final)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        for old in self.checkpoints()[:-keep] if keep else []:
            shutil.rmtree(self.checkpoint_path(old), ignore_errors=True)
        return final

    def load_checkpoint(
        self, steps: int | None = None, device: Any = "cpu", only: tuple[str, ...] | None = None
    ) -> dict[str, Any]:
        """The state saved at ``steps`` (default: the last), all checksums verified; ``only`` names the entries to read.

        Raises:
            UserError: no such checkpoint; a file is missing or differs from its checksum (the message names it).
        """
        from agents.checkpoint_files import read_state

        steps = self.latest_checkpoint() if steps is None else steps
        folder = self.checkpoint_path(steps)
        if not folder.is_dir():
            raise UserError(
                f"{str(self.root)!r} has no checkpoint at {steps} steps; it has {self.checkpoints() or 'none'}"
            )
        for name, told in _read_manifest(folder)["files"].items():
            file = folder / name
            if not file.is_file():
                raise UserError(
                    f"{str(file)!r} is missing, though the checkpoint's manifest names it; {self._others(steps)}"
                )
            if _sha256(file) != told["sha256"]:
                raise UserError(
                    f"{str(file)!r} is damaged: its sha256 differs from the manifest's; {self._others(steps)}"
                )
        return read_state(folder, device, only)

    def _others(self, steps: int) -> str:
        others = [s for s in self.checkpoints() if s != steps]
        return (
            f"other checkpoints of this run: {', '.join(map(str, others))}"
            if others
            else "this run has no other checkpoint"
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
        """The saved paths, by name; read one with ``agents.trajectory.Trajectory.load``."""
        return sorted((self.root / "paths").glob("*.npz"))


def _read_manifest(folder: Path) -> dict[str, Any]:
    manifest = read_json(folder / "manifest.json")
    if not isinstance(manifest.get("files"), dict) or "policy.safetensors" not in manifest["files"]:
        raise UserError(f"{str(folder / 'manifest.json')!r} is damaged: it doesn't list the policy's file")
    return manifest


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        UserError: missing or damaged; the message names the file.
    """
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        raise UserError(f"{str(file)!r} is missing: the run folder is damaged") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{str(file)!r} is damaged: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{str(file)!r} is damaged: it holds no JSON object")
    return content


def _sha256(file: Path) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
