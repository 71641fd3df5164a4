"""Arguments taken apart and put together again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import CannotCheck, Layout

ARGS = ({"W": np.ones((2, 2), np.float32), "n": 3}, jnp.arange(2), None, "same", 0.5, jnp.asarray(2.0))


def test_what_is_differentiable():
    layout = Layout.of(ARGS)
    assert layout.arguments == (0, 5)
    assert layout.paths == ("['W']", "")
    assert layout.owners == (0, 1, 5)
    assert layout.from_python == (False, False)
    put = layout.put((np.zeros((2, 2)), np.ones(())))
    assert put[0]["n"] == 3
    assert put[3] == "same"
    assert put[4] == 0.5
    np.testing.assert_array_equal(put[0]["W"], 0)
    np.testing.assert_array_equal(put[1], ARGS[1])


def test_python_floats_become_arrays_where_asked():
    layout = Layout.of(ARGS, trace_floats=True)
    assert layout.arguments == (0, 4, 5)
    assert layout.from_python == (False, True, False)
    assert layout.leaves[2].dtype == np.float64
    assert Layout.of(ARGS, trace_floats=True, x64=False).leaves[2].dtype == np.float32


def test_settings_and_held_integers_are_no_leaves():
    assert Layout.of(ARGS, frozenset({0})).owners == (1, 5)
    keyed = (*ARGS, jax.random.key(0), jax.random.PRNGKey(0))
    assert Layout.of(keyed, hold_integers=True).owners == (0, 5, 6, 7)
    assert Layout.of(keyed).has_keys
    assert not Layout.of(ARGS).has_keys


def test_a_function_of_the_differentiable_leaves_alone():
    """Its float results come flat, Python floats and all."""

    def f(params, i, nothing, text, rate, b):
        return {"y": params["W"][i] * b, "which": i, "rate": rate}

    layout = Layout.of(ARGS)
    rate, y = layout.of_floats(f)(np.full((2, 2), 3.0), np.float64(2))
    np.testing.assert_array_equal(y, np.full((2, 2), 6.0))
    assert rate == 0.5
    (_, swapped) = layout.of_floats(f, (None, jnp.asarray([1, 1]), None))(np.eye(2), np.float64(1))
    np.testing.assert_array_equal(swapped, [[0, 1], [0, 1]])


def test_the_axes_of_a_batch():
    layout = Layout.of(ARGS)
    assert layout.axes(0) == (0, 0, 0)
    assert layout.axes((1, None, None, None, None, 0)) == (1, None, 0)
    with pytest.raises(CannotCheck, match="does not fit the arguments"):
        layout.axes((0, 0))
    with pytest.raises(CannotCheck, match="in_axes has 2 for argument 1, which has 1 other axes"):
        layout.axes((0, 2, None, None, None, 0))
