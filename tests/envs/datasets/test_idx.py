"""IDX files, MNIST and Omniglot: reading, and errors on missing or damaged files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from envs import ManifoldError, make_world
from envs.datasets import DATASETS, fashion_mnist, mnist, omniglot
from envs.datasets.idx import read_idx

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    """The array as an IDX file, by the format's own description."""
    head = bytes([0, 0, CODES[array.dtype.str[1:]], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


ARRAYS = st.sampled_from(sorted(CODES)).flatmap(
    lambda kind: hnp.arrays(
        np.dtype(kind), hnp.array_shapes(max_dims=3, max_side=4), elements={"allow_nan": False} if kind[0] == "f" else None
    )
)


@given(array=ARRAYS, compressed=st.booleans())
def test_every_type_and_shape_is_read_back(tmp_path_factory, array, compressed):
    path = tmp_path_factory.mktemp("idx") / "file"
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if compressed else content)
    got = read_idx(path)
    assert got.dtype == array.dtype
    np.testing.assert_array_equal(got, array)


def test_a_file_by_hand(tmp_path):
    path = tmp_path / "two"
    path.write_bytes(b"\0\0\x08\x02" + b"\0\0\0\x01" + b"\0\0\0\x02" + b"\x05\xff")
    assert read_idx(path).tolist() == [[5, 255]]


WHOLE = idx_bytes(np.arange(12, dtype=np.uint8).reshape(3, 4))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not an IDX file: it begins with nothing"),
        (b"\x89PNG....", "not an IDX file: it begins with 89 50 4e 47"),
        (b"\0\0\x07\x01\0\0\0\0", "not an IDX file"),
        (WHOLE[:6], "ends within its header of 12 bytes"),
        (WHOLE[:-1], "truncated: its header says 3 x 4 values, 24 bytes in all; it has 23"),
        (WHOLE + b"\0", "too long"),
        (gzip.compress(WHOLE, mtime=0)[:-9], "damaged or truncated, fetch it again"),
        (gzip.compress(WHOLE, mtime=0)[:12] + b"\xff" * 20, "damaged or truncated, fetch it again"),
    ],
)
def test_damaged_files_are_named(tmp_path, content, told):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(ManifoldError, match="train-images-idx3-ubyte") as error:
        read_idx(path)
    assert told in str(error.value)


def write_mnist(folder: Path, compressed: bool = False, **changes: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        name: rng.integers(0, 10, n, np.uint8) if "labels" in name else rng.integers(0, 256, (n, 28, 28), np.uint8)
        for name, n in zip(mnist.FILES, (30, 30, 20, 20), strict=True)
    } | changes
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        content = idx_bytes(array)
        (folder / (f"{name}.gz" if compressed else name)).write_bytes(gzip.compress(content) if compressed else content)


@pytest.mark.parametrize(
    ("known", "place"),
    [*((mnist, place) for place in ("", "mnist", "MNIST/raw")),
     *((fashion_mnist, place) for place in ("", "fashion-mnist", "FashionMNIST/raw"))],
)  # fmt: skip
@pytest.mark.parametrize("compressed", [False, True])
def test_sets_of_idx_files_are_found_in_the_usual_places(tmp_path, monkeypatch, known, place, compressed):
    write_mnist(tmp_path / place, compressed)
    data = known.load(data_dir=tmp_path)
    assert len(data.class_names) == 10
    assert data.x.shape == (30, 28, 28)
    assert data.x.dtype == np.float32
    assert 0 <= data.x.min() < data.x.max() <= 1
    assert data.held_out is not None
    assert len(data.held_out) == 20
    monkeypatch.setenv("MANIFOLD_DATA", str(tmp_path))
    np.testing.assert_array_equal(known.load(seed=3).x, data.x)


@pytest.mark.parametrize(("known", "other"), [(mnist, fashion_mnist), (fashion_mnist, mnist)])
def test_the_files_of_one_set_are_not_taken_for_the_other(tmp_path, monkeypatch, known, other):
    monkeypatch.setattr(mnist, "OFFICIAL", 30)
    labels = np.arange(30, dtype=np.uint8) % 10 if known is fashion_mnist else np.arange(30, dtype=np.uint8) // 4
    write_mnist(tmp_path, **{mnist.FILES[1]: labels})
    assert len(known.load(data_dir=tmp_path).x) == 30
    with pytest.raises(ManifoldError, match=r"train-labels-idx1-ubyte is not .*MNIST's: .* images of every class"):
        other.load(data_dir=tmp_path)


def test_missing_files_are_named_with_their_source(tmp_path, monkeypatch):
    monkeypatch.delenv("MANIFOLD_DATA", raising=False)
    with pytest.raises(ManifoldError, match=r"pass data_dir= or set MANIFOLD_DATA .*train-images.*get them from https"):
        mnist.load()
    with pytest.raises(ManifoldError, match=r"data_dir='.*nowhere' is not a folder"):
        mnist.load(data_dir=tmp_path / "nowhere")
    write_mnist(tmp_path)
    (tmp_path / mnist.FILES[1]).unlink()
    (tmp_path / mnist.FILES[2]).unlink()
    with pytest.raises(ManifoldError) as error:
        make_world(data="mnist", data_dir=tmp_path)
    told = str(error.value)
    assert f"{mnist.FILES[1]}[.gz], {mnist.FILES[2]}[.gz] missing" in told
    assert mnist.FILES[0] not in told
    assert "https://" in told


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({mnist.FILES[0]: np.zeros((30, 8, 8), np.uint8)}, r"\(30, 8, 8\)"),
        ({mnist.FILES[1]: np.zeros(29, np.uint8)}, r"\(29,\)"),
        ({mnist.FILES[3]: np.full(20, 11, np.uint8)}, "reach to 11"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(tmp_path, changes, told):
    write_mnist(tmp_path, **changes)
    with pytest.raises(ManifoldError, match=told):
        mnist.load(data_dir=tmp_path)


def test_a_data_folder_is_for_sets_that_have_one():
    with pytest.raises(
        ManifoldError, match=r"data_dir= is for data='mnist' or 'fashion_mnist' or 'omniglot', not for data='digits'"
    ):
        make_world(data="digits", data_dir="somewhere")


def omniglot_arrays(n: int) -> dict[str, np.ndarray]:
    return {
        "images": np.zeros((n, 28, 28), np.uint8),
        "alphabet": np.arange(n) % 2,
        "alphabet_names": np.array(["Greek", "Latin"]),
    }


def test_omniglot_keeps_its_unseen_alphabets_apart(tmp_path):
    for name, n in zip(omniglot.FILES, (6, 4), strict=True):
        np.savez(tmp_path / name, **omniglot_arrays(n))
    data = omniglot.load(data_dir=tmp_path)
    assert data.x.shape == (6, 28, 28)
    assert data.held_out is not None
    assert len(data.held_out) == 4
    assert data.held_out_truth is None
    assert data.class_names == ["Greek", "Latin"]


def test_damaged_omniglot_files_are_named(tmp_path):
    with pytest.raises(ManifoldError, match=f"{omniglot.FILES[0]} and {omniglot.FILES[1]} missing"):
        omniglot.load(data_dir=tmp_path)
    for name in omniglot.FILES:
        np.savez(tmp_path / name, **omniglot_arrays(6))
    whole = (tmp_path / omniglot.FILES[1]).read_bytes()
    (tmp_path / omniglot.FILES[1]).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ManifoldError, match=f"cannot read .*{omniglot.FILES[1]}"):
        omniglot.load(data_dir=tmp_path)
    np.savez(tmp_path / omniglot.FILES[1], images=np.zeros((3, 28, 28), np.uint8))
    with pytest.raises(ManifoldError, match="lacks an array"):
        omniglot.load(data_dir=tmp_path)
    np.savez(tmp_path / omniglot.FILES[1], **{**omniglot_arrays(6), "alphabet": np.zeros(5)})
    with pytest.raises(ManifoldError, match=r"alphabets \(5,\)"):
        omniglot.load(data_dir=tmp_path)


def test_the_real_files_hold_what_they_are_known_to_hold(data_dir):
    data = DATASETS["mnist"](data_dir=data_dir)
    assert data.truth is not None
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.truth).tolist() == counts
    assert data.x.mean() == pytest.approx(0.1307, abs=1e-4)
    clothes = DATASETS["fashion_mnist"](data_dir=data_dir)
    assert np.bincount(clothes.truth).tolist() == [6000] * 10
    assert clothes.x.mean() == pytest.approx(0.2860, abs=1e-4)
    assert len(DATASETS["omniglot"](data_dir=data_dir).x) == 19_280
