"""Along a given polyline of latents: the actions that follow it under whatever move the world has."""

from __future__ import annotations

import torch
from torch import Tensor

from agents.walkers.base import Recorder, select
from envs.core.world import World

#: A way point counts as reached when less than this share of a full action would cover the rest.
REACHED = 0.02
#: Where a step covers less than this share of the way it was aimed at, the way is blocked (the typical set's wall).
BLOCKED = 0.02
#: Size of the action with which a move is probed.
PROBE = 0.05


def follow(recorder: Recorder, way_points: Tensor, counts: Tensor, rows: Tensor | None = None) -> None:
    """Walk `rows` along polylines of latents until success, the last way point, or the last step allowed.

    Every step aims anew from where the item is, so what a move bends or the step bound shortens does not add up; an
    item that comes no nearer to its way point takes the next one. Where frames are the input plus a change, a frame at the
    last way point is not the known item's own: the walk goes on beyond it, by a class distance or as far again.

    Args:
        recorder: holds the batch; its world's move and bounds apply.
        way_points: (M, R, d) latents, without frame 0.
        counts: (R,) how many of the M way points each row has.
        rows: (R,) the items, default all.
    """
    rows = torch.arange(len(recorder.length)) if rows is None else rows
    if recorder.world.units.anchored:
        reach = latent_step(recorder.world) / recorder.world.step  # about a class distance
        way_points, counts = _with_beyond(way_points, counts, recorder.state.z[rows], reach)
    at = torch.zeros(len(rows), dtype=torch.int64)  # the way point each row is heading for
    while True:
        going = (at < counts) & ~recorder.success[rows] & (recorder.length[rows] < recorder.max_steps)
        index = torch.nonzero(going).flatten()
        if len(index) == 0:
            return
        goal = way_points[at[index], index]
        here = select(recorder.state, rows[index])
        action, rest = aim(recorder.world, here.z, goal)
        near = rest <= REACHED
        at[index[near]] += 1
        index, action, goal, here = index[~near], action[~near], goal[~near], select(here, ~near)
        if len(index) == 0:
            continue
        recorder.step(rows[index], action)
        before, after = (goal - here.z).norm(dim=1), (goal - recorder.state.z[rows[index]]).norm(dim=1)
        moved = (recorder.state.z[rows[index]] - here.z).norm(dim=1)
        at[index[(after > before - BLOCKED * moved) | (after <= 1e-5 * before)]] += 1


def _with_beyond(way_points: Tensor, counts: Tensor, start: Tensor, reach: float) -> tuple[Tensor, Tensor]:
    """Way points (M + 1, R, d) and counts (R,) with one more, where there is one: behind the last one, seen from the starts
    (R, d), as far as that is away, and at least by `reach`."""
    if not len(way_points):
        return way_points, counts
    more = torch.cat((way_points, way_points[-1:]))
    rows = torch.nonzero(counts).flatten()
    last = way_points[counts[rows] - 1, rows]
    away = last - start[rows]
    size = away.norm(dim=1, keepdim=True).clamp_min(1e-12)
    more[counts[rows], rows] = last + away / size * size.clamp_min(reach)
    return more, counts + (counts > 0).to(counts.dtype)


def aim(world: World, z: Tensor, goal: Tensor) -> tuple[Tensor, Tensor]:
    """The action from z towards goal, both (B, d), and how many full actions the whole way is, (B,).

    A straight move is probed once, in the goal's direction. Any other is taken to be affine in the action (nearly, for
    `spherical`): z'(a) = z'(0) + J a with J from one probe a latent dimension. The action is then
    J^-1 (z + s (goal - z) - z'(0)) with the largest share s <= 1 of the way that the unit ball allows. Asks the
    classifier for nothing.
    """
    with torch.inference_mode():
        batch, d = z.shape
        away = goal - z
        if world.move.straight:
            toward = PROBE * away / away.norm(dim=1, keepdim=True).clamp_min(1e-12)
            end = world.move(world.manifold, z, toward, world.step_length)
            rate = (end - z).norm(dim=1, keepdim=True).clamp_min(1e-12) / PROBE  # latent length of a full action
            drift, whole = torch.zeros_like(z), away / rate
        else:
            probes = torch.cat([torch.zeros(1, d), PROBE * torch.eye(d)])  # (d + 1, d): none, then each coordinate
            ends = world.move(
                world.manifold, z.repeat_interleave(d + 1, 0), probes.repeat(batch, 1), world.step_length
            ).reshape(batch, d + 1, d)
            jacobian = ((ends[:, 1:] - ends[:, :1]) / PROBE).transpose(1, 2)  # (B, d of z', d of a)
            solved = torch.linalg.lstsq(jacobian, torch.stack([z - ends[:, 0], away], dim=2)).solution
            drift, whole = solved[:, :, 0], solved[:, :, 1]
        return drift + _largest_share(drift, whole)[:, None] * whole, whole.norm(dim=1)


def _largest_share(b: Tensor, c: Tensor) -> Tensor:
    """Largest s in [0, 1] with |b + s c| <= 1, (B,): the positive root of a quadratic; 0 where |b| > 1."""
    cc = c.square().sum(1).clamp_min(1e-12)
    bc = (b * c).sum(1)
    inside = (bc.square() + cc * (1 - b.square().sum(1))).clamp_min(0.0)
    return ((inside.sqrt() - bc) / cc).clamp(0.0, 1.0)


def latent_step(world: World) -> float:
    """Latent length of a full action, the median over the coordinates' directions at known starts.

    Measured, because a pullback action's length is given in data space.
    """
    with torch.inference_mode():
        count = min(world.latent_dim, len(world.reference.z))
        here = world.reference.z[:count]
        ends = world.move(world.manifold, here, torch.eye(world.latent_dim)[:count], world.step_length)
        return float((ends - here).norm(dim=1).median())
