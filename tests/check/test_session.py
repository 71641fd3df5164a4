"""What a session finds out before anything is judged."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import CannotCheck
from jaxbackprop.check._opening import open_session
from jaxbackprop.check._rounding import Blur
from jaxbackprop.check._subject import Subject
from tests.check.observed import of_sine
from tests.check.rules import elementwise, normal, rule, sine


def opened(op, *args, oracle=None, **options):
    return open_session(Subject.of_op(op, oracle, None, None), args, quick=True, **options)


def pair(f, f_vjp, *args):
    return open_session(Subject.of_pair(f, f_vjp, None, None), args, quick=True)


def test_it_cannot_be_changed():
    session, _ = of_sine()
    with pytest.raises(dataclasses.FrozenInstanceError):
        session.rule = None


def test_a_rule_that_can_be_traced():
    session, _ = of_sine()
    assert session.traced
    assert session.rule.traced
    assert session.rule.dtype == np.float64
    assert session.rule_native.dtype is None
    assert session.truth.traced
    assert session.names == ["dx"]
    assert session.shapes == [(3,)]
    assert session.notes == ()
    assert session.first_run.gradient[0].dtype == np.float32


def test_a_rule_that_cannot_be_traced_though_the_function_can_runs_call_by_call():
    op = rule(jnp.sin, lambda r, dy: (jnp.cos(r[0]) * dy * (2 if r[0][0] > 9 else 1),))
    session = opened(op, normal(3))
    assert session.traced
    assert isinstance(session.first_run.untraceable, jax.errors.ConcretizationTypeError)
    assert session.first_run.error is None
    assert not session.rule.traced
    assert not session.rule_native.traced
    assert session.truth.traced


def test_a_pair_in_numpy_has_differences_alone_to_judge_it():
    session = pair(np.sin, lambda x, dy: (np.cos(x) * dy,), np.ones(3))
    assert session.truth is None
    assert session.truth_native is None
    assert not session.traced
    assert session.x64
    (noise,) = session.truth_noise
    np.testing.assert_array_equal(noise, 0)


def test_a_function_that_cannot_be_run_in_float64():
    def single(x):
        if x.dtype != np.float32:
            raise TypeError("float32 alone")
        return jnp.sin(x)

    session = opened(elementwise(single, jnp.cos), normal(3))
    assert session.rule is session.rule_native
    assert session.truth is session.truth_native
    (note,) = session.notes
    assert note == "the function cannot be run in float64: TypeError: float32 alone"
    # What it rounds to is allowed for.
    assert session.eps == float(np.finfo(np.float32).eps) / 1e3


def test_what_computes_in_less_than_float64_is_seen():
    def single(f):
        return lambda x: f(x.astype(jnp.float32)).astype(x.dtype)

    plain = elementwise(jnp.sin, single(jnp.cos))
    with jax.enable_x64(True):
        session = opened(plain, normal(3, dtype=np.float64))
    assert session.narrows == "float32"
    assert session.narrows_alone(0)
    assert session.eps == float(np.finfo(np.float32).eps) / 1e3
    session, _ = of_sine()
    assert session.narrows is None
    assert not session.narrows_alone(0)
    assert session.eps == 0


def test_autodiffs_own_rounding_is_asked_for_only_where_something_is_found():
    session, observed = of_sine()
    seen: list[Blur] = []

    def judge(blur, answer):
        seen.append(blur)
        return answer

    assert session.judge_with_rounding(session.base, observed.base, lambda blur: judge(blur, [])) == []
    assert len(seen) == 1
    assert session.judge_with_rounding(session.base, observed.base, lambda blur: judge(blur, [1])) == [1]
    assert len(seen) == 3
    assert seen[1].error == (0.0,)
    assert seen[2].error[0] > 0
    assert seen[2].noise[0] > seen[1].noise[0]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: opened(sine(), jnp.arange(3)), "has no floating-point argument"),
        (lambda: opened(lambda x: jnp.argmax(x), normal(3)), "has no floating-point result"),
        (lambda: opened(sine(), normal(3), oracle=jnp.sum), "the oracle's results have shapes"),
        (lambda: opened(sine(), normal(3), in_axes=3), "in_axes has 3 for argument 0"),
        (lambda: opened(lambda x: {}["no"] * x, normal(3)), "raises at these arguments: KeyError"),
    ],
)
def test_nothing_to_judge(call, says):
    with pytest.raises(CannotCheck, match=says):
        call()


def test_domains_that_do_not_fit_are_refused_when_points_are_drawn():
    session = opened(sine(), normal(3), domains=("negative",))
    with pytest.raises(CannotCheck, match=r"domains\[0\] must be"):
        session.sample  # noqa: B018
