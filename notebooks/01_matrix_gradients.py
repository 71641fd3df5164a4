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
# # Matrix gradients for neural nets
#
# Unit 1 of the lecture, told through code. By the end you will have derived, checked and counted every
# gradient of a small network that reads a window of words and decides what the middle word is:
#
# $$x = [L_{w_1}; \dots; L_{w_5}], \qquad z = Wx + b, \qquad h = \tanh z, \qquad
# p = \mathrm{softmax}(Uh + c).$$
#
# The package `reference` holds each derivation as on paper, in NumPy and float64. Every function `f` there
# stands beside `f_vjp`, which takes the same arguments and the gradient that arrives at the output, and
# returns the gradient of each input. At the end the same gradients come out of `jaxbackprop.ops` under
# `jax.grad`.

# %%
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import ConnectionPatch

from reference.activations import tanh, tanh_vjp
from reference.linear import linear, linear_vjp
from reference.numerical import central_difference, forward_difference
from reference.scorer import scorer, scorer_gradients, scorer_gradients_one_at_a_time, scorer_vjp
from reference.softmax_cross_entropy import (
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_vjp,
    softmax_jacobian,
)
from reference.window import window_lookup, window_lookup_vjp

np.set_printoptions(precision=3, suppress=True)
rng = np.random.default_rng(0)

# %% [markdown]
# ## 1. One weight
#
# The lecture's example has four inputs and two outputs:
#
# $$z = Wx, \qquad z_i = \sum_{k=1}^{4} W_{ik} x_k.$$
#
# How does $z$ change with one weight $W_{ij}$? It stands in the sum for $z_i$ only, times $x_j$:
#
# $$\frac{\partial z_i}{\partial W_{ij}} = x_j, \qquad
# \frac{\partial z_k}{\partial W_{ij}} = 0 \quad (k \ne i).$$
#
# Do not believe it: move a weight and look.

# %%
x = np.array([1.0, 2.0, 3.0, 4.0])
W = rng.normal(size=(2, 4))

moved = W.copy()
moved[0, 2] += 0.001
print("x                   ", x)
print("change of z / change of W[0, 2]:", (linear(x, moved) - linear(x, W)) / 0.001)

# %% [markdown]
# Only $z_1$ moved, at the rate $x_3 = 3$ (Python counts from 0).
#
# ## 2. All weights: $\delta x^\mathsf{T}$
#
# Behind $z$ a scalar $s$ is computed, and $\delta_k = \partial s / \partial z_k$ is the error signal that
# comes back from it. The chain rule adds up every path from $W_{ij}$ to $s$, one through each *output* $k$:
#
# $$\frac{\partial s}{\partial W_{ij}} = \sum_{k=1}^{2} \delta_k \frac{\partial z_k}{\partial W_{ij}}
# = \delta_i x_j \qquad\text{(error signal × local gradient).}$$
#
# > **Slip on the slide.** The sum runs there over $k = 1 \dots 4$, the inputs, and has $\delta$ for
# > $\delta_k$.
#
# First in two loops, as derived; then as one matrix.

# %%
delta = np.array([10.0, -1.0])

dW = np.empty((2, 4))
for i in range(2):
    for j in range(4):
        dW[i, j] = delta[i] * x[j]

print("two loops\n", dW)
print("delta xᵀ\n", delta[:, None] @ x[None, :])
assert np.array_equal(dW, delta[:, None] @ x[None, :])

# %% [markdown]
# Each row of $\partial s/\partial W$ is $x^\mathsf{T}$, scaled by that output's error; each column is
# $\delta$, scaled by that input.
#
# > **Slip on the slide.** Under $\delta x^\mathsf{T}$ it has the shapes $m \times n$, $n \times 1$, $1 \times
# > m$. It is $(m \times n) = (m \times 1)(1 \times n)$.
#
# The same bookkeeping gives the other two. $b_i$ stands in $z_i$ alone, and $x_j$ feeds every output:
#
# $$\frac{\partial s}{\partial b_i} = \delta_i, \qquad
# \frac{\partial s}{\partial x_j} = \sum_k \delta_k W_{kj} = (W^\mathsf{T} \delta)_j.$$
#
# **Shape convention.** A gradient has the shape of what it belongs to, and the $\delta$ that arrives at a
# layer has the shape of that layer. If you forget a transpose, the shapes remind you: $W^\mathsf{T}\delta$ is
# the only product of $W$ (2 × 4) and $\delta$ (2) that has the shape of $x$ (4).

# %%
b = np.zeros(2)
dx, dW, db = linear_vjp(x, W, b, delta)
for name, value, gradient in [("x", x, dx), ("W", W, dW), ("b", b, db)]:
    print(f"{name}: {value.shape!s:7} its gradient: {gradient.shape}")
assert np.allclose(dx, W.T @ delta)

# %% [markdown]
# **A batch** puts one $x$ on each row of $X$ ($N \times n$). Every row uses the same $W$, and where a value
# is used more than once its gradients add: $\partial s/\partial W = \sum_r \delta_r x_r^\mathsf{T} =
# \Delta^\mathsf{T} X$.

# %%
X, Delta = rng.normal(size=(3, 4)), rng.normal(size=(3, 2))
_, dW, db = linear_vjp(X, W, b, Delta)
assert np.allclose(dW, sum(np.outer(Delta[r], X[r]) for r in range(3)))
assert np.allclose(dW, Delta.T @ X)
assert np.allclose(db, Delta.sum(axis=0))

# %% [markdown]
# ## 3. Softmax and cross-entropy: $p - y$
#
# $$p_i = \frac{e^{z_i}}{\sum_k e^{z_k}}, \qquad J = -\sum_j y_j \log p_j,$$
#
# with $y$ one-hot at the correct class. Start with how the probabilities move when one logit does. The
# quotient rule gives two cases, because $z_i$ stands in every denominator but in one numerator only:
#
# $$\frac{\partial p_i}{\partial z_i} = p_i (1 - p_i), \qquad
# \frac{\partial p_j}{\partial z_i} = -p_j p_i \quad (j \ne i).$$
#
# > **Slip on the slide.** It writes $p_k = S_k(z_k)$. Every probability depends on all logits: $p_k =
# > S_k(z)$.

# %%
z = np.array([2.0, 1.0, -1.0])
p = softmax(z)
print("p       ", p)
print("Jacobian\n", softmax_jacobian(z))
assert np.allclose(softmax_jacobian(z).sum(axis=1), 0)

# %% [markdown]
# The rows add up to 0: what one class wins, the others lose.
#
# Now $J$. Its path to $z_i$ leads through every $p_j$:
#
# $$\frac{\partial J}{\partial z_i} = -\sum_j y_j \frac{1}{p_j} \frac{\partial p_j}{\partial z_i}
# = -y_i (1 - p_i) + p_i \sum_{j \ne i} y_j.$$
#
# > **Slip on the slide.** The factor $1/p_j$ is missing in its second row; the third is right again.
#
# The lecture's advice is to look at the **correct class** and the **incorrect classes** separately:
#
# | class | $y_i$ | $\sum_{j\ne i} y_j$ | $\partial J/\partial z_i$ | so gradient descent |
# |---|---|---|---|---|
# | correct | 1 | 0 | $-(1 - p_i) = p_i - 1$ | raises it by what its probability lacks |
# | incorrect | 0 | 1 | $p_i$ | lowers it by the probability it has |
#
# Both lines are $p_i - y_i$.

# %%
label = 1
dz, _ = softmax_cross_entropy_vjp(z, label, 1.0)
for i in range(3):
    kind, expected = ("correct", -(1 - p[i])) if i == label else ("incorrect", p[i])
    print(f"class {i} ({kind:9}): gradient {dz[i]:+.3f}, p - y = {expected:+.3f}")
y = np.eye(3)[label]
assert np.allclose(dz, p - y)
# The long way round, through the Jacobian, gives the same.
assert np.allclose(dz, softmax_jacobian(z).T @ (-y / p))

# %% [markdown]
# > **Fine print.** $p - y$ needs labels that add up to 1. In general it is $p \sum_j y_j - y$.
#
# Why treat softmax and cross-entropy as one step? Because the long way divides by $p$, and $p$ may be 0 in
# floating point while $\log p$ is an ordinary number.

# %%
soft = np.array([0.5, 1.0, 0.7])
dz, dsoft = softmax_cross_entropy_vjp(z, soft, 1.0)
assert np.allclose(dz, p * soft.sum() - soft)
assert np.allclose(dsoft, -np.log(p))

extreme = np.array([1e4, 0.0, -1e4])
print("p            ", softmax(extreme))
print("loss         ", softmax_cross_entropy(extreme, 2))
print("its gradient ", softmax_cross_entropy_vjp(extreme, 2, 1.0)[0])

# %% [markdown]
# ## 4. Windows: the gradient reaches the words
#
# The input of the network is a window: the vectors of a word and of its neighbours, one after the other. What
# comes back to it is $\delta_\text{window} = W^\mathsf{T}\delta$, one number for each number of the window.
# It is cut into one piece a word, and each piece is **added** to the gradient of that word's row in the table
# $L$:
#
# $$\delta_\text{window} = [\nabla x_1; \nabla x_2; \dots; \nabla x_5], \qquad
# \frac{\partial s}{\partial L_v} = \sum_{k \,:\, w_k = v} \nabla x_k.$$
#
# A word that occurs twice gets both pieces. In this window *New* does:

# %%
vocabulary = ["York", "museum", "New", "for", "Jersey", "left"]
window = ["left", "New", "York", "for", "New"]
ids = np.array([vocabulary.index(word) for word in window])
d = 2

L = rng.normal(size=(len(vocabulary), d))
W = rng.normal(size=(3, 5 * d))
delta = rng.normal(size=3)

x = window_lookup(L, ids)
delta_window, _, _ = linear_vjp(x, W, np.zeros(3), delta)
dL, _ = window_lookup_vjp(L, ids, delta_window)

# %%
pieces = delta_window.reshape(5, d)
colours = dict(zip(vocabulary, plt.cm.tab10.colors, strict=False))
figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3), dpi=80, gridspec_kw={"wspace": 0.6})
right.yaxis.tick_right()
for axes, rows, names, title in [
    (left, pieces, window, r"pieces of $\delta_{\mathrm{window}} = W^T\delta$"),
    (right, dL, vocabulary, r"gradient of the table, $\partial s/\partial L$"),
]:
    # Twice the range keeps the numbers readable.
    largest = 2 * np.abs(dL).max()
    axes.imshow(rows, cmap="RdBu", vmin=-largest, vmax=largest, aspect="auto")
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks([])
    axes.set_title(title, fontsize=11)
    for tick_label, name in zip(axes.get_yticklabels(), names, strict=True):
        tick_label.set_color(colours[name])
    for (i, j), number in np.ndenumerate(rows):
        axes.text(j, i, f"{number:.2f}", ha="center", va="center")
for k, word in enumerate(window):
    start, end = (d - 0.45, k), (-0.55, vocabulary.index(word))
    arrow = ConnectionPatch(
        start, end, left.transData, right.transData, arrowstyle="-|>", color=colours[word], lw=1.5
    )
    figure.add_artist(arrow)
plt.show()

# %% [markdown]
# Two arrows end at *New*: its row holds the sum of the second and the fifth piece. *Jersey* and *museum* are
# not in the window, and their gradient is exactly 0. So training moves the vectors of the words it sees and
# leaves the others where they were. With few training examples that is the lecture's pitfall: *TV* and
# *telly* move, *television* stays behind.
#
# > **Slip on the slides.** One has *retraining* as training anew from the start, another as *fine-tuning*.
# > They are two things, and the pitfall is fine-tuning's: it goes on from pretrained vectors, in which
# > *television* stood beside the other two.

# %%
assert np.allclose(dL[vocabulary.index("New")], pieces[1] + pieces[4])
assert not dL[[vocabulary.index("Jersey"), vocabulary.index("museum")]].any()

# %% [markdown]
# At the ends of a sentence a window has places without a word. An id such as $-1$, named as `padding_id`,
# reads as a vector of zeros there, and receives nothing.

# %%
edge = np.array([-1, -1, 0, 1, 2])
print(window_lookup(L, edge, padding_id=-1).reshape(5, d))

# %% [markdown]
# ## 5. All gradients at once
#
# The lecture's scorer puts one score on a window: $s = u^\mathsf{T} h$, $h = f(z)$, $z = Wx + b$. Its
# gradients begin alike,
#
# $$
# \frac{\partial s}{\partial W} =
# \underbrace{\frac{\partial s}{\partial h} \frac{\partial h}{\partial z}}_{\delta}
# \frac{\partial z}{\partial W}, \qquad
# \frac{\partial s}{\partial b} =
# \underbrace{\frac{\partial s}{\partial h} \frac{\partial h}{\partial z}}_{\delta}
# \frac{\partial z}{\partial b}, \qquad
# \frac{\partial s}{\partial x} =
# \underbrace{\frac{\partial s}{\partial h} \frac{\partial h}{\partial z}}_{\delta}
# \frac{\partial z}{\partial x},
# $$
#
# so $\delta = u \circ f'(z)$ is computed once and shared. `reference.scorer` does it both ways and counts
# every scalar multiplication that it makes. For windows of five words with 50 numbers each, and 100 hidden
# units:

# %%
n, m = 250, 100
x, W, b, u = rng.normal(size=n), rng.normal(size=(m, n)) / 16, np.zeros(m), rng.normal(size=m)

at_once, sweep = scorer_gradients(x, W, b, u)
one_at_a_time, separate = scorer_gradients_one_at_a_time(x, W, b, u)
for a, c in zip(at_once, one_at_a_time, strict=True):
    assert np.array_equal(a, c)

score = m * n + m
print(f"the score alone                {score:>8,} multiplications")
print(f"all gradients, one sweep       {sweep:>8,}")
print(f"all gradients, one at a time   {separate:>8,}")
print(f"derivatives in all             {sum(gradient.size for gradient in at_once):>8,}")

# %% [markdown]
# All derivatives together cost three times the score, and that factor does not grow with their number.
#
# ## 6. Are they right? Differences
#
# The derivative's definition checks any derivation, without knowing it:
#
# $$f'(x) \approx \frac{f(x + h) - f(x - h)}{2h}.$$
#
# Each entry takes two more calls of $f$. So check some entries, as the lecture advises, not all:

# %%
dx, dW, db, du, _ = scorer_vjp(x, W, b, u, "tanh", 1.0)
some = [tuple(int(k) for k in rng.integers(0, (m, n))) for _ in range(5)]
numerical, calls = central_difference(lambda V: scorer(x, V, b, u), W, 6e-6, indices=some)
for index, value in zip(some, numerical, strict=True):
    print(f"W{index!s:10} derived {dW[index]:+.12f}   differences {value:+.12f}")
print(f"{calls} calls; all of W would take {2 * W.size:,} calls, {2 * W.size * score:,} multiplications")
assert np.allclose([dW[index] for index in some], numerical, atol=1e-9)

# %% [markdown]
# > **Slip on the slide.** Its cost for backpropagation is $O(W^2)$, at the end of a passage that takes the
# > derivatives by differences. Theirs it is: $O(W)$ calls of $O(W)$ work each. Backpropagation costs $O(W)$.
#
# How small should $h$ be? Taylor's series leaves an error of order $h^2$ (order $h$ for the one-sided
# difference). Rounding leaves about $10^{-16}/h$, which grows as $h$ shrinks.

# %%
steps = np.logspace(-13, -1, 49)
index = some[0]
figure, axes = plt.subplots(figsize=(5.5, 3.2), dpi=80, layout="constrained")
for method, name in [(forward_difference, "forward"), (central_difference, "central")]:
    errors = [
        abs(method(lambda V: scorer(x, V, b, u), W, h, indices=[index])[0][0] - dW[index]) for h in steps
    ]
    axes.loglog(steps, errors, ".-", label=name)
axes.axvline(np.finfo(float).eps ** (1 / 2), color="C0", ls=":", label=r"$\epsilon^{1/2}$")
axes.axvline(np.finfo(float).eps ** (1 / 3), color="C1", ls=":", label=r"$\epsilon^{1/3}$")
axes.set_xlabel("step h")
axes.set_ylabel("error of one entry of ∂s/∂W")
axes.legend()
plt.show()

# %% [markdown]
# Rounding rules to the left and the series to the right. The best step lies where they meet, near
# $\epsilon^{1/2}$ for forward and $\epsilon^{1/3}$ for central differences, up to the function's scale.
# Smaller is not better.
#
# ## 7. The whole network, by hand and in JAX
#
# Now chain the pieces. Forward in order; backward in the opposite order, each step handing its `dx` to the
# one before:

# %%
V, classes, batch = 12, 3, 4
parameters = {
    "L": rng.normal(size=(V, d)),
    "W": rng.normal(size=(6, 5 * d)) / 3,
    "b": rng.normal(size=6) / 3,
    "U": rng.normal(size=(classes, 6)) / 2,
    "c": np.zeros(classes),
}
ids = rng.integers(0, V, size=(batch, 5))
labels = rng.integers(0, classes, size=batch)


def by_hand(parameters, ids, labels):
    L, W, b, U, c = (parameters[name] for name in "LWbUc")
    x = window_lookup(L, ids)
    z = linear(x, W, b)
    h = tanh(z)
    logits = linear(h, U, c)
    losses = softmax_cross_entropy(logits, labels)

    dlosses = np.full(batch, 1 / batch)
    dlogits, _ = softmax_cross_entropy_vjp(logits, labels, dlosses)
    dh, dU, dc = linear_vjp(h, U, c, dlogits)
    (dz,) = tanh_vjp(z, dh)
    dx, dW, db = linear_vjp(x, W, b, dz)
    dL, _ = window_lookup_vjp(L, ids, dx)
    return losses.mean(), {"L": dL, "W": dW, "b": db, "U": dU, "c": dc}


loss, gradients = by_hand(parameters, ids, labels)
print(f"loss {loss:.6f}")

# %% [markdown]
# `jaxbackprop.ops` has the same operators for JAX. Each carries its derivation as a rule that `jax.grad` uses
# instead of its own, so only the forward pass is written. `jax.jit` compiles both.

# %%
import jax
import jax.numpy as jnp

from jaxbackprop import ops


def loss_in_jax(parameters, ids, labels):
    x = ops.window_lookup(parameters["L"], ids)
    h = ops.tanh(ops.linear(x, parameters["W"], parameters["b"]))
    logits = ops.linear(h, parameters["U"], parameters["c"])
    return jnp.mean(ops.softmax_cross_entropy(logits, labels))


with jax.enable_x64(True):
    arrays = {name: jnp.asarray(value) for name, value in parameters.items()}
    eager = jax.device_get(jax.grad(loss_in_jax)(arrays, ids, labels))
    value, compiled = jax.device_get(jax.jit(jax.value_and_grad(loss_in_jax))(arrays, ids, labels))
single = jax.device_get(
    jax.grad(loss_in_jax)({name: jnp.float32(a) for name, a in parameters.items()}, ids, labels)
)

print(f"loss {value:.6f}")
print("largest difference from the gradients by hand")
for name, ours in gradients.items():
    print(
        f"  {name}: jax.grad {np.abs(eager[name] - ours).max():.0e}, under jax.jit "
        f"{np.abs(compiled[name] - ours).max():.0e}, in float32 {np.abs(single[name] - ours).max():.0e}"
    )
    assert eager[name].dtype == np.float64
    np.testing.assert_allclose(eager[name], ours, atol=1e-12)
    np.testing.assert_allclose(compiled[name], ours, atol=1e-12)
    np.testing.assert_allclose(single[name], ours, atol=1e-5)

# %% [markdown]
# ## To take away
#
# 1. Name every intermediate and its shape; the gradient has the same one.
# 2. In doubt, differentiate one element, then find the matrix that holds them all.
# 3. Where a value is used more than once, its gradients add: rows of a batch, words of a window.
# 4. Compute $\delta$ once. All gradients together cost about as much as a few forward passes.
# 5. Check some entries by central differences, with $h$ near $6 \cdot 10^{-6}$ times the numbers' scale.
#
# Something to try: change `dU` in `by_hand` to use `x` in place of `h` (the shapes stop you), then
# `tanh_vjp(h, dh)` in place of `tanh_vjp(z, dh)` (they do not: what does?).
