"""Arrays split over eight (virtual) devices: same values, and gradients live where their arguments live."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxbackprop import ops
from jaxbackprop.ops.catalogue import CATALOGUE
from tests.parts import a_part

ROWS = np.linspace(-2, 2, 8 * 4, dtype=np.float32).reshape(8, 4)
WEIGHTS = np.linspace(-1, 1, 6 * 4, dtype=np.float32).reshape(6, 4)
BIAS = np.linspace(0, 1, 6, dtype=np.float32)
TABLE = np.linspace(-1, 1, 16 * 4, dtype=np.float32).reshape(16, 4)
IDS = np.array(
    [[0, 5, 5], [15, 1, 2], [3, 3, 3], [-1, 0, 9], [7, 8, 9], [4, 4, -1], [2, 1, 0], [11, 12, 13]], np.int32
)
LABELS = np.array([0, 1, 2, 3, 3, -1, 1, 0], np.int32)
SOFT = np.full((8, 4), 0.25, np.float32)
UNEVEN = np.sin(np.arange(64 * 4, dtype=np.float32)).reshape(64, 4)
FEATURES = np.array([0.5, 1.0, -1.0, 2.0], np.float32)
COUNTED = np.arange(64) % 3 > 0


def with_statistics(y, mean, var):
    return y * var[None] + mean[None]


STEPS = np.sin(np.arange(8 * 8 * 4, dtype=np.float32)).reshape(8, 8, 4)
STATE = np.cos(np.arange(8 * 6, dtype=np.float32)).reshape(8, 6)
W_X, W_H = WEIGHTS, np.sin(np.arange(36, dtype=np.float32)).reshape(6, 6) / 2
RUNS = np.arange(8) <= np.array([[7], [0], [4], [7], [6], [2], [3], [7]])
HEADS = np.cos(np.arange(8 * 8 * 2 * 4, dtype=np.float32)).reshape(8, 8, 2, 4)


# (name, function of the differentiable arguments, arguments, their specs, further arguments and specs)
CASES = {
    "linear, rows split": (ops.linear, (ROWS, WEIGHTS, BIAS), (P("data"), P(), P())),
    "linear, outputs split": (ops.linear, (ROWS, WEIGHTS, BIAS), (P("data"), P("model"), P("model"))),
    "linear, inputs split": (ops.linear, (ROWS, WEIGHTS, BIAS), (P("data", "model"), P(None, "model"), P())),
    "linear, weights split as the rows": (ops.linear, (ROWS, WEIGHTS[:4]), (P("data"), P("data"))),
    "linear, sequences split": (ops.linear, (STEPS, WEIGHTS, BIAS), (P("data"), P(), P())),
    "linear, steps split": (ops.linear, (STEPS, WEIGHTS, BIAS), (P(None, "data"), P("model"), P("model"))),
    "embedding, ids split": (
        lambda table, ids: ops.embedding(table, ids, padding_id=-1),
        (TABLE, IDS),
        (P(), P("data")),
    ),
    "embedding, table split by rows": (
        lambda table, ids: ops.embedding(table, ids, padding_id=-1),
        (TABLE, IDS),
        (P("model"), P("data")),
    ),
    "embedding, table and ids on one axis": (
        lambda table, ids: ops.embedding(table, ids, padding_id=-1),
        (TABLE, IDS),
        (P("data"), P("data")),
    ),
    "window_lookup, table split by rows": (
        lambda table, ids: ops.window_lookup(table, ids, padding_id=-1),
        (TABLE, IDS),
        (P("data"), P("data")),
    ),
    "softmax_cross_entropy, rows split": (
        lambda logits, labels: ops.softmax_cross_entropy(logits, labels, ignore_label=-1),
        (ROWS, LABELS),
        (P("data"), P("data")),
    ),
    "softmax_cross_entropy, classes split": (
        lambda logits, labels: ops.softmax_cross_entropy(logits, labels, ignore_label=-1),
        (ROWS, LABELS),
        (P("data", "model"), P("data")),
    ),
    "softmax_cross_entropy, soft": (ops.softmax_cross_entropy, (ROWS, SOFT), (P("data"), P("data"))),
    "softmax_cross_entropy, labels whole": (
        lambda logits, labels: ops.softmax_cross_entropy(logits, labels, ignore_label=-1),
        (ROWS, LABELS),
        (P(), P("data")),
    ),
    "softmax_cross_entropy, soft labels whole": (ops.softmax_cross_entropy, (ROWS, SOFT), (P("data"), P())),
    "softmax_cross_entropy, soft labels split further": (
        ops.softmax_cross_entropy,
        (ROWS, SOFT),
        (P("data"), P("data", "model")),
    ),
    "window_lookup, table split by columns": (
        lambda table, ids: ops.window_lookup(table, ids, padding_id=-1),
        (TABLE, IDS),
        (P(None, "model"), P("data")),
    ),
    "linear, all split on one axis": (
        ops.linear,
        (ROWS, WEIGHTS[:4], BIAS[:4]),
        (P("data"), P("data"), P("data")),
    ),
    "linear_softmax_cross_entropy, classes split": (
        lambda x, W, labels, b: ops.linear_softmax_cross_entropy(
            x, W, labels, b, ignore_label=-1, label_smoothing=0.1, chunk=4
        ),
        (ROWS, WEIGHTS, LABELS, BIAS),
        (P(), P("model"), P(), P("model")),
    ),
    "linear_softmax_cross_entropy, tokens and classes split": (
        lambda x, W, labels, b: ops.linear_softmax_cross_entropy(
            x, W, labels, b, ignore_label=-1, label_smoothing=0.1, reduction="none", chunk=4
        ),
        (ROWS, WEIGHTS, LABELS, BIAS),
        (P("data"), P("model"), P("data"), P("model")),
    ),
    "linear_softmax_cross_entropy, all split on one axis": (
        lambda x, W, labels: ops.linear_softmax_cross_entropy(x, W, labels, ignore_label=-1, chunk=3),
        (ROWS, WEIGHTS[:4], LABELS),
        (P("data"), P("data"), P("data")),
    ),
    "linear_softmax_cross_entropy, inputs split": (
        lambda x, W, labels, b: ops.linear_softmax_cross_entropy(
            x.reshape(2, 4, 4), W, labels.reshape(2, 4), b, ignore_label=-1, reduction="sum"
        ),
        (ROWS, WEIGHTS, LABELS, BIAS),
        (P(None, "model"), P(None, "model"), P(), P()),
    ),
    "sigmoid": (ops.sigmoid, (ROWS,), (P("data"),)),
    "tanh": (ops.tanh, (ROWS,), (P("data", "model"),)),
    "hardtanh": (ops.hardtanh, (ROWS,), (P("data"),)),
    "max, along a whole axis": (lambda x: ops.max(x, 1), (ROWS,), (P("data"),)),
    "max, along a split axis": (lambda x: ops.max(x, 0), (ROWS,), (P("data"),)),
    "maximum": (ops.maximum, (ROWS, -ROWS), (P("data"), P("data"))),
    "maximum, broadcast": (ops.maximum, (ROWS, ROWS[2:3]), (P("data"), P())),
    "add": (ops.add, (ROWS, ROWS[:1]), (P("data", "model"), P())),
    "multiply": (ops.multiply, (ROWS, ROWS[:1]), (P("data"), P())),
    "copy": (lambda x: sum(ops.copy(x, 3)), (ROWS,), (P("data"),)),
    "relu": (ops.relu, (ROWS,), (P("data"),)),
    "leaky_relu": (ops.leaky_relu, (ROWS,), (P("data", "model"),)),
    "prelu, a slope a channel": (ops.prelu, (ROWS, ROWS[0]), (P("data", "model"), P("model"))),
    "prelu, one slope": (ops.prelu, (ROWS, ROWS[0, :1]), (P("data"), P())),
    "elu": (ops.elu, (ROWS,), (P("data"),)),
    "softplus": (ops.softplus, (ROWS,), (P("data"),)),
    "silu": (ops.silu, (ROWS,), (P("data"),)),
    "gelu": (ops.gelu, (ROWS,), (P("data", "model"),)),
    "gelu, exact": (lambda x: ops.gelu(x, approximate=False), (ROWS,), (P("data"),)),
    "sigmoid_binary_cross_entropy": (
        ops.sigmoid_binary_cross_entropy,
        (ROWS, np.abs(ROWS) / 2),
        (P("data"), P("data")),
    ),
    "mean_squared_error": (ops.mean_squared_error, (ROWS, ROWS[::-1]), (P("data"), P("data"))),
    "logsumexp, along a whole axis": (ops.logsumexp, (ROWS,), (P("data"),)),
    "logsumexp, along a split axis": (lambda x: ops.logsumexp(x, 0), (ROWS,), (P("data"),)),
    "softmax, along a whole axis": (ops.softmax, (ROWS,), (P("data"),)),
    "softmax, along a split axis": (ops.softmax, (ROWS,), (P("data", "model"),)),
    "dropout": (lambda x: ops.dropout(x, jax.random.key(0), 0.5), (ROWS,), (P("data"),)),
    "l2": (lambda W, b: ops.l2({"W": W, "b": b}, 0.1, biases=True), (WEIGHTS, BIAS), (P("model"), P())),
    "batch_norm, rows split": (
        lambda *args: with_statistics(*ops.batch_norm(*args)),
        (UNEVEN, FEATURES, FEATURES + 1, COUNTED),
        (P("data"), P(), P(), P("data")),
    ),
    "batch_norm, rows and features split": (
        lambda *args: with_statistics(*ops.batch_norm(*args)),
        (UNEVEN, FEATURES, FEATURES + 1, COUNTED),
        (P("data", "model"), P("model"), P(), P("data")),
    ),
    "batch_norm, parameters split as the rows": (
        lambda *args: with_statistics(*ops.batch_norm(*args)),
        (UNEVEN, FEATURES, FEATURES + 1),
        (P("data"), P("data"), P("data")),
    ),
    "batch_norm_inference": (
        ops.batch_norm_inference,
        (UNEVEN, FEATURES, np.abs(FEATURES), FEATURES, FEATURES + 1),
        (P("data", "model"), P(), P("model"), P("data"), P()),
    ),
    "layer_norm, rows split": (
        ops.layer_norm,
        (UNEVEN, FEATURES, FEATURES + 1),
        (P("data"), P(), P("data")),
    ),
    "layer_norm, rows and features split": (
        ops.layer_norm,
        (UNEVEN.reshape(8, 8, 4), FEATURES, FEATURES + 1),
        (P("data", None, "model"), P("model"), P()),
    ),
    "rnn, sequences split": (ops.rnn, (STEPS, W_X, W_H, BIAS, STATE), (P("data"), P(), P(), P(), P("data"))),
    "rnn, units split": (
        ops.rnn,
        (STEPS, W_X, W_H, BIAS, STATE),
        (P("data"), P("model"), P("model"), P("model"), P("data", "model")),
    ),
    "rnn, the columns of W_h split": (
        ops.rnn,
        (STEPS, W_X, W_H, BIAS, STATE),
        (P("data"), P(), P(None, "model"), P(), P()),
    ),
    "rnn, features split": (ops.rnn, (STEPS, W_X, W_H), (P("data", None, "model"), P(None, "model"), P())),
    "rnn, steps split": (ops.rnn, (STEPS, W_X, W_H), (P(None, "data"), P("model"), P())),
    "rnn, masked": (
        lambda x, W_x, W_h, mask: ops.rnn(x, W_x, W_h, mask=mask),
        (STEPS, W_X, W_H, RUNS),
        (P("data"), P("model"), P("model"), P()),
    ),
    "bare_rnn": (lambda W, h: ops.bare_rnn(W, h, 3), (W_H, STATE), (P(), P("data"))),
    "bare_rnn, units split": (
        lambda W, h: ops.bare_rnn(W, h, 3),
        (W_H, STATE),
        (P("model"), P("data", "model")),
    ),
    "max_pool": (lambda x: ops.max_pool(x, 3, 2), (STEPS,), (P("data"),)),
    "max_pool, features split": (lambda x: ops.max_pool(x, 2), (STEPS,), (P("data", None, "model"),)),
    "max_pool, steps split": (lambda x: ops.max_pool(x, 4, 3), (STEPS,), (P(None, "data"),)),
    "attention, sequences split": (ops.attention, (HEADS, HEADS, HEADS), (P("data"),) * 3),
    "attention, heads split": (ops.attention, (HEADS, HEADS[::-1], HEADS), (P("data", None, "model"),) * 3),
    "attention, steps split": (
        ops.attention,
        (HEADS, HEADS[::-1], HEADS),
        (P(None, "data"), P(None, "data"), P(None, "data")),
    ),
    "attention, features split": (
        ops.attention,
        (HEADS, HEADS[::-1], HEADS),
        (P("data", None, None, "model"),) * 3,
    ),
    "attention, keys whole": (ops.attention, (HEADS, HEADS[::-1], HEADS), (P("data"), P(), P())),
    "attention, masked": (
        lambda q, k, v, mask: ops.attention(q, k, v, mask),
        (HEADS, HEADS[::-1], HEADS, RUNS[:, None, None, :]),
        (*(P("data", None, "model"),) * 3, P("data")),
    ),
    "attention, one mask for all, and dropout": (
        lambda q, k, v, mask: ops.attention(q, k, v, mask, jax.random.key(0), dropout_rate=0.5),
        (HEADS, HEADS[::-1], HEADS, np.tril(np.ones((8, 8), np.bool_))),
        (*(P("data", None, "model"),) * 3, P()),
    ),
}


def test_every_operator_is_split():
    assert {name.split(",")[0] for name in CASES} == {row.name for row in CATALOGUE}


@pytest.fixture(scope="module", params=a_part(CASES, 2, str))
def case(request):
    """A case with a compiled gradient, and what it gives for whole arrays."""
    function, arguments, specs = CASES[request.param]
    differentiable = tuple(i for i, a in enumerate(arguments) if a.dtype == np.float32)

    def loss(*args):
        y = function(*args)
        return jnp.sum(y * y), y

    gradient = jax.jit(jax.value_and_grad(loss, differentiable, has_aux=True))
    (_, want), want_gradients = gradient(*map(jnp.asarray, arguments))
    return request.param, gradient, arguments, specs, differentiable, want, want_gradients


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit], ids=["auto", "explicit"])
def test_split_equals_whole(case, kind):
    name, gradient, arguments, specs, differentiable, want, want_gradients = case
    mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(kind, kind))
    with jax.set_mesh(mesh):
        split = [
            jax.device_put(a, NamedSharding(mesh, spec)) for a, spec in zip(arguments, specs, strict=True)
        ]
        (_, got), got_gradients = gradient(*split)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    for i, got_gradient, want_gradient in zip(differentiable, got_gradients, want_gradients, strict=True):
        np.testing.assert_allclose(got_gradient, want_gradient, rtol=1e-5, atol=1e-6)
        if kind is AxisType.Explicit or "table" in name:
            assert got_gradient.sharding.is_equivalent_to(split[i].sharding, split[i].ndim)


SHARD_MAPPED = {
    "batch_norm": (
        lambda *args: with_statistics(*ops.batch_norm(*args)),
        (UNEVEN, FEATURES, FEATURES + 1, COUNTED),
        (P("d"), P(), P(), P("d")),
    ),
    "batch_norm_inference": (
        ops.batch_norm_inference,
        (UNEVEN, FEATURES, np.abs(FEATURES), FEATURES, FEATURES + 1),
        (P("d"), P(), P(), P(), P()),
    ),
    "layer_norm": (ops.layer_norm, (UNEVEN, FEATURES, FEATURES + 1), (P("d"), P(), P())),
    "linear": (ops.linear, (ROWS, WEIGHTS, BIAS), (P("d"), P(), P())),
    "linear, no bias": (ops.linear, (ROWS, WEIGHTS), (P("d"), P())),
    "embedding": (ops.embedding, (TABLE, np.abs(IDS)), (P(), P("d"))),
    "window_lookup": (ops.window_lookup, (TABLE, np.abs(IDS)), (P(), P("d"))),
    "softmax_cross_entropy": (ops.softmax_cross_entropy, (ROWS, np.abs(LABELS)), (P("d"), P("d"))),
    "softmax_cross_entropy, soft": (
        ops.softmax_cross_entropy,
        (ROWS, SOFT[:1].repeat(8, 0)),
        (P("d"), P("d")),
    ),
    "linear_softmax_cross_entropy": (
        lambda x, W, labels, b: ops.linear_softmax_cross_entropy(x, W, labels, b, label_smoothing=0.1),
        (ROWS, WEIGHTS, np.abs(LABELS), BIAS),
        (P("d"), P(), P("d"), P()),
    ),
    "linear_softmax_cross_entropy, a loss a token": (
        lambda x, W, labels: ops.linear_softmax_cross_entropy(x, W, labels, reduction="none"),
        (UNEVEN, WEIGHTS, np.arange(64, dtype=np.int32) % 6),
        (P("d"), P(), P("d")),
    ),
    "maximum": (ops.maximum, (ROWS, ROWS[2:3]), (P("d"), P())),
    "multiply": (ops.multiply, (ROWS, ROWS[2:3]), (P("d"), P())),
    "add": (ops.add, (ROWS, ROWS[2:3]), (P("d"), P())),
    "tanh": (ops.tanh, (ROWS,), (P("d"),)),
    "prelu": (ops.prelu, (ROWS, ROWS[0]), (P("d"), P())),
    "softmax": (ops.softmax, (ROWS,), (P("d"),)),
    "mean_squared_error": (ops.mean_squared_error, (ROWS, ROWS[:1]), (P("d"), P())),
    "l2": (lambda W, x: ops.l2({"W": W, "V": x}, 0.1), (WEIGHTS, ROWS), (P(), P("d"))),
    "rnn": (ops.rnn, (STEPS, W_X, W_H, BIAS), (P("d"), P(), P(), P())),
    "rnn, one state for all": (
        lambda x, W_x, W_h, h0: ops.rnn(x, W_x, W_h, None, h0, activation="relu"),
        (STEPS, W_X, W_H, STATE[:1]),
        (P("d"), P(), P(), P()),
    ),
    "rnn, one input for all, masked": (
        lambda x, W_x, W_h, mask: ops.rnn(x, W_x, W_h, mask=mask),
        (STEPS[:1], W_X, W_H, RUNS),
        (P(), P(), P(), P("d")),
    ),
    "bare_rnn": (lambda W, h: ops.bare_rnn(W, h, 3), (W_H, STATE), (P(), P("d"))),
    "max_pool": (lambda x: ops.max_pool(x, 3), (STEPS,), (P("d"),)),
    "attention": (ops.attention, (HEADS, HEADS[:1], HEADS[1:2]), (P("d"), P(), P())),
    "attention, masked": (
        lambda q, k, v, mask: ops.attention(q, k, v, mask),
        (HEADS[:1], HEADS[1:2], HEADS[2:3], RUNS[:, None, None, :]),
        (P(), P(), P(), P("d")),
    ),
}


@pytest.mark.parametrize("name", a_part(SHARD_MAPPED, 2, str))
def test_a_weight_shared_by_all_shards_receives_the_sum(name):
    function, arguments, specs = SHARD_MAPPED[name]
    differentiable = tuple(i for i, a in enumerate(arguments) if a.dtype == np.float32)
    shards = 8
    mesh = jax.make_mesh((shards,), ("d",), axis_types=(AxisType.Auto,))

    def local(*args):
        return jax.lax.psum(jnp.sum(jnp.sin(function(*args))), "d")

    def one_after_another(*args):
        pieces = [
            jnp.split(a, shards) if spec == P("d") else [a] * shards
            for a, spec in zip(args, specs, strict=True)
        ]
        return sum(jnp.sum(jnp.sin(function(*piece))) for piece in zip(*pieces, strict=True))

    mapped = jax.jit(jax.grad(jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=P()), differentiable))
    want = jax.jit(jax.grad(one_after_another, differentiable))(*map(jnp.asarray, arguments))
    for g, w in zip(mapped(*map(jnp.asarray, arguments)), want, strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-6)


def test_dropout_with_a_key_a_shard():
    mesh = jax.make_mesh((8,), ("d",), axis_types=(AxisType.Auto,))

    def local(x, keys):
        return jax.lax.psum(jnp.sum(ops.dropout(x, keys[0], 0.5)), "d")

    gradient = jax.grad(jax.shard_map(local, mesh=mesh, in_specs=(P(), P("d")), out_specs=P()))
    keys = jax.random.split(jax.random.key(0), 8)
    want = sum(ops.dropout(jnp.ones(64), key, 0.5) for key in keys)
    np.testing.assert_allclose(gradient(jnp.ones(64), keys), want)
