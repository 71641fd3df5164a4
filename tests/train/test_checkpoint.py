"""Parameters there and back, bit by bit, and what is said when they do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.train import RunError, load_parameters, save_parameters


@pytest.fixture
def parameters():
    rng = np.random.default_rng(0)
    return {
        "words": {"embedding": rng.normal(size=(7, 3)).astype(np.float32)},
        "output": {"kernel": jnp.asarray(rng.normal(size=(3, 2)), jnp.bfloat16), "bias": jnp.zeros(2)},
    }


def shapes(tree):
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), tree)


def test_parameters_come_back_bit_by_bit(tmp_path, parameters):
    save_parameters(tmp_path, parameters)
    back = load_parameters(tmp_path, shapes(parameters))
    assert jax.tree.structure(back) == jax.tree.structure(parameters)
    for a, b in zip(jax.tree.leaves(parameters), jax.tree.leaves(back), strict=True):
        assert a.dtype == b.dtype
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "embedding",
            np.zeros((8, 3), np.float32),
            r"words/embedding is float32 of shape \(7, 3\), expected",
        ),
        ("embedding", np.zeros((7, 3), np.float16), "expected float16"),
        ("more", np.zeros(2, np.float32), "words/more is absent"),
    ],
)
def test_other_parameters_than_expected_are_named(tmp_path, parameters, name, value, message):
    save_parameters(tmp_path, parameters)
    expected = shapes(parameters)
    expected["words"][name] = value
    with pytest.raises(RunError, match=message):
        load_parameters(tmp_path, expected)


def test_a_parameter_that_is_not_expected_is_named(tmp_path, parameters):
    save_parameters(tmp_path, parameters)
    expected = shapes(parameters)
    del expected["output"]["bias"]
    with pytest.raises(RunError, match=r"output/bias is float32 of shape \(2,\), expected absent"):
        load_parameters(tmp_path, expected)


def test_a_checkpoint_that_is_none_is_unreadable(tmp_path, parameters):
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "x").write_text("y")
    with pytest.raises(RunError, match="is not a readable checkpoint: [^\n]+$"):
        load_parameters(tmp_path, shapes(parameters))


def test_a_disk_that_refuses_is_reported(tmp_path, parameters):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        save_parameters(tmp_path / "file", parameters)
