"""Modules with rules, right and wrong, as text; tests write them to a folder and check them there."""

import io
import re

from rich.console import Console

from jaxbackprop.commands._check_target import check_target

OPS = """
    import jax
    import jax.numpy as jnp
    from jaxtyping import Array, Float

    @jax.custom_vjp
    def square(x: Float[Array, "n m"]):
        return x * x

    square.defvjp(lambda x: (x * x, x), lambda x, dy: (2 * x * dy,))

    @jax.jit
    @jax.custom_vjp
    def cube(x: Float[Array, "n"]):
        return x**3

    cube.__wrapped__.defvjp(lambda x: (x**3, x), lambda x, dy: (2 * x**2 * dy,))

    @jax.custom_vjp
    def scale(x, factor):
        return x * factor

    def scale_fwd(x, factor):
        return x * factor, (x, factor)

    def scale_vjp(residuals, dy):
        x, factor = residuals
        return dy * factor, jnp.sum(dy * x)

    scale.defvjp(scale_fwd, scale_vjp)
"""

PAIRS = """
    import numpy as np

    def sine(x):
        return np.sin(x)

    def sine_vjp(x, dy):
        return (np.cos(x) * dy,)

    def pick(x, ids, *, ignore=None):
        return np.where(ids == ignore, 0.0, x[ids])

    def pick_vjp(x, ids, dy, *, ignore=None):
        dx = np.zeros_like(x)
        np.add.at(dx, ids, np.where(ids == ignore, 0.0, dy))
        return dx, None

    CHECK_ARGUMENTS = {
        "sine": [("f64[3,4]",)],
        "pick": [("f64[5]", "i64[6]<5"), (np.ones(4), np.array([1, 1, 2]), "ignore=2")],
    }
"""


def check(target, *texts, **options):
    """The command's exit status and what it printed."""
    shown = io.StringIO()
    options = {"effort": "quick", "console": Console(file=shown, width=10_000, markup=False)} | options
    return check_target(target, texts or None, **options), shown.getvalue()


def lines(shown):
    """Function and verdict of each line of the table."""
    found = (re.match(r"(\S+)\s+(\d+) calls?\s+[\d.]+ s  (\S+)", line) for line in shown.splitlines())
    return {match[1]: (int(match[2]), match[3]) for match in found if match}
