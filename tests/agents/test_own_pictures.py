"""A user's own pictures from files, by the scripts: trained on, loaded and explained in the user's own units."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents import explain as explain_script
from agents import train as train_script
from agents.console.cli import run_main
from agents.explain import explain
from agents.runs.run import load_run

MODEL = """
import numpy as np

def bright(pictures):
    assert pictures.dtype == np.uint8 and pictures.shape[1:] == (8, 6, 3), (pictures.dtype, pictures.shape)
    p = 1 / (1 + np.exp((128 - pictures[:, :4].reshape(len(pictures), -1).mean(1)) / 9))
    return np.stack([1 - p, p], 1)
"""


def test_pictures_from_a_file_are_trained_on_and_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    base = random.integers(0, 256, (60, 1, 1, 1)) * np.linspace(0.6, 1, 8)[:, None, None]
    pictures = np.clip(base + random.normal(0, 9, (60, 8, 6, 3)), 0, 255).astype(np.uint8)
    np.savez(tmp_path / "pictures.npz", x=pictures, class_names=["dark", "bright"])
    Image.fromarray(pictures[5]).save(tmp_path / "one.png")
    (tmp_path / "own_model_of_pictures.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    settings = ["n_steps:8", "n_epochs:1", "policy_kwargs:{'net_arch': [8]}"]
    arguments = ["--data", "pictures.npz", "--classifier", "own_model_of_pictures:bright", "--manifold", "pca", "-n", "64",
                 "--n-envs", "8", "--eval-episodes", "4", "--env-kwargs", "latent_dim:3", "tau:0.6",
                 "-params", *settings]  # fmt: skip
    assert run_main(train_script.main, arguments) == 0, capsys.readouterr().err
    run = load_run("latest")
    assert run.folder.config["world"]["config"]["pixel_range"] == [0.0, 255.0]
    assert run.world is not None
    assert run.world.units.own_shape == (8, 6, 3)
    assert run_main(explain_script.main, ["latest", "--input", "one.png", "--walker", "line", "--out", "out"]) == 0
    assert len(list((tmp_path / "out").glob("*.npz"))) == 1
    path = explain(run, pictures[5], walker="line")
    mean = pictures[5, :4].astype(float).mean()
    assert path.source == int(mean > 128)
    assert path.success
