"""Functions with JAX's transformations and own rules inside."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.ad_checkpoint import checkpoint_name

from ._function import Function, fixed, function, integer, real

_X = real((4, 5), (512, 512))
_Y = real((5, 3), (512, 512), -0.2, 0.2)
_ROWS = real((4, 5), (64, 8192))
_ROW = real((5,), (8192,))
_SIGN = integer((), (), 2)

_rule = functools.partial(function, "own rules")
_inside = functools.partial(function, "transformations")
_remat = functools.partial(function, "checkpoints")
_branch = functools.partial(function, "branches")


@jax.custom_jvp
def _log1pexp(x: Any) -> Any:
    return jnp.log1p(jnp.exp(x))


@_log1pexp.defjvp
def _log1pexp_jvp(primals: Any, tangents: Any) -> Any:
    (x,), (dx,) = primals, tangents
    return _log1pexp(x), dx * (1 - 1 / (1 + jnp.exp(x)))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _powered(x: Any, n: int) -> Any:
    return x**n


@_powered.defjvp
def _powered_jvp(n: int, primals: Any, tangents: Any) -> Any:
    return _powered(primals[0], n), n * primals[0] ** (n - 1) * tangents[0]


@jax.custom_jvp
def _mixed(x: Any, y: Any) -> Any:
    return jnp.sin(x) * y, x + y


_mixed.defjvps(
    lambda dx, out, x, y: (jnp.cos(x) * y * dx, dx),
    lambda dy, out, x, y: (jnp.sin(x) * dy, dy),
)


@jax.custom_vjp
def _clipped(x: Any, bound: Any) -> Any:
    """Hands x on, and clips its gradient."""
    return x


_clipped.defvjp(
    lambda x, bound: (x, bound), lambda bound, dy: (jnp.clip(dy, -bound, bound), jnp.zeros_like(bound))
)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _applied(f: Any, x: Any, p: Any) -> Any:
    """A function of x and a pytree, whose rule takes the derivative from f's own second result."""
    return f(x, p)[0]


def _applied_fwd(f: Any, x: Any, p: Any) -> Any:
    y, slope = f(x, p)
    return y, (slope, x, p)


def _applied_bwd(f: Any, kept: Any, dy: Any) -> Any:
    slope, x, p = kept
    d = slope * dy
    return d * p["scale"], {"scale": jnp.sum(d * x), "shift": jnp.sum(d)}


_applied.defvjp(_applied_fwd, _applied_bwd)


def _sine(x: Any, p: Any) -> Any:
    z = p["scale"] * x + p["shift"]
    return jnp.sin(z), jnp.cos(z)


@jax.custom_vjp
def _softened(tree: Any) -> Any:
    return {"norm": jnp.sqrt(1 + jnp.sum(tree["a"] ** 2)), "b": tree["b"] * 2}


def _softened_fwd(tree: Any) -> Any:
    out = _softened(tree)
    return out, (tree["a"], out["norm"])


_softened.defvjp(_softened_fwd, lambda kept, dy: ({"a": dy["norm"] / kept[1] * kept[0], "b": 2 * dy["b"]},))


@jax.jit
def _layer(x: Any, w: Any) -> Any:
    return jnp.tanh(x @ w)


def _two_layers(x: Any, w: Any) -> Any:
    return _layer(_layer(x, w @ w.T), w)


def _named(x: Any, w: Any) -> Any:
    h = checkpoint_name(jnp.sin(x @ w), "hidden")
    return jnp.cos(h) * h


def _closing(x: Any) -> Any:
    """A function with a rule that closes over an array."""
    factors = np.asarray([[2.0, -1.0, 0.5, 3.0]], x.dtype)

    @jax.custom_jvp
    def f(x: Any) -> Any:
        return x[:4, :4] * factors

    f.defjvp(lambda primals, tangents: (f(*primals), tangents[0][:4, :4] * factors))
    return f(jnp.sin(x))


def _inner_gradient(x: Any) -> Any:
    return jax.grad(lambda x: jnp.sum(jnp.sin(x) * jnp.exp(-x * x)))(x)


def _penalty(x: Any, w: Any) -> Any:
    """How steep a layer is in its input: a gradient of second order by w."""
    return jnp.sum(jax.grad(lambda x: jnp.sum(jnp.tanh(x @ w)))(x) ** 2, 1)


def _policy(name: str) -> Any:
    return getattr(jax.checkpoint_policies, name)


FUNCTIONS: tuple[Function, ...] = (
    _inside("jit", lambda x, w: _layer(x, w), _X, _Y),
    _inside("jit, twice", _two_layers, real((4, 5), (256, 256)), real((5, 5), (256, 256), -0.2, 0.2)),
    _inside("jit with several results", lambda x: jax.jit(lambda x: (x * 2, jnp.sin(x), 3))(x), _X),
    _inside("named scope", lambda x, w: jax.named_scope("layer")(_layer)(x, w), _X, _Y),
    _inside("stop_gradient", lambda x: x * lax.stop_gradient(jnp.exp(x)), _X),
    _inside("vmap", lambda x, y: jax.vmap(lambda r: jnp.tanh(r @ y))(x), _X, _Y),
    _inside(
        "vmap of vmap",
        lambda x, y: jax.vmap(lambda a: jax.vmap(lambda b: jnp.exp(-jnp.sum((a - b) ** 2)))(y))(x),
        real((4, 3), (256, 16)),
        real((5, 3), (256, 16)),
    ),
    _inside(
        "vmap over other axes", jax.vmap(lambda a, b: a * jnp.sum(b), (1, 0), 1), _X, real((5, 3), (512, 64))
    ),
    _inside(
        "vectorize",
        jnp.vectorize(jnp.dot, signature="(n,m),(m)->(n)"),
        real((2, 3, 4), (8, 128, 256)),
        real((2, 4), (8, 256)),
    ),
    _inside("map", lambda x: lax.map(lambda r: jnp.sin(r) * jnp.sum(r), x), _ROWS),
    _inside("map in batches", lambda x: lax.map(lambda r: jnp.sin(r) * jnp.sum(r), x, batch_size=2), _ROWS),
    _inside("apply_along_axis", lambda x: jnp.apply_along_axis(jnp.cumsum, 1, x), _X),
    _inside("gradient inside", _inner_gradient, _X),
    _inside("gradient penalty", _penalty, real((4, 5), (256, 256)), real((5, 3), (256, 256), -0.2, 0.2)),
    _inside("jvp inside", lambda x, v: jax.jvp(jnp.tanh, (x,), (v,))[1], _X, _X),
    _inside(
        "vjp inside",
        lambda x, w: jax.vjp(_layer, x, w)[1](jnp.ones((x.shape[0], w.shape[1]), x.dtype)),
        real((4, 5), (256, 256)),
        real((5, 3), (256, 256), -0.2, 0.2),
    ),
    _inside(
        "jacobian inside", lambda x: jax.jacfwd(lambda x: jnp.sin(x) * jnp.sum(x))(x), real((4,), (256,))
    ),
    _inside(
        "hessian inside", lambda x: jax.hessian(lambda x: jnp.sum(jnp.sin(x)) ** 2)(x), real((4,), (64,))
    ),
    _inside(
        "linearize inside", lambda x, v: jax.linearize(lambda x: jnp.exp(jnp.sin(x)), x)[1](v), _X, fixed(_X)
    ),
    _inside(
        "half precision inside",
        lambda x, w: (x.astype(jnp.bfloat16) @ w.astype(jnp.bfloat16)).astype(x.dtype),
        _X,
        _Y,
        precision=jnp.bfloat16,
    ),
    _rule("custom_jvp", _log1pexp, _X),
    _rule("custom_jvp with a fixed argument", lambda x: _powered(x, 3), _X),
    _rule("custom_jvp of two, with two results", lambda x, y: _mixed(x, y), _X, _X),
    _rule("custom_jvp, one result unused", lambda x, y: _mixed(x, y)[0], _X, _X),
    _rule("custom_jvp, one argument fixed", lambda x, y: _mixed(x, y), _X, fixed(_X)),
    _rule("custom_jvp that closes over an array", _closing, _X),
    _rule("custom_jvp under vmap", lambda x: jax.vmap(_log1pexp)(x), _X),
    _rule("custom_jvp under jit", lambda x: jax.jit(_log1pexp)(x), _X),
    _rule("custom_vjp", lambda x, b: _clipped(x * x, b), _X, real((), (), 0.1, 0.2)),
    _rule(
        "custom_vjp with a fixed function",
        lambda x, s, t: _applied(_sine, x, {"scale": s, "shift": t}),
        _X,
        real((), ()),
        real((), ()),
    ),
    _rule("custom_vjp of a pytree", lambda a, b: _softened({"a": a, "b": b}), _X, _X),
    _rule("custom_vjp, one result unused", lambda a, b: _softened({"a": a, "b": b})["norm"], _X, _X),
    _rule("custom_vjp under vmap", lambda x: jax.vmap(lambda r: _softened({"a": r, "b": r}))(x), _X),
    _rule("custom_gradient", lambda x: jax.custom_gradient(lambda x: (x**2, lambda dy: 3 * dy))(x), _X),
    _remat("remat", lambda x, w: jax.checkpoint(_layer)(x, w), _X, _Y),
    _remat(
        "remat in remat",
        lambda x, w: jax.checkpoint(lambda x: jnp.sin(jax.checkpoint(_layer)(x, w)))(x),
        _X,
        _Y,
    ),
    _remat(
        "remat of one after another",
        lambda x: functools.reduce(lambda h, _: jax.checkpoint(jnp.sin)(h) * h, range(4), x),
        _X,
    ),
    *(
        _remat(
            f"remat, {name}",
            lambda x, w, name=name: jax.checkpoint(_layer, policy=_policy(name))(x, w),
            _X,
            _Y,
        )
        for name in ("dots_saveable", "nothing_saveable", "everything_saveable")
    ),
    _remat(
        "remat, saved by name",
        lambda x, w: jax.checkpoint(_named, policy=jax.checkpoint_policies.save_only_these_names("hidden"))(
            x, w
        ),
        _X,
        _Y,
    ),
    _remat("remat without a barrier", lambda x, w: jax.checkpoint(_layer, prevent_cse=False)(x, w), _X, _Y),
    _branch("cond", lambda i, x: lax.cond(i > 0, jnp.sin, lambda x: x * x, x), _SIGN, _X),
    _branch("cond on a value", lambda x: lax.cond(jnp.sum(x) > 0, jnp.exp, jnp.cos, x), _X),
    _branch(
        "cond of two arguments",
        lambda i, x, w: lax.cond(i > 0, lambda x, w: x @ w, lambda x, w: jnp.tanh(x @ w) * 2, x, w),
        _SIGN,
        _X,
        _Y,
    ),
    _branch(
        "cond, one branch without a gradient",
        lambda i, x: lax.cond(i > 0, jnp.sin, jnp.zeros_like, x),
        _SIGN,
        _X,
    ),
    _branch(
        "cond that closes over values",
        lambda i, x, w: lax.cond(i > 0, lambda: jnp.sin(x @ w), lambda: x @ w),
        _SIGN,
        _X,
        _Y,
    ),
    _branch("switch", lambda i, x: lax.switch(i, [jnp.sin, jnp.cos, jnp.exp], x), integer((), (), 3), _X),
    _branch(
        "switch under vmap",
        jax.vmap(lambda i, x: lax.switch(i, [jnp.sin, jnp.cos, jnp.exp], x)),
        integer((4,), (512,), 3),
        _X,
    ),
    _branch(
        "cond in cond",
        lambda i, x: lax.cond(i > 0, lambda x: lax.cond(x[0, 0] > 0, jnp.sin, jnp.cos, x), jnp.exp, x),
        _SIGN,
        _X,
    ),
    _branch("platform_dependent", lambda x: lax.platform_dependent(x, cpu=jnp.sin, default=jnp.sin), _X),
)
