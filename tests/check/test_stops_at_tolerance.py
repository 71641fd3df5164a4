"""Functions of a loop that stops at a tolerance, with the implicit derivative as their rule."""

import jax
import jax.numpy as jnp
import pytest

from jaxbackprop.check import check_vjp


def minimum(factor=1.0, tolerance=2e-6):
    """Argmin of Σ a (w − b)² + λ w² by gradient descent, which never gets there; autodiff cannot follow."""

    @jax.custom_vjp
    def solve(a, b, weight):
        def step(state):
            w, _, n = state
            gradient = 2 * a * (w - b) + 2 * weight * w
            return w - 0.1 * gradient / jnp.max(a + weight), jnp.max(jnp.abs(gradient)), n + 1

        def goes_on(state):
            return (state[1] > tolerance) & (state[2] < 500)

        return jax.lax.while_loop(goes_on, step, (b * 0, jnp.ones((), b.dtype), 0))[0]

    def fwd(a, b, weight):
        w = solve(a, b, weight)
        return w, (a, b, weight, w)

    def bwd(kept, dw):
        a, b, weight, w = kept
        u = factor * dw / (a + weight)
        return -u * (w - b), u * a, -jnp.sum(u * w)

    solve.defvjp(fwd, bwd)
    return solve


ARGUMENTS = jnp.asarray([0.8, 1.5, 1.1]), jnp.asarray([0.4, -1.2, 2.0]), jnp.asarray(0.6)
DOMAINS = (0.5, 2.0), (-2.0, 2.0), (0.3, 1.0)


@pytest.mark.parametrize("effort", ["quick", pytest.param("thorough", marks=pytest.mark.exhaustive)])
def test_the_implicit_derivative_is_right_though_no_run_is_exact(effort):
    report = check_vjp(minimum(), *ARGUMENTS, domains=DOMAINS, effort=effort)
    assert report.ok, report
    assert any("differences alone judge" in note for note in report.notes)


def test_a_wrong_one_is_found():
    report = check_vjp(minimum(factor=2.0), *ARGUMENTS, domains=DOMAINS, effort="quick")
    assert {found.property for found in report.findings} == {"value"}
