"""Cyclical learning rates (Smith 2017), exact at any step."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

_MODES = ("triangular", "triangular2", "exp_range")


def cyclic_schedule(
    base_lr: float,
    max_lr: float,
    step_size_up: float,
    step_size_down: float | None = None,
    mode: str = "triangular",
    gamma: float = 1.0,
) -> Callable[[ArrayLike], jax.Array]:
    """Learning rate that rises from `base_lr` to `max_lr` and falls back, over and over.

    With the cycle c = step // (up + down) and the position p = step % (up + down) in it, the rate is

        base_lr + (max_lr - base_lr) h scale,   h = p / up where p < up, else (up + down - p) / down

    and scale is 1 (triangular), 2^-c (triangular2: half the height with each cycle) or gamma^step
    (exp_range). Steps count updates, not epochs, and gamma acts in exp_range alone. c and p are counted in
    integers: a quotient of float32 steps drifts, and from step 2^24 on it stands still and jumps.

    Args:
        base_lr: lower end of the rate, at least 0.
        max_lr: upper end of the rate in the first cycle, at least `base_lr`.
        step_size_up: steps from the lower end to the upper, a whole number.
        step_size_down: steps from the upper end to the lower; as many as up where None.
        mode: 'triangular', 'triangular2' or 'exp_range'.
        gamma: factor a step in exp_range, in (0, 1].

    Returns:
        A function of the step, an integer or an array of integers counted from 0, to the rate, float32 in the
        step's shape; it can be jitted and vmapped and is what optax calls a schedule. It raises TypeError for
        a step that is no integer and ValueError for a negative one that is a Python or NumPy scalar.

    Raises:
        TypeError: a size, a rate or gamma is not a number.
        ValueError: an argument is out of range; the message names it.

    Source: lecture, unit 3 "Learning Rate" (cyclic); Smith, Cyclical Learning Rates for Training Neural
        Networks, WACV 2017. Two slopes as in torch.optim.lr_scheduler.CyclicLR.
    """
    base = _number("base_lr", base_lr)
    peak = _number("max_lr", max_lr)
    factor = _number("gamma", gamma)
    up = _whole("step_size_up", step_size_up)
    down = up if step_size_down is None else _whole("step_size_down", step_size_down)
    if base < 0:
        raise ValueError(f"base_lr must be at least 0, got {base_lr}")
    if peak < base:
        raise ValueError(f"max_lr must be at least base_lr, which is {base_lr}, got {max_lr}")
    if mode not in _MODES:
        raise ValueError(f"mode must be one of {', '.join(_MODES)}, got {mode!r}")
    if not 0 < factor <= 1:
        raise ValueError(f"gamma must be in (0, 1], got {gamma}")
    period = up + down
    if period >= 2**31:
        raise ValueError(f"step_size_up + step_size_down must be below 2**31, got {period}")
    powers = _powers(factor)

    def schedule(step: ArrayLike) -> jax.Array:
        count = _count(step)
        position = count % period
        rising = position.astype(jnp.float32) / up
        falling = (period - position).astype(jnp.float32) / down
        height = jnp.where(position < up, rising, falling)
        if mode == "triangular2":
            # From 2^-150 on a power of two is 0 in float32.
            height = jnp.ldexp(height, -jnp.minimum(count // period, 150).astype(jnp.int32))
        elif mode == "exp_range":
            height = height * _power(powers, count)
        # Both ends come out exactly; base + (peak - base) height may miss the upper one by a rounding.
        return base * (1 - height) + peak * height

    return schedule


def _number(name: str, value: float) -> float:
    try:
        number = float(value) if not isinstance(value, str) else None
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise TypeError(f"{name} must be a number, got {value!r}")
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value}")
    return number


def _whole(name: str, value: float) -> int:
    number = _number(name, value)
    if number != int(number) or number < 1:
        raise ValueError(f"{name} must be a whole number of steps, at least 1, got {value}")
    return int(number)


def _count(step: ArrayLike) -> jax.Array:
    """The step in a type that holds the period: int32 or uint32 at least."""
    if isinstance(step, int | np.integer | np.ndarray) and not isinstance(step, bool):
        largest = np.iinfo(jax.dtypes.canonicalize_dtype(np.int64)).max
        if np.size(step) and np.issubdtype(np.asarray(step).dtype, np.integer) and np.max(step) > largest:
            # Converted, it would wrap around.
            raise ValueError(f"step must be at most {largest} without x64, got {np.max(step)}")
    count = jnp.asarray(step)
    if not jnp.issubdtype(count.dtype, jnp.integer):
        raise TypeError(f"step must be an integer, got {count.dtype}")
    if isinstance(step, (int, np.integer)) and step < 0:
        raise ValueError(f"step must be at least 0, got {step}")
    return count.astype(jnp.int32) if count.dtype.itemsize < 4 else count


def _powers(gamma: float) -> np.ndarray:
    """gamma^(j 256^i) in row i, column j, each rounded once: float32 (8, 256), for steps of up to 64 bits."""
    exponents = np.arange(256.0) * 256.0 ** np.arange(8)[:, None]
    return np.exp(exponents * math.log(gamma)).astype(np.float32)


def _power(powers: np.ndarray, count: jax.Array) -> jax.Array:
    """gamma^count as a product over the bytes of the count.

    exp(count log gamma) would round its argument, which may be as low as -87, and so lose two digits of
    its value, even before count itself no longer fits float32. Here each byte costs two roundings.
    """
    rows = jnp.asarray(powers)
    result = rows[0][count & 255]
    for byte in range(1, count.dtype.itemsize):
        result = result * rows[byte][(count >> 8 * byte) & 255]
    return result
