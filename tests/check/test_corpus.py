"""The corpus judges itself: right rules agree with float64 autodiff, wrong ones disagree where they say.

What takes long here is among the exhaustive: it tests cases, and no code of the package.
"""

import collections
import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.check.corpus import CASES, FAMILIES, MISTAKES, RIGHT, WRONG


def is_float(leaf):
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)


def as_float64(leaves):
    return [np.asarray(leaf).astype(np.float64) for leaf in leaves]


@contextlib.contextmanager
def in_float64():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


class Point:
    """A case at some arguments: the differentiable leaves, whose they are, and what is computed there."""

    def __init__(self, case, args=None):
        self.case, self.args = case, case.args if args is None else args
        leaves = jax.tree_util.tree_flatten_with_path(self.args)[0]
        self.floats = [np.asarray(leaf) for _, leaf in leaves if is_float(leaf)]
        self.owners = [path[0].idx for path, leaf in leaves if is_float(leaf)]

    @property
    def draws(self):
        """Whether an argument is a random key, typed or of the older kind."""
        dtypes = [x.dtype for x in jax.tree.leaves(self.args) if isinstance(x, jax.Array)]
        return any(jnp.issubdtype(dtype, jax.dtypes.prng_key) or dtype == jnp.uint32 for dtype in dtypes)

    def put(self, floats):
        floats = iter(floats)
        return jax.tree.map(lambda leaf: next(floats) if is_float(leaf) else leaf, self.args)

    def moved(self, size):
        """The leaves a little aside, by at most `size` relative to themselves and to one."""
        rng = np.random.default_rng(6)
        return [
            x + np.asarray(size * np.maximum(1, abs(x)) * rng.uniform(-1, 1, x.shape)).astype(x.dtype)
            for x in self.floats
        ]

    def run(self, f, floats):
        return [y for y in jax.tree.leaves(f(*self.put(floats), **self.case.kwargs)) if is_float(y)]

    def cotangents(self, ys, scale=1):
        """Eighths, which every format holds; not small, and negative where alone: clips and signs show."""
        rng = np.random.default_rng(5)
        drawn = [rng.choice([-1, 1], y.shape) * rng.integers(10, 24, y.shape) / 8 for y in ys]
        return [
            jnp.asarray(scale * (d if d.ndim else -abs(d)), y.dtype) for d, y in zip(drawn, ys, strict=True)
        ]

    def pull(self, f, floats):
        """The results as the forward rule gives them, and the cotangents of the leaves."""
        ys, pullback = jax.vjp(lambda *floats: self.run(f, floats), *floats)
        return ys, list(pullback(self.cotangents(ys)))

    def gradient(self, floats):
        return self.pull(self.case.op, floats)[1]

    def gradients(self, floats, scales):
        """The cotangents for multiples of dy, stacked."""
        ys, pullback = jax.vjp(lambda *floats: self.run(self.case.op, floats), *floats)
        each = zip(*(self.cotangents(ys, scale) for scale in scales), strict=True)
        return jax.vmap(pullback)([jnp.stack(dy) for dy in each])

    def truth(self, floats):
        if self.case.oracle_vjp is None:
            return self.pull(self.case.truth, floats)[1]
        (dy,) = self.cotangents(self.run(self.case.truth, floats))
        return [leaf for leaf in self.case.oracle_vjp(*self.put(floats), dy) if is_float(leaf)]

    def autodiff_nearby(self, floats):
        """Autodiff in the leaves' own dtype, there and where the leaves are rounded otherwise."""
        rng = np.random.default_rng(7)
        moves = [1 + float(jnp.finfo(x.dtype).eps) * rng.uniform(-1, 1, (4, *x.shape)) for x in self.floats]
        moves = [np.concatenate([np.ones((1, *m.shape[1:])), m[1:]]) for m in moves]
        stacked = [x[None] * jnp.asarray(m, x.dtype) for x, m in zip(floats, moves, strict=True)]
        return jax.vmap(lambda floats: self.truth(floats))(stacked)

    def wrong_leaves(self, got, want, tolerances):
        """The arguments of which an entry is further from a finite truth than the tolerance."""
        wrong = set()
        for owner, a, b, tolerance in zip(
            self.owners, as_float64(got), as_float64(want), tolerances, strict=True
        ):
            if not np.all(np.where(np.isfinite(b), abs(a - b) <= tolerance, True)):
                wrong.add(owner)
        return tuple(sorted(wrong))

    def units(self, want, count, dtype=None):
        """So many units in the last place of a leaf's largest entry, a leaf at a time."""
        for x, leaf in zip(self.floats, as_float64(want), strict=True):
            size = np.max(abs(leaf), initial=0.0, where=np.isfinite(leaf))
            info = jnp.finfo(dtype or self.case.precision or x.dtype)
            yield count * float(info.eps) * size + float(info.tiny)

    def noise(self, want, ys):
        """What rounding explains: units of the leaf, and of the results over the arguments."""
        weight = sum(np.sum(abs(y)) for y in as_float64(ys)) * 3
        for unit, x in zip(self.units(want, 16), as_float64(self.floats), strict=True):
            eps = float(jnp.finfo(self.case.precision or self.floats[0].dtype).eps)
            size = np.max(abs(x), initial=0.0)
            yield unit + (eps * weight / size if size else 0.0)

    def noise_of_autodiff(self, want):
        """Autodiff's own error in the leaves' dtype, where the point is ill-conditioned."""
        (nearby,) = in_own_dtype([self], lambda p, x: p.autodiff_nearby(x))
        for leaf, others in zip(want, nearby, strict=True):
            own = abs(as_float64([others])[0] - np.float64(leaf)[None])
            yield 8 * np.max(own, initial=0.0, where=np.isfinite(own))

    def wrong_beyond_rounding(self, got, want, ys, factor=1):
        """As `wrong_leaves`, the tolerance what rounding explains; autodiff's own error is asked for late."""
        tolerances = [factor * n for n in self.noise(want, ys)]
        if self.wrong_leaves(got, want, tolerances):
            own = self.noise_of_autodiff(want)
            tolerances = [t + factor * n for t, n in zip(tolerances, own, strict=True)]
        return self.wrong_leaves(got, want, tolerances)


def at_once(points, compute, floats):
    """One program for many points."""
    return jax.jit(lambda every: [compute(p, f) for p, f in zip(points, every, strict=True)])(floats)


def in_own_dtype(points, compute):
    """What a function of a point and its leaves gives, x64 on only for the points that hold float64.

    And for those that draw: a key gives other numbers under x64, where the truth is computed.
    """
    results = {}
    for x64 in (False, True):
        some = [p for p in points if (p.case.x64 or p.draws) == x64]
        with jax.enable_x64(x64):
            results |= dict(zip(some, at_once(some, compute, [p.floats for p in some]), strict=True))
    return [results[p] for p in points]


def in_wide_dtype(points, compute):
    """The same with every leaf in float64."""
    with in_float64():
        return at_once(points, compute, [[jnp.asarray(x, jnp.float64) for x in p.floats] for p in points])


def sticks_out(point, gradient):
    """How far a gradient at a kink leaves the hull of the true ones around, relative to their size."""
    with in_float64():
        rng = np.random.default_rng(6)
        near = [
            x[None] + 1e-6 * np.maximum(1, abs(x)) * rng.uniform(-1, 1, (64, *x.shape))
            for x in as_float64(point.floats)
        ]
        corners = jax.jit(jax.vmap(lambda *floats: point.truth(floats)))(*near)
    corners = np.concatenate([np.reshape(c, (64, -1)) for c in corners], 1)
    at = np.concatenate([leaf.reshape(-1) for leaf in as_float64(gradient)])
    axes = np.concatenate([np.eye(at.size), np.ones((1, at.size))])
    axes = np.concatenate([axes, -axes])
    return np.max(axes @ at - np.max(axes @ corners.T, 1)) / np.max(abs(corners))


families = pytest.mark.parametrize("module", FAMILIES, ids=lambda m: m.__name__.rpartition(".")[2])


def wrong_cases(module, *shows_under):
    return [
        Point(case, case.made(case.shows_at or case.make_args))
        for case in module.CASES
        if case.mistakes and case.shows_under in shows_under
    ]


def test_every_mistake_has_three_operators():
    operators = collections.defaultdict(set)
    for case in WRONG:
        operators[case.mistakes[0]].add(case.name.rsplit("/", 1)[0])
    assert set(operators) == set(MISTAKES)
    assert len(MISTAKES) == 38
    assert {label: len(found) for label, found in operators.items() if len(found) < 3} == {}


def test_there_are_enough_of_both_with_names_of_their_own():
    assert len(RIGHT) >= 60
    assert len(WRONG) >= 115
    assert len({case.name for case in CASES}) == len(CASES)
    assert {label for case in CASES for label in case.mistakes} <= set(MISTAKES)
    dtypes = {str(x.dtype) for case in WRONG for x in jax.tree.leaves(case.args) if is_float(x)}
    assert dtypes == {"float64", "float32", "bfloat16", "float16"}


@pytest.mark.exhaustive
@families
def test_right_rules_agree_with_autodiff(module):
    cases = [case for case in module.CASES if not case.mistakes]
    points = [Point(case) for case in cases]
    # At a kink autodiff is one opinion of many: there the hull of those around is asked, and a point aside.
    kinks = [p for p in points if not p.case.smooth]
    with jax.enable_x64(True):
        smooth = [Point(p.case, p.put(p.moved(0.01))) for p in kinks]
    smooth += [p for p in points if p.case.smooth]
    pulled = in_own_dtype(kinks + smooth, lambda p, x: (p.run(p.case.op, x), p.pull(p.case.op, x)))
    truths = [None] * len(kinks) + in_wide_dtype(smooth, lambda p, x: p.truth(x))
    wrong = []
    for point, (primal, (forward, gradient)), truth in zip(kinks + smooth, pulled, truths, strict=True):
        assert [g.dtype for g in gradient] == [x.dtype for x in point.floats], point.case.name
        if not all(np.all(np.isfinite(g)) for g in as_float64(gradient)):
            wrong.append(f"{point.case.name}: not finite")
        for y, same in zip(as_float64(forward), as_float64(primal), strict=True):
            np.testing.assert_allclose(y, same, rtol=4 * float(jnp.finfo(forward[0].dtype).eps))
        if truth is None:
            if not sticks_out(point, gradient) < 0.02:
                wrong.append(f"{point.case.name}: no gradient of the kink")
        elif arguments := point.wrong_beyond_rounding(gradient, truth, primal):
            wrong.append(f"{point.case.name}: {arguments}")
    assert wrong == []


@pytest.mark.exhaustive
@families
def test_wrong_values_are_wrong_in_the_arguments_named(module):
    points = wrong_cases(module, "value", "linearity")
    results = in_wide_dtype(points, lambda p, x: (p.gradients(x, (1, -2)), p.truth(x)))
    amiss = []
    for point, (both, truth) in zip(points, results, strict=True):
        case = point.case
        gradient, of_other = zip(*as_float64(both), strict=True)
        with case.setting():
            found = jax.eval_shape(point.gradient, point.floats)
        assert [g.dtype for g in found] == [x.dtype for x in point.floats], case.name
        if not case.smooth:
            if not sticks_out(point, gradient) > 0.1:
                amiss.append(f"{case.name}: right at the kink")
            continue
        # Visible in the dtype of the arguments, though it is float64 that is looked at here.
        if (wrong := point.wrong_leaves(gradient, truth, point.units(truth, 8))) != case.wrong_arguments:
            amiss.append(f"{case.name}: visible in {wrong}")
        if (
            wrong := point.wrong_leaves(gradient, truth, point.units(truth, 64, "float64"))
        ) != case.wrong_arguments:
            amiss.append(f"{case.name}: wrong in {wrong}")
        # A wrong gradient may be larger than the right one, and its rounding with it.
        linear = point.wrong_leaves(
            of_other, [-2 * g for g in gradient], point.units(gradient, 64, "float64")
        )
        expected = bool(
            {"non-linear in cotangent", "upstream squared", "upstream ignored"} & set(case.mistakes)
        )
        if bool(linear) != expected:
            amiss.append(f"{case.name}: {'not linear' if linear else 'linear'} in the cotangent")
    assert amiss == []


@pytest.mark.exhaustive
@families
def test_wrong_dtypes_forwards_and_roundings_are_that_alone(module):
    points = wrong_cases(module, "dtype", "forward", "precision")
    own = in_own_dtype(points, lambda p, x: (p.run(p.case.op, x), p.pull(p.case.op, x)))
    wide = in_wide_dtype(points, lambda p, x: (p.gradient(x), p.truth(x)))
    amiss = []
    for point, (primal, (forward, gradient)), (exact, truth) in zip(points, own, wide, strict=True):
        case = point.case
        shows = {
            "dtype": tuple(
                i for i, g, x in zip(point.owners, gradient, point.floats, strict=True) if g.dtype != x.dtype
            ),
            "precision": point.wrong_beyond_rounding(gradient, truth, primal, factor=4),
        }
        expected = {"dtype": (), "precision": (), case.shows_under: case.wrong_arguments}
        for where, arguments in shows.items():
            if arguments != expected[where]:
                amiss.append(f"{case.name}: {where} in {arguments}")
        differs = any(
            np.any(abs(y - same) > 1e-3 * abs(same))
            for y, same in zip(as_float64(forward), as_float64(primal), strict=True)
        )
        if differs != (case.shows_under == "forward"):
            amiss.append(f"{case.name}: forward rule {'differs' if differs else 'agrees'}")
        # Without rounding the formula is right, though a rule of float32 stays one.
        units = (100, "float32") if case.shows_under == "dtype" else (1e8, "float64")
        if wrong := point.wrong_leaves(exact, truth, point.units(truth, *units)):
            amiss.append(f"{case.name}: wrong without rounding in {wrong}")
    assert amiss == []


@pytest.mark.parametrize(
    "case", [case for case in WRONG if case.shows_under == "jit"], ids=lambda case: case.name
)
def test_what_is_not_traceable_is_right_outside_of_a_trace(case):
    point = Point(case)
    leaves, treedef = jax.tree.flatten(case.args)
    arrays = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)}

    def traced(arrays):
        args = treedef.unflatten([arrays.get(i, leaf) for i, leaf in enumerate(leaves)])
        ys, pullback = jax.vjp(lambda x: case.op(x, *args[1:]), args[0])
        return pullback(jax.tree.map(jnp.ones_like, ys))

    with case.setting():
        gradient = point.gradient([jnp.asarray(x) for x in point.floats])
        with pytest.raises((jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError)):
            jax.jit(traced)(arrays)
    (truth,) = in_wide_dtype([point], lambda p, x: p.truth(x))
    assert point.wrong_leaves(gradient, truth, point.units(truth, 64)) == ()


@pytest.mark.parametrize(
    "case", [case for case in WRONG if case.shows_under == "vmap"], ids=lambda case: case.name
)
def test_what_is_global_in_the_batch_is_right_for_one_example(case):
    point = Point(case)
    with case.setting():
        batch = [point.floats, point.moved(0.5), point.moved(1.0)]
        together = jax.jit(jax.vmap(point.gradient))([jnp.stack(leaf) for leaf in zip(*batch, strict=True)])
        apart = [jax.jit(point.gradient)(example) for example in batch]
        apart = [np.stack(leaf) for leaf in zip(*apart, strict=True)]
    (truth,) = in_wide_dtype([point], lambda p, x: p.truth(x))
    assert point.wrong_leaves([leaf[0] for leaf in apart], truth, point.units(truth, 64)) == ()
    assert point.wrong_leaves(together, apart, point.units(apart, 1000)) == case.wrong_arguments
