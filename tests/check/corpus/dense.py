"""Linear maps: bias, two-layer perceptron, bilinear form, penalty, systems of equations."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.check.corpus._case import Case, Operator, draw

# ---- y = x Wᵀ + b, square so that a transpose hides in the shapes -----------------------------------------


def _linear(x, W, b):
    return x @ W.T + b[None]


def _linear_fwd(x, W, b):
    return _linear(x, W, b), (x, W)


def _linear_bwd(x, W, dy):
    return dy @ W, dy.T @ x, dy.sum(0)


def _linear_args(dtype, n=4, inputs=4, outputs=4):
    return draw(dtype, n, inputs), draw(dtype, outputs, inputs, seed=1), draw(dtype, outputs, seed=2)


linear = Operator("dense/linear", _linear, _linear_fwd, _linear_bwd, _linear_args)


def _float32_products(x, W, dy):
    dW = jax.lax.dot(dy.T, x, preferred_element_type=jnp.float32)
    return dy @ W, dW, dy.sum(0)


# ---- y = x + b --------------------------------------------------------------------------------------------

bias = Operator(
    "dense/bias",
    lambda x, b: x + b[None],
    lambda x, b: (x + b[None], ()),
    lambda dy: (dy, dy.sum(0)),
    lambda dtype: (draw(dtype, 3, 3), draw(dtype, 3, seed=1)),
)

# ---- two layers -------------------------------------------------------------------------------------------


def _mlp(x, W1, b1, W2, b2):
    return jnp.tanh(x @ W1.T + b1[None]) @ W2.T + b2[None]


def _mlp_fwd(x, W1, b1, W2, b2):
    h = jnp.tanh(x @ W1.T + b1[None])
    return h @ W2.T + b2[None], (x, W1, h, W2)


def _mlp_bwd(x, W1, h, W2, dy):
    dz = (dy @ W2) * (1 - h * h)
    return dz @ W1, dz.T @ x, dz.sum(0), dy.T @ h, dy.sum(0)


def _mlp_missing_transpose(x, W1, h, W2, dy):
    dz = (dy @ W2.T) * (1 - h * h)
    return dz @ W1, dz.T @ x, dz.sum(0), dy.T @ h, dy.sum(0)


def _mlp_missing_factor(x, W1, h, W2, dy):
    dz = dy @ W2
    return dz @ W1, dz.T @ x, dz.sum(0), dy.T @ h, dy.sum(0)


def _mlp_swapped(x, W1, h, W2, dy):
    dz = (dy @ W2) * (1 - h * h)
    return dz @ W1, dz.T @ x, dy.sum(0), dy.T @ h, dz.sum(0)


def _mlp_args(dtype, scale=1.0):
    W1, W2 = draw(dtype, 3, 3, seed=1), draw(dtype, 3, 3, seed=2)
    return draw(dtype, 4, 3, scale=scale), W1, draw(dtype, 3, seed=3), W2, draw(dtype, 3, seed=4)


mlp = Operator("dense/mlp", _mlp, _mlp_fwd, _mlp_bwd, _mlp_args)

# ---- xᵀ A y -----------------------------------------------------------------------------------------------

bilinear = Operator(
    "dense/bilinear",
    lambda x, A, y: x @ A @ y,
    lambda x, A, y: (x @ A @ y, (x, A, y)),
    lambda x, A, y, ds: (ds * (A @ y), ds * jnp.outer(x, y), ds * (A.T @ x)),
    lambda dtype: (draw(dtype, 3), draw(dtype, 3, 3, seed=1), draw(dtype, 3, seed=2)),
)

# ---- y = x + tanh(x Wᵀ) -----------------------------------------------------------------------------------


def _residual(x, W):
    return x + jnp.tanh(x @ W.T)


def _residual_fwd(x, W):
    h = jnp.tanh(x @ W.T)
    return x + h, (x, W, h)


def _residual_bwd(x, W, h, dy):
    dz = dy * (1 - h * h)
    return dy + dz @ W, dz.T @ x


residual = Operator(
    "dense/residual block", _residual, _residual_fwd, _residual_bwd, lambda dtype: _linear_args(dtype)[:2]
)

# ---- ½ λ ‖W‖² ---------------------------------------------------------------------------------------------

penalty = Operator(
    "dense/l2 penalty",
    lambda W, strength: 0.5 * strength * jnp.sum(W * W),
    lambda W, strength: (0.5 * strength * jnp.sum(W * W), (W,)),
    lambda strength, W, dy: (strength * dy * W,),
    lambda dtype: (draw(dtype, 3, 4), 0.3),
    static=(1,),
)

# ---- a pruned layer: y = x (m W)ᵀ -------------------------------------------------------------------------


def _pruned(x, W, kept):
    return x @ jnp.where(kept, W, 0.0).T


def _pruned_fwd(x, W, kept):
    W = jnp.where(kept, W, 0.0)
    return x @ W.T, (x, W, kept)


def _pruned_fwd_stale(x, W, kept):
    return x @ jnp.where(kept, W, 0.0).T, (x, W, kept)


pruned = Operator(
    "dense/pruned linear",
    _pruned,
    _pruned_fwd,
    lambda x, W, kept, dy: (dy @ W, jnp.where(kept, dy.T @ x, 0.0), None),
    lambda dtype: (*_linear_args(dtype, 3, 4, 5)[:2], draw("float32", 5, 4, seed=9) > 0),
)

# ---- x = A⁻¹ b, and x = tanh(W x + b) by iteration --------------------------------------------------------


def _solve_fwd(A, b):
    x = jnp.linalg.solve(A, b)
    return x, (A, x)


def _solve_bwd(A, x, dy):
    db = jnp.linalg.solve(A.T, dy)
    return -jnp.outer(db, x), db


def _solve_missing_transpose(A, x, dy):
    db = jnp.linalg.solve(A, dy)
    return -jnp.outer(db, x), db


def _solve_transposed(A, x, dy):
    db = jnp.linalg.solve(A.T, dy)
    return -jnp.outer(x, db), db


def _solve_sign(A, x, dy):
    db = jnp.linalg.solve(A.T, dy)
    return jnp.outer(db, x), db


def _system(dtype):
    return (draw("float64", 4, 4) + 4 * np.eye(4)).astype(dtype), draw(dtype, 4, seed=1)


solve = Operator("dense/solve", jnp.linalg.solve, _solve_fwd, _solve_bwd, _system)


def _iterate(step, x):
    """The fixed point of a contraction; a loop of unknown length, so autodiff cannot go back through it."""
    going = lambda state: (state[1] > 1e-15) & (state[2] < 500)  # noqa: E731

    def body(state):
        moved = step(state[0])
        return moved, jnp.max(jnp.abs(moved - state[0])), state[2] + 1

    return jax.lax.while_loop(going, body, (x, jnp.ones((), x.dtype), 0))[0]


def _equilibrium(W, b):
    return _iterate(lambda x: jnp.tanh(W @ x + b), jnp.zeros_like(b))


def _equilibrium_fwd(W, b):
    x = _equilibrium(W, b)
    return x, (W, x)


def _equilibrium_bwd(W, x, dy):
    # x = tanh(W x + b) gives dz = (1 - x²)(dy + Wᵀ dz).
    dz = _iterate(lambda dz: (1 - x * x) * (dy + W.T @ dz), jnp.zeros_like(dy))
    return jnp.outer(dz, x), dz


def _equilibrium_by_newton(W, b, dy):
    x = _equilibrium(W, b)
    local = jnp.diag(1 - x * x)
    dz = jnp.linalg.solve((jnp.eye(len(b), dtype=b.dtype) - local @ W).T, dy) @ local
    return jnp.outer(dz, x), dz


equilibrium = Operator(
    "dense/equilibrium",
    _equilibrium,
    _equilibrium_fwd,
    _equilibrium_bwd,
    lambda dtype: (draw(dtype, 3, 3, scale=0.25), draw(dtype, 3, seed=1)),
)


# ---- built on others --------------------------------------------------------------------------------------

_layer = linear.rule()


def _two_layers(parameters, x):
    hidden = _layer(x, parameters["first"]["W"], parameters["first"]["b"])
    return _layer(jnp.tanh(hidden), *parameters["second"])


def _two_layers_plain(parameters, x):
    hidden = _linear(x, parameters["first"]["W"], parameters["first"]["b"])
    return _linear(jnp.tanh(hidden), *parameters["second"])


def _two_layers_args():
    x, W1, b1, W2, b2 = _mlp_args("float32")
    return {"first": {"W": W1, "b": b1}, "second": (W2, b2)}, x


def _narrow(x, W, b):
    return _linear(*(a.astype(jnp.float32) for a in (x, W, b))).astype(x.dtype)


def _narrow_bwd(x, W, dy):
    cotangents = _linear_bwd(*(a.astype(jnp.float32) for a in (x, W, dy)))
    return tuple(c.astype(x.dtype) for c in cotangents)


narrow = Operator(
    "dense/linear in float32",
    _narrow,
    lambda x, W, b: (_narrow(x, W, b), (x, W)),
    _narrow_bwd,
    lambda dtype: _linear_args(dtype, 3, 4, 5),
)

CASES = (
    linear.right("bfloat16", "bfloat16"),
    linear.right(
        "float16, small", make_args=lambda: (draw("float16", 2, 4, scale=1e-3), *_linear_args("float16")[1:])
    ),
    linear.right("one example", make_args=lambda: _linear_args("float32", 1, 4, 5)),
    linear.right(
        "a million", make_args=lambda: tuple(a * np.float32(1e6) for a in _linear_args("float32", 3, 4, 5))
    ),
    linear.right("jitted", "float64", wrap=jax.jit),
    linear.right(
        "vmapped",
        make_args=lambda: (draw("float32", 3, 2, 4), draw("float32", 3, 5, 4), draw("float32", 3, 5)),
        wrap=jax.vmap,
    ),
    mlp.right("a millionth", make_args=lambda: _mlp_args("float64", 1e-6)),
    mlp.right("bfloat16", "bfloat16"),
    penalty.right("static strength", "float16"),
    residual.right("float64", "float64"),
    pruned.right("boolean argument", "bfloat16"),
    solve.right("adjoint", "float64"),
    equilibrium.right(
        "implicit, no second order",
        "float64",
        oracle_vjp=_equilibrium_by_newton,
        domains=((-0.3, 0.3), (-2.0, 2.0)),
    ),
    narrow.right("float64 arguments", "float64", precision="float32"),
    Case("dense/two layers/parameters in a tree", _two_layers, _two_layers_args, oracle=_two_layers_plain),
    Case("dense/two layers/no oracle", jax.jit(_two_layers), _two_layers_args, plain=_two_layers_plain),
    linear.wrong("missing transpose", lambda x, W, dy: (dy @ W.T, dy.T @ x, dy.sum(0)), (0,), "float64"),
    linear.wrong("transposed result", lambda x, W, dy: (dy @ W, x.T @ dy, dy.sum(0)), (1,)),
    linear.wrong("detached", lambda x, W, dy: (dy @ W, dy.T @ x, jnp.zeros_like(dy[0])), (2,), "bfloat16"),
    linear.wrong(
        "partly wrong",
        lambda x, W, dy: (dy @ W, (dy.T @ x).at[:, -1].set(0.0), dy.sum(0)),
        (1,),
        detail="last column of dW",
    ),
    linear.wrong("cotangent dtype", _float32_products, (1,), "bfloat16"),
    linear.wrong(
        "batch of one",
        lambda x, W, dy: (dy @ W, jnp.outer(dy[0], x[0]), dy.sum(0)),
        (1,),
        make_args=lambda: _linear_args("float32", 1, 4, 5),
        shows_at=lambda: _linear_args("float32", 2, 4, 5),
    ),
    linear.wrong("forward mismatch", fwd=lambda x, W, b: (x @ W.T, (x, W)), detail="bias left out"),
    linear.wrong(
        "upstream ignored",
        lambda x, W, dy: (dy @ W, dy.T @ x, jnp.full_like(dy[0], dy.shape[0])),
        (2,),
        "float64",
    ),
    bias.wrong("missing sum", lambda dy: (dy, dy[0]), (1,)),
    bias.wrong("wrong axis", lambda dy: (dy, dy.sum(1)), (1,), "float64"),
    bias.wrong("extra sum", lambda dy: (jnp.broadcast_to(dy.sum(0), dy.shape), dy.sum(0)), (0,)),
    mlp.wrong("missing transpose", _mlp_missing_transpose, (0, 1, 2)),
    mlp.wrong("missing factor", _mlp_missing_factor, (0, 1, 2), "float64"),
    mlp.wrong("arguments swapped", _mlp_swapped, (2, 4)),
    bilinear.wrong(
        "transposed result",
        lambda x, A, y, ds: (ds * (A @ y), ds * jnp.outer(y, x), ds * (A.T @ x)),
        (1,),
        "float16",
    ),
    bilinear.wrong(
        "missing transpose",
        lambda x, A, y, ds: (ds * (A @ y), ds * jnp.outer(x, y), ds * (A @ x)),
        (2,),
        "float64",
    ),
    bilinear.wrong(
        "arguments swapped", lambda x, A, y, ds: (ds * (A.T @ x), ds * jnp.outer(x, y), ds * (A @ y)), (0, 2)
    ),
    residual.wrong(
        "path forgotten", lambda x, W, h, dy: ((dy * (1 - h * h)) @ W, (dy * (1 - h * h)).T @ x), (0,)
    ),
    residual.wrong(
        "missing factor", lambda x, W, h, dy: (dy + dy @ W, (dy * (1 - h * h)).T @ x), (0,), "bfloat16"
    ),
    penalty.wrong("constant factor", lambda strength, W, dy: (dy * W,), (0,), detail="strength left out"),
    penalty.wrong("upstream ignored", lambda strength, W, dy: (strength * W,), (0,), "float64"),
    pruned.wrong("stale residual", fwd=_pruned_fwd_stale, arguments=(0,), detail="W before pruning"),
    pruned.wrong(
        "wrong mask",
        lambda x, W, kept, dy: (dy @ W, jnp.where(kept, 0.0, dy.T @ x), None),
        (1,),
        also=("padding",),
    ),
    solve.wrong("missing transpose", _solve_missing_transpose, (0, 1), "float64"),
    solve.wrong("transposed result", _solve_transposed, (0,), "float64"),
    solve.wrong("sign", _solve_sign, (0,), "float64"),
)
