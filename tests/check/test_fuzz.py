"""Whatever the functions and the arguments: a report or CannotCheck, and no other exception."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxbackprop.check import CannotCheck, Report, check_jvp, check_pair, check_vjp


class Odd(Exception):
    """Of nobody."""

    def __str__(self):
        raise RuntimeError


def refused(x):
    raise Odd


def callback(x):
    return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


def narrow(dtype):
    def f(x):
        if x.dtype != dtype:
            raise ValueError(f"{dtype} only")
        return callback(x) if dtype == jnp.float32 else x * x

    return f


def at_times(test):
    def f(x):
        def look(x):
            if test(x):
                raise ValueError("not such")
            return x

        return (
            jax.pure_callback(look, jax.ShapeDtypeStruct(x.shape, x.dtype), x, vmap_method="sequential") * x
        )

    return f


FUNCTIONS = {
    "sin": jnp.sin,
    "a callback": callback,
    "float32 alone": narrow(jnp.float32),
    "bfloat16 alone": narrow(jnp.bfloat16),
    "float64 alone": narrow(jnp.float64),
    "raises": refused,
    "raises for negative numbers": at_times(lambda x: np.any(x < 0)),
    "raises for large numbers": at_times(lambda x: np.any(abs(x) > 3)),
    "raises under float64": at_times(lambda x: x.dtype == np.float64),
    "to integers": lambda x: x.astype(jnp.int32),
    "to nothing": lambda x: None,
    "to a string": lambda x: "x",
    "to a tree": lambda x: {"a": x, "b": (jnp.sum(x), 3), "c": None},
    "to complex": lambda x: x * (1 + 1j),
    "Python's choice": lambda x: x if np.sum(np.asarray(x)) > 0 else -x,
    "nan": lambda x: x * np.nan,
    "empties": lambda x: x[:0] if x.ndim else x,
    "a loop": lambda x: jax.lax.while_loop(lambda c: jnp.sum(abs(c)) > 1, lambda c: c / 2, x),
    "an argument's attribute": lambda x: x.foo,
    "a key": lambda x: jax.random.normal(jax.random.wrap_key_data(x), (2,)),
    "a reduction": lambda x: x.max(),
    "a matrix": lambda x: jnp.linalg.inv(x),
    "boolean": lambda x: x > 0,
    "in place": lambda x: np.add(x, 1, out=x) if isinstance(x, np.ndarray) else x + 1,
}
RULES = {
    "itself": lambda x, dy: dy,
    "cosine": lambda x, dy: dy * jnp.cos(x),
    "raises": lambda x, dy: refused(x),
    "None": lambda x, dy: None,
    "a string": lambda x, dy: "dy",
    "a number": lambda x, dy: 1.0,
    "another dtype": lambda x, dy: jnp.asarray(dy, jnp.bfloat16),
    "another shape": lambda x, dy: jnp.sum(dy),
    "complex": lambda x, dy: dy * (1 + 1j),
    "a list": lambda x, dy: [dy],
    "a dict": lambda x, dy: {"x": dy},
    "too many": lambda x, dy: (dy, dy),
    "nan": lambda x, dy: dy * np.nan,
    "NumPy": lambda x, dy: np.asarray(dy) * 2,
    "object": lambda x, dy: np.asarray([None, dy], object),
    "Python's choice": lambda x, dy: dy if float(jnp.sum(x)) > 0 else 2 * dy,
}
ARGUMENTS = {
    "a vector": lambda: jnp.asarray([0.5, -2.0, 1.0], jnp.float32),
    "positive": lambda: jnp.asarray([0.5, 2.0], jnp.float32),
    "a scalar": lambda: jnp.float32(0.5),
    "NumPy": lambda: np.asarray([0.5, -2.0]),
    "NumPy's float32": lambda: np.asarray([[0.5, -2.0], [1.0, 3.0]], np.float32),
    "half": lambda: jnp.asarray([0.5, -2.0], jnp.bfloat16),
    "complex": lambda: jnp.asarray([0.5 - 1j, 2.0], jnp.complex64),
    "integers": lambda: jnp.arange(3),
    "a Python float": lambda: 0.5,
    "a Python integer": lambda: 2,
    "nothing": lambda: None,
    "a string": lambda: "x",
    "a function": lambda: jnp.sin,
    "an empty array": lambda: jnp.zeros((0, 2), jnp.float32),
    "nan": lambda: jnp.asarray([0.5, jnp.nan], jnp.float32),
    "infinite": lambda: jnp.asarray([jnp.inf, 1.0], jnp.float32),
    "a list": lambda: [jnp.float32(1), 2.0],
    "a dict": lambda: {"a": jnp.float32(1), 3: 2.0},
    "objects": lambda: np.asarray([None, 1], object),
    "a set": lambda: {1.0, 2.0},
    "a key": lambda: jax.random.key(0),
    "words of a key": lambda: jax.random.PRNGKey(0),
    "eight bits": lambda: jnp.asarray([0.5, 1], jnp.float8_e4m3fn),
    "text in NumPy": lambda: np.asarray(["a", "b"]),
    "dates": lambda: np.asarray(["2020-01-01"], "datetime64[D]"),
    "long double": lambda: np.asarray([0.5, 1], np.longdouble),
    "structured": lambda: np.zeros(2, [("a", "f4")]),
}
OPTIONS = {
    "none": {},
    "a domain": {"domains": ("positive",)},
    "another": {"domains": ((-1, 1),)},
    "a domain that raises": {"domains": (lambda rng, like: refused(like),)},
    "a domain of text": {"domains": (lambda rng, like: np.full(np.shape(like), "x"),)},
    "no domain": {"domains": 3},
    "axes": {"in_axes": None},
    "an axis": {"in_axes": "x"},
    "nondiff": {"nondiff": (0,)},
    "an oracle": {"oracle": lambda x: jnp.cos(x)},
    "an oracle that raises": {"oracle": refused},
    "no oracle": {"oracle": 3},
    "keywords": {"kwargs": {"n": 3}},
    "no seed": {"seed": "x"},
}


def by_vjp(f, bwd):
    op = jax.custom_vjp(f)
    op.defvjp(lambda x: (f(x), x), lambda x, dy: (bwd(x, dy),))
    return op


def by_jvp(f, bwd):
    op = jax.custom_jvp(f)
    op.defjvp(lambda p, t: (f(p[0]), bwd(p[0], t[0])))
    return op


CHECKS = {
    "check_vjp": lambda f, rule: (check_vjp, by_vjp(f, rule)),
    "of a lambda": lambda f, rule: (check_vjp, lambda x: by_vjp(f, rule)(x)),
    "of a jvp": lambda f, rule: (check_vjp, by_jvp(f, rule)),
    "check_jvp": lambda f, rule: (check_jvp, by_jvp(f, rule)),
    "check_pair": lambda f, rule: (check_pair, f, rule),
    "no function": lambda f, rule: (check_vjp, 3),
    "no rule": lambda f, rule: (check_vjp, jax.custom_vjp(f)),
    "no jvp": lambda f, rule: (check_jvp, jax.custom_jvp(f)),
}


def said(check, function, rule, argument, option, effort="quick"):
    """What comes of a check."""
    judge, *functions = CHECKS[check](FUNCTIONS[function], RULES[rule])
    try:
        with np.errstate(all="ignore"):
            return judge(*functions, ARGUMENTS[argument](), effort=effort, **OPTIONS[option])
    except CannotCheck as error:
        return error


drawn = functools.partial(
    given, *(st.sampled_from(list(kinds)) for kinds in (CHECKS, FUNCTIONS, RULES, ARGUMENTS, OPTIONS))
)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@drawn()
def test_a_report_or_cannot_check(check, function, rule, argument, option):
    assert isinstance(said(check, function, rule, argument, option), Report | CannotCheck)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("check", CHECKS)
def test_a_few_of_each(check):
    """Some functions, rules, arguments and options, each with usual ones beside it."""
    for function in ("raises", "to a string", "to nothing", "an argument's attribute", "Python's choice"):
        assert isinstance(said(check, function, "itself", "a vector", "none"), Report | CannotCheck)
    for rule in ("raises", "a string", "object", "a dict", "too many"):
        assert isinstance(said(check, "sin", rule, "a vector", "none"), Report | CannotCheck)
    for argument in ("objects", "text in NumPy", "dates", "structured", "a dict", "a set", "a string"):
        assert isinstance(said(check, "sin", "itself", argument, "none"), Report | CannotCheck)
    for option in ("no domain", "an axis", "no oracle", "keywords", "no seed", "a domain that raises"):
        assert isinstance(said(check, "sin", "itself", "a vector", option), Report | CannotCheck)
