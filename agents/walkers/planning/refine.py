"""A shorter last step: the smallest part of the last step that still satisfies the task.

A walk stops at the first frame that satisfies the task, so it overshoots by up to one step. Shortening its last step leaves
the rest of the path unchanged and brings the end nearer to the input. The part to keep is found with a few further queries
(all counted): by the secant of the logit of p(target) against the part of the step, which is nearly a line for a calibrated
softmax, or by bisection where no probability is shown or success depends on more than a threshold.
"""

from __future__ import annotations

import torch
from torch import Tensor

from agents.walkers.base import Recorder, select
from agents.walkers.follow import aim
from envs.core.tasks import log_odds

#: Aim this far (in logits) beyond the threshold, so that the secant's small error does not cost the success.
MARGIN = 0.04
#: An end at most this far beyond the threshold (in logits; 0.01 at a probability of 0.9) is near enough.
NEAR = 0.12
#: Parts of a step that differ by less are the same.
FINEST = 0.02


def refine_last(recorder: Recorder, queries: int) -> Tensor:
    """Shorten the last step of successful items.

    Args:
        recorder: holds the batch, changed in place; items without a step or without success stay as they are.
        queries: k, the most further queries per item.

    Returns:
        (B,) the part of the last step that is kept, 1 where nothing changed.
    """
    kept = torch.ones(len(recorder.length))
    items = torch.nonzero(recorder.success & (recorder.length > 0)).flatten()
    if queries < 1 or len(items) == 0 or recorder.world.manifold.on_graph:  # a part of an edit is not an edit
        return kept
    world = recorder.world
    start, end = select(recorder.before, items), select(recorder.state, items)
    whole = end.z - start.z  # as it was taken: the action may have been longer than the bounds allow
    low, high = torch.zeros(len(items)), torch.ones(len(items))
    low_logit, high_logit = world.task.evidence(start), world.task.evidence(end)
    threshold = float(log_odds(torch.tensor(world.task.tau)))
    by_logit = (low_logit < threshold) & (not world.label_only)
    for _ in range(queries):
        open_ = (high - low > FINEST) & ~(by_logit & (high_logit - threshold <= NEAR))
        index = torch.nonzero(open_).flatten()
        if len(index) == 0:
            break
        secant = _secant(low[index], high[index], low_logit[index], high_logit[index], threshold + MARGIN)
        part = torch.where(by_logit[index], secant, (low[index] + high[index]) / 2)
        here = select(start, index)
        action, _ = aim(world, here.z, here.z + part[:, None] * whole[index])
        state, info = recorder.trial(items[index], action, here)
        logit = world.task.evidence(state)
        good = info.is_success
        low[index[~good]], low_logit[index[~good]] = part[~good], logit[~good]
        high[index[good]], high_logit[index[good]] = part[good], logit[good]
        if bool(good.any()):
            done = items[index[good]]
            recorder.replace_last(done, action[good], select(state, good), select(info, good))
            kept[done] = part[good]
    return kept


def _secant(low: Tensor, high: Tensor, low_logit: Tensor, high_logit: Tensor, aim: float) -> Tensor:
    """The part of the step at which the line through both ends reaches the logit `aim`, strictly inside (low, high)."""
    share = ((aim - low_logit) / (high_logit - low_logit).clamp_min(1e-6)).clamp(0.05, 0.97)
    return low + share * (high - low)
