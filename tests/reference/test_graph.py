import math
import sys
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reference import activations, gates, graph
from reference.graph import GATES, Gate, Graph, gradients, topological_order
from reference.numerical import central_difference
from reference.scorer import scorer, scorer_vjp
from tests.reference.opinions import normal


def slide(x, y, z):
    return (x + y) * np.maximum(y, z)


def test_gates_on_the_slide() -> None:
    assert gradients(slide, 1, 2, 0) == (6.0, (2.0, 5.0, 0.0))
    # Of the 5, 2 comes from the sum and 3 from the maximum.
    g = Graph(slide, 1, 2, 0)
    assert g.backward() == (2.0, 5.0, 0.0)
    x, y, total, z, larger, product = g.order
    assert (x, y, z) == g.inputs
    assert [(n.gate.name, n.value, n.local, n.gradient) for n in (total, larger, product)] == [
        ("add", 3.0, (1.0, 1.0), 2.0),
        ("maximum", 2.0, (1.0, 0.0), 3.0),
        ("multiply", 6.0, (2.0, 3.0), 1.0),
    ]
    assert product is g.output


def test_copies_are_added_drawn_or_not() -> None:
    def drawn(x, y, z):
        return (x + graph.copy(y)) * np.maximum(graph.copy(y), z)

    g = Graph(drawn, 1, 2, 0)
    assert g.backward() == (2.0, 5.0, 0.0)
    assert [n.gradient for n in g.order if n.gate is graph.copy] == [2.0, 3.0]


def neuron(w0, x0, w1, x1, w2):
    return 1 / (1 + np.exp(-(w0 * x0 + w1 * x1 + w2)))


def test_the_sigmoid_neuron() -> None:
    args = (2.0, -1.0, -3.0, -2.0, -3.0)
    y = 1 / (1 + math.exp(-1.0))
    slope = y * (1 - y)
    by_hand = (-1 * slope, 2 * slope, -2 * slope, -3 * slope, slope)

    def gate(w0, x0, w1, x1, w2):
        return graph.sigmoid(w0 * x0 + w1 * x1 + w2)

    for f in (neuron, gate):
        value, found = gradients(f, *args)
        assert value == pytest.approx(y, rel=1e-15)
        np.testing.assert_allclose(found, by_hand, rtol=1e-14)
    # The numbers of the picture.
    assert [round(d, 2) for d in gradients(neuron, *args)[1]] == [-0.2, 0.39, -0.39, -0.59, 0.2]


@pytest.mark.parametrize("name", ["tanh", "sigmoid"])
@pytest.mark.parametrize(("n", "m"), [(4, 2), (1, 1), (3, 5)])
def test_the_scorer_scalar_by_scalar(name, n, m) -> None:
    x, W, b, u = normal(0, n), normal(1, m, n), normal(2, m), normal(3, m)

    def score(*numbers):
        numbers = iter(numbers)
        x = [next(numbers) for _ in range(n)]
        W = [[next(numbers) for _ in range(n)] for _ in range(m)]
        b, u = ([next(numbers) for _ in range(m)] for _ in range(2))
        z = [sum(W[i][j] * x[j] for j in range(n)) + b[i] for i in range(m)]
        return sum(u[i] * GATES[name](z[i]) for i in range(m))

    flat = np.concatenate([part.ravel() for part in (x, W, b, u)])
    value, found = gradients(score, *flat)
    assert value == pytest.approx(scorer(x, W, b, u, name), rel=1e-13)
    expected = scorer_vjp(x, W, b, u, name, 1.0)[:4]
    np.testing.assert_allclose(found, np.concatenate([part.ravel() for part in expected]), rtol=1e-12)


# Every gate, kept where it has a value and where differences can follow.
STEPS = {
    "add": graph.add,
    "subtract": graph.subtract,
    "multiply": lambda a, b: graph.multiply(a, graph.sin(b)),
    "divide": lambda a, b: graph.divide(a, 1.5 + graph.sin(b)),
    "power": lambda a, b: graph.power(1.5 + graph.sin(a), graph.tanh(b)),
    "maximum": graph.maximum,
    "negative": lambda a, b: graph.negative(a),
    "copy": lambda a, b: graph.copy(a),
    "exp": lambda a, b: graph.exp(graph.sin(a)),
    "log": lambda a, b: graph.log(1.5 + graph.sin(a)),
    "sigmoid": lambda a, b: graph.sigmoid(a),
    "tanh": lambda a, b: graph.tanh(a),
    "sin": lambda a, b: graph.sin(a),
    "cos": lambda a, b: graph.cos(a),
    "relu": lambda a, b: graph.relu(a),
}


@st.composite
def programs(draw):
    """An expression of up to eight steps, each on any two of the values before it; and its arguments."""
    count = draw(st.integers(1, 3))
    steps = [
        (draw(st.sampled_from(sorted(STEPS))), draw(st.integers(0, made)), draw(st.integers(0, made)))
        for made in range(count - 1, count - 1 + draw(st.integers(1, 8)))
    ]

    def f(*inputs):
        values = list(inputs)
        for name, i, j in steps:
            values.append(STEPS[name](values[i], values[j]))
        return values[-1]

    return f, np.array(draw(st.lists(st.floats(-2, 2), min_size=count, max_size=count)))


def extrapolated(f, x) -> tuple[np.ndarray, np.ndarray]:
    """Central differences with halved steps, twice extrapolated, and by how much the last two disagree."""
    first = [central_difference(lambda v: f(*v), x, h)[0] for h in (4e-3, 2e-3, 1e-3)]
    second = [(4 * finer - coarser) / 3 for coarser, finer in zip(first, first[1:], strict=False)]
    third = (16 * second[1] - second[0]) / 15
    return third, np.abs(third - second[1])


def winners(g: Graph, x) -> list[bool]:
    """On which side of its kink each router is at x."""
    g.forward(*x)
    return [
        n.operands[0].value >= (n.operands[1].value if n.gate is graph.maximum else 0.0)
        for n in g.order
        if n.gate in (graph.maximum, graph.relu)
    ]


def test_every_gate_is_a_step() -> None:
    assert STEPS.keys() == GATES.keys()


@given(programs())
def test_random_expressions_against_differences(program) -> None:
    f, x = program
    value, found = gradients(f, *x)
    assert value == f(*map(float, x))
    # No kink within the steps.
    g = Graph(f, *x)
    moved = [x + sign * 4e-3 * unit for unit in np.eye(x.size) for sign in (-1, 1)]
    assume(all(winners(g, v) == winners(g, x) for v in moved))
    estimate, error = extrapolated(f, x)
    scale = max(1.0, abs(value), float(np.max(np.abs(estimate))))
    assume(np.all(error < 1e-5 * scale))
    assert np.all(np.abs(found - estimate) <= 10 * error + 1e-9 * scale)


@given(programs())
def test_operands_stand_before_what_uses_them(program) -> None:
    f, x = program
    g = Graph(f, *x)
    place = {node: k for k, node in enumerate(g.order)}
    assert len(place) == len(g.order)
    assert place[g.output] == len(g.order) - 1
    assert all(place[operand] < place[node] for node in g.order for operand in node.operands)
    reached, found = {g.output}, [g.output]
    for node in found:
        found.extend(set(node.operands) - reached)
        reached |= set(node.operands)
    assert place.keys() == reached


# Operands of each gate, ties and kinks among them.
POINTS = {
    "add": [(0.3, -2.0)],
    "subtract": [(0.3, -2.0)],
    "multiply": [(0.3, -2.0)],
    "divide": [(0.3, -2.0), (0.0, 0.5)],
    "power": [(0.3, -2.0), (2.5, 0.5)],
    "negative": [(0.3,)],
    "copy": [(0.3,)],
    "exp": [(-1.2,), (3.0,)],
    "log": [(0.3,)],
    "sigmoid": [(-3.0,), (0.0,), (2.0,)],
    "tanh": [(-3.0,), (0.0,)],
    "sin": [(2.0,)],
    "cos": [(2.0,)],
    "maximum": [(1.0, 2.0), (2.0, 1.0)],
    "relu": [(-1.0,), (1.0,)],
}


@pytest.mark.parametrize(("name", "point"), [(name, point) for name in GATES for point in POINTS[name]])
def test_each_gate_against_differences(name, point) -> None:
    value, found = gradients(GATES[name], *point)
    assert value == GATES[name](*point)
    estimate, error = extrapolated(GATES[name], np.array(point))
    np.testing.assert_allclose(found, estimate, rtol=1e-8, atol=1e-10)
    # With an upstream gradient that is not 1, and anew.
    g = Graph(GATES[name], *point)
    for dy in (-2.5, 3.0):
        np.testing.assert_allclose(g.backward(dy), np.multiply(dy, found), rtol=1e-15)


@pytest.mark.parametrize("x", [-800.0, -40.0, -1.0, 0.0, 0.7, 40.0, 800.0])
def test_values_are_those_of_the_arrays(x) -> None:
    for name, pair in {
        "sigmoid": (activations.sigmoid, activations.sigmoid_vjp),
        "tanh": (activations.tanh, activations.tanh_vjp),
        "relu": (activations.relu, activations.relu_vjp),
    }.items():
        value, (slope,) = gradients(GATES[name], x)
        assert value == pytest.approx(float(pair[0](x)), rel=1e-14)
        # Their forms do not cancel where y is near 1; the slide's y (1 - y) and 1 - y² do.
        assert slope == pytest.approx(float(pair[1](x, 1.0)[0]), rel=1e-14, abs=1e-15)
    for y in (x, -1.0, 1e3):
        for name, pair in {
            "add": (gates.add, gates.add_vjp),
            "multiply": (gates.multiply, gates.multiply_vjp),
            "maximum": (activations.maximum, activations.maximum_vjp),
        }.items():
            assert gradients(GATES[name], x, y) == (pair[0](x, y), tuple(pair[1](x, y, 1.0)))


def test_ties_and_kinks() -> None:
    assert gradients(graph.maximum, 1.0, 1.0) == (1.0, (1.0, 0.0))
    assert gradients(graph.maximum, -0.0, 0.0)[1] == (1.0, 0.0)
    assert gradients(lambda x: graph.maximum(x, x), 1.0) == (1.0, (1.0,))
    assert gradients(graph.relu, 0.0) == (0.0, (0.0,))
    nan = math.nan
    assert gradients(graph.maximum, nan, 1.0)[1] == (1.0, 0.0)
    assert gradients(graph.maximum, 1.0, nan)[1] == (0.0, 1.0)
    assert math.isnan(gradients(graph.maximum, 1.0, nan)[0])
    assert math.isnan(gradients(graph.maximum, nan, 1.0)[0])
    assert math.isnan(gradients(graph.relu, nan)[0])


def test_powers_at_the_edge_of_their_domain() -> None:
    assert gradients(lambda x: x**2, -3.0) == (9.0, (-6.0,))
    assert gradients(lambda x: x**0, 0.0) == (1.0, (0.0,))
    assert gradients(lambda x: x**1, 0.0) == (0.0, (1.0,))
    assert gradients(graph.power, 0.0, 2.0) == (0.0, (0.0, 0.0))
    value, (by_base, by_exponent) = gradients(graph.power, -3.0, 2.0)
    assert (value, by_base) == (9.0, -6.0)
    assert math.isnan(by_exponent)


def test_fan_out_adds() -> None:
    assert gradients(lambda x: x + x, 3.0) == (6.0, (2.0,))
    assert gradients(lambda x: x * x, 3.0) == (9.0, (6.0,))
    assert gradients(lambda x: x - x, 3.0) == (0.0, (0.0,))

    def several(x):
        y = 2 * x
        return y * y + y + x

    assert gradients(several, 3.0) == (45.0, (27.0,))


def test_an_argument_that_is_not_used_or_is_the_result() -> None:
    assert gradients(lambda x, y: 2.0 * x, 3.0, 4.0) == (6.0, (2.0, 0.0))
    assert gradients(lambda x, y: y, 3.0, 4.0) == (4.0, (0.0, 1.0))
    assert gradients(lambda x: 7, 3.0) == (7.0, (0.0,))
    assert gradients(lambda: 7.5) == (7.5, ())


@pytest.mark.parametrize("n", [1, 10, 100, 1000])
def test_one_sweep_visits_every_node_once(n) -> None:
    # x reaches the output along 2^n paths.
    visits: Counter[str] = Counter()

    def forward(a, b):
        visits["forward"] += 1
        return a + b

    def local(y, a, b):
        visits["backward"] += 1
        return 1.0, 1.0

    plus = Gate("plus", forward, local)

    def doubled(x):
        for _ in range(n):
            x = plus(x, x)
        return x

    assert gradients(doubled, 1.0) == (2.0**n, (2.0**n,))
    assert visits == {"forward": n, "backward": n}


def test_every_gradient_comes_from_the_same_sweep() -> None:
    visits = 0

    def local(y, a, b):
        nonlocal visits
        visits += 1
        return b, a

    times = Gate("times", lambda a, b: a * b, local)

    def product(*xs):
        total = xs[0]
        for x in xs[1:]:
            total = times(total, x)
        return total

    xs = np.linspace(0.5, 1.5, 50)
    value, found = gradients(product, *xs)
    np.testing.assert_allclose(found, value / xs, rtol=1e-13)
    assert visits == 49


def test_a_chain_of_ten_thousand() -> None:
    assert sys.getrecursionlimit() < 10_000

    def chain(x):
        for _ in range(10_000):
            x = 1.0001 * x
        return x

    g = Graph(chain, 1.0)
    assert len(g.order) == 20_001
    (slope,) = g.backward()
    assert g.output.value == pytest.approx(1.0001**10_000)
    assert slope == pytest.approx(1.0001**10_000)
    assert "multiply" in repr(g.output)
    assert topological_order(g.output) == g.order


def test_new_arguments_without_calling_f_again() -> None:
    calls = 0

    def f(x, y, z):
        nonlocal calls
        calls += 1
        return slide(x, y, z)

    g = Graph(f, 1.0, 2.0, 0.0)
    first = g.backward()
    for args in [(4.0, -1.0, 3.0), (1.0, 2.0, 0.0), (0.0, 5.0, 5.0)]:
        assert (g.forward(*args), g.backward()) == gradients(slide, *args)
    # The other argument wins, and then the first again.
    assert g.forward(4.0, -1.0, 3.0) == 9.0
    assert g.backward() == (3.0, 3.0, 3.0)
    assert g.forward(1.0, 2.0, 0.0) == 6.0
    assert g.backward() == g.backward() == first
    assert calls == 1


def test_operators_from_both_sides() -> None:
    def f(x):
        total = 0
        for term in (3 - x, 2 / x, x - 1, x / 4, 2**x, x**3, np.float64(2) * x, np.int64(5) + x, -x):
            total += term
        return total

    slope = -1 - 2 / 9 + 1 + 0.25 + 8 * math.log(2) + 27 + 2 + 1 - 1
    value, (found,) = gradients(f, 3.0)
    assert value == f(3.0)
    assert found == pytest.approx(slope, rel=1e-14)


def test_gates_take_plain_numbers() -> None:
    assert graph.multiply(3.0, 4.0) == 12.0
    assert slide(1.0, 2.0, 0.0) == 6.0


@pytest.mark.parametrize(
    ("f", "args", "error", "message"),
    [
        (lambda x: graph.log(x), (0.0,), ValueError, r"log\(0\) has no value"),
        (lambda x: 1 / x, (0.0,), ValueError, r"divide\(1, 0\) has no value"),
        (lambda x: graph.exp(x), (1000.0,), ValueError, r"exp\(1000\) has no value"),
        (lambda x: x**0.5, (-1.0,), ValueError, r"power\(-1, 0.5\) has no value"),
        (lambda x: x**0.5, (0.0,), ValueError, r"power\(0, 0.5\) has no finite gradient"),
        (lambda x: x if x > 0 else -x, (1.0,), TypeError, "no gate for greater; f has these: add, multiply"),
        (lambda x: x if x == 0 else -x, (1.0,), TypeError, "no gate for equal"),
        (lambda x: x if x else -x, (1.0,), TypeError, "f must not branch on a node"),
        (lambda x: np.arctan(x), (1.0,), TypeError, "no gate for arctan"),
        (lambda x: np.add.reduce(x), (1.0,), TypeError, "no gate for add"),
        (lambda x: np.add(x, x, where=True), (1.0,), TypeError, "no gate for add"),
        (lambda x: graph.sin(x, x), (1.0,), TypeError, "sin takes 1 operands, got 2"),
        (lambda x: graph.add(x, "1"), (1.0,), TypeError, "add must be a number or a node, got '1'"),
        (lambda x: None, (1.0,), TypeError, "f's result must be a number or a node, got None"),
        (lambda x: (x, x), (1.0,), TypeError, "f's result must be a number or a node"),
        (lambda x, y: x, (1.0, "2"), TypeError, r"args\[1\] must be a number or a node, got '2'"),
        (lambda x: x, (np.ones(2),), TypeError, r"args\[0\] must be a number"),
    ],
)
def test_bad_input_is_named(f, args, error, message) -> None:
    with pytest.raises(error, match=message):
        gradients(f, *args)


def test_new_arguments_are_checked_too() -> None:
    g = Graph(slide, 1.0, 2.0, 0.0)
    with pytest.raises(TypeError, match="the graph has 3 inputs, got 2 arguments"):
        g.forward(1.0, 2.0)
    with pytest.raises(TypeError, match=r"args\[2\] must be a number"):
        g.forward(1.0, 2.0, None)


def test_another_graphs_nodes_are_refused() -> None:
    # Else the inner graph would take the outer x for a constant, and lose a gradient in silence.
    with pytest.raises(ValueError, match="a node of another graph"):
        gradients(lambda x: gradients(lambda y: x * y, 2.0)[0], 3.0)
