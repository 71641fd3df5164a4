"""The window classifier: its values, its gradient against autodiff, and that our rules made the gradient."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxbackprop.models import WindowNER, window_ner_loss
from jaxbackprop.models._window_ner import ACTIVATIONS

ROWS = {"words": 30, "shapes": 3, "prefixes": 5, "suffixes": 6}
DIMS = {"words": 4, "shapes": 2, "prefixes": 3, "suffixes": 3}
TAGS, HIDDEN, WINDOW, BATCH = 5, 8, 2, 7


def make(**changes):
    sizes = {"num_" + name: rows for name, rows in ROWS.items()}
    settings = {
        "word_dim": 4,
        "shape_dim": 2,
        "affix_dim": 3,
        "window": WINDOW,
        "hidden": HIDDEN,
        "num_tags": TAGS,
        "dropout": 0.5,
        "input_dropout": 0.25,
        "rngs": nnx.Rngs(0),
    }
    return WindowNER(**sizes, **{**settings, **changes})


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    ids = {
        name: jnp.asarray(rng.integers(-1, rows, (BATCH, 2 * WINDOW + 1)), jnp.int32)
        for name, rows in ROWS.items()
    }
    return {**ids, "labels": jnp.asarray(rng.integers(0, TAGS, BATCH), jnp.int32)}


def parameters(model):
    return nnx.to_pure_dict(nnx.state(model, nnx.Param))


def plain_loss(parameters, batch, activation, l2_strength):
    """The same model without dropout, for autodiff, from jax.numpy alone."""
    pieces = []
    for name in ROWS:
        ids = batch[name]
        rows = parameters[name]["embedding"][jnp.maximum(ids, 0)]
        pieces.append(jnp.where(ids[..., None] < 0, 0.0, rows).reshape(BATCH, -1))
    x = jnp.concatenate(pieces, axis=1)
    own = {
        "tanh": jnp.tanh,
        "hardtanh": lambda z: jnp.clip(z, -1, 1),
        "prelu": lambda z: jnp.where(z > 0, z, parameters["prelu"]["negative_slope"] * z),
    }
    f = own[activation] if activation in own else getattr(jax.nn, activation)
    hidden, output = parameters["hidden"], parameters["output"]
    h = f(normalized(parameters, x @ hidden["kernel"]) + hidden.get("bias", jnp.zeros(HIDDEN))[None])
    log_p = jax.nn.log_softmax(h @ output["kernel"] + output["bias"][None])
    loss = -log_p[jnp.arange(BATCH), batch["labels"]].mean()
    return loss + l2_strength * (jnp.sum(hidden["kernel"] ** 2) + jnp.sum(output["kernel"] ** 2))


def normalized(parameters, z):
    """With batch normalization, by the batch's own statistics."""
    if "batch_norm" not in parameters:
        return z
    z = (z - z.mean(0, keepdims=True)) / jnp.sqrt(z.var(0, keepdims=True) + 1e-5)
    return z * parameters["batch_norm"]["scale"][None] + parameters["batch_norm"]["bias"][None]


def value_and_grad(model, batch, l2_strength=0.0, key=None):
    graphdef, state = nnx.split(model)

    @jax.jit  # a new one each time: a rule that was replaced is traced anew
    def run(state):
        return jax.value_and_grad(
            lambda state: window_ner_loss(nnx.merge(graphdef, state), batch, l2_strength, key=key)
        )(state)

    value, grads = run(state)
    return value, nnx.to_pure_dict(grads)


@pytest.mark.parametrize(
    ("activation", "l2_strength"), [("tanh", 0.0), *((activation, 0.03) for activation in ACTIVATIONS)]
)
def test_loss_and_gradient_equal_autodiff_of_a_plain_twin(batch, activation, l2_strength):
    model = make(activation=activation)
    value, grads = value_and_grad(model, batch, l2_strength)
    autodiff = jax.jit(jax.value_and_grad(plain_loss), static_argnums=2)
    expected = autodiff(parameters(model), batch, activation, l2_strength)
    assert value == pytest.approx(float(expected[0]), rel=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-6), grads, expected[1])


@pytest.mark.parametrize("activation", ["tanh", "relu", "prelu"])
def test_batch_normalization_equals_autodiff_of_a_plain_twin_and_averages_the_batchs_statistics(
    batch, activation
):
    model = make(batch_norm=True, activation=activation, dropout=0.0, input_dropout=0.0)
    assert "bias" not in parameters(model)["hidden"]
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)

    def loss(params, rest):
        merged = nnx.merge(graphdef, params, jax.tree.map(lambda leaf: leaf, rest))
        value = window_ner_loss(merged, batch, 0.03, key=jax.random.key(0))
        return value, nnx.state(merged, nnx.BatchStat)

    (value, stats), grads = jax.jit(jax.value_and_grad(loss, has_aux=True))(params, rest)
    autodiff = jax.jit(jax.value_and_grad(plain_loss), static_argnums=2)
    expected = autodiff(parameters(model), batch, activation, 0.03)
    assert value == pytest.approx(float(expected[0]), rel=1e-5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-6),
        nnx.to_pure_dict(grads),
        expected[1],
    )
    x = jnp.concatenate([getattr(model, name).window(batch[name]) for name in ROWS], axis=-1)
    z = x @ model.hidden.kernel[...]
    stats = nnx.to_pure_dict(stats)["batch_norm"]
    np.testing.assert_allclose(stats["mean"], 0.01 * z.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(stats["var"], 0.99 + 0.01 * z.var(0), rtol=1e-4)


def test_without_a_key_batch_normalization_uses_its_averages_and_leaves_them(batch):
    model = make(batch_norm=True)
    model.batch_norm.mean[...] = jnp.full(HIDDEN, 0.5)
    model.batch_norm.var[...] = jnp.full(HIDDEN, 4.0)
    logits = model(batch)
    x = jnp.concatenate([getattr(model, name).window(batch[name]) for name in ROWS], axis=-1)
    h = jnp.tanh((x @ model.hidden.kernel[...] - 0.5) / np.sqrt(4.0 + 1e-5))
    expected = h @ model.output.kernel[...] + model.output.bias[...][None]
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(model.batch_norm.mean[...], 0.5)
    # One word's logits do not depend on the others'.
    one = model({name: ids[:1] for name, ids in batch.items()})
    np.testing.assert_allclose(one, logits[:1], rtol=1e-4, atol=1e-5)


def test_without_a_key_nothing_is_dropped_and_with_one_the_mask_is_the_keys(batch):
    model = make()
    keys = jax.random.split(jax.random.key(0))
    np.testing.assert_array_equal(model(batch), model(batch))
    np.testing.assert_array_equal(model(batch, key=keys[0]), model(batch, key=keys[0]))
    assert not np.array_equal(model(batch, key=keys[0]), model(batch, key=keys[1]))
    assert not np.array_equal(model(batch, key=keys[0]), model(batch))


def test_each_dropout_acts_by_itself(batch):
    key = jax.random.key(1)
    undropped = make(dropout=0.0, input_dropout=0.0)
    np.testing.assert_array_equal(undropped(batch, key=key), undropped(batch))
    for rates in ({"dropout": 0.5, "input_dropout": 0.0}, {"dropout": 0.0, "input_dropout": 0.5}):
        model = make(**rates)
        assert not np.array_equal(model(batch, key=key), model(batch))


@pytest.mark.parametrize("batch_norm", [False, True])
def test_rows_that_only_fill_up_a_batch_change_neither_loss_nor_gradient(batch, batch_norm):
    filled = {name: jnp.concatenate([ids, ids[:2]]) for name, ids in batch.items()}
    filled["mask"] = jnp.arange(BATCH + 2) < BATCH
    key = jax.random.key(3)
    expected = value_and_grad(make(batch_norm=batch_norm), batch, 1e-3, key)
    found = value_and_grad(make(batch_norm=batch_norm), filled, 1e-3, key)
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_place_outside_the_sentence_reads_as_zeros_and_gets_no_gradient(batch):
    outside = {name: jnp.full_like(batch[name], -1) for name in ROWS}
    model = make()
    logits = model(outside)
    hidden = jnp.tanh(model.hidden.bias[...])
    np.testing.assert_allclose(
        logits[0], hidden @ model.output.kernel[...] + model.output.bias[...], rtol=1e-6
    )
    _, grads = value_and_grad(model, {**outside, "labels": batch["labels"]})
    assert all(not np.any(grads[name]["embedding"]) for name in ROWS)


def test_features_of_length_zero_are_left_out(batch):
    model = make(shape_dim=0, affix_dim=0)
    assert model.hidden.kernel.shape == ((2 * WINDOW + 1) * 4, HIDDEN)
    assert set(parameters(model)) == {"words", "hidden", "output"}
    assert model({"words": batch["words"]}).shape == (BATCH, TAGS)


def test_l2_weighs_the_kernels_and_nothing_else(batch):
    model = make()
    without, with_penalty = (value_and_grad(model, batch, strength)[0] for strength in (0.0, 0.5))
    kernels = sum(np.sum(np.square(layer.kernel[...])) for layer in (model.hidden, model.output))
    assert with_penalty - without == pytest.approx(0.5 * kernels, rel=1e-5)


@pytest.mark.parametrize(("activation", "variance"), [("tanh", "xavier"), ("relu", "he")])
def test_the_hidden_layer_starts_as_its_activation_wants(activation, variance):
    kernel = np.asarray(make(activation=activation, hidden=400).hidden.kernel[...])
    inputs, hidden = kernel.shape
    want = 2 / (inputs + hidden) if variance == "xavier" else 2 / inputs
    np.testing.assert_allclose(kernel.var(), want, rtol=0.05)


def test_half_precision_computes_and_full_precision_is_stored(batch):
    model = make(dtype=jnp.bfloat16)
    assert model(batch).dtype == jnp.bfloat16
    value, grads = value_and_grad(model, batch, 0.01, key=jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(grads)} == {jnp.dtype("float32")}
    reference, _ = value_and_grad(make(), batch, 0.01, key=jax.random.key(0))
    assert value == pytest.approx(float(reference), rel=0.03)


def test_everything_differentiable_but_bookkeeping_is_one_of_our_operators(batch):
    """Lists what the loss does outside our operators, whose equations are opaque here."""
    graphdef, state = nnx.split(make())
    jaxpr = jax.make_jaxpr(
        lambda state, key: window_ner_loss(nnx.merge(graphdef, state), batch, 0.01, key=key)
    )(state, jax.random.key(0))
    ours, others = [], set()
    for equation in jaxpr.jaxpr.eqns:
        if equation.primitive.name == "custom_vjp_call":
            ours.append(equation)
        elif any(jnp.issubdtype(operand.aval.dtype, jnp.floating) for operand in equation.invars):
            others.add(equation.primitive.name)
    # The layers hand their kernel over transposed; sum and division are the mean's.
    assert others == {"concatenate", "transpose", "reduce_sum", "div"}
    # Four tables, two dropouts, two linear maps, the activation, the loss, the penalty, their sum.
    assert len(ours) == 12


RULES = {
    "_window._window_lookup": "words",
    "_linear._linear": "hidden",
    "_activations._squashing._tanh": "hidden",
    "_dropout._dropout": "hidden",
    "_softmax_cross_entropy._hard": "output",
    "_l2._l2": "output",
    "_gates._add": "output",
}


@pytest.fixture(scope="module")
def trained(batch):
    """Value and gradient of a training step, by sound rules."""
    return value_and_grad(make(), batch, 0.1, jax.random.key(3))


@pytest.mark.parametrize("rule", RULES)
def test_a_broken_backward_rule_changes_the_training_gradient(batch, trained, rule):
    """Doubles what one rule returns: were the gradient autodiff's, nothing would happen."""
    module, name = rule.rsplit(".", 1)
    module = importlib.import_module(f"jaxbackprop.ops.{module}")
    op = getattr(module, name)
    forward, backward = op.fwd, op.bwd

    def doubled(*arguments):
        return jax.tree.map(lambda cotangent: 2 * cotangent, backward(*arguments))

    value, grads = trained
    op.defvjp(forward, doubled)
    try:
        broken_value, broken = value_and_grad(make(), batch, 0.1, jax.random.key(3))
    finally:
        op.defvjp(forward, backward)
    assert broken_value == pytest.approx(float(value), rel=1e-6)
    layer = RULES[rule]
    assert any(
        not np.allclose(a, b, rtol=1e-3)
        for a, b in zip(jax.tree.leaves(grads[layer]), jax.tree.leaves(broken[layer]), strict=True)
    )


def test_gradient_works_under_jit_and_vmap_over_models(batch):
    graphdef, state = nnx.split(make())

    def loss(state):
        return window_ner_loss(nnx.merge(graphdef, state), batch, 0.01)

    both = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), state)
    mapped = jax.jit(jax.vmap(jax.grad(loss)))(both)
    for at, scale in enumerate((1, 2)):
        alone = jax.jit(jax.grad(loss))(jax.tree.map(lambda leaf, scale=scale: scale * leaf, state))
        jax.tree.map(
            lambda a, b, at=at: np.testing.assert_allclose(a[at], b, rtol=1e-4, atol=1e-6), mapped, alone
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation": "max"}, "activation must be one of tanh, hardtanh, sigmoid, .*, not 'max'"),
        ({"hidden": 0}, "hidden must be at least 1, not 0"),
        ({"window": -1}, "window must be at least 0, not -1"),
        ({"affix_dim": -3}, "affix_dim must be at least 0, not -3"),
        ({"dropout": 1.5}, "1.5"),
    ],
)
def test_bad_sizes_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        make(**change)


def test_windows_of_another_width_are_refused(batch):
    with pytest.raises(ValueError, match="5 words wide"):
        make()({name: ids[:, :3] for name, ids in batch.items() if name != "labels"})


def test_an_initializer_that_is_given_is_that_of_both_linear_layers():
    model = make(weight_init=jax.nn.initializers.zeros, activation="relu")
    for layer in (model.hidden, model.output):
        np.testing.assert_array_equal(layer.kernel[...], 0.0)
    assert np.any(model.words.embedding[...])
