"""Expected information gain of a transition before the next observation is known (BALD).

Reference:

[2] Houlsby et al., "Bayesian Active Learning for Classification and Preference Learning", 2011.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vime.bnn.dynamics import Head
from vime.bnn.gaussian_weights import LayerWeights, pre_activation_moments
from vime.errors import OptionError
from vime.information_gain.draws import chunks, forward, rows_of


def expected_gain(
    layers: Sequence[LayerWeights],
    head: Head,
    inputs: Tensor,
    noise: Sequence[Tensor],
    *,
    mask: Tensor | None = None,
) -> Tensor:
    """Expected information gain before the next observation is known (BALD [2]).

    It is the entropy of the predictive distribution minus the mean entropy of the noise, with normal marginals:
    1/2 sum_d [ ln(Var_w[m_d] + E_w[s_d^2]) - E_w[ln s_d^2] ]. The weights of the last layer are integrated out exactly:
    Var_w[m_d] is the mean of the last layer's variance plus the variance of its mean over draws.

    Args:
        layers: The posterior, plain tensors.
        head: Maps outputs to a normal over the target.
        inputs: (B, I), whitened.
        noise: One tensor (S, B or 1, O) for each layer, independent draws. S >= 2 if there are hidden layers.
        mask: (D,), which targets count; None: all.

    Returns:
        Expected gains (B,) in nats, at least 0.

    Raises:
        OptionError: One draw for a network with hidden layers.

    Example:
        >>> import torch
        >>> from vime import DynamicsBNN, expected_gain
        >>> from vime.information_gain import draw_noise
        >>> bnn = DynamicsBNN(inputs=3, targets=2, hidden=(16,))
        >>> layers = bnn.frozen_posterior()
        >>> noise = draw_noise(layers, draws=8, batch=1, generator=torch.Generator().manual_seed(0))
        >>> bool((expected_gain(layers, bnn.head, torch.randn(5, 3), noise) >= 0).all())
        True
    """
    draws = noise[0].shape[0]
    if len(layers) > 1 and draws < 2:
        raise OptionError(f"the expected gain of a network with hidden layers needs at least 2 draws, got {draws}")
    with torch.no_grad():
        squared = [k.scale.square() for k in layers]
        gains = []
        for rows in chunks(len(inputs)):
            record, outputs = forward(layers, squared, inputs[rows], [rows_of(n, rows) for n in noise])
            centre, spread = pre_activation_moments(layers[-1], record[-1].inputs)
            targets = head.targets
            epistemic = spread[..., :targets].mean(0)
            if len(centre) > 1:
                epistemic = epistemic + centre[..., :targets].var(0, correction=1)
            _, log_sd = head.split(outputs)
            per_target = 0.5 * torch.log(epistemic + (2.0 * log_sd).exp().mean(0)) - log_sd.mean(0)
            if mask is not None:
                per_target = per_target * mask
            gains.append(per_target.sum(-1))
    return torch.cat(gains) if gains else inputs.new_zeros(0)
