"""What redraws keep of the arguments, and what they change."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.check import CannotCheck, Layout, Point
from jaxbackprop.check._sampling import (
    QUICK_REDRAWS,
    REDRAWS,
    Kind,
    cotangents,
    free_leaves,
    larger_shapes,
    redraws,
    sample,
)


def layout(*args, static=frozenset()):
    return Layout.of(args, static, trace_floats=True)


def drawn(*args, domains=None, seed=0, quick=False, shapes=None):
    """Redraws by kind."""
    rng = np.random.default_rng(seed)
    return {
        r.kind: r.leaves
        for r in redraws(layout(*args), domains, rng, QUICK_REDRAWS if quick else REDRAWS, shapes)
    }


def leaf(*args, **options):
    return {kind: np.asarray(leaves[0], float) for kind, leaves in drawn(*args, **options).items()}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_kinds():
    kinds = set(drawn(normal(3)))
    assert {"generic", "flipped", "small", "large", "saturated", "tied", "repeated"} <= kinds
    assert set(drawn(normal(3), quick=True)) < kinds


def test_floats_go_where_mistakes_show():
    x = normal(40)
    found = leaf(x)
    np.testing.assert_array_equal(found["flipped"], -x)
    assert np.max(np.abs(found["small"])) < 0.01 < 3 < np.max(np.abs(found["large"]))
    assert np.min(np.abs(found["saturated"])) > 400
    assert len(np.unique(found["tied"])) < 10
    assert np.all(found["positive"] > 0)
    assert np.all(found["negative"] < 0)
    for kind, values in found.items():
        assert values.shape == x.shape
        assert np.all(np.isfinite(values)), kind


@given(st.sampled_from([jnp.float16, jnp.bfloat16, jnp.float32]), st.floats(1e-5, 1e4))
def test_a_redraw_is_a_value_of_its_own_dtype(dtype, scale):
    x = np.asarray(scale * normal(5)).astype(dtype)
    for values in leaf(x).values():
        np.testing.assert_array_equal(values.astype(dtype).astype(float), values)


@given(st.floats(1e-6, 1e6))
def test_scale_is_kept(scale):
    x = scale * normal(50)
    assert 0.3 < np.std(leaf(x)["generic"]) / np.std(x) < 3


def test_positive_arguments_stay_positive_in_the_everyday_redraw_alone():
    found = leaf(np.exp(normal(20)))
    assert np.all(found["generic"] > 0)
    assert np.any(found["other"] < 0)


@given(st.integers(0, 99))
def test_order_stays(seed):
    """Beside another array an ascending vector is a grid or a set of bins, flipped or not."""
    x = np.asarray([0.1, 0.5, 0.7, 2.0])
    for kind, values in leaf(x, normal(3), seed=seed).items():
        assert np.all(np.diff(values) >= 0), kind


def test_a_vector_alone_is_ascending_by_chance():
    found = leaf(np.asarray([0.1, 0.5, 0.7, 2.0]))
    assert any(np.any(np.diff(values) < 0) for values in found.values())


def test_zeros_and_ones_alike_are_a_fresh_bias_or_scale():
    for fresh in (np.zeros(5), np.ones(5)):
        found = leaf(fresh, normal(5))
        assert any(set(np.unique(values)) - {0.0, 1.0} for values in found.values())


def test_a_label_far_out_stays_a_mark():
    found = drawn(np.asarray([0, 3, -100, 2, 1]), normal(5))
    assert all(set(np.unique(leaves[0])) <= {-100, 0, 1, 2, 3} for leaves in found.values())


def test_a_mask_stays_one():
    x = np.asarray([1.0, 0.0, 1.0, 1.0])
    found = leaf(x)
    assert all(set(np.unique(v)) <= {0, 1} for v in found.values())
    assert any(np.any(v != x) for v in found.values())


def test_booleans_are_drawn_anew():
    found = leaf(np.ones(40, bool))
    assert all(0 < v.sum() < 40 for v in found.values())
    assert leaf(np.asarray(True))["generic"] == 1


@given(st.integers(0, 50))
def test_a_simplex_stays_one(seed):
    x = np.asarray([[0.2, 0.3, 0.5], [0.9, 0.05, 0.05]])
    for values in leaf(x, seed=seed).values():
        np.testing.assert_allclose(values.sum(-1), 1, rtol=1e-12)
        assert np.all(values > 0)


def test_one_hot_rows_stay_one_hot():
    for values in leaf(np.eye(5)[[1, 1, 4]]).values():
        np.testing.assert_array_equal(np.sort(values, -1)[:, -2:], [[0, 1]] * 3)


@given(st.integers(-3, 3), st.integers(1, 9), st.integers(0, 20))
def test_integers_stay_within_the_range_seen(low, width, seed):
    n = np.asarray([low, low + width, low, low + width // 2], np.int8)
    for leaves in drawn(n, normal(2), seed=seed).values():
        assert leaves[0].dtype == np.int8
        assert low <= leaves[0].min()
        assert leaves[0].max() <= low + width


def test_integers_repeat():
    found = leaf(np.asarray([7, 0, 3, 5]), normal(2))
    assert len(np.unique(found["repeated"])) == 1
    assert found["tied"][0] == found["tied"][1]
    assert leaf(np.asarray(3), normal(2))["generic"] == 3


def test_ascending_integers_stay_ascending():
    for values in leaf(np.asarray([0, 0, 1, 4, 4]), normal(2)).values():
        assert np.all(np.diff(values) >= 0)


def test_keys():
    for key in (jax.random.key(0), jax.random.key(0, impl="rbg"), jax.random.split(jax.random.key(1), 3)):
        found = [leaves[0] for leaves in drawn(key, normal(2)).values()]
        assert all(k.dtype == key.dtype and k.shape == key.shape for k in found)
        assert len({jax.random.key_data(k).tobytes() for k in found}) == len(found)
    old = jax.random.PRNGKey(0)
    found = [leaves[0] for leaves in drawn(old, normal(2)).values()]
    assert all(k.dtype == np.uint32 and k.shape == (2,) for k in found)


def test_beside_arrays_a_scalar_is_a_setting():
    found = drawn(normal(4), np.asarray(8.0), np.asarray(0.3))
    for _, width, rate in found.values():
        assert 8 * 0.7 <= width <= 8 * 1.4
        assert 0 < rate < 1
    assert leaf(np.asarray(8.0))["flipped"] == -8


def test_nothing_in_it():
    assert all(v.shape == (0, 2) for v in leaf(np.zeros((0, 2))).values())


@pytest.mark.parametrize(
    "kind", ["generic", "small", "large", "saturated", "tied", "positive", "negative", "flipped"]
)
def test_domains(kind):
    x, n = np.abs(normal(6)) + 0.5, np.asarray([1, 2, 1])
    interval, positive, simplex, fixed, own, integers, free = drawn(
        x,
        x,
        np.stack([x, x]),
        x,
        x,
        n,
        x,
        domains=(
            (2.0, 3.0),
            "positive",
            "simplex",
            "fixed",
            lambda rng, like: 0 * like + rng.integers(5, 9),
            (4, 9),
            None,
        ),
    )[kind]
    assert np.all((interval > 2) & (interval < 3))
    assert np.all(positive > 0)
    np.testing.assert_allclose(simplex.sum(-1), 1)
    np.testing.assert_array_equal(fixed, x)
    assert own[0] in range(5, 9)
    assert np.all((integers >= 4) & (integers <= 9))
    assert free.shape == x.shape


def test_a_domain_is_of_an_argument_with_all_its_leaves():
    tree = {"a": normal(3), "b": normal(2)}
    for a, b, c in drawn(tree, normal(2), domains=("positive", "fixed")).values():
        assert np.all(a > 0)
        assert np.all(b > 0)
        np.testing.assert_array_equal(c, normal(2))


@pytest.mark.parametrize(
    ("domains", "says"),
    [
        ("positive", "one entry an argument"),
        (("positive",), "domains has 1 entries, but argument 1 is an array"),
        (((2, 1), None), r"domains\[0\] must be \(lo, hi\) with lo < hi"),
        ((None, "simple"), r"domains\[1\] must be .* got 'simple'"),
        ((None, (np.zeros(2), np.ones(2))), r"domains\[1\] must be"),
    ],
)
def test_domains_that_do_not_fit(domains, says):
    with pytest.raises(CannotCheck, match=says):
        drawn(normal(2), normal(2), domains=domains)


def test_a_seed_draws_the_same_again():
    for a, b in zip(drawn(normal(3), seed=4).values(), drawn(normal(3), seed=4).values(), strict=True):
        np.testing.assert_array_equal(a[0], b[0])
    assert np.any(drawn(normal(3), seed=5)["generic"][0] != drawn(normal(3), seed=4)["generic"][0])


def test_other_shapes():
    args = normal(1, 2), np.asarray([1]), jax.random.key(0)
    for x, n, key in drawn(*args, shapes=((3, 2), (3,), ())).values():
        assert (x.shape, n.shape, key.shape) == ((3, 2), (3,), ())


def test_larger_shapes():
    shapes = list(
        larger_shapes(
            layout(normal(1, 1, 2), np.asarray([1]), normal(2), jax.random.split(jax.random.key(0), 1))
        )
    )
    assert shapes[0] == ((3, 1, 2), (3,), (2,), (1,))
    assert ((3, 3, 2), (3,), (2,), (1,)) in shapes
    assert ((3, 1, 2), (1,), (2,), (1,)) in shapes
    assert len(set(shapes)) == len(shapes)
    assert list(larger_shapes(layout(normal(2, 2)))) == []


def test_what_any_float_would_do_in():
    args = (
        normal(3),
        np.asarray([1.0, 0.0]),
        np.asarray([[0.5, 0.5]]),
        np.arange(5.0),
        np.asarray(2.0),
        np.asarray([1]),
    )
    assert free_leaves(layout(*args), None) == [True, False, False, False, False, False]
    assert free_leaves(layout(np.asarray(2.0)), None) == [True]
    assert free_leaves(layout(normal(3), normal(3)), ("positive", None)) == [False, True]


@given(
    st.lists(st.lists(st.integers(0, 3), max_size=2).map(tuple), min_size=1, max_size=3), st.integers(0, 9)
)
def test_cotangents_show_what_is_left_out(shapes, seed):
    found = cotangents(shapes, np.random.default_rng(seed))
    assert [d.shape for d in found] == shapes
    for d in found:
        assert np.all(np.abs(d) > 0.5)
        np.testing.assert_array_equal(d.astype(jnp.bfloat16).astype(float), d)


def test_the_words_and_the_order_of_the_redraws():
    """The order is that of the draws: another one is another check."""
    words = "generic other flipped small large saturated tied repeated positive negative"
    assert [str(kind) for kind in REDRAWS] == words.split()
    assert sorted(kind.plainness for kind in REDRAWS) == list(range(len(REDRAWS)))
    assert min(REDRAWS, key=lambda kind: kind.plainness) is Kind.OTHER
    given = "base fresh sum minus twice zero much little alone"
    assert " ".join(kind for kind in Kind if kind.given) == given
    assert {kind for kind in Kind if kind.usual} == {
        *(Kind.BASE, Kind.FRESH, Kind.GENERIC, Kind.OTHER, Kind.FLIPPED, Kind.POSITIVE, Kind.NEGATIVE)
    }


def sampled(*shapes, quick=False, few=False):
    at = layout(normal(2))
    base = Point(at.leaves, cotangents(shapes, np.random.default_rng(3)))
    return base, sample(at, base, None, 3, quick=quick, few=few, scale=8.0)


def test_the_points_of_a_check():
    base, found = sampled((2,))
    kinds = [kind for kind, _ in found.points]
    assert kinds == [kind for kind in Kind if kind.given and kind is not Kind.ONE_RESULT] + list(REDRAWS)
    dy = {kind: point.dy[0] for kind, point in found.points}
    assert found.points[0].point is base
    np.testing.assert_array_equal(dy[Kind.SUM], dy[Kind.BASE] + dy[Kind.FRESH])
    np.testing.assert_array_equal(dy[Kind.MINUS_TWICE], -2 * dy[Kind.BASE])
    np.testing.assert_array_equal(dy[Kind.LARGE_SCALE], 8 * dy[Kind.BASE])
    np.testing.assert_array_equal(8 * dy[Kind.SMALL_SCALE], dy[Kind.BASE])
    assert not np.any(dy[Kind.ZERO])
    assert len(found.batch) == 3
    for kind, point in found.points:
        assert np.array_equal(point.leaves[0], base.leaves[0]) == kind.given


def test_every_result_once_alone():
    base, found = sampled((2,), (), quick=True)
    alone = [point.dy for kind, point in found.points if kind is Kind.ONE_RESULT]
    assert [[bool(np.any(d)) for d in dy] for dy in alone] == [[True, False], [False, True]]
    np.testing.assert_array_equal(alone[0][0], base.dy[0])


def test_of_large_arguments_few_points():
    _, found = sampled((2,), few=True)
    assert [str(kind) for kind, _ in found.points] == [
        *("base", "minus twice"),
        *("generic", "tied"),
    ]
    assert len(found.batch) == 2
    _, found = sampled((2,), few=True, quick=True)
    assert [str(kind) for kind, _ in found.points] == ["base", "generic"]


@pytest.mark.parametrize(
    "order",
    [np.array([2, 0, 1]), np.array([3, 1, 0, 2]), np.array([[1, 0, 2], [2, 1, 0]]), np.array([0, 2, 1, 3])],
    ids=str,
)
def test_a_permutation_is_redrawn_as_one(order):
    orders = [leaves[1] for leaves in drawn(np.ones((4, 2)), order).values()]
    assert all(np.array_equal(np.sort(one, axis=-1), np.sort(order, axis=-1)) for one in orders)
    assert any(not np.array_equal(one, order) for one in orders)


@pytest.mark.parametrize("ids", [np.array([1, 0]), np.array([0, 1, 2]), np.array([2, 0, 2])], ids=str)
def test_what_may_be_no_permutation_is_redrawn_with_repeats(ids):
    assert any(len(np.unique(leaves[1])) < ids.size for leaves in drawn(np.ones((4, 2)), ids).values())


def test_an_inverse_is_redrawn_with_its_permutation():
    order = np.array([2, 0, 3, 1])
    for _, first, second in drawn(np.ones((4, 2)), order, np.argsort(order)).values():
        np.testing.assert_array_equal(second, np.argsort(first))
