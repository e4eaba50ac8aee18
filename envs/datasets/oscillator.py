"""Simulated displacements of a damped oscillator that is struck twice: sound, with a loose spring, or with dry friction.

    m x'' = -k(t) x - c x' - f sign(x') + strikes

in units with m = 1. A loose spring loses part of its stiffness at a moment of the second half; dry friction makes the motion
stop instead of fading. Both faults show in a part of the series, which an explanation should find.

Source: the equation of motion of Den Hartog, "Mechanical Vibrations", 1956, section 2.4 (Coulomb and viscous damping).
"""

from __future__ import annotations

import numpy as np

from envs.datasets.arrays import Data

CLASSES = ["sound", "loose spring", "dry friction"]
POINTS, STEP = 96, 0.1  # of a series, and the time between two of them in seconds
FINE = 10  # steps of the simulation to a point
REFERENCE, HELD_OUT = 600, 300  # series
NOISE = 0.02  # of the sensor, standard deviation


def load(seed: int = 0) -> Data:
    """Oscillators in equal shares of the three classes: 600 reference and 300 held-out series.

    Args:
        seed: Seed of all draws.

    Example:
        >>> load().x.shape
        (600, 96)
    """
    rng = np.random.default_rng(seed)
    truth = np.arange(REFERENCE + HELD_OUT) % len(CLASSES)
    x = simulated(truth, rng).astype(np.float32)
    parts = np.split(np.arange(len(x)), [REFERENCE])
    (train, test), names = parts, ["displacement in mm"]
    return Data(x[train], x[test], truth[train], truth[test], CLASSES, names, modality="series", sampling=f"{STEP} s")


def simulated(kind: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Displacements (N, POINTS) in mm of oscillators of these classes (N,), by semi-implicit Euler steps."""
    count = len(kind)
    stiffness = rng.uniform(3.5, 5.0, count)
    damping = rng.uniform(0.25, 0.4, count)
    moment = rng.uniform(0.55, 0.65, count) * POINTS * STEP  # the spring comes loose, before or after the second strike
    softer = np.where(kind == 1, rng.uniform(0.35, 0.5, count), 1.0)
    friction = np.where(kind == 2, rng.uniform(0.25, 0.4, count), 0.0)
    strikes = np.stack([rng.uniform(0.02, 0.06, count), rng.uniform(0.47, 0.53, count)]) * POINTS * STEP
    strength = rng.uniform(1.6, 2.4, (2, count))
    x, v, dt = np.zeros(count), np.zeros(count), STEP / FINE
    series = np.empty((count, POINTS))
    for n in range(POINTS * FINE):
        t = n * dt
        struck = ((strikes >= t) & (strikes < t + dt)) * strength
        k = stiffness * np.where(t >= moment, softer, 1.0)
        v = v + struck.sum(0) - dt * (k * x + damping * v)
        v = np.sign(v) * np.maximum(np.abs(v) - dt * friction, 0.0)  # dry friction never turns the motion round
        x = x + dt * v
        if n % FINE == FINE - 1:
            series[:, n // FINE] = x
    return series + NOISE * rng.standard_normal(series.shape)
