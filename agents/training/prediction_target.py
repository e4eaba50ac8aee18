"""The prediction target of curiosity in a latent space: the decoded frame and the classifier's prediction, not the code.

The next code is known beforehand (z' = z + a), so that a model which predicts it soon has nothing to learn. What the code
*shows* is unknown: the decoded frame and the classifier's prediction for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from envs.errors import UnknownNameError

if TYPE_CHECKING:
    from envs.core.world import World

SHARE = 0.9
"""Share of the variance of the decoded starts that the components keep. The rest is spread over many components that hardly
move, are the least smooth ones along the manifold, and need an output of the network each."""
MOST = 16
"""Largest number of components."""
ROWS = 1024
"""Number of starts that the components are computed from: with 10,000 numbers per frame the decomposition takes seconds."""
RESPONSE_WEIGHT = 0.25
"""Weight of the classifier's prediction: a change of the label then counts a third of a full action's change of the frame.
With a larger weight the network spends its capacity on labels that it cannot predict, and explains less of the frames."""


PARTS = {
    "both": ("frame", "prediction"),
    "frame": ("frame",),
    "prediction": ("prediction",),
    "code": ("code",),
}
"""Values of the option ``prediction_target``. All but "both" exist for comparison (tests/benchmarks/vime_ablation.py)."""


class LatentFeatures:
    """Features that a bonus predicts in a latent space: principal components of the decoded frame, then the prediction.

    Both are computed from the observation, so that in label-only ids only the label enters. The unit of the components is the
    change of the frame by a full action. The frame of a text is the number of times that each token occurs in it. The
    static of distractors, which is observed beside a frame, is a part of the features as it is.

    Args:
        world: The latent space.
        prediction_target: "both": k components and the classifier's prediction, (B, k + K). "frame" or "prediction": one of
            them. "code": the next code (B, d), predicted as a change.
        share: Share of the variance that the components keep.
        most: Largest number of components.

    Attributes:
        as_change: Slice of the features that are predicted as changes: components or code. The prediction is not.
        given: Indices in an observation of what affects the next frame: the code and the present prediction.

    Raises:
        UnknownNameError: Another ``prediction_target``.
    """

    def __init__(self, world: World, prediction_target: str = "both", share: float = SHARE, most: int = MOST) -> None:
        if prediction_target not in PARTS:
            raise UnknownNameError("prediction_target", prediction_target, PARTS)
        self.world, self.parts = world, PARTS[prediction_target]
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
        # The signs of a decomposition are arbitrary; a saved model needs the same columns again.
        self.axes = axes * torch.where(largest < 0, -1.0, 1.0)
        self.unit = float(world.step * world.class_distance)
        d, classes = world.latent_dim, world.classes
        self.prediction = slice(2 * d, 2 * d + classes)
        self.static = world.manifold.static_size if "frame" in self.parts else 0
        self.before_prediction = len(self.axes) * ("frame" in self.parts) + d * ("code" in self.parts)
        self.as_change = slice(0, self.before_prediction)
        self.given = [*range(d), *range(2 * d, 2 * d + classes)]

    def _flat(self, frames: Tensor) -> Tensor:
        """Return frames (B, *data) as rows; of token ids the counts, without ids that no start contains."""
        flat = frames.flatten(1)
        if not self.tokens:
            return flat.to(torch.float32)
        known = flat < self.tokens
        counts = torch.zeros(len(flat), self.tokens)
        return counts.scatter_add_(1, flat.clamp(0, self.tokens - 1), known.to(torch.float32))

    def __call__(self, observations: Tensor) -> Tensor:
        """Return the features (B, k + K), or the chosen part, of observations (B, obs_dim)."""
        with torch.inference_mode():
            code = observations[:, : self.world.latent_dim]
            features = []
            if "frame" in self.parts:
                frames = self.world.manifold.decode(code * self.world.manifold.prior.radius)
                features.append((self._flat(frames) - self.centre) @ self.axes.T / self.unit)
            if "code" in self.parts:
                features.append(code)
            if "prediction" in self.parts:
                features.append(RESPONSE_WEIGHT * observations[:, self.prediction])
            if self.static:
                features.append(observations[:, -self.static :])
        return torch.cat(features, dim=1).clone()

    def figures(self, predicted: Tensor, following: Tensor, present: Tensor) -> dict[str, float]:
        """Return how often the classifier's next label is predicted, and how often it is the present one.

        Args:
            predicted: Predicted features (B, k + K).
            following: True features of the next observations (B, k + K).
            present: Features of the present observations (B, k + K).
        """
        if "prediction" not in self.parts:
            return {}
        labels = slice(self.before_prediction, self.before_prediction + self.world.classes)
        guess, true, now = (rows[:, labels].argmax(1) for rows in (predicted, following, present))
        return {
            "prediction_accuracy": float((guess == true).float().mean()),
            "prediction_persistence": float((now == true).float().mean()),
        }
