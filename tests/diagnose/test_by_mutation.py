"""Mistakes named by editing programs: rules with one mistake each, and the evaluator behind the search."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxbackprop._float64 import float64_on_cpu
from jaxbackprop.diagnose import Evidence, Mistake, Sample
from jaxbackprop.diagnose.by_mutation import _search, ranked, search
from jaxbackprop.diagnose.by_mutation._evaluator import Edit, Meaning
from jaxbackprop.diagnose.by_mutation._interpreter import DoesNotFit, flatten
from jaxbackprop.diagnose.by_mutation._numpy_rules import quiet
from jaxbackprop.diagnose.by_mutation._search import _contexts
from jaxbackprop.diagnose.by_mutation._table import ROUNDS, Mutation, Round

NAMES = ("dx", "dW", "db")


def evidence(truth, rule, *leaves, names=NAMES, redraw=None):
    """A rule and the right one, each (leaves, dy) -> gradients, at one point twice and at two others."""
    rng = np.random.default_rng(5)
    floats = [i for i, leaf in enumerate(leaves) if leaf.dtype.kind == "f"]
    with float64_on_cpu():

        def ask(program, at, dy):
            return tuple(np.asarray(g, np.float64) for g in jax.jit(program)(at, dy))

        points = [leaves, leaves]
        for scale in (0.5, 1.0):
            draw = redraw or (lambda leaf, scale=scale: leaf + scale * rng.normal(size=leaf.shape))
            points.append(tuple(draw(leaf) if i in floats else leaf for i, leaf in enumerate(leaves)))
        shapes = [d.shape for d in jax.eval_shape(truth.forward, leaves)]
        samples = []
        for at in points:
            dy = tuple(rng.integers(8, 33, s) / 16 * rng.choice([-1.0, 1.0], s) for s in shapes)
            y = tuple(np.asarray(v, np.float64) for v in truth.forward(at))
            got, want = ask(rule, at, dy), ask(truth, at, dy)
            noise = tuple(1e-12 * (np.abs(w) + 1) for w in want)
            samples.append(Sample(at, dy, y, got, want, noise))
    wrong = tuple(
        i
        for i in range(len(samples[0].want))
        if any(np.any(np.abs(s.got[i] - s.want[i]) > s.noise[i]) for s in samples)
    )
    assert wrong
    return Evidence(
        names=names[: len(floats)],
        slots=tuple(floats),
        wrong=wrong,
        samples=tuple(samples),
        rule=lambda at, dy: ask(rule, at, dy),
        truth=lambda at, dy: ask(truth, at, dy),
        rule_program=rule,
        truth_program=truth,
    )


def truth_of(f, *which):
    """Autodiff of a function of the leaves, with respect to some of them."""

    def program(leaves, dy):
        def of(*floats):
            full = list(leaves)
            for i, leaf in zip(which, floats, strict=True):
                full[i] = leaf
            return (f(*full),)

        return jax.vjp(of, *(leaves[i] for i in which))[1](dy)

    program.forward = lambda leaves: (f(*leaves),)
    return program


def rule_of(f, bwd):
    """A rule's own program: the forward, then what is derived from the leaves, the result and dy."""
    return lambda leaves, dy: bwd(*leaves, f(*leaves), dy[0])


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def softmax(z):
    e = jnp.exp(z - jnp.max(z, -1, keepdims=True))
    return e / jnp.sum(e, -1, keepdims=True)


def layer(x, W, b):
    return jnp.tanh(x @ W.T + b[None])


def layer_bwd(x, W, b, y, dy, *, W_in_dx=lambda W: W, local=lambda x, y: 1 - y * y, left=lambda x: x):
    dz = dy * local(x, y)
    return dz @ W_in_dx(W), dz.T @ left(x), dz.sum(0)


def rnn(x, W):
    return lax.scan(lambda h, x: (jnp.tanh(W @ h + x),) * 2, jnp.zeros_like(x[0]), x)[1]


def rnn_bwd(x, W, hs, dhs, *, before=True, local=lambda h: 1 - h * h, back=lambda W: W.T, carry=1.0):
    def step(dh, t):
        dy, h = t
        dz = (carry * dh + dy) * local(h)
        return back(W) @ dz, dz

    dz = lax.scan(step, jnp.zeros_like(hs[0]), (dhs, hs), reverse=True)[1]
    h0 = jnp.concatenate([jnp.zeros_like(hs[:1]), hs[:-1]]) if before else hs
    return dz, dz.T @ h0


def square_layer():
    return normal(3, 3), normal(3, 3, seed=1), normal(3, seed=2)


def changed_layer(**change):
    rule = rule_of(layer, lambda *a: layer_bwd(*a, **change))
    return evidence(truth_of(layer, 0, 1, 2), rule, *square_layer())


def changed_rnn(**change):
    truth = truth_of(rnn, 0, 1)
    return evidence(truth, rule_of(rnn, lambda *a: rnn_bwd(*a, **change)), normal(4, 3), normal(3, 3, seed=1))


def changed(f, bwd, *leaves, which=(0,), redraw=None):
    return evidence(truth_of(f, *which), rule_of(f, bwd), *leaves, redraw=redraw)


def cross_entropy(z, labels):
    return -jnp.take_along_axis(jax.nn.log_softmax(z), labels[:, None], -1)[:, 0]


def cross_entropy_bwd(z, labels, y, dy, *, shift=0, p=softmax):
    return (dy[:, None] * (p(z) - jax.nn.one_hot(labels + shift, z.shape[-1], dtype=z.dtype)),)


def standardise(x):
    centred = x - jnp.mean(x, -1, keepdims=True)
    return centred / jnp.sqrt(jnp.mean(centred**2, -1, keepdims=True) + 1e-3)


def standardise_bwd(x, y, dy, *, mean=True, variance=True, eps=1e-3):
    centred = x - jnp.mean(x, -1, keepdims=True)
    rstd = 1 / jnp.sqrt(jnp.mean(centred**2, -1, keepdims=True) + eps)
    xhat = centred * rstd
    dx = dy
    if mean:
        dx = dx - jnp.mean(dy, -1, keepdims=True)
    if variance:
        dx = dx - xhat * jnp.mean(dy * xhat, -1, keepdims=True)
    return (rstd * dx,)


LABELS = np.array([2, 0, 1], np.int32)
ROWS = np.array([4, 1, 1], np.int32)

CASES = {
    "missing transpose": lambda: changed_layer(W_in_dx=lambda W: W.T),
    "missing factor": lambda: changed_layer(local=lambda x, y: jnp.ones_like(y)),
    "input for output": lambda: changed(jnp.tanh, lambda x, y, dy: ((1 - x * x) * dy,), normal(5)),
    "output for input": lambda: changed(jnp.arctan, lambda x, y, dy: (dy / (1 + y * y),), normal(5)),
    "wrong derivative formula": lambda: changed(jnp.tanh, lambda x, y, dy: ((1 - y) * dy,), normal(5)),
    "time shift": lambda: changed_rnn(before=False),
    "missing transpose, every step": lambda: changed_rnn(back=lambda W: W),
    "missing factor, every step": lambda: changed_rnn(local=jnp.ones_like),
    "path forgotten, not through time": lambda: changed_rnn(carry=0.0),
    "missing term": lambda: changed(softmax, lambda z, p, dy: (p * dy,), normal(3, 4)),
    "diagonal only": lambda: changed(softmax, lambda z, p, dy: (p * (1 - p) * dy,), normal(3, 4)),
    "unnormalised": lambda: changed(
        cross_entropy, lambda *a: cross_entropy_bwd(*a, p=jnp.exp), normal(3, 4), LABELS
    ),
    "off by one": lambda: changed(
        cross_entropy, lambda *a: cross_entropy_bwd(*a, shift=1), normal(3, 4), LABELS
    ),
    "path forgotten, the mean": lambda: changed(
        standardise, lambda *a: standardise_bwd(*a, mean=False), normal(3, 4)
    ),
    "path forgotten, the variance": lambda: changed(
        standardise, lambda *a: standardise_bwd(*a, variance=False), normal(3, 4)
    ),
    "small constant": lambda: changed(standardise, lambda *a: standardise_bwd(*a, eps=0.0), normal(3, 4)),
    "set instead of add": lambda: changed(
        lambda x, rows: x[rows],
        lambda x, rows, y, dy: (jnp.zeros_like(x).at[rows].set(dy),),
        normal(5, 2),
        ROWS,
    ),
    "wrong mask": lambda: changed(
        lambda x: jnp.clip(x, -1, 1), lambda x, y, dy: (jnp.where(x <= 1, dy, 0.0),), 2 * normal(9)
    ),
    "wrong axis": lambda: changed(
        lambda x, b: x + b[None], lambda x, b, y, dy: (dy, dy.sum(1)), normal(3, 3), normal(3), which=(0, 1)
    ),
    "missing sum": lambda: changed(
        lambda x, b: x + b[None], lambda x, b, y, dy: (dy, dy[0]), normal(3, 4), normal(4), which=(0, 1)
    ),
    "order reversed": lambda: changed(lambda x: x[::-1] ** 2, lambda x, y, dy: (2 * x * dy,), normal(5)),
    "constant factor": lambda: changed(lambda x: x * x, lambda x, y, dy: (x * dy,), normal(5)),
    "upstream ignored": lambda: changed(lambda x: x * x, lambda x, y, dy: (2 * x,), normal(5)),
    "stale residual": lambda: changed(
        lambda x, W, kept: x @ jnp.where(kept, W, 0.0),
        lambda x, W, kept, y, dy: (dy @ W.T, jnp.where(kept, x.T @ dy, 0.0)),
        normal(2, 3),
        normal(3, 4),
        normal(3, 4, seed=3) > 0,
        which=(0, 1),
    ),
    "smoothing forgotten": lambda: changed(
        lambda z, t: jnp.sum(jax.nn.softplus(z) - (0.8 * t + 0.1) * z),
        lambda z, t, y, dy: ((jax.nn.sigmoid(z) - t) * dy,),
        normal(5),
        (normal(5, seed=1) > 0).astype(np.int32),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_the_mistake_is_among_the_first_three(name):
    found = ranked(search(CASES[name]()))
    label = name.split(",")[0]
    equal = {label, {"missing term": "path forgotten", "path forgotten": "missing term"}.get(label)}
    assert equal & {s.label for s in found[:3]}, [(s.label, s.message) for s in found[:5]]


@pytest.mark.parametrize("name", ["missing factor", "unnormalised", "wrong mask"])
def test_each_label_stands_once_and_the_cheapest_first(name):
    found = ranked(search(CASES[name]()))
    assert len({s.label for s in found}) == len(found) > 1
    assert [s.cost for s in found] == sorted(s.cost for s in found)
    assert {s.stage for s in found} <= {"rule", "autodiff"}


def test_the_sentence_names_the_argument_and_what_is_there():
    found = ranked(search(CASES["missing transpose"]()))
    first = next(s for s in found if s.label == "missing transpose")
    assert first.message.startswith("dx: ")
    assert "W" in first.message
    assert first.leaf == 0


def test_without_programs_nothing_is_said():
    given = CASES["missing factor"]()
    bare = Evidence(given.names, given.slots, given.wrong, given.samples, given.rule, given.truth)
    assert search(bare) == []


def test_a_program_that_cannot_be_traced_says_nothing():
    given = CASES["missing factor"]()

    def branching(leaves, dy):
        return dy if float(jnp.sum(leaves[0])) > 0 else leaves

    strange = Evidence(
        given.names, given.slots, given.wrong, given.samples, given.rule, given.truth, branching, branching
    )
    assert search(strange) == []


def test_a_program_that_does_something_else_is_not_believed():
    given = CASES["missing factor"]()

    def other(leaves, dy):
        return tuple(2 * g for g in given.truth_program(leaves, dy))

    strange = Evidence(given.names, given.slots, given.wrong, given.samples, given.rule, given.truth, other)
    assert search(strange) == []


def test_what_no_edit_explains_is_not_explained():
    odd = changed(jnp.tanh, lambda x, y, dy: ((jnp.sin(3 * x) + 0.3 * x**5 - jnp.cosh(y)) * dy,), normal(5))
    assert search(odd) == []


def test_what_found_a_suspicion_is_a_mutation_of_the_table():
    names = {mutation.name for group in ROUNDS for mutation in group.mutations}
    assert {s.found_by for s in search(CASES["missing factor"]())} <= names


@pytest.mark.parametrize(
    "name",
    ["unnormalised", "wrong mask", "set instead of add", "time shift", "diagonal only", "stale residual"],
)
def test_the_labels_of_an_edit_are_those_of_its_mutation(name):
    with float64_on_cpu(), quiet():
        for context in _contexts(CASES[name]()).values():
            for mutation in (m for group in ROUNDS for m in group.mutations):
                assert len(set(mutation.labels)) == len(mutation.labels) > 0
                said = set()
                for edit in itertools.islice(mutation.edits(context), 200):
                    meaning = edit.meaning if edit.solve is None else edit.solve.meaning(3.0)
                    said.add(meaning.labels)
                assert all(isinstance(label, Mistake) for labels in said for label in labels)
                assert set().union(*said) <= set(mutation.labels), mutation.name
                # Either the table names the mistake, or each edit does.
                assert said <= {()} or () not in said, mutation.name


def edits_with_an_error(context):
    def operand(values, x):
        return x.no_such_attribute

    for i in context.floats:
        yield Edit(Meaning("an edit with a typo"), context.everywhere(i, operand))


def test_an_error_in_an_edit_is_not_hidden(monkeypatch):
    broken = Mutation("broken", edits_with_an_error, 1.0, (Mistake.SIGN,))
    monkeypatch.setattr(_search, "ROUNDS", (Round(1.0, (broken,)),))
    with pytest.raises(AttributeError, match="no_such_attribute"):
        search(CASES["missing factor"]())


def edits_of_another_shape(context):
    for i in context.floats:
        yield Edit(Meaning("a longer value"), context.everywhere(i, lambda values, x: np.zeros(99)))


def test_a_mutant_whose_shapes_do_not_fit_explains_nothing(monkeypatch):
    longer = Mutation("longer", edits_of_another_shape, 1.0, (Mistake.SIGN,))
    monkeypatch.setattr(_search, "ROUNDS", (Round(1.0, (longer,)),))
    assert search(CASES["missing factor"]()) == []


def loops(x, n):
    return lax.while_loop(lambda s: s[1] < n, lambda s: (jnp.sin(s[0]), s[1] + 1), (x, 0))[0]


@pytest.mark.parametrize(
    ("f", "leaves"),
    [
        (lambda x, y: jnp.einsum("bij,bkj->bik", x, y), (normal(2, 3, 4), normal(2, 5, 4))),
        (lambda x, y: jnp.tensordot(x, y, ((0, 2), (2, 0))), (normal(2, 3, 4), normal(4, 5, 2))),
        (lambda x, w: jnp.convolve(x, w, "full"), (normal(7), normal(3))),
        (
            lambda x, w: lax.conv_general_dilated(
                x, w, (2, 1), ((1, 2), (0, -1)), (1, 2), (2, 1), feature_group_count=2
            ),
            (normal(2, 4, 5, 6), normal(6, 2, 3, 2)),
        ),
        (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (2,), (2,), "VALID"), (normal(8),)),
        (lambda x: x[:, jnp.array([2, 0, 0])] + x.at[0, 1].set(3.0)[:, :3], (normal(3, 3),)),
        (lambda x, i: jnp.take_along_axis(x, i, 1), (normal(2, 4), np.array([[0, 5], [-1, 2]], np.int32))),
        (lambda x, i: jnp.zeros((4, 2)).at[i].add(x), (normal(3, 2), np.array([1, 1, 3], np.int32))),
        (lambda x, i: lax.dynamic_slice(x, (i, np.int32(1)), (2, 2)), (normal(4, 3), np.array(3, np.int32))),
        (lambda x: lax.pad(x, 0.5, ((-1, 2, 1), (1, -1, 0))), (normal(4, 3),)),
        (lambda x: jax.nn.gelu(x) + jax.nn.softplus(x) * lax.erf_inv(jnp.tanh(x)), (normal(5),)),
        (lambda x: jnp.sort(x, 0) + jnp.argsort(x, 0) + lax.cumsum(x, 1, reverse=True), (normal(4, 3),)),
        (lambda x: jnp.sum(jax.random.normal(jax.random.key(1), x.shape) * x), (normal(4),)),
        (lambda x: loops(x, 3) + lax.fori_loop(0, 4, lambda i, s: s * 0.5 + i, x), (normal(3),)),
        (lambda x: lax.scan(lambda c, x: (c + x, c * x), x[0], x, reverse=True), (normal(4, 2),)),
        (lambda x: lax.cond(x[0] > 0, jnp.sin, jnp.cos, x), (normal(3),)),
        (lambda x, y: jnp.linalg.solve(x + 4 * jnp.eye(3), y), (normal(3, 3), normal(3))),
        (
            lambda x, i: i // 2 + i % 3 + jnp.round(x * 3) + (i >> 1),
            (normal(3), np.array([-5, 4, 7], np.int32)),
        ),
        (lambda x: jax.checkpoint(jnp.sin)(x) + jax.jit(jnp.cos)(x) ** -2, (normal(3),)),
    ],
)
def test_the_evaluator_computes_what_jax_does(f, leaves):
    with float64_on_cpu():
        flat = flatten(lambda leaves: jax.tree.leaves(f(*leaves)), leaves)
        values = flat.evaluate(list(leaves))
        for i, right in zip(flat.outputs, jax.tree.leaves(f(*map(jnp.asarray, leaves))), strict=True):
            np.testing.assert_allclose(values[i], right, rtol=1e-12, atol=1e-12)


def test_short_scans_are_unrolled_and_long_ones_are_one_equation():
    with float64_on_cpu():

        def running(x):
            return lax.scan(lambda c, x: (c + jnp.sin(x), c), 0.0, x)

        short, long = flatten(running, normal(4)), flatten(running, normal(40))
    assert [e.name for e in short.equations].count("sin") == 4
    assert short.loops
    assert [e.name for e in long.equations] == ["scan"]


def test_an_equation_refuses_arrays_of_another_shape():
    with float64_on_cpu():
        (add,) = flatten(lambda x, y: (x + y,), normal(4), normal(4)).equations
    with pytest.raises(DoesNotFit, match="add"):
        add.run(normal(4), normal(3))
