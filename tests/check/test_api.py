"""One rule that is wrong, and one that is right, for each thing that must hold."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import io_callback

from jaxbackprop.check import assert_vjp, check_vjp
from tests.check.rules import affine, doubled_bias, elementwise, normal, product, rule, sine


def in_float32(bwd):
    """A product's rule that forgets its arguments' dtype."""
    return product(lambda r, dy: tuple(g.astype(jnp.float32) for g in bwd(r, dy)))


def as_compiled(x, dy):
    compiled = isinstance(x, jax.core.Tracer)
    return (jnp.cos(x) * dy if compiled else 1.25 * jnp.cos(x) * dy,)


def unsteady(r, dy):
    """A rule that adds up in any order, as threads do: a unit in the last place, in float32 alone."""
    rng = np.random.default_rng()

    def add(d):
        d = np.asarray(d)
        off = 2.0**-23 * rng.integers(0, 2, d.shape) if d.dtype == np.float32 else 0.0
        return np.asarray(d * (1 + off), d.dtype)

    shape = jax.ShapeDtypeStruct(dy.shape, dy.dtype)
    return (jax.pure_callback(add, shape, dy, vmap_method="sequential"),)


def one_at_a_time(r, dy):
    shape = jax.ShapeDtypeStruct(dy.shape, dy.dtype)
    return (jax.pure_callback(lambda d: 2 * d, shape, dy),)


def mean_over_all(x):
    """The mean of an example, or under vmap of the whole batch."""
    mean = jax.custom_batching.custom_vmap(lambda x: jnp.mean(x))

    @mean.def_vmap
    def _(size, batched, stacked):
        return jnp.broadcast_to(jnp.mean(stacked), (size,)), True

    return mean(x)


def logging(x):
    io_callback(lambda value: None, None, x)
    return jnp.sin(x), x


def two_results(x):
    return {"sin": jnp.sin(x), "cos": jnp.cos(x), "best": jnp.argmax(x)}


def softplus(x):
    return jnp.logaddexp(x, 0.0)


# Operator, arguments, then: the property that does not hold, of which argument, a mistake it looks like, what
# the message says, effort.
WRONG = {
    "dtype of a cotangent": (
        in_float32(lambda r, dy: (r[1] * dy, r[0] * dy)),
        (normal(3, dtype=jnp.bfloat16), normal(3, seed=1, dtype=jnp.bfloat16)),
        ("structure", 0, "cotangent dtype", "dx is float32, but the argument is bfloat16"),
    ),
    "shape of a cotangent": (
        rule(lambda x: jnp.sum(x), lambda r, dy: (dy,)),
        (normal(3),),
        ("structure", None, None, "shapes do not match"),
    ),
    "one cotangent too many": (
        rule(jnp.sin, lambda r, dy: (dy, dy)),
        (normal(3),),
        ("structure", None, None, "tuple of length equal"),
    ),
    "a rule that raises": (
        rule(jnp.sin, lambda r, dy: {}["missing"]),
        (normal(3),),
        ("structure", None, None, "KeyError"),
    ),
    "Python control flow": (
        rule(jnp.sin, lambda r, dy: (jnp.cos(r[0]) * dy if r[0][0] > 0 else jnp.cos(r[0]) * dy,)),
        (normal(3),),
        ("jit", None, "not traceable", "cannot be traced"),
    ),
    "another value when compiled": (
        rule(jnp.sin, as_compiled, fwd=lambda x: (jnp.sin(x), x)),
        (normal(3),),
        ("jit", 0, None, "under jit"),
        "thorough",
    ),
    "forward rule": (
        rule(jnp.sin, lambda x, dy: (jnp.cos(x) * dy,), fwd=lambda x: (1.001 * jnp.sin(x), x)),
        (normal(3),),
        ("forward", None, "forward mismatch", "the forward rule gives another value"),
    ),
    "upstream ignored": (
        rule(jnp.sin, lambda r, dy: (jnp.cos(r[0]) + 0 * dy,)),
        (normal(3),),
        ("linearity", 0, "upstream ignored", "does not depend on the incoming cotangent"),
    ),
    "upstream squared": (
        rule(jnp.sin, lambda r, dy: (jnp.cos(r[0]) * dy * dy,)),
        (normal(3),),
        ("linearity", 0, "upstream squared", "square of the incoming cotangent"),
    ),
    "clipped upstream": (
        rule(jnp.sin, lambda r, dy: (jnp.cos(r[0]) * jnp.clip(dy, -100, 100),)),
        (normal(3),),
        ("linearity", 0, "non-linear in cotangent", "not proportional to a large or small"),
    ),
    "not zero for zero": (
        rule(jnp.sin, lambda r, dy: (jnp.cos(r[0]) * dy + 0.5,)),
        (normal(3),),
        ("linearity", 0, "upstream ignored", "not zero for an incoming cotangent of zero"),
    ),
    "a result's cotangent": (
        rule(two_results, lambda r, dy: (jnp.cos(r[0]) * dy["sin"],)),
        (normal(3),),
        ("linearity", 0, "output ignored", "ignores the cotangent of result"),
    ),
    "value": (
        sine(1.1),
        (normal(3),),
        ("value", 0, "constant factor", "1.1 times what it should be"),
    ),
    "value of one argument": (
        product(lambda r, dy: (r[1] * dy, -r[0] * dy)),
        (normal(3), normal(3, seed=1)),
        ("value", 1, "sign", "wrong sign"),
    ),
    "not finite": (
        rule(
            lambda x: jnp.sqrt(x * x + 1),
            lambda r, dy: (dy * r[0] / jnp.sqrt(r[0] * r[0] + 1) / (r[0] / r[0]),),
        ),
        (jnp.asarray([1.0, 0.0, -1.0], jnp.float32),),
        ("value", 0, None, "dx"),
    ),
    "overflow": (
        elementwise(softplus, lambda x: jnp.exp(x) / (1 + jnp.exp(x))),
        (normal(3),),
        ("precision", 0, "numerically unstable", "not finite in float32, though the formula is right"),
    ),
    "cancellation": (
        elementwise(lambda x: jnp.sum(x**3 / 3), lambda x: (x + 100) ** 2 - 200 * x - 10_000),
        (normal(3),),
        ("precision", 0, "numerically unstable", "loses its digits in float32"),
    ),
    "over the whole batch": (
        rule(
            lambda x: jnp.mean(x) ** 2,
            lambda r, dy: (jnp.full_like(r[0], 2 / 3 * dy * mean_over_all(r[0])),),
        ),
        (normal(3) + 3,),
        ("vmap", 0, "batch-global", "under vmap"),
    ),
    "no vmap at all": (
        rule(lambda x: 2 * x, one_at_a_time),
        (normal(3),),
        ("vmap", None, None, "raises under vmap"),
    ),
    "call by call": (
        rule(lambda x: x + 0, unsteady),
        (normal(9),),
        ("determinism", 0, None, "changes from call to call"),
    ),
    "an effect": (
        rule(jnp.sin, lambda x, dy: (jnp.cos(x) * dy,), fwd=logging),
        (normal(3),),
        ("checkpoint", None, None, "fails under jax.checkpoint"),
    ),
    "inside a scan": (
        in_float32(lambda r, dy: (r[1] * dy, r[0] * dy)),
        (normal(3, dtype=jnp.float16), normal(3, seed=1, dtype=jnp.float16)),
        ("scan", None, None, "fails under lax.scan"),
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_hold_is_found(what):
    op, args, (property_, argument, mistake, says), *effort = WRONG[what]
    report = check_vjp(op, *args, effort=effort[0] if effort else "quick")
    assert not report.ok
    found = [f for f in report.findings if f.property == property_ and f.argument == argument]
    assert found, report
    assert any(says in f.message for f in found), report
    assert mistake is None or any(mistake in f.mistakes[:2] for f in found), report
    assert argument is None or argument in report.wrong_arguments


def relu(slope):
    """Its slope at zero is what is asked for."""
    return elementwise(
        lambda x: jnp.where(x > 0, x, 0.0), lambda x: jnp.where(x == 0, slope, (x > 0).astype(x.dtype))
    )


def largest(share):
    return rule(lambda x: jnp.max(x), lambda r, dy: (dy * share((r[0] == jnp.max(r[0])).astype(r[0].dtype)),))


AT_ZERO = (jnp.asarray([0.0, 1.0, -1.0], jnp.float32),)
TIED = (jnp.asarray([2.0, 1.0, 2.0], jnp.float32),)
SUBGRADIENTS = {
    "relu, 0 at 0": (relu(0.0), AT_ZERO, True),
    "relu, 1 at 0": (relu(1.0), AT_ZERO, True),
    "relu, 1/2 at 0": (relu(0.5), AT_ZERO, True),
    "relu, 1/2 at many zeros": (relu(0.5), (jnp.zeros(64, jnp.float32),), True),
    "relu, 2 at 0": (relu(2.0), AT_ZERO, False),
    "relu, -1/2 at 0": (relu(-0.5), AT_ZERO, False),
    "max, to the first": (
        largest(lambda won: jax.nn.one_hot(jnp.argmax(won), won.size, dtype=won.dtype)),
        TIED,
        True,
    ),
    "max, shared": (largest(lambda won: won / jnp.sum(won)), TIED, True),
    "max, to all": (largest(lambda won: won), TIED, False),
}


@pytest.mark.parametrize("what", SUBGRADIENTS)
def test_at_a_kink_any_subgradient_passes_and_nothing_else(what):
    op, args, right = SUBGRADIENTS[what]
    report = check_vjp(op, *args, effort="quick")
    assert report.ok == right, report
    if not right:
        assert report.wrong_arguments == (0,)


def test_a_kink_is_noted():
    notes = check_vjp(relu(1.0), *AT_ZERO, effort="quick").notes
    assert any("valid subgradient at a kink" in note for note in notes)


# Right at the arguments given; redraws show the mistake.
HIDDEN = {
    "all positive": (elementwise(jnp.abs, jnp.ones_like), (jnp.abs(normal(4)) + 0.1,), 0),
    "no index twice": (
        rule(lambda T, i: T[i], lambda r, dy: (jnp.zeros_like(r[0]).at[r[1]].set(dy), None)),
        (normal(4, 2), jnp.asarray([3, 0, 1])),
        0,
    ),
    "a symmetric matrix": (
        rule(lambda W, x: W @ x, lambda r, dy: (jnp.outer(dy, r[1]), r[0] @ dy)),
        (jnp.asarray([[2.0, -1.0], [-1.0, 3.0]], jnp.float32), normal(2)),
        1,
    ),
    "a batch of one": (
        rule(lambda x, b: x + b[None], lambda r, dy: (dy, dy[0])),
        (normal(1, 3), normal(3)),
        1,
    ),
    "nothing saturated": (
        elementwise(lambda x: jnp.clip(x, -9, 9), jnp.ones_like),
        (normal(4),),
        0,
    ),
    "nothing masked": (
        rule(lambda x, m: jnp.where(m, x, 0.0), lambda r, dy: (dy, None)),
        (normal(4), jnp.ones(4, bool)),
        0,
    ),
    "no ties": (
        largest(lambda won: won),
        (normal(4),),
        0,
    ),
}


@pytest.mark.parametrize("what", HIDDEN)
def test_a_mistake_that_the_arguments_hide_shows_when_they_are_redrawn(what):
    op, args, argument = HIDDEN[what]
    report = check_vjp(op, *args, effort="quick")
    assert report.wrong_arguments == (argument,), report
    if what == "a batch of one":
        assert report.findings[0].mistakes[0] == "batch of one"


def test_a_right_rule_is_right_whatever_is_asked():
    report = check_vjp(affine, normal(3, 4), normal(5, 4), normal(3), in_axes=(None, 0, None))
    assert report.ok, report
    assert not report.findings
    assert report.wrong_arguments == ()
    assert report.points > 10
    assert assert_vjp(affine, normal(3, 4), normal(5, 4), normal(3), effort="quick") is None


def test_assert_vjp_raises_with_the_report():
    args = normal(3, 4), normal(5, 4), normal(3)
    with pytest.raises(AssertionError) as raised:
        assert_vjp(doubled_bias, *args, effort="quick", seed=3)
    assert str(raised.value) == str(check_vjp(doubled_bias, *args, effort="quick", seed=3))


def test_a_seed_gives_the_same_report_again():
    args = normal(3), normal(3, seed=1)
    wrong = product(lambda r, dy: (r[1] * dy, jnp.abs(r[0]) * dy))
    first, again, other = (check_vjp(wrong, *args, effort="quick", seed=seed) for seed in (1, 1, 2))
    assert first.to_dict() == again.to_dict()
    assert other.wrong_arguments == first.wrong_arguments == (1,)


def test_what_can_be_differentiated_again_has_no_note_of_it():
    assert not any(
        "differentiated again" in note for note in check_vjp(sine(), normal(3), effort="quick").notes
    )


def test_what_cannot_be_differentiated_again_is_noted_and_right():
    def bwd(r, dy):
        # A loop whose length is not known beforehand has no reverse.
        return (
            jax.lax.while_loop(lambda s: s[0] < 2, lambda s: (s[0] + 1, 1 * s[1]), (0, jnp.cos(r[0]) * dy))[
                1
            ],
        )

    report = check_vjp(rule(jnp.sin, bwd), normal(3), effort="quick")
    assert report.ok, report
    assert any("cannot be differentiated again" in note for note in report.notes)


def test_the_bytes_kept_are_noted():
    notes = check_vjp(sine(), normal(5), effort="quick").notes
    assert "keeps 20 bytes for the backward pass; autodiff keeps 20" in notes


def test_what_computes_in_float32_is_judged_by_it_with_a_note():
    def single(f):
        return lambda x: f(x.astype(jnp.float32)).astype(x.dtype)

    narrow = elementwise(single(jnp.sin), single(jnp.cos))
    with jax.enable_x64(True):
        report = check_vjp(narrow, normal(4, dtype=np.float64), effort="quick")
    assert report.ok, report
    assert any("float32" in note for note in report.notes)


def test_where_the_function_is_not_finite_nothing_is_asked():
    args = (jnp.asarray([0.5, jnp.nan, 2.0], jnp.float32),)
    right = check_vjp(sine(), *args, effort="quick")
    assert right.ok, right
    assert any("not finite" in note for note in right.notes)
    assert check_vjp(sine(1.1), *args, effort="quick").wrong_arguments == (0,)


def test_a_finite_truth_where_autodiff_is_not():
    def norm(x):
        return jnp.sqrt(jnp.sum(x * x))

    def backward(guarded):
        def bwd(r, dy):
            length = norm(r[0])
            return (dy * r[0] / (jnp.where(length > 0, length, 1.0) if guarded else length),)

        return bwd

    zero = jnp.zeros(3, jnp.float32)
    assert check_vjp(rule(norm, backward(True)), zero, effort="quick").ok
    assert check_vjp(rule(norm, backward(False)), zero, effort="quick").wrong_arguments == (0,)
