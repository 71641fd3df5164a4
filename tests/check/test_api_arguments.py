"""What can be handed to the harness, what judges it, and what it refuses."""

import collections
import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxbackprop.check import CannotCheck, check_pair, check_vjp
from tests.check.rules import affine, elementwise, normal, product, rule, scaled, sine
from tests.parts import a_part

quick = functools.partial(check_vjp, effort="quick")
quick_pair = functools.partial(check_pair, effort="quick")

Layer = collections.namedtuple("Layer", "kernel bias")


def layered(factor):
    """A function of a dict of a named tuple, a list, an integer and None."""
    return rule(
        lambda tree, x: x * tree["layer"].kernel * jnp.asarray(tree["power"], x.dtype) + tree["list"][0],
        lambda r, dy: (
            {
                "layer": Layer(
                    jnp.asarray(r[0]["power"], dy.dtype) * r[1] * dy, jnp.zeros_like(r[0]["layer"].bias)
                ),
                "list": [factor * dy],
                "power": None,
                "nothing": None,
            },
            jnp.asarray(r[0]["power"], dy.dtype) * r[0]["layer"].kernel * dy,
        ),
    )


def tree():
    layer = Layer(normal(3), normal(2))
    return {
        "layer": layer,
        "list": [normal(3, seed=1)],
        "power": jnp.asarray(2),
        "nothing": None,
    }


def powered(tree):
    return {**tree, "power": 3}


def dropped(keep):
    def mask(key, x):
        return jax.random.bernoulli(key, 0.5, x.shape).astype(x.dtype)

    return rule(
        lambda x, key: x * mask(key, x),
        lambda r, dy: (dy * mask(r[1] if keep else jax.random.fold_in(r[1], 1), dy), None),
    )


class Sines(nnx.Module):
    """A module whose call runs a custom VJP."""

    def __init__(self, factor=1.0):
        self.scale = nnx.Param(jnp.float32(2.0))
        self.op = sine(factor)

    def __call__(self, x):
        return self.scale[...] * self.op(x)


class Scale:
    """A custom VJP as a method."""

    factor = 3.0

    @functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
    def times(self, x):
        return self.factor * x

    times.defvjp(lambda self, x: (self.factor * x, None), lambda self, _, dy: (self.factor * dy,))


def in_scan(cell):
    return lambda h, xs: jax.lax.scan(lambda h, x: (cell(h, x), h), h, xs)


def cell(factor):
    return rule(
        lambda h, x: jnp.tanh(h + x),
        lambda y, dy: (factor * (1 - y * y) * dy,) * 2,
        fwd=lambda h, x: (y := jnp.tanh(h + x), y),
    )


def softmax(x, axis):
    return jax.nn.softmax(x, axis)


softmax_rule = rule(
    softmax,
    lambda axis, y, dy: (y * (dy - jnp.sum(y * dy, axis, keepdims=True)),),
    fwd=lambda x, axis: (softmax(x, axis),) * 2,
    static=(1,),
)
named = jax.jit(lambda x, *, axis: softmax_rule(x, axis), static_argnames="axis")
gathered = rule(lambda T, i: T[i], lambda r, dy: (jnp.zeros_like(r[0]).at[r[1]].add(dy), None))

RIGHT = {
    "a scalar": (sine(), (jnp.float32(0.5),)),
    "a NumPy scalar": (sine(), (np.float32(0.5),)),
    "a Python float": (sine(), (0.5,)),
    "a weak scalar": (sine(), (jnp.asarray(0.5),)),
    "NumPy's float64": (sine(), (np.ones(3),)),
    "half precision": (product(), (normal(3, dtype=jnp.float16), normal(3, seed=1, dtype=jnp.float16))),
    "eight bits": (
        product(),
        (normal(3, dtype=jnp.float8_e4m3fn), normal(3, seed=1, dtype=jnp.float8_e4m3fn)),
    ),
    "settings at two positions": (scaled, (jnp.tanh, normal(3), 2, normal(3, seed=1))),
    "settings under jit": (
        jax.jit(scaled, static_argnums=(0, 2)),
        (jnp.tanh, normal(3), 2, normal(3, seed=1)),
    ),
    "a string and None": (lambda x, how, _: sine()(x) if how == "sine" else x, (normal(3), "sine", None)),
    "a setting by name": (named, (normal(3, 4),), {"kwargs": {"axis": 0}}),
    "integers": (gathered, (normal(4, 2), jnp.asarray([3, 0, 3]))),
    "a key": (dropped(True), (normal(8), jax.random.key(0))),
    "an older key": (dropped(True), (normal(8), jax.random.PRNGKey(0))),
    "a tree": (layered(1.0), (tree(), normal(3, seed=2))),
    "a Python integer in a tree": (layered(1.0), (powered(tree()), normal(3, seed=2))),
    "a list": (lambda xs: product()(*xs), ([normal(3), normal(3, seed=1)],)),
    "vmap": (jax.vmap(product(), (0, None)), (normal(4, 3), normal(3)), {"in_axes": (0, None)}),
    "another axis": (product(), (normal(3, 2), normal(3, 2, seed=1)), {"in_axes": (1, -1)}),
    "remat": (jax.checkpoint(sine()), (normal(3),)),
    "partial": (functools.partial(product(), normal(3)), (normal(3, seed=1),)),
    "a module": (Sines(), (normal(3),)),
    "a method of a module": (Sines().__call__, (normal(3),)),
    "a module as an argument": (lambda module, x: module(x), (Sines(), normal(3))),
    "a bound method": (types.MethodType(Scale.times, Scale()), (normal(3),)),
    "in a scan": (in_scan(cell(1.0)), (normal(3), normal(4, 3, seed=1))),
    "in a cond": (lambda p, x: jax.lax.cond(p, sine(), jnp.cos, x), (jnp.asarray(True), normal(3))),
    "beside a custom JVP": (lambda x: sine()(jax.nn.relu(x)), (normal(3),)),
    "complex inside": (
        rule(
            lambda x: jnp.abs(jnp.fft.fft(x)),
            lambda r, dy: jax.vjp(lambda x: jnp.abs(jnp.fft.fft(x)), *r)[1](dy),
        ),
        (normal(5),),
    ),
    "a plain function": (jnp.sin, (normal(3),)),
    "float0 for integers": (
        rule(
            lambda x, i: x[i],
            lambda r, dy: (jnp.zeros_like(r[0]).at[r[1]].add(dy), np.zeros((2,), jax.dtypes.float0)),
        ),
        (normal(4), jnp.asarray([1, 1])),
    ),
    "a Python float as a setting": (
        rule(lambda x, rate: rate * x, lambda r, dy: (r[1] * dy, None)),
        (normal(3), 0.5),
        {"effort": "thorough"},
    ),
    "not to be traced": (
        rule(
            lambda x: jnp.sin(x) if x[0] > 0 else jnp.cos(x),
            lambda r, dy: ((jnp.cos(r[0]) if r[0][0] > 0 else -jnp.sin(r[0])) * dy,),
        ),
        (normal(3),),
    ),
}


@pytest.mark.parametrize("what", a_part(RIGHT, 2, str))
def test_what_is_right_passes(what):
    op, args, *options = RIGHT[what]
    report = check_vjp(op, *args, **{"effort": "quick", **(options[0] if options else {})})
    assert report.ok, report
    assert report.points > 5
    assert not any("cannot be taken" in note for note in report.notes), report


WRONG = {
    "a leaf of a tree": (layered(2.0), (tree(), normal(3, seed=2)), 0, "['list'][0]"),
    "a key": (dropped(False), (normal(8), jax.random.key(0)), 0, ""),
    "after settings": (
        rule(
            lambda f, x, n: n * f(x),
            lambda f, n, r, dy: (jax.vjp(f, r)[1](dy)[0],),
            fwd=lambda f, x, n: (n * f(x), x),
            static=(0, 2),
        ),
        (jnp.tanh, normal(3), 2),
        1,
        "",
    ),
    "a Python float": (sine(1.1), (0.5,), 0, ""),
    "a module": (Sines(1.1), (normal(3),), 0, ""),
    "in a scan": (in_scan(cell(1.1)), (normal(3), normal(4, 3, seed=1)), 1, ""),
    "None for what has a gradient": (
        product(lambda r, dy: (None, r[0] * dy)),
        (normal(3), normal(3, seed=1)),
        0,
        "",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_found_where_it_is(what):
    op, args, argument, path = WRONG[what]
    report = quick(op, *args)
    assert (argument, path) in [(f.argument, f.path) for f in report.findings], report


# -- what judges -------------------------------------------------------------------------------------------


def test_an_oracle_judges_the_function_too():
    report = quick(sine(), normal(3), oracle=lambda x: 1.01 * jnp.sin(x))
    assert {f.property for f in report.findings} == {"forward", "value"}
    assert "than the oracle" in report.findings[0].message
    assert quick(sine(), normal(3), oracle=lambda x: jnp.cos(x - jnp.pi / 2)).ok


def straight_through(factor):
    return rule(lambda x: jnp.round(x), lambda r, dy: (factor * dy,))


def test_an_intended_rule_judges_what_is_deliberately_no_derivative():
    x = 3 * normal(5)

    def intended(x, dy):
        return (dy,)

    assert quick(straight_through(1.0), x, oracle_vjp=intended).ok
    assert quick(straight_through(2.0), x, oracle_vjp=intended).wrong_arguments == (0,)
    assert quick(straight_through(1.0), x).wrong_arguments == (0,)


def test_an_intended_rule_may_be_non_linear():
    clipped = rule(lambda x: 2 * x, lambda r, dy: (jnp.clip(2 * dy, -1, 1),))
    assert quick(clipped, normal(3), oracle_vjp=lambda x, dy: (jnp.clip(2 * dy, -1, 1),)).ok


def root(factor):
    """A square root by Newton's method: a loop that autodiff cannot reverse."""

    def newton(a):
        def step(state):
            return 0.5 * (state[0] + a / state[0]), state[1] + 1

        return jax.lax.while_loop(lambda state: state[1] < 30, step, (jnp.ones_like(a), 0))[0]

    return rule(newton, lambda y, dy: (factor * dy / y,), fwd=lambda a: (y := newton(a), y))


def test_differences_judge_where_autodiff_cannot():
    x = jnp.abs(normal(3)) + 0.5
    right = quick(root(0.5), x, domains=("positive",))
    assert right.ok, right
    assert any("differences alone judge" in note for note in right.notes)
    assert quick(root(1.0), x, domains=("positive",)).wrong_arguments == (0,)


@pytest.mark.parametrize(
    ("op", "x", "domain"),
    [
        (elementwise(jnp.arcsin, lambda x: 1 / jnp.sqrt(1 - x * x)), normal(3) / 4, (-0.9, 0.9)),
        (elementwise(jnp.log, lambda x: 1 / x), jnp.exp(normal(3)), "positive"),
        (elementwise(jnp.abs, jnp.sign), normal(3), "fixed"),
        (elementwise(jnp.abs, jnp.ones_like), jnp.exp(normal(3)), "fixed"),
        (
            elementwise(jnp.abs, jnp.ones_like),
            jnp.exp(normal(3)),
            lambda rng, like: rng.uniform(1, 2, like.shape),
        ),
    ],
)
def test_redraws_stay_in_their_domain(op, x, domain):
    report = quick(op, x, domains=(domain,))
    assert report.ok, report


def test_fixed_arguments_are_judged_in_float64_too():
    """Handed on in float32 they would make every rule look as if it computed in float32."""
    x = jnp.asarray([[0.3, -1.2, 0.8]], jnp.float32)
    right = check_vjp(elementwise(jnp.sin, jnp.cos), x, domains=("fixed",))
    assert right.ok, right
    assert not any("float32" in note for note in right.notes)
    slightly = check_vjp(elementwise(jnp.sin, lambda x: jnp.cos(x) * (1 + 3e-7)), x, domains=("fixed",))
    assert slightly.wrong_arguments == (0,)


# -- pairs -------------------------------------------------------------------------------------------------


def linear(W, x):
    return W @ x


def linear_vjp(W, x, dy):
    return np.outer(dy, x), W.T @ dy


def untransposed_vjp(W, x, dy):
    return np.outer(dy, x), W @ dy


def array(*shape, dtype=np.float64):
    return np.asarray(normal(*shape)).astype(dtype)


def test_a_pair_in_numpy():
    W, x = array(3, 3), array(3)
    assert quick_pair(linear, linear_vjp, W, x).ok
    assert quick_pair(linear, linear_vjp, W.astype(np.float32), x.astype(np.float32)).ok
    report = quick_pair(linear, untransposed_vjp, W, x)
    assert report.wrong_arguments == (1,)
    assert "missing transpose" in report.findings[0].mistakes[:2]


def test_a_pair_is_judged_by_its_oracle():
    def rule(x, dy):
        return (-np.cos(x) * dy,)

    assert quick_pair(np.sin, lambda x, dy: (np.cos(x) * dy,), array(3), oracle=jnp.sin).ok
    assert quick_pair(np.sin, rule, array(3), oracle=jnp.sin).wrong_arguments == (0,)


def scatter(T, i, dy):
    dT = np.zeros_like(T)
    np.add.at(dT, i, dy)
    return dT, None


PAIRS = {
    "integers": (lambda T, i: T[i], scatter, (array(4, 2), np.asarray([3, 0, 3]))),
    "a setting": (
        lambda x, axis: x.sum(axis),
        lambda x, axis, dy: (dy[:, None] + 0 * x, None),
        (array(2, 3), 1),
    ),
    "a Python float": (lambda x, a: a * x, lambda x, a, dy: (a * dy, np.sum(x * dy)), (array(3), 2.0)),
    "a Python float that is a setting": (
        lambda x, a: a * x,
        lambda x, a, dy: (a * dy, None),
        (array(3), 2.0),
    ),
    "a Python float as the result": (
        lambda x: float(np.sum(x * x)),
        lambda x, dy: (2 * x * dy,),
        (array(3),),
    ),
    "JAX": (jnp.sin, lambda x, dy: (jnp.cos(x) * dy,), (normal(3),)),
    "no tuple": (np.sin, lambda x, dy: np.cos(x) * dy, (array(3),)),
    "a dict": (
        lambda p: p["a"] * p["b"],
        lambda p, dy: ({"a": p["b"] * dy, "b": p["a"] * dy},),
        ({"a": array(3), "b": array(3) + 1},),
    ),
    "in place": (np.sin, lambda x, dy: (np.multiply(dy, np.cos(x), out=dy),), (array(3),)),
}


@pytest.mark.parametrize("what", PAIRS)
def test_pairs_of_every_kind(what):
    f, f_vjp, args = PAIRS[what]
    report = quick_pair(f, f_vjp, *args)
    assert report.ok, report


@pytest.mark.parametrize(
    ("f_vjp", "says"),
    [
        (lambda W, x, dy: (np.outer(dy, x),), "answers 1 cotangents for 2 arguments"),
        (lambda W, x, dy: (np.outer(dy, x), dy[:2]), "has shape (2,), but the argument has shape (3,)"),
        (lambda W, x, dy: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_pair_whose_rule_does_not_fit(f_vjp, says):
    report = quick_pair(linear, f_vjp, array(3, 3), array(3))
    assert [f.property for f in report.findings] == ["structure"]
    assert says in report.findings[0].message


# -- what cannot be checked --------------------------------------------------------------------------------


def boom(*_):
    raise RuntimeError("no such thing")


@pytest.mark.parametrize(
    ("op", "args", "options", "says"),
    [
        (3, (1.0,), {}, "op must be a function, got int"),
        (jax.custom_vjp(jnp.sin), (normal(3),), {}, "No VJP defined"),
        (boom, (normal(3),), {}, "boom raises at these arguments: RuntimeError: no such thing"),
        (product(), (normal(3),), {}, "raises at these arguments"),
        (sine(), (jnp.arange(3),), {}, "no floating-point argument"),
        (sine(), (jnp.arange(3) > 1,), {}, "no floating-point argument"),
        (rule(lambda x: jnp.argmax(x), lambda r, dy: (None,)), (normal(3),), {}, "no floating-point result"),
        (sine(), (normal(3),), {"effort": "fast"}, "effort must be 'quick' or 'thorough', got 'fast'"),
        (sine(), (normal(3),), {"oracle": boom}, "RuntimeError: no such thing"),
        (sine(), (normal(3),), {"oracle": 3}, "oracle must be a function, got int"),
        (sine(), (normal(3),), {"oracle": lambda x: jnp.sum(x)}, "the oracle's results have shapes"),
        (sine(), (normal(3),), {"oracle": lambda x: (x, x)}, "the oracle's results have shapes"),
        (sine(), (normal(3),), {"oracle_vjp": lambda x, dy: boom()}, "oracle_vjp raises"),
        (sine(), (normal(3),), {"oracle_vjp": lambda x, dy: (dy, dy)}, "2 cotangents for 1 arguments"),
        (product(), (normal(3), normal(3)), {"domains": ("positive",)}, "domains has 1 entries"),
        (sine(), (normal(3),), {"domains": "positive"}, "one entry an argument"),
        (sine(), (normal(3),), {"domains": ((1, 0),)}, "(lo, hi) with lo < hi"),
        (sine(), (normal(3),), {"domains": ("negative",)}, "domains[0] must be"),
        (sine(), (normal(3),), {"domains": (boom,)}, "domains[0] raises"),
        (sine(), (normal(3),), {"domains": (lambda rng, like: rng.normal(size=5),)}, "domains[0]"),
        (product(), (normal(3), normal(3)), {"in_axes": (0,)}, "in_axes (0,) does not fit"),
        (product(), (normal(3), normal(3)), {"in_axes": (0, 5)}, "in_axes"),
        (sine(), (normal(3),), {"in_axes": "batch"}, "in_axes"),
        (sine(), (normal(3),), {"kwargs": {"unknown": 1}}, "raises at these arguments"),
    ],
)
def test_what_cannot_be_checked_says_why(op, args, options, says):
    with pytest.raises(CannotCheck) as raised:
        check_vjp(op, *args, **{"effort": "quick", **options})
    assert says in str(raised.value)


def test_a_pair_needs_two_functions():
    with pytest.raises(CannotCheck, match="f_vjp must be a function, got NoneType"):
        check_pair(np.sin, None, array(3))


# -- the caller's settings ---------------------------------------------------------------------------------

SETTINGS = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_numpy_dtype_promotion",
    "jax_numpy_rank_promotion",
    "jax_debug_nans",
    "jax_disable_jit",
)


def settings():
    return {name: getattr(jax.config, name) for name in SETTINGS}


@pytest.mark.parametrize(
    "setting",
    [
        jax.enable_x64(True),
        jax.numpy_dtype_promotion("standard"),
        jax.default_matmul_precision("float32"),
        jax.debug_nans(True),
    ],
    ids=["x64", "promotion", "precision", "nans"],
)
def test_the_settings_are_the_callers_again(setting):
    dtype = jnp.bfloat16
    W, x, b = normal(3, 4, dtype=dtype), normal(5, 4, dtype=dtype), normal(3, dtype=dtype)
    with setting:
        before = settings()
        report = quick(affine, W, x, b)
        assert settings() == before
        assert quick(rule(jnp.sin, lambda r, dy: boom()), normal(3)).findings
        with pytest.raises(CannotCheck):
            quick(boom, normal(3))
        assert settings() == before
    assert report.ok, report


def test_under_disable_jit():
    with jax.disable_jit():
        report = quick(sine(1.1), normal(2))
    assert report.wrong_arguments == (0,)
