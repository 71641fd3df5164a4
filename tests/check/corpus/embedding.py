"""Rows of a table: lookup, padding, bags, windows, positions, segment sums, a table used twice."""

import jax
import jax.numpy as jnp

from tests.check.corpus._case import Operator, draw, ids


def _rows(table, where, dy):
    return jnp.zeros_like(table).at[where].add(dy)


# ---- lookup -----------------------------------------------------------------------------------------------


def _lookup(table, where):
    return table[where]


def _lookup_fwd(table, where):
    return table[where], (table, where)


def _lookup_bwd(table, where, dy):
    return _rows(table, where, dy), None


lookup = Operator(
    "embedding/lookup",
    _lookup,
    _lookup_fwd,
    _lookup_bwd,
    lambda dtype: (draw(dtype, 5, 3), ids(4, 1, 1, 0)),
)

# ---- a padding row, whose embedding is zero ---------------------------------------------------------------


def _padded(table, where, padding):
    return jnp.where((where == padding)[..., None], 0.0, table[where])


def _padded_fwd(table, where, padding):
    return _padded(table, where, padding), (table, where)


def _padded_bwd(padding, table, where, dy):
    return _rows(table, where, jnp.where((where == padding)[..., None], 0.0, dy)), None


padded = Operator(
    "embedding/padded lookup",
    _padded,
    _padded_fwd,
    _padded_bwd,
    lambda dtype: (draw(dtype, 4, 3), ids(2, 0, 3, 0, 2), 0),
    static=(2,),
)

# ---- rows scaled to length one before they are looked up --------------------------------------------------


def _unit_rows(table):
    return table / jnp.sqrt(jnp.sum(table * table, -1, keepdims=True))


def _normed(table, where):
    return _unit_rows(table)[where]


def _normed_fwd(table, where):
    unit = _unit_rows(table)
    return unit[where], (table, unit, where)


def _normed_bwd(table, unit, where, dy):
    drows = _rows(table, where, dy)
    length = jnp.sqrt(jnp.sum(table * table, -1, keepdims=True))
    return (drows - unit * jnp.sum(unit * drows, -1, keepdims=True)) / length, None


normed = Operator(
    "embedding/unit lookup",
    _normed,
    _normed_fwd,
    _normed_bwd,
    lambda dtype: (draw(dtype, 4, 3), ids(2, 0, 2)),
)

# ---- a weighted bag of rows -------------------------------------------------------------------------------


def _bag(table, where, weights):
    return jnp.sum(table[where] * weights[..., None], -2)


def _bag_fwd(table, where, weights):
    return _bag(table, where, weights), (table, where, weights)


def _bag_bwd(table, where, weights, dy):
    drows = dy[:, None] * weights[..., None]
    return _rows(table, where, drows), None, jnp.sum(dy[:, None] * table[where], -1)


bag = Operator(
    "embedding/bag",
    _bag,
    _bag_fwd,
    _bag_bwd,
    lambda dtype: (draw(dtype, 5, 3), ids([0, 3, 3], [4, 1, 0]), draw(dtype, 2, 3, seed=1)),
)

# ---- a window of three: before, here, after ---------------------------------------------------------------


def _window(x):
    padded = jnp.pad(x, ((1, 1), (0, 0)))
    return jnp.concatenate([padded[:-2], padded[1:-1], padded[2:]], -1)


def _pieces(dy):
    before, here, after = jnp.split(dy, 3, -1)
    edge = jnp.zeros_like(here[:1])
    return before, here, after, edge


def _window_bwd(dy):
    before, here, after, edge = _pieces(dy)
    return (here + jnp.concatenate([before[1:], edge]) + jnp.concatenate([edge, after[:-1]]),)


def _window_reversed(dy):
    after, here, before, edge = _pieces(dy)
    return (here + jnp.concatenate([before[1:], edge]) + jnp.concatenate([edge, after[:-1]]),)


def _window_shifted(dy):
    before, here, after, edge = _pieces(dy)
    return (here + before + after,)


def _window_cyclic(dy):
    before, here, after, _ = _pieces(dy)
    return (here + jnp.roll(before, -1, 0) + jnp.roll(after, 1, 0),)


def _window_setting(dy):
    before, here, after, _ = _pieces(dy)
    return (here.at[:-1].set(before[1:]).at[1:].set(after[:-1]),)


window = Operator(
    "embedding/window", _window, lambda x: (_window(x), ()), _window_bwd, lambda dtype: (draw(dtype, 5, 2),)
)

# ---- one vector a position, shared by the batch -----------------------------------------------------------


def _position(x, p):
    return x + p[None]


position = Operator(
    "embedding/position",
    _position,
    lambda x, p: (_position(x, p), ()),
    lambda dy: (dy, dy.sum(0)),
    lambda dtype: (draw(dtype, 2, 3, 4), draw(dtype, 3, 4, seed=1)),
)

# ---- sums of segments, and entries taken along an axis ----------------------------------------------------


def _segment_sum(x, segments, n):
    return jax.ops.segment_sum(x, segments, n)


segment_sum = Operator(
    "embedding/segment sum",
    _segment_sum,
    lambda x, segments, n: (_segment_sum(x, segments, n), (segments,)),
    lambda n, segments, dy: (dy[segments], None),
    lambda dtype: (draw(dtype, 5, 2), ids(0, 2, 2, 0, 1), 4),
    static=(2,),
)


def _take(x, where):
    return jnp.take_along_axis(x, where, -1)


def _take_bwd(x, where, dy):
    return jnp.zeros_like(x).at[jnp.arange(len(x))[:, None], where].add(dy), None


take = Operator(
    "embedding/take along axis",
    _take,
    lambda x, where: (_take(x, where), (x, where)),
    _take_bwd,
    lambda dtype: (draw(dtype, 2, 4), ids([0, 2, 2], [3, 3, 1])),
)

# ---- one table for the input and for the scores -----------------------------------------------------------


def _tied(table, where):
    return table[where] @ table.T


def _tied_bwd(table, where, dy):
    return dy.T @ table[where] + _rows(table, where, dy @ table), None


tied = Operator(
    "embedding/tied",
    _tied,
    lambda table, where: (_tied(table, where), (table, where)),
    _tied_bwd,
    lambda dtype: (draw(dtype, 4, 3), ids(3, 1, 3)),
)

CASES = (
    lookup.right("repeated, bfloat16", "bfloat16"),
    lookup.right("one index", make_args=lambda: (draw("float32", 5, 3), ids(2))),
    lookup.right("scalar index", make_args=lambda: (draw("float64", 5, 3), ids(3)[0])),
    lookup.right("one row everywhere", make_args=lambda: (draw("float16", 3, 2), ids([1, 1], [1, 1]))),
    padded.right("padding alone", make_args=lambda: (draw("float32", 4, 3), ids(0, 0), 0)),
    normed.right("rows of a millionth", make_args=lambda: (draw("float32", 4, 3, scale=1e-6), ids(2, 0, 2))),
    bag.right("two dimensions of indices", "float64"),
    window.right("one position", make_args=lambda: (draw("float32", 1, 2),)),
    segment_sum.right("an empty segment", "float16"),
    take.right("jitted", "float64", wrap=jax.jit),
    tied.right("used twice", "bfloat16"),
    position.right(
        "batched by vmap",
        wrap=lambda f: jax.vmap(f, in_axes=(0, None)),
        make_args=lambda: (draw("float32", 2, 3, 4, 5), draw("float32", 4, 5)),
        in_axes=(0, None),
    ),
    lookup.wrong(
        "set instead of add", lambda table, where, dy: (jnp.zeros_like(table).at[where].set(dy), None), (0,)
    ),
    lookup.wrong(
        "set instead of add",
        lambda table, where, dy: (jnp.zeros_like(table).at[where].set(dy), None),
        (0,),
        "bfloat16",
        detail="hidden by distinct indices",
        make_args=lambda: (draw("bfloat16", 5, 3), ids(4, 1, 0)),
        shows_at=lambda: (draw("bfloat16", 5, 3), ids(1, 1, 1)),
    ),
    lookup.wrong("off by one", lambda table, where, dy: (_rows(table, where - 1, dy), None), (0,)),
    lookup.wrong(
        "non-linear in cotangent",
        lambda table, where, dy: (
            _rows(table, where, dy / jnp.sqrt(1 + jnp.sum(dy * dy, -1, keepdims=True))),
            None,
        ),
        (0,),
        "float64",
        detail="row gradients normalised",
    ),
    lookup.wrong(
        "cotangent dtype",
        lambda table, where, dy: (_rows(table.astype(jnp.float32), where, dy.astype(jnp.float32)), None),
        (0,),
        "bfloat16",
    ),
    lookup.wrong(
        "upstream ignored", lambda table, where, dy: (_rows(table, where, jnp.ones_like(dy)), None), (0,)
    ),
    lookup.wrong(
        "partly wrong",
        lambda table, where, dy: (_rows(table, where, dy).at[-1].set(0.0), None),
        (0,),
        detail="last row left out",
    ),
    padded.wrong("padding", lambda padding, table, where, dy: (_rows(table, where, dy), None), (0,)),
    padded.wrong(
        "not traceable",
        lambda padding, table, where, dy: (
            _padded_bwd(padding, table, where, dy)
            if bool(jnp.any(where == padding))
            else _lookup_bwd(table, where, dy)
        ),
        detail="a short cut without padding",
    ),
    normed.wrong(
        "stale residual",
        _normed_bwd,
        (0,),
        fwd=lambda table, where: (_normed(table, where), (table, table, where)),
        detail="rows before scaling",
    ),
    normed.wrong(
        "missing term",
        lambda table, unit, where, dy: (
            _rows(table, where, dy) / jnp.sqrt(jnp.sum(table * table, -1, keepdims=True)),
            None,
        ),
        (0,),
        "float64",
        also=("path forgotten",),
    ),
    bag.wrong(
        "missing factor",
        lambda table, where, weights, dy: (
            _rows(table, where, dy[:, None] * jnp.ones_like(weights)[..., None]),
            *_bag_bwd(table, where, weights, dy)[1:],
        ),
        (0,),
        detail="the weights",
    ),
    bag.wrong(
        "set instead of add",
        lambda table, where, weights, dy: (
            jnp.zeros_like(table).at[where].set(dy[:, None] * weights[..., None]),
            *_bag_bwd(table, where, weights, dy)[1:],
        ),
        (0,),
        "float64",
    ),
    bag.wrong(
        "detached",
        lambda table, where, weights, dy: (*_bag_bwd(table, where, weights, dy)[:2], None),
        (2,),
        "float16",
    ),
    window.wrong("order reversed", _window_reversed, (0,)),
    window.wrong(
        "off by one",
        _window_shifted,
        (0,),
        "float64",
        also=("order reversed",),
        detail="neighbours not moved back",
    ),
    window.wrong("padding", _window_cyclic, (0,), detail="the edges wrap around"),
    window.wrong("set instead of add", _window_setting, (0,), "float16"),
    position.wrong("missing sum", lambda dy: (dy, dy[0]), (1,), "bfloat16"),
    position.wrong(
        "extra sum", lambda dy: (jnp.broadcast_to(dy.sum(1, keepdims=True), dy.shape), dy.sum(0)), (0,)
    ),
    position.wrong(
        "batch of one",
        lambda dy: (dy, dy.reshape(-1, *dy.shape[2:])[: dy.shape[1]]),
        (1,),
        make_args=lambda: (draw("float32", 1, 3, 4), draw("float32", 3, 4)),
        shows_at=lambda: (draw("float32", 2, 3, 4), draw("float32", 3, 4)),
    ),
    segment_sum.wrong("off by one", lambda n, segments, dy: (dy[segments + 1], None), (0,), "bfloat16"),
    segment_sum.wrong("order reversed", lambda n, segments, dy: (dy[segments][::-1], None), (0,), "float64"),
    take.wrong(
        "set instead of add",
        lambda x, where, dy: (jnp.zeros_like(x).at[jnp.arange(len(x))[:, None], where].set(dy), None),
        (0,),
        "float64",
    ),
    take.wrong(
        "partly wrong",
        lambda x, where, dy: (_take_bwd(x, where, dy)[0].at[-1].set(0.0), None),
        (0,),
        detail="last row left out",
    ),
    tied.wrong(
        "path forgotten", lambda table, where, dy: (dy.T @ table[where], None), (0,), detail="the lookup"
    ),
    tied.wrong(
        "path forgotten",
        lambda table, where, dy: (_rows(table, where, dy @ table), None),
        (0,),
        "float64",
        detail="the scores",
    ),
)
