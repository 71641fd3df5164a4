"""Learning rates over the course of training, on paper (lecture, unit 3 "Learning Rate").

Each schedule is a function of the step t = 0, 1, 2, …, the number of updates made so far, and of settings.

The lecture's rule of thumb is a constant rate near 0.01, tried in powers of ten: too small is slow, too large
diverges. Why? Near a minimum with curvature c along some direction, f ≈ c θ²/2, a step of gradient descent
multiplies θ by 1 - ηc. That shrinks θ where 0 < η < 2/c and diverges beyond. A small η is safe along the
steepest direction and slow along the flat ones, at 1 - ηc near 1. And why fall? The noise of mini-batches, of
variance σ² in the gradient, keeps θ moving: θ ← (1 - ηc) θ - η·noise has in the long run the variance V with

    V = (1 - ηc)² V + η² σ²,      V = η σ² / (c (2 - ηc)),

about η σ²/(2c): a smaller rate comes closer.

Three slips on the slides. "10의 배수", multiples of ten, are powers of ten. The cyclic rate's `global_step`
counts updates, not epochs: with step_size=20 an epoch of some hundred updates holds several cycles. And its
`gamma` acts in the mode exp_range alone, not in the triangular one that it stands beside.

Source: lecture, unit 3 "Learning Rate"; Smith 2017 (cyclic) and 2018 (momentum against it); Loshchilov and
    Hutter 2017 (cosine).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

_MODES = ("triangular", "triangular2", "exp_range")


def constant(step: ArrayLike, rate: float) -> Array:
    """The same rate at every step.

    Args:
        step: integers from 0, any shape.
        rate: η.

    Returns:
        The rates, of step's shape.

    Raises:
        ValueError: where a step is negative.
        TypeError: where step does not hold integers.
    """
    return np.full(_counted(step).shape, float(rate))


def step_decay(step: ArrayLike, rate: float, every: int, factor: float = 0.5) -> Array:
    """Every so many steps a fraction: η factor^⌊t / every⌋. The lecture halves every k epochs.

    Args:
        step: integers from 0, any shape.
        rate: η.
        every: steps between two reductions: k epochs times the updates of an epoch.
        factor: what the rate is multiplied by.

    Returns:
        The rates, of step's shape.

    Raises:
        ValueError: where a step is negative or every is below 1.
        TypeError: as `constant`.
    """
    _check_length("every", every)
    return rate * np.power(np.float64(factor), _counted(step) // every)


def exponential(step: ArrayLike, rate: float, decay: float) -> Array:
    """η e^{-kt}: the same fraction less at every step. It is halved every log 2 / k steps.

    Args:
        step: integers from 0, any shape.
        rate: η.
        decay: k a step: k an epoch over the updates of an epoch.

    Returns:
        The rates, of step's shape.

    Raises:
        ValueError: where a step is negative.
        TypeError: where step does not hold integers.
    """
    return rate * np.exp(-decay * _counted(step))


def cyclic(
    step: ArrayLike,
    base: float,
    peak: float,
    up: int,
    down: int | None = None,
    mode: str = "triangular",
    gamma: float = 1.0,
) -> Array:
    """Up from base to peak and down again, over and over (Smith 2017).

    With the cycle c = ⌊t / (up + down)⌋ and the position p = t - c (up + down) in it, wave and rate are

        h = p / up  where p < up,  else (up + down - p) / down,
        η_t = base + (peak - base) h s,

    where s makes the three modes: 1 (triangular), 2^-c (triangular2, half the height with each cycle) or
    gamma^t (exp_range, where the lower gamma is, the sooner the height falls).

    Args:
        step: integers from 0, any shape.
        base: the lower end.
        peak: the upper end of the first cycle.
        up: steps from base to peak.
        down: steps back; as many as up where None.
        mode: "triangular", "triangular2" or "exp_range".
        gamma: factor a step in exp_range, in (0, 1].

    Returns:
        The rates, of step's shape.

    Raises:
        ValueError: where a step is negative, a length below 1, or mode or gamma none of these.
        TypeError: as `constant`.
    """
    return base + (peak - base) * _height(step, up, up if down is None else down, mode, gamma)


def cyclic_momentum(
    step: ArrayLike,
    base: float,
    peak: float,
    up: int,
    down: int | None = None,
    mode: str = "triangular",
    gamma: float = 1.0,
) -> Array:
    """The momentum beside `cyclic` (Smith 2018): peak - (peak - base) h s, low where the rate is high.

    Under momentum μ a steady gradient moves the parameters by η / (1 - μ) times itself a step (`sgd` of
    `reference.optimizers`). Turned against each other, the two keep that quotient from swinging as far as η.

    Args:
        step: as in `cyclic`.
        base: the least momentum, where the rate is at its peak.
        peak: the largest, where the rate is at its base.
        up: as in `cyclic`: steps for which the momentum falls.
        down: as in `cyclic`.
        mode: as in `cyclic`.
        gamma: as in `cyclic`.

    Returns:
        The momenta, of step's shape.

    Raises:
        ValueError: as `cyclic`.
        TypeError: as `constant`.
    """
    return peak - (peak - base) * _height(step, up, up if down is None else down, mode, gamma)


def warmup_cosine(
    step: ArrayLike, start: float, peak: float, warmup: int, total: int, end: float = 0.0
) -> Array:
    """A straight line from start to peak, then half a cosine down to end, and end from there on.

    For t < warmup: start + (peak - start) t / warmup. Then, with u = (t - warmup) / (total - warmup) ≤ 1,

        η_t = end + (peak - end) (1 + cos πu) / 2,

    which begins and ends level and falls fastest in the middle. RAdam's rectification is a warm-up too
    (`reference.optimizers`).

    Args:
        step: integers from 0, any shape.
        start: the rate at step 0.
        peak: the rate at step warmup.
        warmup: steps of the warm-up.
        total: steps in all, the warm-up's included.
        end: the rate from step total on.

    Returns:
        The rates, of step's shape.

    Raises:
        ValueError: where a step is negative, warmup is below 1, or total is not above warmup.
        TypeError: as `constant`.
    """
    count = _counted(step)
    _check_length("warmup", warmup)
    if not total > warmup:
        raise ValueError(f"total must be above warmup, which is {warmup}, got {total}")
    part = np.minimum((count - warmup) / (total - warmup), 1.0)
    falling = end + (peak - end) * (1.0 + np.cos(np.pi * part)) / 2.0
    return np.where(count < warmup, start + (peak - start) * count / warmup, falling)


def reduce_on_plateau(
    values: Sequence[float],
    rate: float,
    *,
    factor: float = 0.1,
    patience: int = 10,
    rtol: float = 1e-4,
    atol: float = 0.0,
    cooldown: int = 0,
    min_rate: float = 0.0,
) -> Array:
    """The rate after each of some losses: times factor where `patience` of them in a row are no better.

    A loss is better where it is below (1 - rtol) best - atol, and is then the best; nan never is. After a
    reduction the next `cooldown` losses do not count, though one of them may be the best.

    This is the one schedule that looks at the training: it takes no plan, but waits for the noise of the
    present rate to be all that is left. The slide's call is factor=0.25, atol=1e-4 (min_delta), rtol=0,
    min_rate=1e-5 (min_lr), with a patience of 10, Keras's own.

    Args:
        values: the losses, one an evaluation.
        rate: η at the start.
        factor: in (0, 1).
        patience: how many losses in a row that are no better bring a reduction, at least 1.
        rtol: by what part of the best a loss must be below it.
        atol: by how much it must be below it.
        cooldown: losses after a reduction that do not count.
        min_rate: the least rate.

    Returns:
        The rates, one a loss: what holds for the update after it.

    Raises:
        ValueError: where factor or patience is out of range, or min_rate above rate.
    """
    if not 0.0 < factor < 1.0:
        raise ValueError(f"factor must be in (0, 1), got {factor}")
    _check_length("patience", patience)
    if min_rate > rate:
        raise ValueError(f"min_rate must be at most rate, which is {rate}, got {min_rate}")
    best, waited, cooling = np.inf, 0, 0
    rates = []
    for value in values:
        better = value < (1.0 - rtol) * best - atol
        best = value if better else best
        if cooling:
            cooling -= 1
        else:
            waited = 0 if better else waited + 1
        if waited == patience:
            rate, waited, cooling = max(rate * factor, min_rate), 0, cooldown
        rates.append(rate)
    return np.array(rates, dtype=np.float64)


def _height(step: ArrayLike, up: int, down: int, mode: str, gamma: float) -> Array:
    """The wave times its scale: h s of `cyclic`."""
    count = _counted(step)
    _check_length("up", up)
    _check_length("down", down)
    if mode not in _MODES:
        raise ValueError(f"mode must be one of {', '.join(_MODES)}, got {mode!r}")
    if not 0.0 < gamma <= 1.0:
        raise ValueError(f"gamma must be in (0, 1], got {gamma}")
    cycle, position = np.divmod(count, up + down)
    wave = np.where(position < up, position / up, (up + down - position) / down)
    scale = {"triangular": 1.0, "triangular2": 0.5**cycle, "exp_range": gamma**count}[mode]
    return wave * scale


def _counted(step: ArrayLike) -> NDArray[np.integer]:
    count = np.asarray(step)
    if not np.issubdtype(count.dtype, np.integer):
        raise TypeError(f"step must hold integers, got {count.dtype}")
    if np.any(count < 0):
        raise ValueError(f"step must be at least 0, got {count.min()}")
    return count


def _check_length(name: str, length: int) -> None:
    if length < 1:
        raise ValueError(f"{name} must be at least 1, got {length}")
