"""One program at many points."""

from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check._evaluator import Machine, Spot
from jaxbackprop.check._subject import Layout

seen = []


def pull(leaves, dy):
    """Of x y, noting what comes in."""
    x, y = leaves
    seen.append((type(x), x.dtype, dy[0].dtype))
    z = x * y
    d = dy[0].astype(x.dtype)
    return (z,), (z,), (y * d, x * d)


def machine(*args, wide, traced=True, x64=None):
    seen.clear()
    return Machine(
        pull,
        Layout.of(args, frozenset(), trace_floats=True, hold=False, x64=True),
        wide=wide,
        traced=traced,
        x64=x64,
    )


def spots(n, size=3):
    rng = np.random.default_rng(0)
    return [Spot((rng.normal(size=size), rng.normal(size=size)), (rng.normal(size=size),)) for _ in range(n)]


BF16 = (jnp.zeros(3, jnp.bfloat16), jnp.zeros(3, jnp.float32))
F32 = (jnp.zeros(3, jnp.float32),) * 2


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("n", [0, 1, 16, 35])
def test_every_spot_has_its_answer(n, traced):
    at = spots(n)
    answers = machine(*F32, wide=True, traced=traced).run(at)
    assert len(answers) == n
    for spot, answer in zip(at, answers, strict=True):
        x, y = spot.leaves
        np.testing.assert_allclose(answer.y[0], x * y, rtol=1e-15)
        np.testing.assert_allclose(answer.gradient, (y * spot.dy[0], x * spot.dy[0]), rtol=1e-15)
        assert answer.gradient[0].dtype == np.float64


def test_one_compilation_for_all():
    one = machine(*F32, wide=True)
    one.run(spots(40))
    one.run(spots(3))
    assert len(seen) == 1
    assert len(one.programs) == 1
    one.run(spots(1, size=5))
    assert len(one.programs) == 2


def test_prepared_ahead():
    one = machine(*F32, wide=True)
    misfit = Spot((np.ones(3), np.ones(2)), (np.ones(3),))
    with ThreadPoolExecutor(1) as pool:
        one.prepare(spots(1)[0], pool)
        assert len(one.programs) == 1
        one.run(spots(2))
        assert len(seen) == 1
        one.prepare(misfit, pool)
    with pytest.raises(TypeError):
        one.run([misfit])


def test_in_their_own_dtypes():
    same = machine(jnp.zeros(3, jnp.bfloat16), jnp.zeros(3, jnp.bfloat16), wide=False)
    answer = same.run(spots(2))[0]
    assert answer.gradient[0].dtype == jnp.bfloat16
    assert seen[0][1] == jnp.bfloat16


@pytest.mark.parametrize("wide", [True, False])
def test_the_settings_are_the_callers_again(wide):
    before = jax.config.jax_enable_x64
    machine(*F32, wide=wide, x64=True).run(spots(1))
    assert jax.config.jax_enable_x64 == before
    with pytest.raises(TypeError):
        machine(*F32, wide=wide, x64=True).run([Spot((np.ones(3), np.ones(2)), (np.ones(3),))])
    assert jax.config.jax_enable_x64 == before


def test_numpy_in_numpy_out():
    """A rule in NumPy is not handed JAX arrays, and may write into what it is handed."""
    at = spots(1)
    before = at[0].leaves[0].copy()

    def in_place(leaves, dy):
        assert all(type(v) is np.ndarray for v in (*leaves, *dy))
        leaves[0][:] = 0
        return (), (), (leaves[1],)

    one = machine(np.zeros(3, np.float32), np.zeros(3, np.float32), wide=False, traced=False)
    one.pull = in_place
    assert one.layout_is_numpy
    assert one.run(at)[0].gradient[0].dtype == np.float32
    np.testing.assert_array_equal(at[0].leaves[0], before)


def test_large_arguments_go_in_fewer_at_a_time():
    assert Machine._room(spots(1)[0]) == 16
    assert Machine._room(spots(1, size=1 << 20)[0]) == 1
    assert Machine._room(Spot((), ())) == 16
