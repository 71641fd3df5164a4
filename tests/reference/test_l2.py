import collections
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reference.l2 import l2, l2_vjp, ridge, ridge_bias_covariance
from reference.linear import linear_vjp
from reference.losses import mean_squared_error_vjp
from reference.numerical import central_difference
from tests.reference.opinions import normal, values


class Layer(NamedTuple):
    kernel: np.ndarray
    bias: np.ndarray


def model():
    return {
        "word_embedding": {"value": normal(0, 5, 2)},
        "layers": [Layer(normal(1, 3, 2), normal(2, 3)), (normal(3, 2, 3), None)],
        "u": normal(4, 3),
        "steps": np.array(7),
    }


# The choice by hand: what each keyword adds.
WEIGHTS = [("layers", 0, 0), ("layers", 1, 0), ("u",)]
BIASES = [("layers", 0, 1)]
TABLES = [("word_embedding", "value")]


def at(tree, path):
    for entry in path:
        tree = tree[entry]
    return tree


@pytest.mark.parametrize("biases", [False, True])
@pytest.mark.parametrize("tables", [False, True])
def test_value_and_gradients_on_a_model(biases, tables) -> None:
    tree, strength, dy = model(), 0.3, -2.0
    chosen = WEIGHTS + biases * BIASES + tables * TABLES
    squares = sum(np.sum(at(tree, path) ** 2) for path in chosen)
    assert l2(tree, strength, biases=biases, tables=tables) == pytest.approx(0.3 * squares)
    dtree, dstrength = l2_vjp(tree, strength, dy, biases=biases, tables=tables)
    assert dstrength == pytest.approx(-2.0 * squares)
    for path in WEIGHTS + BIASES + TABLES:
        expected = 2 * 0.3 * at(tree, path) * -2.0 if path in chosen else np.zeros_like(at(tree, path))
        np.testing.assert_allclose(at(dtree, path), expected)
    assert dtree["layers"][1][1] is None
    np.testing.assert_array_equal(dtree["steps"], 0.0)
    assert jax.tree.structure(dtree) == jax.tree.structure(tree)
    assert type(dtree["layers"][0]) is Layer


@pytest.mark.parametrize("biases", [False, True])
def test_against_autodiff_and_differences(biases) -> None:
    W, b, L = normal(0, 2, 3), normal(1, 2), normal(2, 4, 2)

    def twin(W, b, strength):
        return strength * (jnp.sum(W**2) + (jnp.sum(b**2) if biases else 0.0))

    with jax.enable_x64(True):
        y, pull = jax.vjp(twin, *(jnp.asarray(v) for v in (W, b, 0.7)))
        dW, db, dstrength = pull(jnp.asarray(1.5))
    tree = {"W": W, "b": b, "table": L}
    assert l2(tree, 0.7, biases=biases) == pytest.approx(float(y), rel=1e-14)
    dtree, ours = l2_vjp(tree, 0.7, 1.5, biases=biases)
    np.testing.assert_allclose(dtree["W"], dW, rtol=1e-14)
    np.testing.assert_allclose(dtree["b"], db, rtol=1e-14)
    np.testing.assert_array_equal(dtree["table"], 0.0)
    assert ours == pytest.approx(float(dstrength), rel=1e-14)
    for name in tree:
        numerical, _ = central_difference(
            lambda v, name=name: 1.5 * l2({**tree, name: v}, 0.7, biases=biases), tree[name], 1e-5
        )
        np.testing.assert_allclose(dtree[name], numerical, atol=1e-8)


@given(values((2, 3)), st.floats(0.0, 10.0), st.floats(-10.0, 10.0))
def test_values(W, strength, dy) -> None:
    assert l2(W, strength) == pytest.approx(strength * sum(w * w for w in W.flat), rel=1e-12)
    dW, dstrength = l2_vjp(W, strength, dy)
    np.testing.assert_allclose(dW, dy * strength * 2 * W, rtol=1e-12)
    assert dstrength == pytest.approx(dy * sum(w * w for w in W.flat), rel=1e-12, abs=1e-300)


@pytest.mark.parametrize(
    ("path", "rank", "kind"),
    [
        (("b",), 2, "bias"),
        (("bias",), 2, "bias"),
        (("Bias_0",), 2, "bias"),
        (("_b12",), 2, "bias"),
        (("hidden_b",), 3, "bias"),
        (("hidden_bias_3",), 2, "bias"),
        (("beta",), 2, "bias"),
        (("gamma",), 2, "bias"),
        (("norm", "scale"), 2, "bias"),
        (("offset",), 2, "bias"),
        (("w",), 1, "weight"),
        (("W1",), 1, "weight"),
        (("u",), 1, "weight"),
        (("V",), 0, "weight"),
        (("kernel",), 1, "weight"),
        (("weight",), 1, "weight"),
        (("weights",), 1, "weight"),
        (("out_w",), 1, "weight"),
        (("out_kernel",), 1, "weight"),
        (("out_weight",), 1, "weight"),
        (("bias", "kernel"), 1, "weight"),
        (("kernel", "bias"), 2, "bias"),
        (("kernel", "value"), 1, "weight"),
        (("bias", "value"), 2, "bias"),
        (("kernel", 0), 1, "weight"),
        (("b", 0, "value"), 2, "bias"),
        (("web",), 1, "bias"),
        (("web",), 2, "weight"),
        (("theta",), 0, "bias"),
        (("12",), 2, "weight"),
        ((0,), 1, "bias"),
        ((0,), 2, "weight"),
        (("value",), 1, "bias"),
        ((), 1, "weight"),
        ((), 0, "weight"),
        (("table",), 1, "table"),
        (("WordTables", "kernel"), 2, "table"),
        (("Embedding_0", "b"), 1, "table"),
        (("char_embed",), 2, "table"),
    ],
)
@pytest.mark.parametrize("container", ["dict", "list", "namedtuple"])
def test_what_a_leaf_is(path, rank, kind, container) -> None:
    tree = np.full((2,) * rank, 3.0)
    for entry in reversed(path):
        if isinstance(entry, int):
            tree = {entry: tree} if container == "dict" else [tree] if container == "list" else (tree,)
        elif container == "namedtuple" and not entry.startswith("_") and entry.isidentifier():
            tree = collections.namedtuple("Node", [entry])(tree)
        else:
            tree = {entry: tree}
    whole = 9.0 * 2**rank
    assert l2(tree, 1.0) == (whole if kind == "weight" else 0.0)
    assert l2(tree, 1.0, biases=True) == (whole if kind in ("weight", "bias") else 0.0)
    assert l2(tree, 1.0, tables=True) == (whole if kind in ("weight", "table") else 0.0)
    assert l2(tree, 1.0, biases=True, tables=True) == whole


@pytest.mark.parametrize("leaf", [np.arange(6).reshape(2, 3), np.ones((2, 2), bool), 3])
def test_integers_are_never_penalised(leaf) -> None:
    tree = {"W": leaf}
    assert l2(tree, 1.0, biases=True, tables=True) == 0.0
    dtree, dstrength = l2_vjp(tree, 1.0, 1.0, biases=True, tables=True)
    np.testing.assert_array_equal(dtree["W"], np.zeros(np.shape(leaf)))
    assert dstrength == 0.0


@pytest.mark.parametrize("tree", [{}, [], (), None, {"W": None, "rest": []}])
def test_nothing_to_penalise(tree) -> None:
    assert l2(tree, 5.0) == 0.0
    assert l2_vjp(tree, 5.0, 1.0) == (tree, 0.0)


def test_structures_are_kept_and_the_tree_is_left_alone() -> None:
    tree = collections.OrderedDict(W=np.ones((2, 2)), rest=collections.defaultdict(list, w=np.ones(3)))
    dtree, _ = l2_vjp(tree, 0.5, 1.0)
    assert type(dtree) is collections.OrderedDict
    assert type(dtree["rest"]) is collections.defaultdict
    np.testing.assert_array_equal(dtree["W"], np.ones((2, 2)))
    dtree["W"][:] = 9.0
    dtree["rest"]["w"] = None
    np.testing.assert_array_equal(tree["W"], np.ones((2, 2)))
    np.testing.assert_array_equal(tree["rest"]["w"], np.ones(3))


def test_narrow_floats_are_summed_in_float64() -> None:
    for dtype in (np.float16, np.float32, jnp.bfloat16):
        leaf = np.full((300, 300), 3.0).astype(dtype)
        assert l2(leaf, 1.0) == 9.0 * 90_000
        dleaf, _ = l2_vjp(leaf, 1.0, 1.0)
        assert dleaf.dtype == np.float64


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"strength must be a scalar, got shape \(1,\)"):
        l2(np.ones(2), [1.0])
    with pytest.raises(ValueError, match=r"strength must be a scalar"):
        l2_vjp(np.ones(2), [1.0], 1.0)
    with pytest.raises(ValueError, match=r"dy must be a scalar, got shape \(2,\)"):
        l2_vjp(np.ones(2), 1.0, np.ones(2))
    for leaf in ("text", np.ones(2, complex), object()):
        with pytest.raises(TypeError, match="tree must hold real arrays, got .* at .*'w'"):
            l2({"W": leaf}, 1.0)
        with pytest.raises(TypeError, match="tree must hold real arrays"):
            l2_vjp({"W": leaf}, 1.0, 1.0)


def design(seed=0, examples=30, features=5):
    """Directions in which the data vary from much to little."""
    return normal(seed, examples, features) * np.logspace(0, -1.5, features) @ normal(1, features, features)


@pytest.mark.parametrize("strength", [0.0, 1e-3, 0.1, 10.0])
@pytest.mark.parametrize("shape", [(30, 5), (4, 6), (5, 5)])
def test_ridge_solves_the_normal_equations(shape, strength) -> None:
    X, y = normal(0, *shape), normal(1, shape[0])
    theta = ridge(X, y, strength)
    system = X.T @ X + len(X) * strength * np.eye(shape[1])
    np.testing.assert_allclose(system @ theta, X.T @ y, rtol=1e-9, atol=1e-10)
    if strength:
        np.testing.assert_allclose(theta, np.linalg.solve(system, X.T @ y), rtol=1e-8)


def test_ridge_is_where_the_penalised_loss_is_flat() -> None:
    X, y, strength = design(), normal(2, 30), 0.05
    theta = ridge(X, y, strength)
    (slope,) = linear_vjp(theta, X, None, mean_squared_error_vjp(X @ theta, y, 1.0)[0])[:1]
    np.testing.assert_allclose(slope + l2_vjp(theta, strength, 1.0)[0], 0.0, atol=1e-12)


@pytest.mark.parametrize("shape", [(30, 5), (4, 6)])
def test_without_a_penalty_it_is_least_squares_of_least_norm(shape) -> None:
    X, y = normal(0, *shape), normal(1, shape[0])
    X[:, 0] = X[:, 1]
    expected = np.linalg.lstsq(X, y, rcond=None)[0]
    np.testing.assert_allclose(ridge(X, y, 0.0), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ridge(X, y, 1e-10), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("strength", [0.0, 0.01, 0.5])
def test_bias_and_covariance_against_draws(strength) -> None:
    X, theta, noise, draws = design(), normal(3, 5), 0.7, 20_000
    bias, covariance = ridge_bias_covariance(X, theta, noise, strength)
    errors = noise * np.random.default_rng(0).normal(size=(draws, 30))
    found = np.array([ridge(X, X @ theta + e, strength) for e in errors]) - theta
    # In the directions of the covariance's eigenvectors the estimates are independent and normal. A mean lies
    # beyond six standard errors with a probability of 2e-9. A sum of squares is chi-squared of `draws`
    # degrees, and off by more than 2√(draws x) + 2x with a probability of at most 2e^-x (Laurent and Massart
    # 2000).
    variances, directions = np.linalg.eigh(covariance)
    standard = (found - bias) @ directions / np.sqrt(variances)
    assert np.all(np.abs(standard.mean(axis=0)) < 6 / np.sqrt(draws))
    deviation = 2 * np.sqrt(draws * 20) + 2 * 20
    assert np.all(np.abs(np.sum(standard**2, axis=0) - draws) < deviation)
    # And no two of them go together: a sum or difference of two has the variance 2.
    for i, j in itertools.combinations(range(5), 2):
        for sign in (1, -1):
            pair = (standard[:, i] + sign * standard[:, j]) / np.sqrt(2)
            assert abs(np.sum(pair**2) - draws) < deviation


def test_bias_and_covariance_by_the_normal_equations() -> None:
    X, theta, strength = normal(0, 4, 6), normal(1, 6), 0.2
    bias, covariance = ridge_bias_covariance(X, theta, 0.7, strength)
    solve = np.linalg.inv(X.T @ X + 4 * strength * np.eye(6))
    np.testing.assert_allclose(bias, -4 * strength * solve @ theta, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(covariance, 0.49 * solve @ X.T @ X @ solve, rtol=1e-9, atol=1e-13)


def test_the_bias_grows_and_the_variance_falls() -> None:
    X, theta, noise = design(), normal(3, 5), 0.7
    # The bound of the derivation, on Nλ: up to there every larger λ has a smaller error.
    _, _, right = np.linalg.svd(X)
    bound = noise**2 / np.max((right @ theta) ** 2) / len(X)
    strengths = np.concatenate([np.linspace(0.0, bound, 20), bound * np.logspace(0.1, 4, 20)])
    pairs = [ridge_bias_covariance(X, theta, noise, strength) for strength in strengths]
    biases = np.array([np.sum(bias**2) for bias, _ in pairs])
    variances = np.array([np.trace(covariance) for _, covariance in pairs])
    assert biases[0] == pytest.approx(0.0, abs=1e-20)
    assert np.all(np.diff(biases) > 0)
    assert np.all(np.diff(variances) < 0)
    assert np.all(np.diff((biases + variances)[:20]) < 0)
    # In the end the bias wins.
    assert (biases + variances)[-1] > (biases + variances)[20]


def test_bad_input_of_ridge_is_named() -> None:
    X = np.ones((4, 2))
    with pytest.raises(ValueError, match=r"X must be a matrix, got shape \(4,\)"):
        ridge(np.ones(4), np.ones(4), 0.1)
    with pytest.raises(ValueError, match=r"y has shape \(2,\) but X has shape \(4, 2\)"):
        ridge(X, np.ones(2), 0.1)
    with pytest.raises(ValueError, match=r"theta has shape \(4,\) but X has shape \(4, 2\)"):
        ridge_bias_covariance(X, np.ones(4), 1.0, 0.1)
    with pytest.raises(ValueError, match="strength must be at least 0, got -0.1"):
        ridge(X, np.ones(4), -0.1)
    with pytest.raises(ValueError, match="strength must be a scalar"):
        ridge_bias_covariance(X, np.ones(2), 1.0, [0.1])
