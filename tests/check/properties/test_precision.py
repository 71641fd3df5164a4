"""The rule in the arguments' own dtypes."""

import dataclasses
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import check_vjp
from jaxbackprop.check._sampling import Kind
from jaxbackprop.check.properties._precision import precision
from tests.check.observed import asked, observe, of_sine
from tests.check.rules import elementwise, normal, rule, sine


def rounded(observed, off, kind=Kind.BASE):
    """Observations whose native gradient is another one at points of a kind."""
    native = tuple(
        answer._replace(gradient=(off(answer.gradient[0]),)) if one.kind is kind else answer
        for one, answer in zip(observed.comparisons, observed.native, strict=True)
    )
    return dataclasses.replace(observed, native=native)


def test_rounding_of_the_dtype_passes_and_is_recorded():
    session, observed = of_sine()
    findings, record = asked(precision, session, rounded(observed, lambda g: g * np.float32(1 + 2e-7)))
    assert findings == []
    assert [compared.how for compared in record.compared] == ["native"]


@pytest.mark.parametrize(
    ("off", "says"),
    [
        (lambda g: g * np.float32(1.01), "dx loses its digits in float32, though the formula is right"),
        (lambda g: g * np.float32(np.inf), "dx is not finite in float32, though the formula is right"),
    ],
)
def test_more_than_rounding(off, says):
    session, observed = of_sine()
    ((found,), _) = asked(precision, session, rounded(observed, off))
    assert found.message.startswith(says)
    assert "autodiff is off by" in found.message
    assert (found.property, found.mistakes) == ("precision", ("numerically unstable",))
    wrong = {0: observed.comparisons[0]}
    assert asked(precision, session, rounded(observed, off), wrong=wrong)[0] == []


def test_far_out_more_is_allowed():
    session, observed = of_sine()

    def slightly(g):
        return g + np.float32(3e-5)

    assert asked(precision, session, rounded(observed, slightly))[0] != []
    assert asked(precision, session, rounded(observed, slightly, Kind.SATURATED))[0] == []


def test_in_float64_nothing_is_between_rounding_and_wrong():
    with jax.enable_x64(True):
        session, observed = observe(sine(), normal(3, dtype=np.float64))
    assert session.layout.dtypes == (np.float64,)
    assert asked(precision, session, rounded(observed, lambda g: g * 1.01))[0] == []


def forward_backward(factor=1.0):
    """The log of a chain's partition function, its rule as in the textbooks, in logarithms."""

    def over(a, w):
        return jax.nn.logsumexp(a[:, None] + w, axis=0)

    def forward(u, w):
        def step(a, ut):
            later = ut + over(a, w)
            return later, later

        return jnp.concatenate([u[:1], jax.lax.scan(step, u[0], u[1:])[1]])

    def bwd(r, dy):
        u, w = r
        alphas = forward(u, w)

        def step(b, ut):
            earlier = over(ut + b, w.T)
            return earlier, earlier

        end = jnp.zeros_like(u[:1])
        betas = jnp.concatenate([jax.lax.scan(step, end[0], u[1:], reverse=True)[1], end])
        total = jax.nn.logsumexp(alphas[-1])
        pairs = jnp.exp(alphas[:-1, :, None] + w[None] + (u[1:] + betas[1:])[:, None] - total)
        return factor * dy * jnp.exp(alphas + betas - total), dy * jnp.sum(pairs, 0)

    return rule(lambda u, w: jax.nn.logsumexp(forward(u, w)[-1]), bwd)


def cancelling(shift):
    """x² whose slope is a difference of large numbers where x is large."""
    return elementwise(lambda x: jnp.sum(x**2), lambda x: (shift * x**3 + 2 * x) - shift * x**3)


@pytest.mark.parametrize("op", [forward_backward(), cancelling(8.0)], ids=["chain", "cancelling"])
def test_digits_lost_beyond_the_callers_range_are_noted_with_the_size(op):
    args = (normal(8, 3), normal(3, 3, seed=1)) if op.__wrapped__.__code__.co_argcount == 2 else (normal(3),)
    with jax.numpy_rank_promotion("allow"):
        report = check_vjp(op, *args)
    assert report.ok, report
    notes = [note for note in report.notes if "loses its digits in float32 from |" in note]
    assert notes
    size, given = re.search(r"about (\S+) on \(yours: (\S+)\)", notes[0]).groups()
    assert float(size) > 3 * float(given)


def test_a_wrong_chain_and_one_that_loses_its_digits_at_the_callers_arguments():
    with jax.numpy_rank_promotion("allow"):
        report = check_vjp(forward_backward(1.02), normal(8, 3), normal(3, 3, seed=1), effort="quick")
        assert report.wrong_arguments == (0,)
        report = check_vjp(forward_backward(), 300 * normal(8, 3), normal(3, 3, seed=1), effort="quick")
    assert [found.property for found in report.findings] == ["precision"] * len(report.findings)
    assert report.findings
