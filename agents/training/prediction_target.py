"""What curiosity about a latent space foretells: the picture and the classifier's answer, not the code.

Where the next code lies is known beforehand (z' = z + a), so that a model which predicted it would soon be curious
about nothing. What the code *shows* is not known: the decoded frame and what the classifier says of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from envs.errors import UnknownNameError

if TYPE_CHECKING:
    from envs.core.world import World

SHARE = 0.9
"""Share of the decoded starts' variance that the components keep. The rest is spread over many components that hardly
move, are the least smooth ones along the manifold, and cost a network output each."""
MOST = 16
"""Components at most, whatever they keep."""
ROWS = 1024
"""Starts that the components are computed from: for frames of 10,000 numbers a singular value decomposition of seconds."""
RESPONSE_WEIGHT = 0.25
"""Of the classifier's answer: one label for another is then worth a third of a full action's change of the frame. With
more weight the network attends to labels that it cannot foretell anyway, and explains less of the frames."""


PARTS = {
    "both": ("frame", "prediction"),
    "frame": ("frame",),
    "prediction": ("prediction",),
    "code": ("code",),
}
"""What ``sees`` may be. All but ``both`` are there to be compared with it (tests/benchmarks/vime_ablation.py)."""


class SeenOf:
    """Principal components of the decoded frame, then the classifier's answer as the observation holds it: (B, k + K).

    With ``sees`` only the one or the other, or the next code itself (B, d), which is foretold as a change.

    Both are computed from the observation, so that where labels alone are shown nothing but the label goes in. The
    components' unit is the change of the frame that a full action makes. A text's frame is how often each token is in
    it.

    Attributes:
        as_change: the components: foretold as changes. The answer is foretold as it will be.
        given: places in an observation of what bears on the next frame: the code and the present answer.
    """

    def __init__(self, world: World, sees: str = "both", share: float = SHARE, most: int = MOST) -> None:
        if sees not in PARTS:
            raise UnknownNameError("sees", sees, PARTS)
        self.world, self.parts = world, PARTS[sees]
        stride = -(-len(world.reference.decoded) // ROWS)
        self.tokens = 0
        if not world.reference.decoded.is_floating_point():
            self.tokens = int(world.reference.decoded.max()) + 1
        rows = self._flat(world.reference.decoded[::stride])
        self.centre = rows.mean(0)
        _, sizes, axes = torch.linalg.svd(rows - self.centre, full_matrices=False)
        kept = sizes.square().cumsum(0) / sizes.square().sum()
        axes = axes[: min(int((kept < share).sum()) + 1, most)]
        largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
        # The decomposition leaves the signs open; a saved model must find its columns again.
        self.axes = axes * torch.where(largest < 0, -1.0, 1.0)
        self.unit = float(world.step * world.class_distance)
        d, classes = world.latent_dim, world.classes
        self.prediction = slice(2 * d, 2 * d + classes)
        self.before_prediction = len(self.axes) * ("frame" in self.parts) + d * ("code" in self.parts)
        self.as_change = slice(0, self.before_prediction)
        self.given = [*range(d), *range(2 * d, 2 * d + classes)]

    def _flat(self, frames: Tensor) -> Tensor:
        """Frames (B, *data) as rows of numbers; of token ids their counts, ids that no start has left out."""
        flat = frames.flatten(1)
        if not self.tokens:
            return flat.to(torch.float32)
        known = flat < self.tokens
        counts = torch.zeros(len(flat), self.tokens)
        return counts.scatter_add_(1, flat.clamp(0, self.tokens - 1), known.to(torch.float32))

    def __call__(self, observations: Tensor) -> Tensor:
        """(B, obs_dim) -> (B, k + K), or what of it is seen."""
        with torch.inference_mode():
            code = observations[:, : self.world.latent_dim]
            seen = []
            if "frame" in self.parts:
                frames = self.world.manifold.decode(code * self.world.manifold.prior.radius)
                seen.append((self._flat(frames) - self.centre) @ self.axes.T / self.unit)
            if "code" in self.parts:
                seen.append(code)
            if "prediction" in self.parts:
                seen.append(RESPONSE_WEIGHT * observations[:, self.prediction])
        return torch.cat(seen, dim=1).clone()

    def figures(self, predicted: Tensor, following: Tensor, present: Tensor) -> dict[str, float]:
        """How often the classifier's next label is foretold, and how often it is the present one; all (B, k + K)."""
        if "prediction" not in self.parts:
            return {}
        told, came, was = (rows[:, self.before_prediction :].argmax(1) for rows in (predicted, following, present))
        return {
            "answer_accuracy": float((told == came).float().mean()),
            "answer_persistence": float((was == came).float().mean()),
        }
