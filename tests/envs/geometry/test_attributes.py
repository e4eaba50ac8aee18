"""Attribute vectors, thresholds, and what is measured from strokes: against replication, brute force and drawn pictures."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from envs import ManifoldError
from envs.geometry import strokes
from envs.geometry.attributes import AtDot, attribute_vector, augmentation_vector, best_threshold


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def replicated(z: torch.Tensor, attributes: torch.Tensor) -> torch.Tensor:
    """White's own way: repeat the members of every cell of all attributes to the size of the largest, then two means."""
    key = (attributes * 2 ** torch.arange(attributes.shape[1])).sum(1)
    cells = [torch.nonzero(key == value).flatten() for value in range(2 ** attributes.shape[1])]
    largest = max(map(len, cells))
    rows = torch.cat([cell[torch.arange(largest) % len(cell)] for cell in cells])
    has = attributes[rows, 0].bool()
    return z[rows][has].mean(0) - z[rows][~has].mean(0)


@pytest.mark.parametrize("m", [1, 2])
def test_balancing_by_cell_means_equals_replication(m):
    sizes = [2, 4, 8, 16, 32, 1, 2, 4][: 2 ** (m + 1)]  # each divides the largest: no remainder
    attributes = torch.cat([torch.tensor([[c >> i & 1 for i in range(m + 1)]] * n) for c, n in enumerate(sizes)])
    z = rand(len(attributes), 5)
    balanced = attribute_vector(z, attributes[:, 0], attributes[:, 1:])
    torch.testing.assert_close(balanced, replicated(z, attributes))
    assert not torch.allclose(balanced, attribute_vector(z, attributes[:, 0]), atol=0.05), "the control: plain differs"


def test_the_plain_vector_carries_the_nuisance_as_theory_says_and_the_balanced_one_does_not():
    n, d = 8000, 6
    generator = torch.Generator().manual_seed(0)
    has = torch.rand(n, generator=generator) < 0.5
    nuisance = torch.rand(n, generator=generator) < torch.where(has, 0.8, 0.2)
    u, v = torch.eye(d)[0], torch.eye(d)[1]
    z = has[:, None] * u + nuisance[:, None] * v + 0.5 * torch.randn(n, d, generator=generator)
    plain, balanced = attribute_vector(z, has), attribute_vector(z, has, nuisance)
    error = 3 * 0.5 * math.sqrt(4 / n / (4 * 0.8 * 0.2))  # three standard errors of the least certain cell
    shares = float(nuisance[has].float().mean() - nuisance[~has].float().mean())
    assert abs(float(plain[1]) - shares) < error
    assert float(plain[1]) > 0.5
    assert abs(float(balanced[1])) < error
    for vector in (plain, balanced):
        assert abs(float(vector[0]) - 1) < error


def test_an_augmentation_vector_of_linear_parts_is_exact(linear_manifold):
    weight = torch.linalg.qr(rand(12, 3))[0]
    manifold = linear_manifold(0.1 * weight, (3, 4))
    x = manifold.decode(0.3 * rand(40, 3, seed=1))
    operation = rand(12, 12, seed=2) / 12

    def blurred(pictures: torch.Tensor) -> torch.Tensor:
        return (0.5 + (pictures.flatten(1) - 0.5) @ (torch.eye(12) + 0.1 * operation)).reshape(pictures.shape)

    expected = (x.flatten(1) - 0.5).mean(0) @ (0.1 * operation) @ manifold.inverse.T
    torch.testing.assert_close(augmentation_vector(manifold, x, blurred), expected, rtol=1e-3, atol=1e-4)


def test_paired_differences_vary_less_than_the_difference_of_two_samples(digits):
    def thinner(x: torch.Tensor) -> torch.Tensor:
        return x * (0.6 + 0.4 * x)

    x = digits.reference.x
    halves = x[:600].split(100)
    paired = torch.stack([augmentation_vector(digits.manifold, part, thinner) for part in halves])
    mixed = torch.stack([
        digits.manifold.encode(thinner(part)).mean(0) - digits.manifold.encode(other).mean(0)
        for part, other in zip(halves, reversed(halves), strict=True)
    ])  # fmt: skip
    assert float(paired.std(0).mean()) < 0.2 * float(mixed.std(0).mean())


def test_empty_cells_are_named():
    z, has = rand(40, 3), torch.arange(40) % 2 == 0
    other = torch.stack([has, torch.arange(40) % 3 == 0], 1)
    with pytest.raises(ManifoldError, match="empty attribute cell: nobody with the attribute has thick = False, old = False"):
        attribute_vector(z, has, other, ["thick", "old"])
    for everybody in (torch.ones(40), torch.zeros(40)):
        with pytest.raises(ManifoldError, match=r"empty attribute cell: (everybody|nobody) of 40"):
            attribute_vector(z, everybody)
    with pytest.raises(ManifoldError, match="one value a row"):
        attribute_vector(z, has[:7])
    with pytest.raises(ManifoldError, match="to balance are"):
        attribute_vector(z, has, other[:7])
    with pytest.raises(ManifoldError, match="1 names for 2"):
        attribute_vector(z, has, other, ["thick"])


@given(st.integers(0, 10_000), st.integers(2, 30), st.booleans())
def test_the_threshold_beats_every_cut_by_brute_force(seed, n, ties):
    scores, has = rand(n, seed=seed), rand(n, seed=seed + 1) > 0.3
    has[0], has[1] = True, False
    if ties:
        scores = (2 * scores).round()
    threshold, accuracy = best_threshold(scores, has)
    cuts = torch.cat([scores, scores + 1e-5, scores - 1e-5])
    each = ((scores[None] > cuts[:, None]) == has[None]).float().mean(1)
    assert accuracy == pytest.approx(float(each.max()))
    assert float(((scores > threshold) == has).float().mean()) == pytest.approx(accuracy)


def test_atdot_knows_a_separable_attribute_and_its_auc_is_the_areas_own():
    z = rand(400, 4)
    has = z[:, 0] + 0.2 * rand(400, seed=1) > 0.3
    fitted = AtDot.fit(z[:200], has[:200])
    assert fitted.accuracy(z[200:], has[200:]) > 0.85
    assert fitted.auc(z[200:], has[200:]) == pytest.approx(roc_auc_score(has[200:], z[200:] @ fitted.vector))
    assert fitted.auc(z[200:], ~has[200:]) == pytest.approx(1 - fitted.auc(z[200:], has[200:]))


# --- strokes ----------------------------------------------------------------------------------------------------------


def drawn(kind: str, size: int = 28) -> torch.Tensor:
    """One drawn picture (1, size, size)."""
    y, x = torch.meshgrid(torch.arange(size) - size / 2 + 0.5, torch.arange(size) - size / 2 + 0.5, indexing="ij")
    ring = ((x**2 + y**2).sqrt() - 7).abs() < 1.6
    bar = (x.abs() < 2) & (y.abs() < 10)
    two = ((x**2 + (y - 4.5) ** 2).sqrt() - 4).abs() < 1.2
    two |= ((x**2 + (y + 4.5) ** 2).sqrt() - 4).abs() < 1.2
    open_ring = ring & ~((x > 0) & (y.abs() < 3))
    right = ((x + 0.5 * y).abs() < 2) & (y.abs() < 10)
    return {"ring": ring, "bar": bar, "eight": two, "open": open_ring, "right": right}[kind].float()[None]


def test_loops_are_counted_in_one_batch_without_mixing_pictures():
    names = ["ring", "bar", "eight", "open", "ring", "right"]
    batch = torch.cat([drawn(name) for name in names])
    assert strokes.loops(batch).tolist() == [1, 0, 2, 0, 1, 0]
    assert strokes.loops(batch[:, None]).tolist() == [1, 0, 2, 0, 1, 0]
    assert strokes.loops(1 - drawn("bar")).tolist() == [1], "a hole in full ink"
    assert strokes.loops(torch.zeros(2, 8, 8)).tolist() == [0, 0]


@pytest.mark.parametrize("width", [2, 4, 6])
@pytest.mark.parametrize("size", [14, 28, 40])
def test_thickness_is_the_width_of_a_bar(width, size):
    x = torch.zeros(2, size, size)
    first = size // 2 - width // 2
    x[0, 1:-1, first : first + width] = 1.0
    x[1, first : first + width, 1:-1] = 1.0
    measured = strokes.thickness(x)
    assert measured.tolist() == pytest.approx([width, width], rel=0.2)
    assert strokes.thickness(torch.cat([x, drawn("ring", size)]))[:2].equal(measured), "no picture is another's neighbour"


def test_slant_is_the_angle_of_a_leaning_bar():
    assert float(strokes.slant(drawn("bar"))) == pytest.approx(0, abs=0.1)
    assert float(strokes.slant(drawn("right"))) == pytest.approx(math.degrees(math.atan(0.5)), abs=2)
    assert float(strokes.slant(drawn("right").flip(2))) == pytest.approx(-math.degrees(math.atan(0.5)), abs=2)


def test_loops_of_real_digits_are_those_of_their_classes(digits):
    has = strokes.loops(digits.held_out.x) > 0
    clear = torch.isin(digits.held_out.truth, torch.tensor([0, 1, 3, 5, 6, 7, 8, 9]))
    expected = torch.isin(digits.held_out.truth, torch.tensor([0, 6, 8, 9]))
    assert float((has == expected)[clear].float().mean()) > 0.87


def test_changes_are_told_in_words():
    loop, thick, lean = strokes.STROKES
    assert strokes.change(loop, 0, 1) == "loop closed"
    assert strokes.change(loop, 2, 0) == "2 loops opened"
    assert strokes.change(thick, 1.0, 1.52) == "strokes 0.5 px thicker"
    assert strokes.change(lean, 3.0, -9.0) == "leaning 12° more to the left"
    assert strokes.change(thick, 1.0, 1.01) == ""
    assert strokes.change(lean, math.nan, 1.0) == ""


def test_only_known_data_have_attributes(digits, iris):
    assert [a.name for a in strokes.attributes_of(digits)] == ["loops", "thickness", "slant"]
    assert strokes.attributes_of(iris) == ()
    for attribute in strokes.STROKES:
        assert attribute.measure(digits.reference.x[:5]).shape == (5,)
    with pytest.raises(ManifoldError, match="images"):
        strokes.slant(iris.reference.x)
