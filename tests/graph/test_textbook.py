"""The slides' small examples: the textbook's numbers and the engine's are the same, node by node."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop import graph, ops
from reference import graph as textbook

NAMES = {"multiply": "mul", "subtract": "sub", "divide": "div", "negative": "neg", "maximum": "max"}


def slide(m, x, y, z):
    return (x + y) * m.maximum(y, z)


def neuron(m, w0, x0, w1, x1, w2):
    return 1.0 / (1.0 + m.exp(-(w0 * x0 + w1 * x1 + w2)))


def neuron_of_one_gate(m, w0, x0, w1, x1, w2):
    return m.sigmoid(w0 * x0 + w1 * x1 + w2)


def scorer(m, x0, x1, w00, w01, w10, w11, b0, b1, u0, u1):
    z0 = w00 * x0 + w01 * x1 + b0
    z1 = w10 * x0 + w11 * x1 + b1
    return u0 * m.tanh(z0) + u1 * m.tanh(z1)


def fan_out(m, x):
    y = 2.0 * x
    return y * y + y - x


def everyday(m, x, y):
    return m.log(x) / m.cos(y) - m.sin(x * y)


class Both:
    """NumPy's functions in the textbook, jax.numpy's in the engine, and a sigmoid of one gate in each."""

    def __init__(self, numbers, sigmoid):
        self.__dict__.update(
            {name: getattr(numbers, name) for name in "exp log sin cos tanh maximum".split()}
        )
        self.sigmoid = sigmoid


ON_PAPER = Both(np, textbook.sigmoid)
IN_JAX = Both(jnp, jax.lax.logistic)

EXAMPLES = {
    "slide": (slide, (1.0, 2.0, 0.0)),
    "slide, the other wins": (slide, (1.0, 2.0, 3.5)),
    "neuron": (neuron, (2.0, -1.0, -3.0, -2.0, -3.0)),
    "neuron of one gate": (neuron_of_one_gate, (2.0, -1.0, -3.0, -2.0, -3.0)),
    "scorer": (scorer, (0.5, -1.0, 0.3, 0.7, -0.2, 1.1, 0.1, -0.4, 1.5, -0.8)),
    "fan out": (fan_out, (3.0,)),
    "everyday": (everyday, (0.8, -0.6)),
}


def read_on_paper(f, args):
    """Value, gradient and what is handed on of every node, by the expression that it stands for."""
    g = textbook.Graph(lambda *xs: f(ON_PAPER, *xs), *args)
    g.backward()
    expressions, found = {}, {}
    place = {n: i for i, n in enumerate(g.inputs)}
    for n in g.order:
        if n.gate:
            name = NAMES.get(n.gate.name, n.gate.name)
            expressions[n] = (name, *(expressions[x] for x in n.operands))
            # The engine hands nothing on to a constant, which stands as nan on both sides.
            passed = [
                math.nan if x.constant else local * n.gradient
                for x, local in zip(n.operands, n.local, strict=True)
            ]
        else:
            expressions[n] = n.value if n.constant else f"argument {place[n]}"
            passed = []
        if not n.constant:
            found[expressions[n]] = (n.value, n.gradient, *passed)
    # No expression is written down twice.
    assert len(found) == sum(not n.constant for n in g.order)
    return found


def read_in_jax(f, args):
    g = graph.trace(lambda *xs: f(IN_JAX, *xs), *args)
    run = g.forward()
    back = run.backward()
    expressions, found = {}, {}
    for n in g.nodes:
        operands = [expressions[port.node] for port in n.inputs]
        if n.kind == "operation":
            name = {"logistic": "sigmoid"}.get(n.label, n.label)
            expressions[n.index] = (name, *operands)
        elif n.kind == "copy":
            (expressions[n.index],) = operands
            continue
        else:
            expressions[n.index] = f"argument {g.inputs.index(n)}" if n.kind == "input" else float(run[n])
        if n.kind != "constant":
            flow = back.of(n)
            passed = [math.nan if d is None else float(d) for d in flow.downstream]
            found[expressions[n.index]] = (float(run[n]), float(flow.upstream), *passed)
    return found


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_node_has_the_same_numbers(name) -> None:
    f, args = EXAMPLES[name]
    on_paper = read_on_paper(f, args)
    with jax.enable_x64(True):
        in_jax = read_in_jax(f, args)
    assert on_paper.keys() == in_jax.keys()
    for expression, numbers in on_paper.items():
        assert in_jax[expression] == pytest.approx(numbers, rel=1e-14, abs=1e-15, nan_ok=True), expression


def test_the_slide_by_hand() -> None:
    g = graph.trace(lambda x, y, z: slide(IN_JAX, x, y, z), 1.0, 2.0, 0.0)
    back = g.forward().backward()
    assert [float(d) for d in back.grads] == [2.0, 5.0, 0.0]
    assert float(back.run.value) == 6.0
    assert {n.label: n.gate for n in g.nodes if n.gate} == {
        "copy": "adder",
        "add": "distributor",
        "max": "router",
        "mul": "swap multiplier",
    }


def test_branches_of_a_copy() -> None:
    def drawn(x, y, z):
        return (x + textbook.copy(y)) * np.maximum(textbook.copy(y), z)

    on_paper = textbook.Graph(drawn, 1.0, 2.0, 0.0)
    on_paper.backward()
    branches = [n.gradient for n in on_paper.order if n.gate is textbook.copy]
    g = graph.trace(lambda x, y, z: slide(IN_JAX, x, y, z), 1.0, 2.0, 0.0)
    flow = g.forward().backward().of("copy")
    assert [float(d) for d in flow.upstream] == branches == [2.0, 3.0]
    assert [float(d) for d in flow.downstream] == [5.0]


def test_new_arguments() -> None:
    g = textbook.Graph(lambda *xs: slide(ON_PAPER, *xs), 1.0, 2.0, 0.0)
    h = graph.trace(lambda *xs: slide(IN_JAX, *xs), 1.0, 2.0, 0.0)
    for args in [(4.0, -1.0, 3.0), (1.0, 2.0, 0.0), (0.0, 5.0, -5.0)]:
        run = h.forward(*args)
        assert float(run.value) == g.forward(*args)
        assert tuple(map(float, run.backward().grads)) == g.backward()


def test_a_tie_is_shared_by_jax_and_not_by_the_lecture() -> None:
    def both(x, y):
        return 3.0 * ops.maximum(x, y) + jnp.maximum(x, y)

    x = jnp.float32(1.0)
    # The operator gives all to the first, as the textbook does; jax.grad of jnp.maximum shares equally.
    _, first = textbook.gradients(textbook.maximum, 1.0, 1.0)
    grads = graph.trace(both, x, x).forward().backward().grads
    assert [float(d) for d in grads] == [3.0 * first[0] + 0.5, 3.0 * first[1] + 0.5]


def test_a_value_on_exponentially_many_paths() -> None:
    def doubled(x):
        for _ in range(60):
            x = x + x
        return x

    value, on_paper = textbook.gradients(doubled, 1.0)
    back = graph.trace(doubled, 1.0).forward().backward()
    assert float(back.run.value) == value == 2.0**60
    assert (float(back.grads[0]),) == on_paper == (2.0**60,)
