# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: kernelspec,jupytext,-jupytext.text_representation
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Computation graphs
#
# Unit 2 of the lecture: a function is a graph of small steps. Values flow through it forward, gradients flow
# back, and each step needs to know its own derivative only. This notebook follows the numbers through the
# graph, then measures what the lecture says about cost.
#
# Two engines do the work. `reference.graph` is the textbook: scalars, two pages of Python, meant to be read.
# `jaxbackprop.graph` takes any JAX function, arrays, loops and all, and does the same with a hand-derived
# local gradient for each of JAX's primitives.

# %%
import os

# One thread: what is to be measured is work, not how many cores are free.
os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_cpu_multi_thread_eigen=false"

import re
import time
from collections import Counter
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import SVG, display

from jaxbackprop import graph, ops
from reference import graph as textbook

# As on paper: float64.
jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
# Colours of Okabe and Ito, which can be told apart with any colour vision.
BLUE, VERMILLION = "#0072B2", "#D55E00"
plt.rcParams |= {"figure.dpi": 90, "axes.spines.top": False, "axes.spines.right": False}


def show(g, run=None):
    """A graph's picture. Under the pointer it names this page, not the file that Jupyter makes of a cell."""
    display(SVG(re.sub(r"\S*ipykernel_\d+\S*?(?=:\d)", "this page", g.to_svg(run))))


# %% [markdown]
# ## 1. Gates and flow
#
# A node computes $y$ from its operands $x_i$. On the way back the gradient $\partial s / \partial y$ of the
# result $s$ arrives, the *upstream* gradient, and the node hands to each operand the *downstream* gradient
#
# $$\frac{\partial s}{\partial x_i} = \frac{\partial y}{\partial x_i} \cdot \frac{\partial s}{\partial y}
# \qquad\text{(local × upstream).}$$
#
# Four gates have names in the lecture. Here are their forward and backward passes, with 2 arriving from
# upstream:

# %%
print("gate      operands    value   upstream   local        downstream")
for gate, *operands in [
    (textbook.add, 1.0, 3.0),
    (textbook.multiply, 4.0, 5.0),
    (textbook.maximum, 4.0, 5.0),
    (textbook.maximum, 5.0, 5.0),
]:
    g = textbook.Graph(gate, *operands)
    downstream = g.backward(2.0)
    print(
        f"{gate.name:9} {operands!s:12}{g.output.value:5}{g.output.gradient:10}   "
        f"{g.output.local!s:12} {downstream}"
    )

# %% [markdown]
# * **add** is a *distributor*: its local gradients are 1, so both operands get what arrives.
# * **multiply** is a *swap multiplier*: each operand gets upstream times the *other* operand.
# * **maximum** is a *router*: all of it goes to the winner, nothing to the loser. At a tie the first wins.
#   (`ops.maximum` does the same. `jnp.maximum` shares a tie equally under `jax.grad` and `graph.grad`.)
# * **copy**, where a value goes several ways, is an *adder*: the value gets the sum of what comes back from
#   all of them.
#
# The lecture's example has all four:
#
# $$f(x, y, z) = (x + y) \cdot \max(y, z), \qquad x = 1, \quad y = 2, \quad z = 0.$$
#
# $y$ is used twice, so it is copied. The function is ordinary Python; `Graph` calls it once, with nodes in
# the place of numbers, to see what it does.


# %%
def f(x, y, z):
    return (x + y) * np.maximum(y, z)


g = textbook.Graph(f, 1.0, 2.0, 0.0)
gradients = g.backward()
names = dict(zip(g.inputs, ("x", "y", "z"), strict=True))
print("node      value   gradient")
for node in g.order:
    print(f"{names.get(node) or node.gate.name:9}{node.value:6}{node.gradient:11}")
assert g.output.value == 6.0
assert gradients == (2.0, 5.0, 0.0)

# %% [markdown]
# Read the gradients from the bottom up. The product starts with 1 and swaps: the sum gets $2$, the maximum
# $3$. The sum distributes its $2$ to $x$ and $y$; the maximum routes its $3$ to $y$. So $y$ gets
# $2 + 3 = 5$: raise $y$ by a little and $f$ rises five times as much.
#
# The same function in JAX, and its graph as a picture: values above the lines, gradients below.


# %%
def f_in_jax(x, y, z):
    return (x + y) * jnp.maximum(y, z)


drawn = graph.trace(f_in_jax, 1.0, 2.0, 0.0)
back = drawn.forward().backward()
assert back.grads == gradients
show(drawn, back)

# %% [markdown]
# Nobody derived a gradient of $f$. Each node knows its own, and the chain rule does the rest. How large a
# step you call a node is up to you. A sigmoid neuron, say, is a graph of eight operations, or of five where
# the sigmoid is one gate with the slide's local gradient $y(1 - y)$:


# %%
def neuron(sigmoid, w0, x0, w1, x1, b):
    return sigmoid(w0 * x0 + w1 * x1 + b)


def sigmoid_in_steps(z):
    return 1 / (1 + np.exp(-z))


numbers = (2.0, -1.0, -3.0, -2.0, -3.0)
for sigmoid, operations in [(sigmoid_in_steps, 8), (textbook.sigmoid, 5)]:
    g = textbook.Graph(partial(neuron, sigmoid), *numbers)
    print(f"y = {g.output.value:.3f}, gradients", " ".join(f"{d:+.3f}" for d in g.backward()))
    assert sum(node.gate is not None for node in g.order) == operations
    # z = 1, and the local gradient reaches every input times the other factor.
    y = g.output.value
    slope = y * (1 - y)
    assert np.allclose(g.backward(), [-slope, 2 * slope, -2 * slope, -3 * slope, slope], rtol=1e-14)

# %% [markdown]
# ## 2. Topological order
#
# In which order can the nodes be computed? Each after its operands: that is a *topological order*. A graph
# without cycles always has one, often several. The textbook sorts depth first; the other engine takes the
# steps in the order in which the program did them. Both are right.

# %%
g = textbook.Graph(f, 1.0, 2.0, 0.0)
names = dict(zip(g.inputs, ("x", "y", "z"), strict=True))
print("textbook:         ", ", ".join(names.get(node) or node.gate.name for node in g.order))
print("jaxbackprop.graph:", ", ".join(node.name for node in drawn.topological_order()))

place = {node: k for k, node in enumerate(g.order)}
assert all(place[operand] < place[node] for node in g.order for operand in node.operands)
assert all(edge.source < edge.target for edge in drawn.edges)

# %% [markdown]
# Backward, the nodes are walked in the *reverse* of such an order. Why not in any other order that begins at
# the output, say nearest first? Take $y = 2x$ and $s = y + e^y$. Seen from $s$, $y$ is as near as $e^y$, and
# its turn may come first.

# %%
g = textbook.Graph(lambda x: (y := 2 * x) + np.exp(y), 0.5)
(right,) = g.backward()


def nearest_first(output):
    order = [output]
    for node in order:
        order += [operand for operand in node.operands if operand not in set(order)]
    return order


def sweep(order):
    """Walks the nodes in this order; each hands on what it has when its turn comes."""
    gradient = dict.fromkeys(order, 0.0) | {order[0]: 1.0}
    for node in order:
        for operand, local in zip(node.operands, node.local, strict=True):
            gradient[operand] += local * gradient[node]
    return gradient[g.inputs[0]]


print(f"by hand                    {2 * (1 + np.e):.4f}")
print(f"reverse topological order  {sweep(g.order[::-1]):.4f}")
print(f"nearest first              {sweep(nearest_first(g.output)):.4f}")
assert np.isclose(right, 2 * (1 + np.e), rtol=1e-15)
assert sweep(g.order[::-1]) == right
assert sweep(nearest_first(g.output)) == 2.0

# %% [markdown]
# Nearest first, $y$ handed on its gradient when only the 1 of the sum had come, and the $e$ that came later
# through $e^y$ was lost. In reverse topological order a node's turn comes when all that use it have had
# theirs. Its gradient is complete, so **one visit is enough**.
#
# That is no detail. Written out, the chain rule is a sum over all *paths* from the input to the output, and a
# few steps make very many paths. Double a number $n$ times, as $x + x$:

# %%
visits = Counter()


def count(y, a, b):
    visits["local gradients"] += 1
    return 1.0, 1.0


plus = textbook.Gate("plus", lambda a, b: a + b, count)


def doubled(n, x):
    for _ in range(n):
        x = plus(x, x)
    return x


print("  n                 paths   nodes visited   gradient")
for n in (2, 10, 50):
    visits.clear()
    _, (slope,) = textbook.gradients(partial(doubled, n), 1.0)
    print(f"{n:3}{2**n:22,}{visits.total():16}{slope:25,.0f}")
    assert visits.total() == n
    assert slope == 2.0**n

# %% [markdown]
# ## 3. One sweep, or one gradient at a time
#
# To compute $\partial s/\partial b$ first and then $\partial s/\partial W$ is inefficient, says the slide:
# compute all gradients at once. Notebook 1 counted it for the four gradients of one layer: half the work.
# With more layers more is saved, because the gradients of the lower layers share most of their way back.
# `g.cost()` counts the multiplications of a graph (a tanh counts as eight). Here it counts them for $L$
# layers of 32 units, first for the gradients of all weights, then with a graph of its own for each layer's.


# %%
def network(weights, x):
    for W in weights:
        x = jnp.tanh(W @ x)
    return x.sum()


def one_layer(weights, k, x, W):
    return network([*weights[:k], W, *weights[k + 1 :]], x)


x = rng.normal(size=32)
print("layers   forward   all at once   one at a time   times")
for layers in (1, 2, 4, 8, 16):
    weights = list(rng.normal(size=(layers, 32, 32)) / 6)
    at_once = graph.trace(partial(network, x=x), weights).cost()
    separate = [graph.trace(partial(one_layer, weights, k, x), W).cost() for k, W in enumerate(weights)]
    sweep_cost = at_once.forward + at_once.backward
    one_at_a_time = sum(cost.forward + cost.backward for cost in separate)
    print(
        f"{layers:6}{at_once.forward:10,}{sweep_cost:14,}{one_at_a_time:16,}{one_at_a_time / sweep_cost:8.1f}"
    )
    assert at_once.backward <= 2 * at_once.forward
    assert one_at_a_time >= layers / 2 * sweep_cost

# %% [markdown]
# One at a time the work grows with the square of the depth, in one sweep with the depth. The gradients are
# the same:

# %%
swept = graph.grad(network)(weights, x)
for k, W in enumerate(weights):
    assert np.allclose(swept[k], graph.grad(partial(one_layer, weights, k, x))(W), rtol=1e-13, atol=0)

# %% [markdown]
# ## 4. Forward and backward cost the same, up to a constant
#
# For every product $Wx$ forward there are two on the way back, $\delta x^\mathsf{T}$ for the weights and
# $W^\mathsf{T}\delta$ for the layer below (which the first layer does not have). An elementwise function has
# a few multiplications an entry. So the backward pass costs up to about two forward passes: two where the
# products of wide and many layers make up the work, less in small networks. That bound holds for any width
# and depth, and is what the lecture means by the same time complexity.
#
# > **Slip on the slide.** The page that it links counts $O(n^4)$ forward for $n$ layers of $n$ units and $n$
# > examples, and $O(n^5)$ backward. That reads as if backward cost $n$ times as much. Its $n^5$ holds $n$
# > steps of gradient descent; one backward pass is of order $n^4$ as well.
#
# Count it for just these networks. The ratio tends to 2, not to $n$:


# %%
def network_of_examples(weights, X):
    for W in weights:
        X = jnp.tanh(X @ W.T)
    return X.sum()


print("  n          n⁴     forward    backward   backward / forward")
for n in (8, 16, 32, 64):
    weights = [jax.ShapeDtypeStruct((n, n), jnp.float32)] * n
    cost = graph.trace(network_of_examples, weights, np.ones((n, n), np.float32)).cost()
    print(f"{n:3}{n**4:12,}{cost.forward:12,}{cost.backward:12,}{cost.ratio:14.2f}")
    assert n**4 <= cost.forward <= 2 * n**4
    assert cost.ratio < 2.5

# %% [markdown]
# So much for counting. Now the clock: four layers, 128 examples, growing width. `graph.grad` stands in for
# `jax.grad`: it walks the graph while JAX traces it, and what comes out is compiled like anything else. Both
# give the value's gradient, so both contain the forward pass.


# %%
def seconds(calls, *args, rounds):
    """The fastest of some rounds, of each call; they take turns, so that a busy machine slows all."""
    fastest = dict.fromkeys(calls, float("inf"))
    for k in range(rounds + 1):
        for call in calls:
            start = time.perf_counter()
            jax.block_until_ready(call(*args))
            # The first round compiles.
            if k:
                fastest[call] = min(fastest[call], time.perf_counter() - start)
    return list(fastest.values())


passes = {
    "forward": (jax.jit(network_of_examples), "0.5"),
    "graph.grad": (jax.jit(graph.grad(network_of_examples)), BLUE),
    "jax.grad": (jax.jit(jax.grad(network_of_examples)), VERMILLION),
}
widths = np.array([32, 64, 128, 256, 512, 768])
times, counts = [], []
for n in widths:
    weights = [jnp.asarray(rng.normal(size=(n, n)) / np.sqrt(n), jnp.float32) for _ in range(4)]
    X = jnp.asarray(rng.normal(size=(128, n)), jnp.float32)
    times.append(seconds([call for call, _ in passes.values()], weights, X, rounds=50))
    cost = graph.trace(network_of_examples, weights, X).cost()
    counts.append((cost.forward, cost.forward + cost.backward))
    ours, theirs = (passes[name][0](weights, X) for name in ("graph.grad", "jax.grad"))
    for a, b in zip(ours, theirs, strict=True):
        assert np.allclose(a, b, atol=1e-5 * np.abs(b).max())
times = dict(zip(passes, np.array(times).T, strict=True))
forward, both = np.array(counts).T

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for name, (_, colour) in passes.items():
    left.loglog(4 * widths**2, times[name], "o-", ms=4, color=colour, label=name)
left.set(xlabel="number of weights W", ylabel="seconds")
left.legend(frameon=False)
right.semilogx(4 * widths**2, both / forward, "k:", label="multiplications")
for name in ("graph.grad", "jax.grad"):
    right.semilogx(
        4 * widths**2,
        times[name] / times["forward"],
        "o-",
        ms=4,
        color=passes[name][1],
        label=f"time, {name}",
    )
right.set(xlabel="number of weights W", ylabel="all gradients / forward pass", ylim=(0, None))
right.legend(frameon=False)
plt.show()

print("    W         forward   graph.grad   jax.grad   times the forward pass")
for k, n in enumerate(widths):
    milliseconds = [1e3 * times[name][k] for name in passes]
    print(
        f"{4 * n * n:9,}"
        + "".join(f"{t:9.2f} ms" for t in milliseconds)
        + f"{milliseconds[1] / milliseconds[0]:10.1f}"
    )
assert np.all(both / forward < 4)

# %% [markdown]
# The dotted line counts: one forward pass, and two of its size back. The clock says a little less, since not
# all of the time goes into multiplying, and it is uneven, since processors like some shapes better than
# others. What matters is that the lines do not rise. From left to right there are several hundred times as
# many derivatives to compute, and all together they still cost about three forward passes or fewer.
#
# ## 5. Numerical gradients cost $O(W^2)$
#
# The central difference needs no graph, only two values of $f$:
#
# $$f'(w) \approx \frac{f(w + h) - f(w - h)}{2h}.$$
#
# But it finds the derivative by one weight. For the next one $f$ must be computed anew: $W$ weights take $2W$
# forward passes, and each of those multiplies by all $W$ weights. That is $O(W^2)$, where the sweep takes
# $O(W)$. (Notebook 2 looks at the errors of differences.)
#
# > **Slip on the slide.** It has $O(W^2)$ for backpropagation. The passage that this ends takes the
# > derivatives by differences: with them it *would* be $O(W^2)$.
#
# The lecture's scorer $s = u^\mathsf{T}\tanh(Wx + b)$, summed over 256 windows, with all of $W$'s derivatives
# compiled both ways:

# %%
H = 6e-6


def scorer(X, b, u, W):
    return jnp.sum(jnp.tanh(X @ W.T + b) @ u)


@partial(jax.jit, static_argnums=0)
def numerical(f, X, b, u, W):
    """Central differences, one weight after the other."""

    def derivative(k):
        step = jnp.zeros(W.size).at[k].set(H).reshape(W.shape)
        return (f(X, b, u, W + step) - f(X, b, u, W - step)) / (2 * H)

    return jax.lax.map(derivative, jnp.arange(W.size)).reshape(W.shape)


swept = jax.jit(graph.grad(scorer, argnums=3))
rows = []
for n in (8, 16, 32, 64):
    args = [jnp.asarray(rng.normal(size=shape)) for shape in [(256, n), (n,), (n,), (n, n)]]
    cost = graph.trace(partial(scorer, *args[:3]), args[3]).cost()
    differences = partial(numerical, scorer)
    assert np.allclose(swept(*args), differences(*args), atol=1e-6)
    rows.append(
        (
            n * n,
            *seconds([swept], *args, rounds=50),
            *seconds([differences], *args, rounds=2),
            cost.forward + cost.backward,
            2 * n * n * cost.forward,
        )
    )
weights, sweep_time, difference_time, sweep_count, difference_count = np.array(rows).T

figure, panels = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
for axes, title, sweeps, differences in [
    (panels[0], "multiplications", sweep_count, difference_count),
    (panels[1], "seconds", sweep_time, difference_time),
]:
    for name, found, colour, order in [
        ("central differences", differences, VERMILLION, 2),
        ("one sweep", sweeps, BLUE, 1),
    ]:
        axes.loglog(weights, found, "o-", ms=4, color=colour, label=name)
        axes.loglog(weights, found[-1] * (weights / weights[-1]) ** order, ":", color=colour, lw=1)
    axes.set(xlabel="number of weights W", title=title)
panels[0].legend(frameon=False)
plt.show()

print(f"from {weights[-2]:,.0f} to {weights[-1]:,.0f} weights   multiplications   time")
for name, counted, timed in [
    ("one sweep", sweep_count, sweep_time),
    ("differences", difference_count, difference_time),
]:
    print(f"{name:29} × {counted[-1] / counted[-2]:<13.1f} × {timed[-1] / timed[-2]:.1f}")
print(f"differences take {difference_time[-1] / sweep_time[-1]:,.0f} times as long as one sweep")
# Four times the weights.
assert 3.5 < sweep_count[-1] / sweep_count[-2] < 4
assert 14 < difference_count[-1] / difference_count[-2] < 16
assert difference_time[-1] > 20 * sweep_time[-1]

# %% [markdown]
# Dotted are $W$ and $W^2$. (On the left the sweep spends its time on being called.) With twice as many
# weights the differences fall behind by another factor of two. So train with the sweep, and check a few of
# its entries with differences, as the lecture advises.
#
# ## 6. The graph of a real function
#
# `trace` takes any function of JAX arrays. Layer normalisation is a good one to look at, because $x$ reaches
# the result along several paths, and who derives its gradient by hand easily forgets one. (In a
# notebook of your own, `g` as a cell's last line shows the same picture.)


# %%
def layer_norm(x):
    centred = x - jnp.mean(x)
    return centred / jnp.sqrt(jnp.mean(centred**2) + 1e-5)


g = graph.trace(layer_norm, jnp.array([1.0, 2.0, 4.0, 9.0]))
show(g)

# %% [markdown]
# Two copies, so two places where gradients are added: $x$ goes into its own mean, and the centred $x$ goes
# into the variance. Count the ways from $x$ to the result: itself and its mean, each directly and through the
# variance.

# %%
ways = [0] * len(g.nodes)
ways[g.inputs[0].index] = 1
for edge in g.edges:
    ways[edge.target] += ways[edge.source]
copies = [node for node in g.nodes if node.kind == "copy"]
print(f"{len(copies)} copies, {ways[g.outputs[0].node]} paths")
assert len(copies) == 2
assert ways[g.outputs[0].node] == 4

# %% [markdown]
# And this is unit 1's classifier, which reads a window of five words and decides what the middle one is, with
# a single training example. Each operator of `jaxbackprop.ops` is one node, with its own hand-written rule.
# Arrays appear with their smallest and largest entries.

# %%
vocabulary = ["York", "museum", "New", "for", "Jersey", "left"]
window = ["left", "New", "York", "for", "New"]
ids = jnp.array([vocabulary.index(word) for word in window])
params = {
    "L": rng.normal(size=(6, 2)),
    "W": rng.normal(size=(3, 10)) / 3,
    "b": np.zeros(3),
    "U": rng.normal(size=(2, 3)),
    "c": np.zeros(2),
}


def loss(params, ids, label):
    x = ops.window_lookup(params["L"], ids)
    h = ops.tanh(ops.linear(x, params["W"], params["b"]))
    logits = ops.linear(h, params["U"], params["c"])
    return ops.softmax_cross_entropy(logits, label)


g = graph.trace(loss, params, ids, jnp.array(0))
back = g.forward().backward()
show(g, back)

# %% [markdown]
# The numbers can be asked for. At each node: what arrived, the rule, what the rule used, what it handed on.

# %%
flow = back.of("softmax_cross_entropy")
logits, _ = back.run.of("softmax_cross_entropy").operands
p = jax.nn.softmax(logits)
print("p          ", np.round(p, 4))
print("upstream   ", flow.upstream)
print("rule       ", flow.local.formula.partition(";")[0])
print("downstream ", np.round(flow.downstream[0], 4))
assert np.allclose(flow.downstream[0], p - jnp.array([1, 0]), atol=1e-12)

dL = back.grads[0]["L"]
print("\ngradient of each word's vector")
for word, row in zip(vocabulary, dL, strict=True):
    print(f"{word:8}", np.round(row, 4))
# Jersey and museum are not in the window.
assert [bool(row.any()) for row in dL] == [word in window for word in vocabulary]

every = jax.grad(loss)(params, ids, jnp.array(0))
for name, gradient in back.grads[0].items():
    assert np.allclose(gradient, every[name], rtol=1e-12, atol=1e-15)

# %% [markdown]
# ## To take away
#
# 1. A node knows its own derivative. Downstream = local × upstream, and where a value was copied gradients
#    add.
# 2. Forward in topological order, backward in the reverse: then every node is visited once, although the
#    paths may be too many to count.
# 3. All gradients come out of one sweep, which costs up to about two forward passes, however many weights
#    there are.
# 4. Differences take two forward passes *a weight*.
# 5. To find out what a function of yours does, forward and backward, `graph.trace` it and look.
#
# Something to try: draw your own model's loss. Where do gradients vanish on their way back? And make the
# textbook engine your own: it lacks $\sqrt{x}$. A `Gate` takes three lines.
