"""Walks in a basis: the rest of a code is kept, derivatives are those of the walk, and a whole basis changes no walk."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.explain import explain
from envs import LatentEnv, ManifoldError, make_world
from envs.core.dynamics import enter, start, step
from envs.manifolds import Manifold, Navigated

NAMES = ("principal", "metric")


@pytest.fixture(scope="module", params=NAMES)
def world(request):
    return make_world(data="digits", basis=request.param, basis_dim=3)


@pytest.mark.parametrize("basis", ["principal", "classes", "metric"])
@pytest.mark.parametrize("move", ["euclidean", "arc", "pullback", "matched"])
def test_a_basis_that_spans_everything_gives_the_same_walks_as_no_basis(digits, basis, move):
    plain = digits.replace(move=move)
    whole = make_world(data="digits", basis=basis, basis_dim=8, move=move).replace(step_length=plain.step_length)
    assert whole.manifold.reach == pytest.approx(1, abs=1e-5)
    a, b = (explain(one, [0, 5, 9], walker="line") for one in (plain, whole))
    for before, after in zip(a, b, strict=True):
        assert before.queries == after.queries
        np.testing.assert_allclose(before.frames(plain), after.frames(whole), atol=1e-5)
        np.testing.assert_allclose(before.z, after.z @ whole.manifold.directions.numpy(), atol=1e-5)


@pytest.mark.parametrize("move", ["spherical", "arc", "pullback"])
def test_steps_in_a_whole_basis_are_those_of_the_turned_actions(digits, move):
    plain = digits.replace(move=move)
    whole = make_world(data="digits", basis="decoder", basis_dim=8, move=move).replace(step_length=plain.step_length)
    rows, generator = torch.arange(6), torch.Generator().manual_seed(0)
    a, b = start(plain, rows, rows), start(whole, rows, rows)
    for _ in range(5):
        action = torch.randn(6, 8, generator=generator)
        a, b = step(plain, a, action @ whole.manifold.directions)[0], step(whole, b, action)[0]
    torch.testing.assert_close(a.frame, b.frame, atol=1e-5, rtol=0)


def test_frame_0_is_the_whole_reconstruction_and_walks_keep_the_rest_of_the_code(world, digits):
    torch.testing.assert_close(world.reference.frame, digits.reference.frame, atol=1e-5, rtol=0)
    x = digits.held_out.x[:6]
    state, _ = enter(world, x)
    torch.testing.assert_close(state.frame, digits.manifold.decode(digits.manifold.encode(x)), atol=1e-5, rtol=0)
    moved, _ = step(world, state, torch.randn(6, 3, generator=torch.Generator().manual_seed(0)))
    full = world.manifold.near(x).code_of(moved.z)
    change = full - digits.manifold.encode(x)
    torch.testing.assert_close(moved.frame, digits.manifold.decode(full), atol=1e-5, rtol=0)
    assert int((torch.linalg.svdvals(change) > 1e-4).sum()) == (3 if not world.manifold.local else 6)
    if not world.manifold.local:
        rest = change - change @ world.manifold.directions.T @ world.manifold.directions
        assert float(rest.abs().max()) < 1e-5


def test_a_walk_alone_is_the_walk_in_a_batch(world):
    action = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    rows = torch.arange(4)
    together, _ = step(world, start(world, rows, rows), action)
    for row in range(4):
        alone, _ = step(world, start(world, rows[row : row + 1], rows[row : row + 1]), action[row : row + 1])
        torch.testing.assert_close(alone.frame[0], together.frame[row], atol=1e-5, rtol=0)


def test_derivatives_are_those_of_walks_from_the_input(world):
    x = world.held_out.x[:2]
    near = world.manifold.near(x)
    z = near.encode(x) + 0.1
    tangent, cotangent = torch.randn(2, 3), torch.randn(2, 64)
    step_size = 1e-2
    change = (near.decode(z + step_size * tangent) - near.decode(z - step_size * tangent)).flatten(1) / (2 * step_size)
    torch.testing.assert_close(near.jvp(z, tangent), change, atol=2e-3, rtol=1e-2)
    torch.testing.assert_close((near.vjp(z, cotangent) * tangent).sum(1), (change * cotangent).sum(1), atol=2e-2, rtol=1e-2)
    torch.testing.assert_close((near.jacobian(z) @ tangent[:, :, None])[:, :, 0], near.jvp(z, tangent), atol=1e-5, rtol=1e-4)
    decoded, pull = world.manifold.linearized(z.numpy(), x)
    np.testing.assert_allclose(decoded, near.decode(z).numpy(), atol=1e-6)
    np.testing.assert_allclose(pull(cotangent[None].numpy())[0], near.vjp(z, cotangent).numpy(), atol=1e-4)


def test_arc_steps_have_their_length_in_data_space_wherever_the_walk_began(world):
    arcs = world.replace(move="arc")
    rows = torch.arange(64)
    _, info = step(arcs, start(arcs, rows, rows % 10), torch.nn.functional.normalize(torch.randn(64, 3), dim=1))
    assert float(info.step_length.median()) == pytest.approx(arcs.step_length, rel=0.1)


def test_walks_observe_and_act_in_the_directions(world):
    env = LatentEnv(world=world)
    assert env.action_space.shape == (3,)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    observation, *_ = env.step(env.action_space.sample())
    assert env.observation_space.contains(observation)


def test_a_saved_one_is_the_same_and_needs_no_data(world, tmp_path):
    world.manifold.save(tmp_path)
    again = Manifold.load(tmp_path)
    assert isinstance(again, Navigated)
    assert (again.local, again.reach) == (world.manifold.local, world.manifold.reach)
    x = world.held_out.x[:3]
    z = world.manifold.encode(x) + 0.2
    torch.testing.assert_close(again.decode_near(z, x), world.manifold.decode_near(z, x), atol=1e-5, rtol=0)
    torch.testing.assert_close(again.typicality(z), world.manifold.typicality(z))


def test_forgotten_codes_are_encoded_again(world, monkeypatch):
    monkeypatch.setattr("envs.manifolds.navigated.KEPT", 200)
    manifold = make_world(data="digits", basis="principal", basis_dim=3).manifold
    x = world.held_out.x[:40]
    z = manifold.encode(x)
    assert len(manifold._homes) * 8 <= 200
    torch.testing.assert_close(manifold.decode_near(z[:1], x[:1]), manifold.inner.decode(manifold.inner.encode(x[:1])))


def test_priors_without_a_density_are_projected_in_the_full_space(digits):
    gan = make_world(data="digits", manifold="digits_gan", basis="principal", basis_dim=4)
    far = torch.full((2, 4), 99.0)
    z = gan.manifold.prior.project(far)
    assert gan.manifold.inner.prior.contains(gan.manifold.code_of(z)).all()
    assert gan.manifold.prior.sample(5, torch.Generator().manual_seed(0)).shape == (5, 4)


def test_tables_walk_in_a_basis_and_a_graph_has_none():
    table = make_world(data="iris", manifold="pca", basis="principal", basis_dim=1)
    assert explain(table, 0, walker="line").success
    with pytest.raises(ManifoldError, match="'edits' is a graph"):
        make_world(data="sentences", manifold="edits", basis="principal", basis_dim=2)


def test_a_training_keeps_the_inputs_of_its_queries_and_its_run_is_read_back(world, tmp_path, monkeypatch):
    from agents.runs.run import load_run
    from agents.train import train
    from agents.walkers.planning.surrogate import QueriedRows

    kept, see = [], QueriedRows.see
    monkeypatch.setattr(QueriedRows, "see", lambda rows, z, p, factual=None: [kept.append(factual), see(rows, z, p, factual)])
    run = train(world=world, n_timesteps=64, n_envs=4, eval_episodes=0, pictures=False, log_folder=str(tmp_path),
                hyperparams={"n_steps": 8, "n_epochs": 1})  # fmt: skip
    assert kept
    assert all(factual is not None for factual in kept)  # frames are not a function of the codes alone
    again = load_run(run.folder.root)
    path, other = (explain(one, 3) for one in (run, again))
    assert path.z.shape[1] == 3
    np.testing.assert_allclose(path.frames(world), other.frames(again.world), atol=1e-5)


def test_a_saved_one_brings_in_no_code_by_name():
    with pytest.raises(ManifoldError, match="cannot hold one by name"):
        Navigated("pair", 2, settings={"source": "os:getcwd", "data_shape": [4], "latent_dim": 4})
