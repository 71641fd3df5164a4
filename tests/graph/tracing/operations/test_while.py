"""A loop whose number of steps is not known beforehand."""

import jax
import pytest

from jaxbackprop.graph import UnsupportedPrimitive, grad, trace


def test_a_loop_without_a_fixed_count_has_no_way_back():
    def f(x):
        return jax.lax.while_loop(lambda c: c < 3.0, lambda c: c * x, x)

    assert trace(f, 1.5).forward().value == pytest.approx(3.375)
    with pytest.raises(UnsupportedPrimitive, match=r"'while' \(.*test_while.py:\d+ .*fori_loop"):
        grad(f)(1.5)
