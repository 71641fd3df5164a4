"""The head without logits: values and gradients of every way to call it, and what it does not compute."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxbackprop import ops
from jaxbackprop.ops import plain

head = ops.linear_softmax_cross_entropy


def example(seed=0, leading=(7,), inputs=4, classes=6, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    x, W, b = (rng.normal(size=shape) for shape in ((*leading, inputs), (classes, inputs), (classes,)))
    labels = rng.integers(0, classes, leading)
    return *(jnp.asarray(a, dtype) for a in (x, W)), jnp.asarray(labels, jnp.int32), jnp.asarray(b, dtype)


def composed(x, W, labels, bias=None, *, ignore_label=None, reduction="mean"):
    """The same of the package's other operators, without smoothing."""
    losses = ops.softmax_cross_entropy(ops.linear(x, W, bias), labels, ignore_label=ignore_label)
    if reduction == "none":
        return losses
    if reduction == "sum":
        return jnp.sum(losses)
    counted = jnp.ones(labels.shape, jnp.bool_) if ignore_label is None else labels != ignore_label
    return jnp.sum(losses) / jnp.maximum(jnp.sum(counted.astype(x.dtype)), 1)


def gradients(f, x, W, labels, bias):
    """Of a sum in which each loss has a weight of its own."""

    def scalar(x, W, bias):
        y = f(x, W, labels, bias)
        return jnp.sum(y * jnp.cos(jnp.arange(y.size, dtype=y.dtype).reshape(y.shape)))

    return jax.jit(jax.value_and_grad(scalar, (0, 1, 2)))(x, W, bias)


@settings(max_examples=5)  # each compiles
@given(
    st.integers(0, 999),
    st.sampled_from([(), (1,), (7,), (3, 4), (0,)]),
    st.integers(1, 9),
    st.sampled_from(["none", "sum", "mean"]),
    st.sampled_from([None, -100, 0]),
)
def test_equals_the_loss_of_the_linear_map(seed, leading, chunk, reduction, ignore_label):
    with jax.enable_x64(True):
        x, W, labels, b = example(seed, leading, dtype=jnp.float64)
        if ignore_label is not None:
            labels = jnp.where(jnp.arange(labels.size).reshape(labels.shape) % 3 == 1, ignore_label, labels)
        keywords = {"ignore_label": ignore_label, "reduction": reduction}
        got = gradients(lambda *a: head(*a, chunk=chunk, **keywords), x, W, labels, b)
        want = gradients(lambda *a: composed(*a, **keywords), x, W, labels, b)
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-12, atol=1e-13), got, want)


@pytest.mark.parametrize("reduction", ["none", "mean"])
@pytest.mark.parametrize("smoothing", [0.1, 1.0])
def test_smoothed_labels_are_soft_labels(reduction, smoothing):
    x, W, labels, b = example()
    labels = labels.at[2].set(-1)

    def soft(x, W, labels, b):
        y = (1 - smoothing) * jax.nn.one_hot(labels, 6) + smoothing / 6
        losses = ops.softmax_cross_entropy(ops.linear(x, W, b), y)
        losses = jnp.where(labels == -1, 0.0, losses)
        return losses if reduction == "none" else jnp.sum(losses) / 6

    keywords = {"label_smoothing": smoothing, "ignore_label": -1, "reduction": reduction, "chunk": 3}
    got = gradients(lambda *a: head(*a, **keywords), x, W, labels, b)
    want = gradients(soft, x, W, labels, b)
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-6), got, want)


@pytest.mark.parametrize("chunk", [1, 2, 5, 7, 100, "auto", "lean", "fast"])
def test_the_chunk_changes_nothing(chunk):
    args = example()
    got = gradients(lambda *a: head(*a, chunk=chunk), *args)
    want = gradients(lambda *a: head(*a, chunk=3), *args)
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-6), got, want)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_half_precision_adds_in_float32(dtype, reduction):
    x, W, labels, b = example(leading=(600,), dtype=dtype)
    wide = [a.astype(jnp.float32) for a in (x, W, b)]

    def grads(f, x, W, b):
        return jax.jit(jax.grad(lambda *a: jnp.sum(f(*a).astype(jnp.float32) / 64), (0, 1, 2)))(x, W, b)

    def call(x, W, b):
        return head(x, W, labels, b, reduction=reduction, chunk=32)

    got, want = grads(call, x, W, b), grads(call, *wide)
    eps = float(jnp.finfo(dtype).eps)
    for g, w in zip(got, want, strict=True):
        assert g.dtype == dtype
        largest = float(np.abs(np.float32(w)).max())
        np.testing.assert_allclose(np.float32(g), np.float32(w), rtol=4 * eps, atol=eps * largest)


def test_a_scale_saves_a_small_half_precision_gradient():
    """The gradient of a mean over many underflows in float16, unless dy comes before the rounding."""
    x, W, labels, b = example(leading=(4096,), dtype=jnp.float16)
    scaled = jax.jit(jax.grad(lambda x: head(x, W, labels, b) * jnp.float16(2.0**12)))(x)
    exact = jax.grad(lambda x: head(x, W.astype(jnp.float32), labels, b.astype(jnp.float32)))(
        x.astype(jnp.float32)
    )
    np.testing.assert_allclose(np.float32(scaled) / 2.0**12, exact, rtol=0.02, atol=2e-3 * abs(exact).max())


def test_a_small_loss_keeps_the_digits_of_its_gradient():
    """Where p is near 1, p - 1 would have none left in float32."""
    x, W = jnp.asarray([[20.0, 1.0]]), jnp.asarray([[1.0, 0.5], [0.0, 2.0], [0.25, -1.0]])
    loss, (dx, dW) = jax.value_and_grad(head, (0, 1))(x, W, jnp.asarray([0]))
    z = np.float64(x) @ np.float64(W).T
    e = np.exp(z - z.max())
    p = e / e.sum()
    delta = p - [[1, 0, 0]]
    delta[0, 0] = -p[0, 1:].sum()
    np.testing.assert_allclose(loss, np.log1p(e[0, 1:].sum()), rtol=1e-5)
    np.testing.assert_allclose(dx, delta @ np.float64(W), rtol=1e-5)
    np.testing.assert_allclose(dW, delta.T @ np.float64(x), rtol=1e-5)


def test_a_scaled_loss_and_a_sum_of_losses():
    x, W, labels, b = example()
    others = jnp.flip(labels)

    def both(f):
        return lambda x, W, _, b: 3 * f(x, W, labels, b) + f(ops.tanh(x), W, others) ** 2

    got = gradients(both(lambda *a: head(*a, chunk=2)), x, W, labels, b)
    want = gradients(both(composed), x, W, labels, b)
    jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-6), got, want)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_inside_scan_remat_and_vmap(reduction):
    x, W, labels, b = example(leading=(3, 7))

    def total(f, W, x):
        @jax.checkpoint
        def step(carry, pair):
            x, labels = pair
            return carry + jnp.sum(f(ops.tanh(x), W, labels, b) ** 2), None

        return jax.lax.scan(step, jnp.zeros(()), (x, labels))[0]

    def grads(f):
        return jax.jit(jax.grad(lambda W, x: total(f, W, x), (0, 1)))(W, x)

    ours = lambda *a: head(*a, reduction=reduction, chunk=4)  # noqa: E731
    theirs = lambda *a: plain.linear_softmax_cross_entropy(*a, reduction=reduction)  # noqa: E731
    for got, want in zip(grads(ours), grads(theirs), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    mapped = jax.jit(jax.vmap(lambda x, y: jax.grad(lambda W: jnp.sum(ours(x, W, y)))(W)))(x, labels)
    for i in range(3):
        want = jax.grad(lambda W, i=i: jnp.sum(theirs(x[i], W, labels[i])))(W)
        np.testing.assert_allclose(mapped[i], want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_backwards_over_backwards(reduction):
    x, W, labels, b = example()

    def penalty(f):
        slope = jax.grad(lambda W: jnp.sum(f(x, W, labels, b, reduction=reduction) ** 2))
        return jax.jit(jax.grad(lambda W: jnp.sum(slope(W) ** 2)))(W)

    want = penalty(plain.linear_softmax_cross_entropy)
    np.testing.assert_allclose(penalty(head), want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_ignored_tokens_have_loss_and_gradient_zero_whatever_they_hold(reduction):
    x, W, labels, b = example()
    x, labels = x.at[1].set(jnp.nan), labels.at[1].set(-100)
    kept = np.array([0, 2, 3, 4, 5, 6])
    keywords = {"ignore_label": -100, "reduction": reduction, "chunk": 3}
    y, pull = jax.vjp(lambda x, W, b: head(x, W, labels, b, **keywords), x, W, b)
    dy = jnp.ones(()) if reduction != "none" else jnp.ones(7).at[1].set(jnp.inf)
    want, want_pull = jax.vjp(lambda x, W, b: head(x, W, labels[kept], b, **keywords), x[kept], W, b)
    np.testing.assert_allclose(y[kept] if reduction == "none" else y, want, rtol=1e-6)
    dx, dW, db = pull(dy)
    want_dx, want_dW, want_db = want_pull(jnp.ones_like(want))
    np.testing.assert_array_equal(dx[1], 0)
    np.testing.assert_allclose(dx[kept], want_dx, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(dW, want_dW, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(db, want_db, rtol=1e-5, atol=1e-6)


def test_the_mean_of_no_token_is_zero():
    x, W, _, b = example()
    value, grads = jax.value_and_grad(head, (0, 1, 3))(x, W, jnp.full(7, -1), b, ignore_label=-1)
    assert value == 0
    assert not any(np.any(g) for g in grads)


def test_a_class_that_is_ruled_out():
    x, W, _, b = example()
    labels = jnp.full(7, 2, jnp.int32)
    value, (dW, db) = jax.value_and_grad(head, (1, 3))(x, W, labels, b.at[4].set(-jnp.inf))
    want = jax.value_and_grad(head, (1, 3))(x, np.delete(W, 4, 0), labels, np.delete(b, 4))
    np.testing.assert_allclose(value, want[0], rtol=1e-6)
    np.testing.assert_allclose(np.delete(dW, 4, 0), want[1][0], rtol=1e-5, atol=1e-7)
    assert not np.any(dW[4])
    assert db[4] == 0


@pytest.mark.parametrize("bad", [-1, 6])
@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_label_out_of_range_raises_eagerly_and_is_nan_under_jit(bad, reduction):
    x, W, labels, b = example()
    labels = labels.at[3].set(bad)
    with pytest.raises(ValueError, match=rf"labels must lie in \[0, 6\) \(6 classes\), got {bad}"):
        head(x, W, labels)

    @jax.jit
    def run(labels):
        y, pull = jax.vjp(lambda x, W: head(x, W, labels, b, reduction=reduction, chunk=2), x, W)
        return y, pull(jnp.ones_like(y))

    y, (dx, dW) = run(labels)
    at_label = np.arange(7) == 3
    np.testing.assert_array_equal(np.isnan(y), at_label if reduction == "none" else True)
    np.testing.assert_array_equal(np.isnan(dx).all(1), at_label)
    np.testing.assert_array_equal(np.isnan(dx).any(1), at_label)
    assert np.isnan(dW).all()


# ---- what is not computed, and not kept -------------------------------------------------------------------

N, D, V, CHUNK = 512, 16, 3000, 32


def sizes(jaxpr, found=None):
    """The number of entries of every array in a jaxpr, inner ones included."""
    found = set() if found is None else found
    for equation in jaxpr.eqns:
        found |= {variable.aval.size for variable in (*equation.invars, *equation.outvars)}
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda node: hasattr(node, "eqns")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                sizes(inner, found)
    return found


def large(reduction, chunk=CHUNK):
    x, W, labels, b = example(leading=(N,), inputs=D, classes=V)

    def loss(x, W, b):
        return jnp.sum(jnp.sin(head(x, W, labels, b, reduction=reduction, chunk=chunk)))

    return loss, (x, W, b)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_no_array_holds_all_logits(reduction):
    loss, floats = large(reduction)
    for f in (loss, jax.grad(loss, (0, 1, 2))):
        assert max(sizes(jax.make_jaxpr(f)(*floats).jaxpr)) == CHUNK * V < N * V
    whole = jax.grad(lambda x, W, b: composed(x, W, jnp.zeros(N, jnp.int32), b))
    assert max(sizes(jax.make_jaxpr(whole)(*floats).jaxpr)) == N * V


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_temporary_memory_is_that_of_a_chunk(reduction):
    loss, floats = large(reduction)
    compiled = jax.jit(jax.value_and_grad(loss, (0, 1, 2))).lower(*floats).compile()
    dense = jax.jit(jax.value_and_grad(lambda x, W, b: composed(x, W, jnp.zeros(N, jnp.int32), b), (0, 1, 2)))
    # dy is a runtime value here, so the gradients are kept once beside the result.
    allowed = 2 * 4 * CHUNK * V + 4 * (W_AND_X := V * D + 2 * N * D + V) + 4 * 8 * N
    assert W_AND_X < CHUNK * V
    assert compiled.memory_analysis().temp_size_in_bytes <= allowed
    assert dense.lower(*floats).compile().memory_analysis().temp_size_in_bytes >= 2 * 4 * N * V


def products(f, *args):
    return jax.jit(f).lower(*args).compile().as_text().count(" dot(")


def test_the_value_alone_and_each_gradient_alone_cost_no_other():
    x, W, labels, _ = example(leading=(N,), inputs=D, classes=V)
    loss = lambda x, W: head(x, W, labels, chunk=CHUNK)  # noqa: E731
    assert str(jax.make_jaxpr(loss)(x, W)).count("dot_general") == 1
    assert products(loss, x, W) == 1
    assert products(jax.grad(loss, 0), x, W) == 2
    assert products(jax.grad(loss, 1), x, W) == 2
    assert products(jax.grad(loss, (0, 1)), x, W) == 3


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_what_is_kept_is_of_the_arguments_size(reduction):
    x, W, labels, b = example(leading=(N,), inputs=D, classes=V)
    pull = jax.vjp(lambda *floats: head(*floats[:2], labels, floats[2], reduction=reduction), x, W, b)[1]
    kept = sum(leaf.nbytes for leaf in jax.tree.leaves(pull) if isinstance(leaf, jax.Array))
    assert kept <= x.nbytes + W.nbytes + b.nbytes + labels.nbytes


def test_no_device_sees_another_ones_classes():
    """Of a chunk's split logits only one number a token and device travels, and of W nothing."""
    x, W, labels, b = example(leading=(64,), inputs=D, classes=512)
    mesh = jax.make_mesh((2, 4), ("data", "model"), axis_types=(AxisType.Auto,) * 2)
    put = lambda a, *spec: jax.device_put(a, NamedSharding(mesh, P(*spec)))  # noqa: E731
    split = put(x, "data"), put(W, "model"), put(labels, "data"), put(b, "model")
    f = jax.jit(jax.value_and_grad(lambda *a: head(*a, chunk=16), (0, 1, 3)))
    compiled = f.lower(*split).compile()
    gathered = [line for line in compiled.as_text().splitlines() if " all-gather(" in line]
    shapes = [line.split(" = ")[1].split("[")[1].split("]")[0] for line in gathered]
    assert all(np.prod([int(n) for n in shape.split(",") if n]) <= 2 * 16 for shape in shapes)
    value, (dx, dW, db) = compiled(*split)
    want, wants = f(x, W, labels, b)
    np.testing.assert_allclose(value, want, rtol=1e-6)
    for got, want in zip((dx, dW, db), wants, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-7)
    assert dW.sharding.is_equivalent_to(split[1].sharding, 2)


# ---- bad input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"x": jnp.ones((7, 5))}, ValueError, r"W has shape \(6, 4\) but x ends in 5"),
        ({"x": jnp.asarray(1.0)}, ValueError, "x must have an axis of inputs"),
        ({"x": jnp.ones((7, 4), jnp.int32)}, TypeError, "x must be floating-point, got dtype int32"),
        ({"W": jnp.ones(4)}, ValueError, r"W must have shape \(classes, inputs\) .*, got \(4,\)"),
        ({"W": jnp.ones((0, 4))}, ValueError, r"W must have shape .* got \(0, 4\)"),
        ({"W": jnp.ones((6, 4), jnp.bfloat16)}, TypeError, "x float32, W bfloat16"),
        (
            {"bias": jnp.ones(5)},
            ValueError,
            r"bias must have shape \(6,\) for W of shape \(6, 4\), got \(5,\)",
        ),
        ({"labels": jnp.zeros(6, jnp.int32)}, ValueError, r"labels must have shape \(7,\) .* got \(6,\)"),
        ({"labels": jnp.ones((7, 6))}, TypeError, "labels must be integers, got dtype float32"),
        ({"ignore_label": 1.5}, TypeError, "ignore_label must be an integer"),
        ({"label_smoothing": 1.5}, ValueError, r"label_smoothing must lie in \[0, 1\], got 1.5"),
        ({"label_smoothing": float("nan")}, ValueError, "label_smoothing must lie in"),
        ({"label_smoothing": "0.1"}, TypeError, "label_smoothing must be a number"),
        ({"reduction": "max"}, ValueError, "reduction must be 'none', 'sum' or 'mean', got 'max'"),
        ({"reduction": None}, ValueError, "reduction must be .*, got None"),
        ({"chunk": 0}, ValueError, "chunk must be at least 1 token, got 0"),
        ({"chunk": "small"}, ValueError, "chunk must be 'auto', 'lean', 'fast' or a number of tokens"),
        ({"chunk": 2.0}, TypeError, "chunk must be an integer"),
        ({"chunk": True}, TypeError, "chunk must be an integer"),
    ],
)
def test_bad_input_names_the_argument(change, error, message):
    x, W, labels, b = example()
    with pytest.raises(error, match=message):
        head(**{"x": x, "W": W, "labels": labels, "bias": b, **change})


def test_bad_input_is_refused_before_tracing():
    x, W, labels, _ = example()
    with pytest.raises(ValueError, match="reduction must be"):
        jax.jit(lambda x: head(x, W, labels, reduction="avg"))(x)
