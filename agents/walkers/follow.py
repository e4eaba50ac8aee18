"""Following a polyline of latents: the actions that keep to it under any move of the world."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from agents.walkers.base import Recorder, select
from envs.core.world import World
from envs.manifolds.networks.arrays import norm

#: A way point is reached when less than this share of a full action covers the rest.
REACHED = 0.02
#: A step that covers less than this share of its intended length is blocked (by the boundary of the typical set).
BLOCKED = 0.02
#: Norm of the action that probes a move.
PROBE = 0.05


def follow(recorder: Recorder, way_points: Tensor, counts: Tensor, rows: Tensor | None = None) -> None:
    """Walk items along polylines of latents until success, the last way point, or the step limit.

    Every step is aimed anew from the item's present code, so deviations do not add up; an item that comes no nearer to its way
    point takes the next one. Where frames are the input plus a change (tables), the frame at the last way point is not the
    reference input itself: the walk continues beyond it, by a class distance or as far again.

    Args:
        recorder: holds the batch; the move and bounds of its world apply.
        way_points: (M, R, d) latents, without frame 0.
        counts: (R,) how many of the M way points each item has.
        rows: (R,) the items; None: all.
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
    """Extend each polyline beyond its last way point, away from `start` (R, d), by its distance and at least by `reach`.

    Returns:
        Way points (M + 1, R, d) and counts (R,); polylines without way points stay empty.
    """
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
    """The action that leads from z towards goal; costs no query.

    A straight move is probed once, in the direction of the goal. Any other move is treated as affine in the action (nearly,
    for `spherical`): z'(a) = z'(0) + J a with J from one probe per latent dimension. The action is then J^-1 (z + s (goal - z)
    - z'(0)) with the largest s <= 1 that the unit ball allows.

    Args:
        world: gives the move.
        z: (B, d) present codes.
        goal: (B, d).

    Returns:
        The actions (B, d), and the number of full actions to the goal (B,).
    """
    with torch.inference_mode():
        if world.move.straight:
            code = z.numpy()
            away = goal.numpy() - code
            toward = torch.from_numpy(away * (PROBE / np.maximum(norm(away), 1e-12))[:, None])
            end = world.move(world.manifold, z, toward, world.step_length).numpy()
            action = away * (PROBE / np.maximum(norm(end - code), 1e-12))[:, None]  # in full actions
            size = norm(action)
            return torch.from_numpy(action / np.maximum(size, 1)[:, None]), torch.from_numpy(size)
        batch, d = z.shape
        away = goal - z
        probes = torch.cat([torch.zeros(1, d), PROBE * torch.eye(d)])  # (d + 1, d): none, then each coordinate
        ends = world.move(world.manifold, z.repeat_interleave(d + 1, 0), probes.repeat(batch, 1), world.step_length).reshape(
            batch, d + 1, d
        )
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
    """Latent length of a full action: the median over the coordinate directions at reference inputs.

    It is measured, because the length of a pullback action is given in data space.
    """
    with torch.inference_mode():
        count = min(world.latent_dim, len(world.reference.z))
        here = world.reference.z[:count]
        ends = world.move(world.manifold, here, torch.eye(world.latent_dim)[:count], world.step_length)
        return float((ends - here).norm(dim=1).median())
