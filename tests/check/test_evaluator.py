"""One program at many points."""

from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop.check import Answer, Evaluator, Layout, Point

seen = []


def pull(leaves, dy):
    """Of x y, noting what comes in."""
    x, y = leaves
    seen.append((type(x), x.dtype, dy[0].dtype))
    z = x * y
    d = dy[0].astype(x.dtype)
    return Answer((z,), (z,), (y * d, x * d))


def evaluator(*args, dtype=None, traced=True, x64=None):
    seen.clear()
    return Evaluator(pull, Layout.of(args), dtype=dtype, traced=traced, x64=x64)


def points(n, size=3):
    rng = np.random.default_rng(0)
    return [Point((rng.normal(size=size), rng.normal(size=size)), (rng.normal(size=size),)) for _ in range(n)]


BF16 = (jnp.zeros(3, jnp.bfloat16), jnp.zeros(3, jnp.float32))
F32 = (jnp.zeros(3, jnp.float32),) * 2


@pytest.mark.parametrize("traced", [True, False])
@pytest.mark.parametrize("n", [0, 1, 16, 35])
def test_every_point_has_its_answer(n, traced):
    at = points(n)
    answers = evaluator(*F32, dtype=np.float64, traced=traced).run(at)
    assert len(answers) == n
    for point, answer in zip(at, answers, strict=True):
        x, y = point.leaves
        np.testing.assert_allclose(answer.y[0], x * y, rtol=1e-15)
        np.testing.assert_allclose(answer.gradient, (y * point.dy[0], x * point.dy[0]), rtol=1e-15)
        assert answer.gradient[0].dtype == np.float64


def test_one_compilation_for_all():
    one = evaluator(*F32, dtype=np.float64)
    one.run(points(40))
    one.run(points(3))
    assert len(seen) == 1
    assert len(one._programs) == 1
    one.run(points(1, size=5))
    assert len(one._programs) == 2


def test_prepared_ahead():
    one = evaluator(*F32, dtype=np.float64)
    misfit = Point((np.ones(3), np.ones(2)), (np.ones(3),))
    with ThreadPoolExecutor(1) as pool:
        one.prepare(points(1)[0], pool)
        assert len(one._programs) == 1
        one.run(points(2))
        assert len(seen) == 1
        one.prepare(misfit, pool)
    with pytest.raises(TypeError):
        one.run([misfit])


@pytest.mark.parametrize("ahead", [True, False])
def test_a_batch_is_mapped_once_over_what_is_not_shared(ahead):
    found, (a, b, c), axes = evaluator(*F32), points(3), (0, None)
    if ahead:
        with ThreadPoolExecutor(1) as pool:
            found.prepare_batch(a, 3, axes, pool)
        seen.clear()
    dx, dw = found.run_batch([a, b, c], axes)
    assert len(seen) == (not ahead)
    shared = a.leaves[1]
    np.testing.assert_allclose(dx, [shared * p.dy[0] for p in (a, b, c)], rtol=1e-6)
    np.testing.assert_allclose(dw, [p.leaves[0] * p.dy[0] for p in (a, b, c)], rtol=1e-6)


def test_in_their_own_dtypes():
    same = evaluator(jnp.zeros(3, jnp.bfloat16), jnp.zeros(3, jnp.bfloat16))
    answer = same.run(points(2))[0]
    assert answer.gradient[0].dtype == jnp.bfloat16
    assert seen[0][1] == jnp.bfloat16


@pytest.mark.parametrize("dtype", [np.float64, None])
def test_the_settings_are_the_callers_again(dtype):
    before = jax.config.jax_enable_x64
    evaluator(*F32, dtype=dtype, x64=True).run(points(1))
    assert jax.config.jax_enable_x64 == before
    with pytest.raises(TypeError):
        evaluator(*F32, dtype=dtype, x64=True).run([Point((np.ones(3), np.ones(2)), (np.ones(3),))])
    assert jax.config.jax_enable_x64 == before


def test_numpy_in_numpy_out():
    """A rule in NumPy is not handed JAX arrays, and may write into what it is handed."""
    at = points(1)
    before = at[0].leaves[0].copy()

    def in_place(leaves, dy):
        assert all(type(v) is np.ndarray for v in (*leaves, *dy))
        leaves[0][:] = 0
        return Answer((), (), (leaves[1],))

    one = evaluator(np.zeros(3, np.float32), np.zeros(3, np.float32), traced=False)
    one.pull = in_place
    assert one.layout.is_numpy
    assert one.run(at)[0].gradient[0].dtype == np.float32
    np.testing.assert_array_equal(at[0].leaves[0], before)


def test_large_arguments_go_in_fewer_at_a_time():
    assert Evaluator._chunk_size(points(1)[0]) == 16
    assert Evaluator._chunk_size(points(1, size=1 << 20)[0]) == 1
    assert Evaluator._chunk_size(Point((), ())) == 16


def test_through_jit_or_not():
    one = evaluator(*F32, dtype=np.float64)
    assert one.through_jit(True) is one
    apart = one.through_jit(False)
    (got,), (want,) = apart.run(points(1)), one.run(points(1))
    np.testing.assert_allclose(got.gradient, want.gradient, rtol=1e-15)
    assert not apart._programs


@pytest.mark.parametrize("dtype", [np.float64, np.float32, jnp.bfloat16])
def test_one_point_alone_in_a_dtype(dtype):
    """A function under jax.vjp, compiled as its users have it, in any dtype."""
    W, x = np.arange(6.0).reshape(2, 3), np.float64([1, -2, 0.5])
    one = Evaluator.of(lambda W, x: jnp.tanh(W @ x), Layout.of((W, x)), dtype)
    dy = np.float64([1, 2])
    answer = one.run_one(Point((W, x), (dy,)))
    slope = dy / np.cosh(W @ x) ** 2
    for leaf in (*answer.y, *answer.gradient):
        assert leaf.dtype == dtype
    rtol = 8 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(answer.value[0].astype(float), np.tanh(W @ x), rtol=rtol)
    np.testing.assert_allclose(answer.gradient[0].astype(float), np.outer(slope, x), rtol=8 * rtol, atol=rtol)
    np.testing.assert_allclose(answer.gradient[1].astype(float), slope @ W, rtol=8 * rtol, atol=rtol)
