"""How well local explanations follow the classifier, and where they step back because they don't."""

from __future__ import annotations

from typing import Any

import numpy as np

LEAST_R2 = 0.5  # of a local linear fit: below it, its weights are withheld
LEAST_AGREEMENT = 0.5  # share of a path's frames on which a tree must agree with the network


def followed(r2: Any) -> np.ndarray:
    """(n,) bool: which fits follow the classifier; where the prediction is constant (nan), slopes of zero do.

    Example:
        >>> followed(np.array([0.9, 0.2, np.nan])).tolist()
        [True, False, True]
    """
    return ~(np.asarray(r2, dtype=float) < LEAST_R2)


def fit_note(r2: np.ndarray) -> str:
    """The fits' R2 in words, with a warning where weights are withheld; empty if none was measured.

    Example:
        >>> print(fit_note(np.array([0.9, 0.2])))
        The fits' R² is 0.20 to 0.90. Do not rely on frame 1: its fit is below 0.5, and its weights are withheld.
    """
    known = np.asarray(r2)[np.isfinite(r2)]
    if not len(known):
        return ""
    low = np.flatnonzero(~followed(r2)).tolist()
    text = f"The fits' R² is {known.min():.2f} to {known.max():.2f}."
    if len(low) == len(r2):
        return f"{text} Do not rely on them: every fit is below {LEAST_R2}, and all weights are withheld."
    frames = f"frame{'' if len(low) == 1 else 's'} {', '.join(map(str, low))}"
    its, fit = ("its", "its fit is") if len(low) == 1 else ("their", "their fits are")
    return text + (f" Do not rely on {frames}: {fit} below {LEAST_R2}, and {its} weights are withheld." if low else "")


def agreement_note(network: np.ndarray, tree: np.ndarray) -> tuple[bool, str]:
    """Whether a tree follows the network on enough frames (T+1,), and a sentence that says on how many.

    Example:
        >>> agreement_note(np.array([4, 4, 9]), np.array([4, 4, 4]))
        (True, 'The tree agrees with the network on 2 of 3 frames.')
    """
    same = int((network == tree).sum())
    text = f"The tree agrees with the network on {same} of {len(network)} frames"
    if same >= LEAST_AGREEMENT * len(network):
        return True, f"{text}."
    return False, f"{text}: do not rely on its route."
