"""The atlas: every figure is drawn, says what it cost, goes into a run's logs; and the words of attributes."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import envs
from agents import atlas as script
from agents.atlas import FIGURES, atlas
from agents.console.cli import UserError
from agents.explanation.atlas import j_diagram as atlas_j_diagram
from agents.explanation.atlas import map as atlas_map
from agents.explanation.atlas import mine as atlas_mine
from agents.explanation.atlas import strip as atlas_strip
from agents.explanation.atlas import style as atlas_style
from envs.manifolds.base import Manifold

ROOT = Path(__file__).resolve().parents[4]
OF_PICTURES = [figure for figure in FIGURES if figure != "homotopy"]  # which is of sentences
SMALL = {"rows": 3, "columns": 5, "spacing": 2, "arrange": "pca"}


@pytest.fixture(scope="module")
def labels() -> Any:
    return envs.make_world(data="digits", task="reach_label", label_only=True)


@pytest.mark.parametrize("kind", ["digits", "labels"])
@pytest.mark.parametrize("figure", OF_PICTURES)
def test_every_figure_is_drawn_and_tells_what_it_asked(figure: str, kind: str, request: pytest.FixtureRequest,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(atlas_map, "CELLS", 24)
    monkeypatch.setattr(atlas_map, "CONTOUR_CELLS", 12)
    world = request.getfixturevalue(kind)
    before = world.classifier.queries
    index = {"strip": [0, 3], "j-diagram": [0, 3, 5]}.get(figure, [])
    drawn = atlas(world, figure, index=index, **SMALL)
    picture = Image.open(io.BytesIO(drawn.image))
    assert picture.format == "PNG"
    assert min(picture.size) > 150
    assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 20, "there is something on it"
    assert f"{world.classifier.queries - before} classifier queries" in drawn.note
    if figure == "mine":
        assert atlas(world, figure, **SMALL).image == drawn.image, "the same picture every time"


def test_maps_are_drawn_of_tables_and_pictures_are_refused(iris: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(atlas_map, "CELLS", 16)
    assert "the whole latent space" in atlas(iris, "map").note
    for figure in ("j-diagram", "mine", "strip"):
        with pytest.raises(envs.ManifoldError, match=f"{figure}.*modality of this world is 'table'.*--figure map"):
            atlas(iris, figure)


def test_a_map_with_a_hull_is_white_outside_and_its_strip_leaves_out_what_it_cannot_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from envs.building.world import make_world_named

    monkeypatch.setattr(atlas_map, "CELLS", 16)
    world = make_world_named("Manifold/DigitsUMAP-v0", {})
    assert "256 classifier queries" in atlas(world, "map").note
    corner = world.reference.z.amax(0, keepdim=True) + 5
    assert not atlas_map._predictions(world, torch.cat([corner, world.reference.z[:1]]))[1][0]
    note = atlas(world, "strip", columns=3).note
    assert "lerp" in note
    assert "matched" not in note


def test_what_does_not_fit_is_named(digits: Any) -> None:
    with pytest.raises(envs.UnknownNameError, match="did you mean 'strip'"):
        atlas(digits, "strips")
    with pytest.raises(envs.UnknownNameError, match="did you mean 'spacing'"):
        atlas(digits, "mine", spacings=3)
    with pytest.raises(envs.ManifoldError, match="strip takes 2 inputs, --index gives 3"):
        atlas(digits, "strip", index=[1, 2, 3])
    with pytest.raises(envs.ManifoldError, match="index 5000 is outside"):
        atlas(digits, "strip", index=[1, 5000])
    with pytest.raises(envs.ManifoldError, match=r"4 cells apart do not end on a side of 20 cells; choose \[17, 21\]"):
        atlas(digits, "mine", rows=20)
    with pytest.raises(envs.ManifoldError, match="needs 2500 anchors and there are 1257"):
        atlas(digits, "mine", rows=50, columns=50, spacing=1, arrange="pca")


def test_inputs_are_chosen_where_none_are_given(digits: Any, iris: Any) -> None:
    for count, choose in ((2, atlas_strip.two_inputs), (3, atlas_j_diagram.an_analogy)):
        for world in (digits, iris):
            x = choose(world)
            assert x.shape == (count, *world.manifold.data_shape)
            seen = world.classifier.predict_proba(x).argmax(1)
            assert len(seen.unique()) == 2


def test_strips_hold_every_way_and_the_geodesic_is_the_shortest(digits: Any) -> None:
    from envs.geometry.curves import along, length, pixels

    a, b = digits.reference.z[:1], digits.reference.z[5:6]
    found = atlas_strip.curves(digits, pixels(digits.manifold), a, b)
    assert list(found) == list(atlas_strip.NAMES)
    lengths = {name: float(length(pixels(digits.manifold), along(curve, by_length=True))) for name, curve in found.items()}
    assert min(lengths, key=lengths.get) == "geodesic"  # type: ignore[arg-type]
    for curve in found.values():
        torch.testing.assert_close(curve[0], a)
        torch.testing.assert_close(curve[-1], b)


def test_anchors_are_spread_over_the_embedding() -> None:
    places = np.concatenate([np.random.default_rng(0).normal(size=(300, 2)), [[30.0, 30.0]]])
    chosen = atlas_mine.spread(places, 12, 0)
    assert len(set(chosen.tolist())) == 12
    assert 300 in chosen, "a lonely item is an anchor"


def test_umap_is_asked_for_and_its_absence_is_told(digits: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = digits.reference.z[:60].numpy()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    places, told = atlas_mine.embedded(codes, "umap", 0)
    assert places.shape == (60, 2)
    assert "pip install 'manifold-traversal[umap]'" in told
    assert atlas_mine.embedded(codes, "pca", 0)[1] == "principal components"
    assert atlas_mine.embedded(codes[:, :2], "umap", 0)[0].shape == (60, 2)


@pytest.mark.slow
def test_umap_lays_out_digits_by_class(digits: Any) -> None:
    places, told = atlas_mine.embedded(digits.reference.z.numpy(), "umap", 0)
    assert told == "UMAP"
    from sklearn.neighbors import KNeighborsClassifier

    labels = digits.reference.label.numpy()
    assert KNeighborsClassifier(5).fit(places[::2], labels[::2]).score(places[1::2], labels[1::2]) > 0.9


def test_the_plane_of_the_map_holds_the_class_means(digits: Any, iris: Any) -> None:
    centre, axes = atlas_map.plane(digits)
    torch.testing.assert_close(axes @ axes.T, torch.eye(2), rtol=1e-4, atol=1e-4)
    means = torch.stack([digits.reference.z[digits.reference.label == k].mean(0) for k in range(10)])

    def spread(plane: torch.Tensor) -> float:
        return float(((means - means.mean(0)) @ plane.T).square().sum())

    other = torch.linalg.svd(digits.reference.z - centre, full_matrices=False)[2][:2]
    assert spread(axes) >= spread(other)
    assert atlas_map.plane(iris)[1].equal(torch.eye(2))
    two = SimpleNamespace(reference=SimpleNamespace(z=digits.reference.z, label=digits.reference.label % 2), latent_dim=8)
    assert torch.linalg.matrix_rank(atlas_map.plane(two)[1]) == 2  # type: ignore[arg-type]


def test_colour_pictures_keep_their_colours_in_a_band() -> None:
    pictures = np.zeros((1, 1, 8, 8, 3), np.uint8)
    pictures[..., 0] = 200
    sheet = atlas_style.mosaic(pictures, np.array([[4]]), 30)
    assert sheet.shape == (30, 30, 3)
    assert tuple(sheet[15, 15]) == (200, 0, 0)
    assert tuple(sheet[0, 0]) == atlas_style.class_colour(4)
    grey = atlas_style.mosaic(np.full((1, 1, 8, 8, 3), 255, np.uint8), np.array([[4]]), 30)
    assert tuple(grey[0, 0]) == (255, 255, 255)


# --- the script -------------------------------------------------------------------------------------------------------


def test_an_id_writes_a_png(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "j.png"
    arguments = ["Manifold/Digits-v0", "--figure", "j-diagram", "--rows", "3", "--columns", "4", "--out", str(file)]
    assert script.main([*arguments, "--way", "matched", "--env-kwargs", "tau:0.8"]) == 0
    assert file.read_bytes().startswith(b"\x89PNG")
    said = capsys.readouterr().out
    assert "12 classifier queries" in said
    assert f"wrote {file}" in said
    assert not list(tmp_path.glob(".*")), "nothing half-written is left"


def test_a_run_keeps_the_picture_and_logs_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    shutil.copytree(ROOT / "runs" / "example", tmp_path / "example")
    arguments = [str(tmp_path / "example"), "--figure", "strip", "--index", "0", "1", "--columns", "4"]
    assert script.main(arguments) == 0
    root = tmp_path / "example"
    drawn = (root / "atlas" / "strip.png").read_bytes()
    events = EventAccumulator(str(root / "atlas"))
    events.Reload()
    (logged,) = events.Images("atlas/strip")
    assert logged.encoded_image_string == drawn
    import socket

    assert not list(root.rglob(f"*{socket.gethostname()}*"))
    assert "atlas/strip" in capsys.readouterr().out


def test_the_scripts_own_refusals(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--env-kwargs belongs to an environment id"):
        script.main([str(tmp_path), "--env-kwargs", "tau:0.8"])
    with pytest.raises(UserError, match="--class-names belongs to an environment id"):
        script.main([str(tmp_path), "--class-names", "a", "b"])
    with pytest.raises(envs.ManifoldError, match=r"10 .* for 2 classes \['a', 'b'\]"):
        script.main(["Manifold/Digits-v0", "--class-names", "a", "b"])
    with pytest.raises(UserError, match="there is no folder"):
        script.main(["Manifold/Digits-v0", "--out", str(tmp_path / "none" / "a.png")])
    with pytest.raises(envs.UnknownNameError, match="Manifold/Digits-v0"):
        script.main(["Manifold/Digit-v0"])


def test_help_loads_no_torch() -> None:
    code = """
import sys
from agents.atlas import main
try:
    main(["--help"])
except SystemExit:
    assert not {"torch", "matplotlib", "umap"} & set(sys.modules), "loaded"
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, capture_output=True)


@pytest.mark.parametrize("data", ["digits", "iris"])
def test_the_maps_metric_is_that_of_the_latent_space_on_its_plane(data: str, request: pytest.FixtureRequest) -> None:
    world = request.getfixturevalue(data)
    _, axes = atlas_map.plane(world)
    z = world.reference.z[:20]
    expected = axes @ world.manifold.metric(z) @ axes.T
    torch.testing.assert_close(atlas_map._plane_metric(world, z, axes), expected, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
def test_the_map_of_sentences_still_has_the_metric_of_its_logits() -> None:
    world = envs.make_world(data="sentences")
    _, axes = atlas_map.plane(world)
    z = world.reference.z[:3]
    torch.testing.assert_close(atlas_map._plane_metric(world, z, axes), axes @ world.manifold.metric(z) @ axes.T)


class Decoder:
    """The manifold of a world with another way to decode."""

    def __init__(self, manifold: Any, decode: Any) -> None:
        self.manifold, self.decode = manifold, decode

    def __getattr__(self, name: str) -> Any:
        return getattr(self.manifold, name)

    def jvp(self, z: torch.Tensor, tangent: torch.Tensor) -> torch.Tensor:
        return Manifold.jvp(self, z, tangent)  # type: ignore[arg-type]

    def jacobian(self, z: torch.Tensor) -> torch.Tensor:
        return Manifold.jacobian(self, z)  # type: ignore[arg-type]


WITHOUT_DERIVATIVES = {
    "numpy": lambda z: torch.from_numpy(z.detach().numpy() * 2),
    "in place": lambda z: torch.zeros(z.shape).add_(z),
    "branches": lambda z: z if (z > 0).all() else 2 * z,
}


@pytest.mark.parametrize("kind", WITHOUT_DERIVATIVES)
def test_a_decoder_without_derivatives_is_told_from_others(iris: Any, kind: str) -> None:
    _, axes = atlas_map.plane(iris)
    z = iris.reference.z[:1]

    def world(decode: Any) -> Any:
        return SimpleNamespace(manifold=Decoder(iris.manifold, decode), modality="table")

    assert atlas_map._has_derivatives(world(lambda z: 2 * z), z, axes)
    assert not atlas_map._has_derivatives(world(WITHOUT_DERIVATIVES[kind]), z, axes)


def test_faults_of_a_decoder_are_raised_not_taken_for_a_lack_of_derivatives(iris: Any) -> None:
    _, axes = atlas_map.plane(iris)

    def decode(z: torch.Tensor) -> torch.Tensor:
        return z @ torch.zeros(z.shape[1] + 1, 4)

    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        atlas_map._has_derivatives(SimpleNamespace(manifold=Decoder(iris.manifold, decode), modality="table"),
                                   iris.reference.z[:1], axes)  # fmt: skip


def test_a_decoder_without_derivatives_has_no_contours_and_other_failures_are_told(
    iris: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure = atlas_map._plane_metric

    def no_derivatives(world: Any, z: torch.Tensor, axes: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("Can't call numpy() on Tensor that requires grad")

    def fails_on_the_way(world: Any, z: torch.Tensor, axes: torch.Tensor) -> torch.Tensor:
        if len(z) > 1:
            raise RuntimeError("out of memory")
        return measure(world, z, axes)

    assert "No contours" not in atlas(iris, "map").note
    monkeypatch.setattr(atlas_map, "_plane_metric", no_derivatives)
    assert "No contours: this decoder has no derivatives." in atlas(iris, "map").note
    monkeypatch.setattr(atlas_map, "_plane_metric", fails_on_the_way)
    with pytest.raises(RuntimeError, match="out of memory"):
        atlas(iris, "map")
