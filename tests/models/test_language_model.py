"""The language model: its loss and gradient against a plain twin, tied and not, and that it learns."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxbackprop.models import LanguageModel, language_model_loss, next_word_log_probabilities

V, D, H = 11, 3, 4


def make(**changes):
    sizes = {"num_words": V, "word_dim": D, "hidden": H, "rngs": nnx.Rngs(0)}
    model = LanguageModel(**{**sizes, **changes})
    model.bias[...] = jnp.linspace(-1, 1, V).astype(model.bias[...].dtype)
    return model


@pytest.fixture
def ids():
    return jnp.asarray(np.random.default_rng(0).integers(0, V, (2, 6)), jnp.int32)


def plain_scores(parameters, ids):
    """From jax.numpy alone."""
    table = parameters["words"]["embedding"]
    cell, projection = parameters["recurrent"]["cell"], parameters["projection"]
    h, states = jnp.zeros((ids.shape[0], H)), []
    for t in range(ids.shape[1]):
        z = table[ids[:, t]] @ cell["dense_i"]["kernel"] + cell["dense_i"]["bias"][None]
        h = jnp.tanh(z + h @ cell["dense_h"]["kernel"])
        states.append(h)
    out = jnp.stack(states, 1) @ projection["kernel"] + projection["bias"][None, None]
    weights = parameters["output"]["embedding"] if "output" in parameters else table
    return out @ weights.T + parameters["bias"][None, None]


def plain_loss(parameters, ids, ignore_id=None):
    log_p = jax.nn.log_softmax(plain_scores(parameters, ids[:, :-1]))
    losses = -jnp.take_along_axis(log_p, ids[:, 1:, None], 2)[..., 0]
    counted = jnp.ones(losses.shape) if ignore_id is None else (ids[:, 1:] != ignore_id).astype(jnp.float32)
    return jnp.sum(losses * counted) / jnp.sum(counted)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("ignore_id", [None, 3])
def test_loss_and_gradient_equal_autodiff_of_a_plain_twin(ids, tied, ignore_id):
    graphdef, state = nnx.split(make(tied=tied))
    value, grads = jax.jit(
        jax.value_and_grad(
            lambda state: language_model_loss(nnx.merge(graphdef, state), ids, ignore_id=ignore_id, chunk=3)
        )
    )(state)
    parameters = nnx.to_pure_dict(state)
    want, want_grads = jax.jit(jax.value_and_grad(plain_loss), static_argnums=2)(parameters, ids, ignore_id)
    assert value == pytest.approx(float(want), rel=1e-5)
    jax.tree.map(
        lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-6),
        nnx.to_pure_dict(grads),
        want_grads,
    )


def test_tied_weights_are_the_word_vectors():
    assert set(nnx.to_pure_dict(nnx.state(make(), nnx.Param))) == {"words", "recurrent", "projection", "bias"}
    untied = nnx.to_pure_dict(nnx.state(make(tied=False), nnx.Param))
    assert untied["output"]["embedding"].shape == untied["words"]["embedding"].shape == (V, D)


def test_the_next_word(ids):
    model = make()
    want = jax.nn.log_softmax(plain_scores(nnx.to_pure_dict(nnx.state(model)), ids)[:, -1])
    np.testing.assert_allclose(next_word_log_probabilities(model, ids), want, rtol=1e-4, atol=1e-5)


def test_half_precision_computes_and_full_precision_is_stored(ids):
    @nnx.jit
    def of_both(half, full):
        loss = lambda model: language_model_loss(model, ids).astype(jnp.float32)  # noqa: E731
        return nnx.value_and_grad(loss)(half), language_model_loss(full, ids)

    (value, grads), want = of_both(make(dtype=jnp.bfloat16), make())
    assert {leaf.dtype for leaf in jax.tree.leaves(grads)} == {jnp.dtype("float32")}
    assert value == pytest.approx(float(want), rel=0.05)


def test_learns_a_sentence_by_heart():
    model = make(hidden=16)
    ids = jnp.asarray([[0, 1, 2, 1, 3, 4, 1, 5]], jnp.int32)
    graphdef, state = nnx.split(model)
    optimizer = optax.adam(0.05)
    loss = lambda state: language_model_loss(nnx.merge(graphdef, state), ids)  # noqa: E731

    @jax.jit
    def step(state, moments):
        value, grads = jax.value_and_grad(loss)(state)
        updates, moments = optimizer.update(grads, moments)
        return optax.apply_updates(state, updates), moments, value

    moments = optimizer.init(state)
    # Adam of optax mixes dtypes.
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(100):
            state, moments, value = step(state, moments)
    assert value < 0.05
    # What comes after 1 depends on what came before it.
    after = lambda *words: int(  # noqa: E731
        jnp.argmax(next_word_log_probabilities(nnx.merge(graphdef, state), jnp.asarray([words])))
    )
    assert (after(0, 1), after(0, 1, 2, 1), after(0, 1, 2, 1, 3, 4, 1)) == (2, 3, 5)


@pytest.mark.parametrize("name", ["num_words", "word_dim", "hidden"])
def test_bad_sizes_are_named(name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
        make(**{name: 0})


def test_one_word_has_no_next():
    with pytest.raises(ValueError, match=r"two words at least, got shape \(2, 1\)"):
        language_model_loss(make(), jnp.zeros((2, 1), jnp.int32))
