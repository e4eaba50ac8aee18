"""Files of strangers run no code: runs, paths and saved manifolds that name, link to or pickle what would.

Each attack is a copy of an honest run (or path) with one thing changed, read by another account. What would run is a
harmless function that leaves a marker file. An audit hook watches for processes, sockets and writes elsewhere.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from agents import evaluate, explain, replay, report, train
from agents.console.cli import run_main
from agents.runs.run import load_run
from agents.runs.world_record import build_world
from agents.trajectories.file import FORMAT_VERSION, read_parts, write_parts
from agents.trajectories.trajectory import Trajectory
from envs import ManifoldError, make_world
from envs.errors import UntrustedNameError
from envs.manifolds import Manifold, Pair

HONEST = """
import numpy as np
import torch

x = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
pair = (torch.nn.Linear(3, 2), torch.nn.Linear(2, 3))


def classify(rows):
    p = 1 / (1 + np.exp(-4 * rows[:, 0]))
    return np.stack((1 - p, p), 1)
"""
MARKER = """
import os
import pathlib

marker = pathlib.Path(os.environ["TEST_MARKER"])
marker.write_text("imported")


def mark(*args, **settings):
    marker.write_text("called")


box = [mark]
"""
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.bind", "socket.connect",
             "pickle.find_class", "ctypes.dlopen", "os.link", "os.symlink")  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
SEEN: list[str] = []
ALLOWED: list[str] = []


def _counts_threads() -> bool:
    """Whether threadpoolctl is calling: it asks libraries that are loaded already how many threads they use."""
    frame = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__") != "threadpoolctl":
        frame = frame.f_back  # type: ignore[assignment]
    return frame is not None


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if not ALLOWED:
        return
    if event in FORBIDDEN and not (event == "ctypes.dlopen" and _counts_threads()):
        SEEN.append(event)
    if event == "open" and isinstance(args[0], str | bytes) and isinstance(args[2], int) and args[2] & WRITING:
        place = os.path.realpath(os.fsdecode(args[0]))
        if not place.startswith(tuple(ALLOWED)):
            SEEN.append(f"wrote {place}")


sys.addaudithook(_watch)


class Attack(NamedTuple):
    """What a test changes: the copy of a run, a path inside, the project that the reader stands in, the marker."""

    run: Path
    path: Path
    project: Path
    marker: Path


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run that names the objects of its own account, with one path."""
    project = tmp_path_factory.mktemp("project")
    (project / "honest_parts.py").write_text(HONEST)
    before, here = list(sys.path), Path.cwd()
    os.chdir(project)
    made = train.train(
        data="honest_parts:x", classifier="honest_parts:classify",
        env_kwargs={"class_names": ["low", "high"], "manifold": "pca", "latent_dim": 2}, n_timesteps=64, n_envs=8,
        hyperparams={"n_steps": 8, "policy_kwargs": {"net_arch": [8]}}, eval_episodes=0, pictures=False,
    )  # fmt: skip
    root = made.folder.root.absolute()
    assert run_main(explain.main, [str(root), "--index", "0", "--walker", "line", "--format", "npz"]) == 0
    yield root
    os.chdir(here)
    sys.path[:] = before


@pytest.fixture
def attack(honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Attack]:
    """The same run in the hands of another account, which has a module that leaves a marker."""
    project = tmp_path / "elsewhere"
    shutil.copytree(honest, project / "runs" / "ppo" / "got_1")
    for name, text in (("marker_parts", MARKER), ("honest_parts", HONEST)):
        (project / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(project)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "other account"))
    monkeypatch.setenv("TEST_MARKER", str(tmp_path / "ran"))
    run = project / "runs" / "ppo" / "got_1"
    SEEN.clear()
    fits = os.path.realpath(os.environ["MANIFOLD_CACHE"])
    ALLOWED[:] = [os.path.realpath(tmp_path), fits, "/dev/null", os.path.realpath(os.environ.get("MPLCONFIGDIR", tmp_path))]
    yield Attack(run, next((run / "paths").glob("*.npz")), project, tmp_path / "ran")
    ALLOWED.clear()
    for name in ("marker_parts", "honest_parts"):
        sys.modules.pop(name, None)


def refused(told: str, main: Callable[..., Any], *arguments: Any, attack: Attack, capsys: Any) -> str:
    """The script's one line of error; nothing ran, was written elsewhere or opened."""
    capsys.readouterr()
    SEEN.clear()  # what the test itself did
    code = run_main(main, [str(argument) for argument in arguments])
    error = capsys.readouterr().err
    assert code == 2, error
    assert told in error
    assert len(error.strip().splitlines()) == 1, error
    assert not attack.marker.exists()
    assert SEEN == []
    return error


def change(file: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    """Edit a JSON file."""
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def name_in_run(attack: Attack, **settings: Any) -> None:
    change(attack.run / "config.json", lambda config: config["world"]["config"].update(settings))


def name_in_path(file: Path, **settings: Any) -> None:
    """Edit a path's environment; its checksum is made anew, as anybody can."""
    arrays, fields = read_parts(file)
    fields["environment"]["config"].update(settings)
    write_parts(file, arrays, json.dumps({"format": FORMAT_VERSION, **fields}, sort_keys=True))


ONE = ("--index", "0", "--walker", "line")


# --- what must go on -------------------------------------------------------------------------------------------------


def test_the_account_that_trained_goes_on_without_flags(honest: Path, tmp_path: Path) -> None:
    run = tmp_path / "mine_1"
    shutil.copytree(honest, run)
    assert run_main(explain.main, [str(run), *ONE, "--format", "npz"]) == 0
    assert run_main(replay.main, [str(run), "--no-show"]) == 0
    assert run_main(report.main, [str(run)]) == 0
    path = explain.explain(load_run(run), 1, walker="line")
    assert build_world(path.environment, file=path.save(tmp_path / "out" / "mine.npz")).class_names
    # Resuming writes config.json anew, which stays this account's.
    assert run_main(train.main, ["-i", str(run), "-n", "128", "--eval-episodes", "0", "--no-pictures"]) == 0
    assert load_run(run).steps == 128


def test_another_account_is_shown_the_names_and_the_flags(attack: Attack, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--trust", "honest_parts:classify", "honest_parts:x")
    for main, arguments in (
        (explain.main, (attack.run, *ONE)),
        (evaluate.main, (attack.run, "--walker", "line", "--inputs", "2")),
        (replay.main, (attack.path,)),
        (replay.main, (attack.run,)),
        (report.main, (attack.run,)),
        (train.main, ("-i", attack.run, "-n", "128")),
    ):
        told = refused(" ".join(flags), main, *arguments, attack=attack, capsys=capsys)
        assert "classifier 'honest_parts:classify', data 'honest_parts:x'" in told
    assert "honest_parts" not in sys.modules
    assert run_main(explain.main, [str(attack.run), *ONE, "--format", "npz", *flags]) == 0
    assert run_main(replay.main, [str(attack.path), "--no-show", *flags]) == 0
    with pytest.raises(UntrustedNameError, match="honest_parts:x"):
        load_run(attack.run, trust=["honest_parts:classify"])
    assert load_run(attack.run, trust=["honest_parts:classify", "honest_parts:x"]).steps == 64


@pytest.mark.parametrize("trust", [True, ["everything"], ["*:*", 5]])
def test_trust_names_objects_and_never_everything(attack: Attack, trust: Any) -> None:
    with pytest.raises(ManifoldError, match="trust"):
        load_run(attack.run, trust=trust)


def test_without_a_configuration_folder_a_run_says_which_flags_it_will_need(
    attack: Attack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = attack.project / "a file"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(blocked))
    told = ["--trust", "honest_parts:classify", "honest_parts:x"]
    settings = ["class_names:['a','b']", "manifold:pca"]
    code = run_main(
        train.main,
        ["--data", "honest_parts:x", "--classifier", "honest_parts:classify", "--env-kwargs", *settings, "-n", "16",
         "--n-envs", "2", "-params", "n_steps:8", "--eval-episodes", "0", "--no-pictures", "-f", "new"],
    )  # fmt: skip
    assert code == 0
    assert " ".join(told) in capsys.readouterr().err
    made = next(Path("new/ppo").iterdir())
    refused(" ".join(told), explain.main, made, *ONE, attack=attack, capsys=capsys)
    assert run_main(explain.main, [str(made), *ONE, "--format", "npz", *told]) == 0


# --- names in config.json --------------------------------------------------------------------------------------------

NAMES = ("marker_parts:mark", "marker_parts:box", "subprocess:getoutput", "os:system", "builtins:exec", "os:abort",
         "http.server:test", "marker_parts:mark.__globals__", "marker_parts:box.0")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("setting", ["data", "classifier", "manifold"])
def test_names_in_a_configuration(attack: Attack, setting: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(attack.run / "manifold")
    name_in_run(attack, **{setting: name})
    refused(f"{setting} {name!r}", explain.main, attack.run, *ONE, attack=attack, capsys=capsys)


def test_a_shell_for_a_classifier_of_sentences(attack: Attack, capsys: pytest.CaptureFixture[str]) -> None:
    (attack.run / "words.txt").write_text(f"touch {attack.marker}\n" * 3)
    name_in_run(attack, data=str(attack.run / "words.txt"), classifier="subprocess:getoutput")
    refused("'subprocess:getoutput'", explain.main, attack.run, *ONE, attack=attack, capsys=capsys)


def test_names_below_other_settings(attack: Attack, capsys: pytest.CaptureFixture[str]) -> None:
    name_in_run(attack, fit={"network": ["marker_parts:mark"]})
    refused("network 'marker_parts:mark'", explain.main, attack.run, *ONE, attack=attack, capsys=capsys)


def test_data_are_never_called_even_with_trust(attack: Attack, capsys: pytest.CaptureFixture[str]) -> None:
    (attack.project / "quiet_parts.py").write_text(MARKER.replace('marker.write_text("imported")', ""))
    name_in_run(attack, data="quiet_parts:mark")
    trust = ("--trust", "honest_parts:classify", "quiet_parts:mark")
    refused("never called", explain.main, attack.run, *ONE, *trust, attack=attack, capsys=capsys)


@pytest.mark.parametrize("package", [False, True])
def test_modules_inside_the_run_are_refused_even_with_trust(
    attack: Attack, package: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    (attack.run / "evil.py").write_text(MARKER)
    if package:
        (attack.run / "__init__.py").write_text(MARKER)
    name = "runs.ppo.got_1.evil:mark"
    name_in_run(attack, classifier=name)
    trust = ("--trust", "honest_parts:x", name)
    refused("inside the folder that came with it", explain.main, attack.run, *ONE, *trust, attack=attack, capsys=capsys)


def test_modules_inside_the_run_are_refused_from_within(
    attack: Attack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (attack.run / "evil.py").write_text(MARKER)
    name_in_run(attack, classifier="evil:mark")
    monkeypatch.chdir(attack.run)
    trust = ("--trust", "honest_parts:x", "evil:mark")
    refused("inside the folder", explain.main, ".", *ONE, *trust, attack=attack, capsys=capsys)


def test_a_link_to_a_module_outside_does_not_help(attack: Attack, capsys: pytest.CaptureFixture[str]) -> None:
    (attack.project / "linked.py").symlink_to(attack.run / "evil.py")
    (attack.run / "evil.py").write_text(MARKER)
    name_in_run(attack, classifier="linked:mark")
    trust = ("--trust", "honest_parts:x", "linked:mark")
    refused("inside the folder", explain.main, attack.run, *ONE, *trust, attack=attack, capsys=capsys)


@pytest.mark.parametrize(
    "edit",
    [
        lambda config: config["env"].update(id="marker_parts:Env-v0"),
        lambda config: config.update(algo="marker_parts:mark"),
        lambda config: config.update(curiosity={"name": "marker_parts:mark", "eta": None, "options": {}}),
        lambda config: config["hyperparameters"].update(policy_kwargs={"features_extractor_class": "marker_parts:mark"}),
        lambda config: config["hyperparameters"].update(tensorboard_log="marker_parts:mark"),
        lambda config: config["hyperparameters"].update({"marker_parts:mark": 1}),
        lambda config: config["hyperparameters"].update(policy_kwargs={"activation_fn": "marker_parts:mark"}),
        lambda config: config["world"]["config"].update(task="marker_parts:mark"),
        lambda config: config["world"]["config"].update(move="marker_parts:mark"),
    ],
    ids=["id", "algorithm", "curiosity", "policy", "logs", "hyperparameter", "activation", "task", "move"],
)
def test_names_where_tables_decide(
    attack: Attack, edit: Callable[[dict[str, Any]], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    change(attack.run / "config.json", edit)
    trust = ("--trust", "honest_parts:classify", "honest_parts:x")
    told = refused("", explain.main, attack.run, *ONE, *trust, attack=attack, capsys=capsys)
    assert "marker_parts:mark" in told or "tensorboard_log" in told or "marker_parts:Env-v0" in told


def test_a_run_without_its_world_makes_no_environment_of_its_own(attack: Attack, capsys: pytest.CaptureFixture[str]) -> None:
    def edit(config: dict[str, Any]) -> None:
        config["env"] = {"id": "Manifold/Digits-v0", "kwargs": {"classifier": "marker_parts:mark"}}
        config["world"] = None

    change(attack.run / "config.json", edit)
    refused("holds no world, though its environment has one", explain.main, attack.run, *ONE, attack=attack, capsys=capsys)
    change(attack.run / "config.json", lambda config: config["env"].update(id="marker_parts:Env-v0"))
    refused("unknown environment id", explain.main, attack.run, *ONE, attack=attack, capsys=capsys)


def test_the_own_run_changed_by_another_is_no_longer_own(honest: Path, tmp_path: Path) -> None:
    shutil.copytree(honest, tmp_path / "got_1")
    assert load_run(tmp_path / "got_1").steps  # a copy is as good
    change(tmp_path / "got_1" / "config.json", lambda config: config["world"]["config"].update(classifier="os:system"))
    with pytest.raises(UntrustedNameError, match="os:system"):
        load_run(tmp_path / "got_1")


# --- manifolds and paths ---------------------------------------------------------------------------------------------


def test_the_source_of_a_saved_manifold(attack: Attack, capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"data_shape": [3], "latent_dim": 2, "modality": "table", "prior": "none", "rows": 2}
    card = {"format": 1, "kind": "pair", "settings": {**settings, "source": "marker_parts:mark"}}
    (attack.run / "manifold" / "manifold.json").write_text(json.dumps(card))
    trust = ("--trust", "honest_parts:classify", "honest_parts:x")
    refused("source 'marker_parts:mark'", explain.main, attack.run, *ONE, *trust, attack=attack, capsys=capsys)
    with pytest.raises(UntrustedNameError, match="source 'marker_parts:mark'"):
        Manifold.load(attack.run / "manifold")
    # The user's own command line may name such a folder; what it names is still the file's.
    world = ("--env", "Manifold/Custom-v0", "--env-kwargs", f"manifold:{attack.run / 'manifold'}", *ONE)
    refused("source 'marker_parts:mark'", explain.main, *world, attack=attack, capsys=capsys)
    # And a run may lead to another folder.
    shutil.copytree(attack.run / "manifold", attack.project / "another")
    shutil.rmtree(attack.run / "manifold")
    name_in_run(attack, manifold=str(attack.project / "another"))
    change(attack.run / "config.json", lambda config: config["world"]["config"].update(latent_dim=None))
    refused("source 'marker_parts:mark'", explain.main, attack.run, *ONE, *trust, attack=attack, capsys=capsys)


def test_a_pair_of_the_own_account_loads_again(attack: Attack) -> None:
    world = make_world(data="honest_parts:x", classifier="honest_parts:classify", manifold="honest_parts:pair",
                       class_names=["a", "b"])  # fmt: skip
    world.manifold.save(attack.project / "mine")
    assert isinstance(Manifold.load(attack.project / "mine"), Pair)
    shutil.rmtree(attack.project.parent / "other account")
    with pytest.raises(UntrustedNameError, match="--trust honest_parts:pair"):
        Manifold.load(attack.project / "mine")
    assert isinstance(Manifold.load(attack.project / "mine", trust=["honest_parts:pair"]), Pair)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("setting", ["data", "classifier", "manifold"])
def test_names_in_a_path(attack: Attack, setting: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    alone = attack.project / "got" / "p.npz"
    alone.parent.mkdir()
    shutil.copy(attack.path, alone)
    name_in_path(alone, **{setting: name})
    refused(f"{setting} {name!r}", replay.main, alone, attack=attack, capsys=capsys)


def test_a_path_that_another_put_into_the_own_run(honest: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(honest, tmp_path / "got_1")
    file = next((tmp_path / "got_1" / "paths").glob("*.npz"))
    name_in_path(file, seed=0)
    assert run_main(replay.main, [str(file), "--no-show"]) == 0  # the run's own names
    name_in_path(file, classifier="subprocess:getoutput")
    assert run_main(replay.main, [str(file), "--no-show"]) == 2
    assert "--trust" in capsys.readouterr().err


def test_the_own_path_beside_a_manifold_of_another(honest: Path, tmp_path: Path) -> None:
    path = explain.explain(load_run(honest), 2, walker="line")
    shutil.copytree(honest, tmp_path / "got_1")
    file = path.save(tmp_path / "got_1" / "paths" / "mine.npz")
    assert build_world(path.environment, tmp_path / "got_1", file=file).class_names
    card = tmp_path / "got_1" / "manifold" / "manifold.json"
    settings = {"data_shape": [3], "latent_dim": 2, "modality": "table", "prior": "none", "rows": 2, "source": "os:abort"}
    card.write_text(json.dumps({"format": 1, "kind": "pair", "settings": settings}))
    with pytest.raises(UntrustedNameError, match="source 'os:abort'"):
        build_world(path.environment, tmp_path / "got_1", file=file)


def test_modules_beside_a_path_are_refused_even_with_trust(attack: Attack, capsys: pytest.CaptureFixture[str]) -> None:
    alone = attack.project / "got" / "p.npz"
    alone.parent.mkdir()
    shutil.copy(attack.path, alone)
    (alone.parent / "evil.py").write_text(MARKER)
    name_in_path(alone, classifier="got.evil:mark")
    trust = ("--trust", "honest_parts:x", "got.evil:mark")
    refused("inside the folder that came with it", replay.main, alone, *trust, attack=attack, capsys=capsys)


def test_a_path_of_another_that_is_saved_again_stays_anothers(attack: Attack) -> None:
    path = Trajectory.load(attack.path)
    again = path.save(attack.project / "again" / "p.npz")
    with pytest.raises(UntrustedNameError):
        build_world(path.environment, file=again)


# --- pickles, tags, links, names of files ----------------------------------------------------------------------------


class Evil:
    """Touches the marker when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path(os.environ["TEST_MARKER"]),))


def test_pickles_in_data_paths_inputs_and_checkpoints(attack: Attack, capsys: pytest.CaptureFixture[str]) -> None:
    objects = np.array([Evil()], dtype=object)
    given = attack.project / "rows.npz"
    np.savez(given, x=objects)
    refused("pickled objects", explain.main, "--env", "Manifold/Custom-v0", "--env-kwargs", f"data:{given}", *ONE,
            attack=attack, capsys=capsys)  # fmt: skip
    np.savez(attack.path, metadata=objects, checksum=np.array(["a"]))
    refused("pickled objects", replay.main, attack.path, attack=attack, capsys=capsys)
    np.save(attack.project / "rows.npy", objects)
    for file in ("rows.npy", "rows.npz"):
        refused("pickled objects", explain.main, "--env", "Manifold/Custom-v0", "--walker", "line", "--input", file,
                attack=attack, capsys=capsys)  # fmt: skip


@pytest.mark.parametrize("zipped", [False, True])
def test_pickles_in_a_checkpoint(attack: Attack, zipped: bool, capsys: pytest.CaptureFixture[str]) -> None:
    folder = attack.run / "checkpoints" / "64"
    content = pickle.dumps(Evil())
    if zipped:
        import torch

        packed = io.BytesIO()
        torch.save(Evil(), packed)
        content = packed.getvalue()
    (folder / "optimizers.pt").write_bytes(content)
    _sign(folder, "optimizers.pt")
    trust = ("--trust", "honest_parts:classify", "honest_parts:x")
    told = refused("optimizers.pt", train.main, "-i", attack.run, "-n", "128", *trust, attack=attack, capsys=capsys)
    assert "refused" in told or "damaged" in told


def _sign(folder: Path, name: str) -> None:
    """Give the manifest the right sha256, as anybody can."""
    import hashlib

    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    change(folder / "manifest.json", lambda manifest: manifest["files"].__setitem__(name, {"sha256": digest, "bytes": 1}))


def test_an_sb3_zip_needs_its_own_name(attack: Attack, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(attack.project / "policy.zip", "w") as archive:
        archive.writestr("data", json.dumps({"policy_class": {":serialized:": "gASVAAAAAAAAAA=="}}))
    for flags in ((), ("--trust", "marker_parts:mark"), ("--trust", "other.zip")):
        refused("--trust policy.zip", train.main, "-i", "policy.zip", *flags, attack=attack, capsys=capsys)


@pytest.mark.parametrize("tag", ["!!python/object/apply:marker_parts.mark []", "!!python/name:marker_parts.mark", "!marker x"])
def test_tags_in_a_description_of_columns(attack: Attack, tag: str, capsys: pytest.CaptureFixture[str]) -> None:
    (attack.project / "columns.yml").write_text(f"columns: {tag}\n")
    (attack.project / "rows.csv").write_text("a,b\n1,x\n2,y\n3,x\n4,y\n")
    kwargs = ("data:rows.csv", "columns:columns.yml", "target_column:b")
    refused("columns.yml", explain.main, "--env", "Manifold/Custom-v0", "--env-kwargs", *kwargs, *ONE,
            attack=attack, capsys=capsys)  # fmt: skip


def test_aliases_in_a_description_of_columns(attack: Attack, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))]
    (attack.project / "columns.yml").write_text("\n".join(lines))
    (attack.project / "rows.csv").write_text("a,b\n1,x\n2,y\n3,x\n4,y\n")
    kwargs = ("data:rows.csv", "columns:columns.yml", "target_column:b")
    refused("aliases", explain.main, "--env", "Manifold/Custom-v0", "--env-kwargs", *kwargs, *ONE,
            attack=attack, capsys=capsys)  # fmt: skip


@pytest.mark.parametrize("name", ["config.json", "paths", "checkpoints", "metrics.jsonl", "atlas", "manifold/manifold.json"])
def test_links_that_lead_out_of_a_run(attack: Attack, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    outside = attack.project / "private" / "file"
    outside.parent.mkdir()
    place = attack.run / name
    if place.exists():
        shutil.move(place, outside)
    else:
        outside.write_text("mine")
    before = outside.read_text() if outside.is_file() else sorted(outside.rglob("*"))
    place.symlink_to(outside, target_is_directory=outside.is_dir())
    trust = ("--trust", "honest_parts:classify", "honest_parts:x")
    refused("link that leads out", explain.main, attack.run, *ONE, *trust, attack=attack, capsys=capsys)
    assert (outside.read_text() if outside.is_file() else sorted(outside.rglob("*"))) == before


@pytest.mark.parametrize("name", ["../../../private", "/etc/hostname", "a/b", "..", "C:x", "a\0b"])
def test_a_manifest_names_files_of_its_folder_alone(attack: Attack, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    (attack.project / "private").write_text("mine")
    folder = attack.run / "checkpoints" / "64"
    change(folder / "manifest.json", lambda manifest: manifest["files"].__setitem__(name, {"sha256": "0" * 64}))
    refused("not a name of a file in that folder", explain.main, attack.run, *ONE, attack=attack, capsys=capsys)


@pytest.mark.parametrize("name", ["../slipped.npy", "/tmp/slipped.npy", "..\\slipped.npy"])
def test_members_of_an_archive_are_never_unpacked_to_disk(attack: Attack, name: str) -> None:
    array = io.BytesIO()
    np.save(array, np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32))
    with zipfile.ZipFile(attack.project / "rows.npz", "w") as archive:
        archive.writestr("x.npy", array.getvalue())
        archive.writestr(name, array.getvalue())
    before = sorted(attack.project.rglob("*"))
    make_world(data="rows.npz", classifier="honest_parts:classify", class_names=["a", "b"], manifold="pca")
    assert sorted(attack.project.rglob("*")) == before
    assert SEEN == []
    assert not attack.marker.exists()
