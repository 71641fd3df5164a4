"""The recurrent cell and layer beside flax's: one step, whole sequences, lengths, directions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.nn.initializers import normal as normal_init

from jaxbackprop import layers, ops
from tests.layers.twins import agree, normal, runs_on_our_rule

X = normal(0, 3, 5, 4)
LENGTHS = jnp.asarray([5, 2, 3])
STEPS = jnp.arange(5)[None] < LENGTHS[:, None]


def pair(activation="tanh", *, flax_activation=nnx.tanh, cell=None, **keywords):
    cell = {"bias_init": normal_init(1.0)} | (cell or {})
    ours = layers.SimpleCell(4, 6, activation_fn=activation, **cell, rngs=nnx.Rngs(0))
    twin = nnx.SimpleCell(4, 6, activation_fn=flax_activation, **cell, rngs=nnx.Rngs(1))
    return layers.RNN(ours, **keywords), nnx.RNN(twin, **keywords)


@pytest.mark.parametrize(
    ("activation", "twin"),
    [("tanh", nnx.tanh), ("relu", nnx.relu), (ops.tanh, nnx.tanh), (nnx.relu, nnx.relu)],
    ids=["tanh", "relu", "our tanh", "flax's relu"],
)
def test_one_step_equals_flax(activation, twin):
    ours, other = pair(activation, flax_activation=twin)
    agree(ours.cell, other.cell, normal(1, 3, 6), normal(2, 3, 4))
    assert runs_on_our_rule(ours.cell, normal(1, 6), normal(2, 4))


@pytest.mark.parametrize("keep", ["y", "x"])
@pytest.mark.parametrize(
    ("activation", "twin"), [("tanh", nnx.tanh), ("relu", nnx.relu)], ids=["tanh", "relu"]
)
def test_sequences_equal_flax(activation, twin, keep):
    ours, other = pair(activation, flax_activation=twin)
    ours.keep = keep
    agree(ours, other, X)
    agree(ours, other, X[0])
    agree(ours, other, X, initial_carry=normal(1, 3, 6), return_carry=True)
    assert runs_on_our_rule(ours, X)


@pytest.mark.parametrize("keywords", [{"reverse": True}, {"reverse": True, "keep_order": True}], ids=str)
@pytest.mark.parametrize("time_major", [False, True])
def test_directions_and_layouts_equal_flax(keywords, time_major):
    ours, twin = pair(time_major=time_major, return_carry=True, **keywords)
    x = jnp.moveaxis(X, 1, 0) if time_major else X
    carry, y = agree(ours, twin, x)
    assert carry.shape == (3, 6)
    assert y.shape == (*x.shape[:-1], 6)
    now = {name: not value for name, value in keywords.items()}
    agree(ours, twin, X, time_major=False, return_carry=False, **now)


@pytest.mark.parametrize(
    "keywords", [{}, {"reverse": True}, {"reverse": True, "keep_order": True}, {"time_major": True}], ids=str
)
def test_lengths_equal_flax_where_there_are_steps(keywords):
    ours, twin = pair(return_carry=True, **keywords)
    major = "time_major" in keywords

    def within(outputs):
        carry, y = outputs
        y = jnp.moveaxis(y, 0, 1) if major else y
        return carry, jnp.where(STEPS[..., None], y, 0)

    x = jnp.moveaxis(X, 1, 0) if major else X
    agree(ours, twin, x, seq_lengths=LENGTHS, compare=within)


def test_padding_is_not_read():
    rnn, _ = pair(return_carry=True)
    spoilt = jnp.where(STEPS[..., None], X, jnp.nan)
    carry, y = rnn(spoilt, seq_lengths=LENGTHS)
    assert jnp.isfinite(y).all()
    np.testing.assert_array_equal(y[:, -1], carry)
    np.testing.assert_array_equal(y[1, 1:], np.broadcast_to(y[1, 1], (4, 6)))
    gradient = jax.grad(lambda x: rnn(x, seq_lengths=LENGTHS)[1].sum())(spoilt)
    np.testing.assert_array_equal(gradient[1, 2:], 0)
    start = normal(1, 3, 6)
    carry, _ = rnn(X, seq_lengths=jnp.asarray([0, 1, 5]), initial_carry=start)
    np.testing.assert_array_equal(carry[0], start[0])


def test_no_steps():
    rnn, _ = pair(return_carry=True)
    carry, y = rnn(X[:, :0], initial_carry=normal(1, 3, 6))
    assert y.shape == (3, 0, 6)
    np.testing.assert_array_equal(carry, normal(1, 3, 6))


def test_recomputed_states_equal_flax():
    for checkpoint in ("sqrt", 2):
        ours, twin = pair()
        ours.checkpoint = checkpoint
        agree(ours, twin, X, initial_carry=normal(1, 3, 6), return_carry=True)


def test_the_last_outputs_alone():
    every, _ = pair(return_carry=True)
    for keywords in ({}, {"reverse": True}, {"time_major": True}):
        last = layers.RNN(every.cell, checkpoint="sqrt", return_sequences=False, **keywords)
        x = jnp.moveaxis(X, 1, 0) if "time_major" in keywords else X
        carry, _ = every(x, seq_lengths=LENGTHS, **keywords)
        np.testing.assert_allclose(last(x, seq_lengths=LENGTHS), carry, rtol=1e-5, atol=1e-6)
        for part in last(x, seq_lengths=LENGTHS, return_carry=True):
            np.testing.assert_allclose(part, carry, rtol=1e-5, atol=1e-6)


def test_inside_flax_bidirectional():
    parts = [pair(), pair()]
    ours, twin = (nnx.Bidirectional(a, b, rngs=nnx.Rngs(0)) for a, b in zip(*parts, strict=True))
    agree(ours, twin, X)


def test_half_precision():
    ours, twin = pair(cell={"dtype": jnp.bfloat16})
    y = agree(ours, twin, X, initial_carry=normal(1, 3, 6).astype(jnp.bfloat16), rtol=0.03, atol=0.06)
    np.testing.assert_array_equal(ours(X), ours(X, initial_carry=jnp.zeros((3, 6))))
    assert y.dtype == jnp.bfloat16
    assert ours.cell.dense_h.kernel[...].dtype == jnp.float32


def test_a_first_state():
    cell = pair()[0].cell
    np.testing.assert_array_equal(cell.initialize_carry((3, 4)), np.zeros((3, 6)))
    drawn = [cell.initialize_carry((3, 4), source, normal_init(1.0)) for source in two_sources()]
    assert drawn[0].std() > 0.3
    np.testing.assert_array_equal(*drawn)
    with pytest.raises(ValueError, match="rngs must be given where carry_init is"):
        cell.initialize_carry((3, 4), carry_init=normal_init(1.0))


def two_sources():
    return nnx.Rngs(carry=5), nnx.Rngs(carry=5).carry


def test_the_streams_flax_holds():
    cell = pair()[0].cell
    assert "rngs" not in nnx.state(layers.RNN(cell, rngs=False))
    for source in (True, *two_sources()):
        assert set(nnx.state(layers.RNN(cell, rngs=source))["rngs"]) == {"count", "key"}


def test_the_states_weights_start_orthogonal():
    kernel = pair()[0].cell.dense_h.kernel[...]
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(6), atol=1e-5)


def test_bad_input():
    cell = pair()[0].cell
    with pytest.raises(ValueError, match="activation_fn must be 'tanh' or 'relu'"):
        layers.SimpleCell(4, 6, activation_fn=jnp.sin, rngs=nnx.Rngs(0))
    with pytest.raises(TypeError, match=r"cell must be a SimpleCell of jaxbackprop.layers, got GRUCell"):
        layers.RNN(nnx.GRUCell(4, 6, rngs=nnx.Rngs(0)))
    with pytest.raises(ValueError, match="keep must be 'x', 'y' or None, got 'z'"):
        layers.RNN(cell, keep="z")
    with pytest.raises(TypeError, match="return_sequences must be a static bool, got 0"):
        layers.RNN(cell, return_sequences=0)
    with pytest.raises(ValueError, match="checkpoint must be at least 1, got 0"):
        layers.RNN(cell, checkpoint=0)(X)
    with pytest.raises(ValueError, match=r"inputs must have an axis of steps .* got \(4,\)"):
        layers.RNN(cell)(jnp.ones(4))
    with pytest.raises(ValueError, match=r"seq_lengths must have shape \(3,\), got \(2,\)"):
        layers.RNN(cell)(X, seq_lengths=jnp.ones(2, jnp.int32))
