"""Rules of published libraries, as anyone calls them: what the harness is asked in `bench wild`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

RIGHT, WRONG = "right", "WRONG"


@dataclass(frozen=True)
class Ask:
    """What `check_vjp` is called with."""

    op: Callable[..., Any]
    args: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Wild:
    """A rule of a library.

    Attributes:
        module: where it is, and so which package has to be installed.
        name: in that module.
        ask: from the module, what `check_vjp` is called with.
        expects: the verdict that was looked into.
        explained: why that is so where it is not "right", or where the question is a special one.
    """

    module: str
    name: str
    ask: Callable[[Any], Ask]
    expects: str = RIGHT
    explained: str = ""

    @property
    def package(self) -> str:
        """The library."""
        return self.module.partition(".")[0]

    def load(self) -> Ask:
        """Imports the module; raises ImportError where its package is not installed."""
        return self.ask(import_module(self.module))


def _normal(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _positive(*shape: int, seed: int = 0) -> jax.Array:
    return jnp.abs(_normal(*shape, seed=seed)) + 0.1


def _of(name: str, *args: Any, **options: Any) -> Callable[[Any], Ask]:
    """A function by its name in the module."""
    return lambda module: Ask(functools.reduce(getattr, name.split("."), module), args, options)


def _ode(ode: Any) -> Ask:
    def decay(y: jax.Array, rate: jax.Array) -> Any:
        return ode.odeint(lambda y, t, rate: -rate * y, y, jnp.asarray([0.0, 0.5, 1.0]), rate)

    return Ask(decay, (jnp.asarray([1.0, 2.0]), jnp.asarray(0.7)))


def _ridge(jaxopt: Any) -> Ask:
    def loss(w: jax.Array, weight: jax.Array, inputs: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.mean((inputs @ w - y) ** 2) + weight * jnp.sum(w**2)

    def solve(weight: jax.Array, inputs: jax.Array, y: jax.Array) -> Any:
        solver = jaxopt.GradientDescent(loss, maxiter=500, tol=1e-6)
        return solver.run(jnp.zeros(3), weight, inputs, y).params

    return Ask(
        solve,
        (jnp.asarray(0.5), _normal(6, 3), _normal(6, seed=1)),
        {"domains": ("positive", None, None)},
    )


def _quantized(fp8_ops: Any) -> Ask:
    quantize = functools.partial(fp8_ops.in_qdq, jnp.float32, jnp.float8_e4m3fn)
    return Ask(quantize, (_normal(4), jnp.ones(1), jnp.zeros(16)), {"nondiff": (1, 2)})


def _scaled(optax: Any, **options: Any) -> Ask:
    return Ask(lambda x: optax.scale_gradient(x, 0.3), (_normal(4),), options)


def _of_float32(name: str, *args: Any, **options: Any) -> Callable[[Any], Ask]:
    return lambda module: Ask(lambda *x: getattr(module, name)(*x, jnp.float32), args, options)


_X, _Y, _ROWS = _normal(4), _normal(4, seed=1), _normal(4, 3)
_SQUARE = _normal(3, 3)

RULES: tuple[Wild, ...] = (
    Wild("jax.nn", "relu", _of("relu", _ROWS)),
    Wild("jax.nn", "softmax", _of("softmax", _ROWS)),
    Wild("jax.nn", "log1mexp", _of("log1mexp", _positive(4))),
    Wild("jax.numpy", "logaddexp", _of("logaddexp", _X, _Y)),
    Wild("jax.numpy", "sinc", _of("sinc", _X)),
    Wild("jax.numpy", "linalg.det", _of("linalg.det", _SQUARE)),
    Wild("jax.numpy", "linalg.pinv", _of("linalg.pinv", _ROWS)),
    Wild("jax.scipy.special", "xlogy", _of("xlogy", _positive(4), _positive(4, seed=1))),
    Wild("jax.scipy.special", "log_ndtr", _of("log_ndtr", _X)),
    Wild("jax.experimental.ode", "odeint", _ode),
    Wild("optax", "projections.projection_simplex", _of("projections.projection_simplex", _X)),
    Wild(
        "optax",
        "scale_gradient, as intended",
        functools.partial(_scaled, oracle_vjp=lambda x, dy: (0.3 * dy,)),
        explained="held against the rule it is meant to be, by oracle_vjp=",
    ),
    Wild(
        "optax",
        "scale_gradient, as derivative",
        _scaled,
        WRONG,
        "no derivative by design: it scales the gradient of an identity",
    ),
    Wild(
        "flax.linen.fp8_ops",
        "in_qdq",
        _quantized,
        explained="to 8 bits and back, which jax takes for an identity; scale and history: nondiff=(1, 2)",
    ),
    Wild(
        "equinox",
        "error_if",
        lambda eqx: Ask(lambda x: jnp.sqrt(eqx.error_if(x, x < 0, "negative")), (jnp.asarray([0.5, 1.0]),)),
    ),
    Wild(
        "equinox", "debug.backward_nan", lambda eqx: Ask(lambda x: jnp.sin(eqx.debug.backward_nan(x)), (_X,))
    ),
    Wild("jaxopt.projection", "projection_simplex", _of("projection_simplex", _X)),
    Wild(
        "jaxopt.projection",
        "projection_sparse_simplex",
        lambda module: Ask(lambda x: module.projection_sparse_simplex(x, 2), (_X,)),
    ),
    Wild("jaxopt.isotonic", "isotonic_l2_pav", _of("isotonic_l2_pav", _X)),
    Wild("jaxopt", "GradientDescent, implicit", _ridge),
    Wild("distrax._src.utils.math", "multiply_no_nan", _of("multiply_no_nan", _X, _Y)),
    Wild("distrax._src.utils.math", "power_no_nan", _of("power_no_nan", _positive(4), _Y)),
    Wild(
        "distrax._src.distributions.von_mises",
        "_von_mises_cdf",
        _of_float32(
            "_von_mises_cdf",
            _normal(3),
            _positive(3, seed=1) + 0.5,
            domains=((-3.0, 3.0), (0.5, 8.0)),
        ),
        explained="concentrations from 0.5 to 8: from 10.5 on the function itself is an approximation",
    ),
    Wild("ott.math.utils", "norm", lambda module: Ask(lambda x: module.norm(x, None, -1, False), (_ROWS,))),
    Wild("ott.math.utils", "logsumexp", _of("logsumexp", _ROWS)),
    Wild("ott.math.utils", "softmin", lambda module: Ask(lambda x: module.softmin(x, 0.5, -1), (_ROWS,))),
    Wild("ott.math.utils", "lambertw", _of("lambertw", _positive(4))),
    Wild(
        "ott.math.matrix_square_root",
        "sqrtm_only",
        _of("sqrtm_only", _SQUARE @ _SQUARE.T + jnp.eye(3)),
    ),
)
