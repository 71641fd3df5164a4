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
# # Checking a gradient
#
# You derived a gradient by hand. Is it right? Unit 2 of the lecture answers with numerical gradients: move a
# weight, look how the loss moves. The first half of this notebook measures how far they can be trusted and
# what they cost. The second half makes ten mistakes that are easily made on paper, one a page, and lets
# `jaxbackprop.check` find them: which gradient is wrong, where, and what the mistake looks like.
#
# If you have a `jax.custom_vjp` of your own to check, go straight to section 3.

# %%
import os

# One thread: what is to be measured is work, not how many cores are free.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import inspect
import time
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from jaxbackprop.check import check_vjp
from reference.activations import tanh, tanh_vjp
from reference.linear import linear, linear_vjp
from reference.numerical import central_difference, forward_difference
from reference.softmax_cross_entropy import softmax_cross_entropy, softmax_cross_entropy_vjp

rng = np.random.default_rng(0)
plt.rcParams |= {"figure.dpi": 90, "axes.spines.top": False, "axes.spines.right": False}

# %% [markdown]
# ## 1. Numerical gradients, and the right step
#
# The lecture has two of them. The forward difference compares with where you stand, the central difference
# looks to both sides:
#
# $$\frac{\partial E}{\partial w} = \frac{E(w + h) - E(w)}{h} + O(h), \qquad
# \frac{\partial E}{\partial w} = \frac{E(w + h) - E(w - h)}{2h} + O(h^2).$$
#
# Write down both Taylor series, $E(w \pm h) = E \pm hE' + \frac{h^2}{2}E'' \pm \frac{h^3}{6}E''' + \dots$,
# and subtract: the even terms cancel, so the central difference loses its error of order $h$. Two central
# differences $D$ with different steps can cancel the next term too. This is *extrapolation*:
#
# $$\frac{4\,D(h/2) - D(h)}{3} = E' + O(h^4).$$
#
# To measure the errors we need a gradient that is known: the loss of a small network, differentiated by
# hand.

# %%
X, labels = rng.normal(size=(10, 4)), rng.integers(0, 3, size=10)
W, b = rng.normal(size=(6, 4)) / 2, np.zeros(6)
U, c = rng.normal(size=(3, 6)) / 2, np.zeros(3)


def loss(W):
    return softmax_cross_entropy(linear(tanh(linear(X, W, b)), U, c), labels).mean()


z = linear(X, W, b)
h = tanh(z)
dlogits, _ = softmax_cross_entropy_vjp(linear(h, U, c), labels, np.full(10, 1 / 10))
dh, _, _ = linear_vjp(h, U, c, dlogits)
(dz,) = tanh_vjp(z, dh)
_, derived, _ = linear_vjp(X, W, b, dz)


def forward(step):
    return forward_difference(loss, W, step)[0]


def central(step):
    return central_difference(loss, W, step)[0]


def extrapolated(step):
    return (4 * central(step / 2) - central(step)) / 3


for difference in (forward, central, extrapolated):
    print(f"{difference.__name__:12} {difference(1e-3)[0, 0]:+.15f}")
print(f"{'derived':12} {derived[0, 0]:+.15f}")

# %% [markdown]
# With $h = 10^{-3}$ each formula gives more right digits than the one before. Now try every step.

# %%
steps = np.logspace(-13, 0, 105)
size = np.abs(derived).max()


def errors(difference):
    return np.array([np.median(np.abs(difference(step) - derived)) / size for step in steps])


epsilon = np.finfo(float).eps
figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
for difference, order, colour, (low, high), place in [
    (forward, 1, "C0", (1e-5, 1e-2), (3e-7, 1e-6)),
    (central, 2, "C1", (1e-3, 1e-1), (1.5e-4, 1e-10)),
    (extrapolated, 4, "C2", (3e-2, 3e-1), (1.5e-2, 1e-11)),
]:
    error = errors(difference)
    within = (steps > low) & (steps < high)
    slope, _ = np.polyfit(np.log(steps[within]), np.log(error[within]), 1)
    print(f"{difference.__name__:12} slope {slope:.2f}, smallest error {error.min():.0e}")
    assert abs(slope - order) < 0.3
    axes.loglog(steps, error, color=colour, lw=1.2)
    expected = epsilon ** (1 / (order + 1))
    axes.plot(expected, np.interp(expected, steps, error), "o", color=colour)
    axes.annotate(f"{difference.__name__}\nslope {order}", place, color=colour)
axes.annotate("rounding\nslope −1", (3e-12, 1e-3), color="0.35")
axes.set_xlim(right=5)
axes.set_xlabel("step h")
axes.set_ylabel("error / largest entry of the gradient")
plt.show()

# %% [markdown]
# Two errors make each curve a valley:
#
# * **Truncation**, on the right: the terms of the series that do not cancel. It falls with $h$, at slope 1, 2
#   or 4 in this double-logarithmic plot.
# * **Rounding**, on the left: the loss is known to one part in $1/\varepsilon \approx 5 \cdot 10^{15}$, and
#   that error is divided by $h$. It *grows* as $h$ shrinks, at slope −1, and is the same for all three.
#
# The dots mark the step where theory expects the bottom: $\varepsilon^{1/2}$, $\varepsilon^{1/3}$ and
# $\varepsilon^{1/5}$ for orders 1, 2 and 4. A higher order has the deeper valley: the step may be larger, and
# rounding does less harm there. In float32, with $\varepsilon \approx 10^{-7}$, the best central difference
# has some five digits only: too few to tell a small mistake from rounding. So compare in float64.
#
# Of these curves you see none in practice, because you do not know the right gradient. What helps is a
# difference that says how far it may be off. The harness halves the step many times, extrapolates at each
# level, and takes the result that agrees best with its neighbours; their disagreement estimates the error.
# Here with eight steps:


# %%
def with_error(step=0.1, levels=8):
    best, error, above = central(step), np.full(W.shape, np.inf), [central(step)]
    for level in range(1, levels):
        row = [central(step / 2**level)]
        rounding = 4 * epsilon * loss(W) * 2**level / step
        for order in range(1, level + 1):
            row.append((4**order * row[-1] - above[order - 1]) / (4**order - 1))
            neighbours = np.stack([row[-2], above[order - 1]])
            apart = np.abs(row[-1] - neighbours).max(0) + 2 * rounding
            best, error = np.where(apart < error, row[-1], best), np.minimum(apart, error)
        above = row
    return best, error


value, error = with_error()
off = np.abs(value - derived)
print(f"estimated error at most {error.max() / size:.0e}, real error at most {off.max() / size:.0e}")
assert np.all(off <= error + 4 * epsilon * size)

# %% [markdown]
# ## 2. What they cost
#
# A numerical gradient moves one weight at a time. Each move takes a whole forward pass to see what becomes of
# the loss (two for the central difference), and a forward pass multiplies by each of the $W$ weights once. So
# $W$ weights cost $W$ passes of $O(W)$ work: $O(W^2)$. Backpropagation sends one error signal back through
# all weights: $O(W)$, as much as a few forward passes, however many weights there are.
#
# A linear layer of $n \times n$ weights with half the sum of squares as loss, on 1,000 examples:


# %%
def seconds(call, repetitions):
    fastest = float("inf")
    for _ in range(repetitions):
        start = time.perf_counter()
        call()
        fastest = min(fastest, time.perf_counter() - start)
    return fastest


def half_of_squares(X, b, W):
    z = linear(X, W, b).ravel()
    return 0.5 * z @ z


def backpropagate(X, b, W):
    dz = linear(X, W, b)
    return linear_vjp(X, W, b, dz)[1]


rows = []
for n in (8, 12, 16, 24, 32, 48):
    examples = rng.normal(size=(1000, n)), np.zeros(n)
    W_n = rng.normal(size=(n, n))
    passes = partial(half_of_squares, *examples)
    rows.append(
        (
            n * n,
            seconds(partial(passes, W_n), 50),
            seconds(partial(backpropagate, *examples, W_n), 50),
            seconds(partial(central_difference, passes, W_n, 6e-6), 2),
        )
    )

weights, once, back, numerical = np.array(rows).T
figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
for name, times, colour, order, va in [
    ("central differences,\nall weights", numerical, "C1", 2, "center"),
    ("backpropagation,\nall weights", back, "C0", 1, "bottom"),
    ("one forward pass", once, "0.5", 1, "top"),
]:
    axes.loglog(weights, times, ".-", color=colour)
    axes.annotate(name, (weights[-1] * 1.2, times[-1]), color=colour, va=va)
    axes.loglog(weights, times[-1] * (weights / weights[-1]) ** order, color=colour, ls=":", lw=1)
axes.annotate("dotted: W² and W", (weights[0], numerical[-1]), color="0.35")
axes.set_xlim(weights[0] / 1.2, weights[-1] * 6)
axes.set_xticks(weights, [f"{count:,.0f}" for count in weights])
axes.minorticks_off()
axes.set_xlabel("number of weights W")
axes.set_ylabel("seconds")
plt.show()
print(f"{weights[-1]:,.0f} weights: backpropagation takes {back[-1] / once[-1]:.1f} forward passes,")
print(f"central differences take {numerical[-1] / back[-1]:,.0f} times as long as backpropagation")

# %% [markdown]
# (Above the dotted lines, on the left, the time goes into calling functions, not into multiplying.) A network
# of a million weights would take two million forward passes for one step of descent. Hence the
# lecture's advice: train with backpropagation, check *some* entries with differences.
#
# > **Slip on the slide.** It has $O(W^2)$ for backpropagation, at the end of a passage that takes the
# > derivatives by differences: it is their cost.
#
# ## 3. Ten wrong derivations
#
# In JAX a hand-written gradient is a `jax.custom_vjp` function: the function, a forward rule that also keeps
# what the backward rule needs, and the backward rule. Each of the ten below looks plausible, runs without an
# error, and gives gradients of the right shape. A network trains with some of them, only worse.
#
# `check_vjp` takes the function and one example of its arguments. It
#
# * differentiates the function's own formula in float64, by autodiff and by extrapolated differences, and
#   holds the rule's gradient against both;
# * does that at your arguments and at others that it draws: other signs, large and small numbers,
#   saturation, ties, repeated indices;
# * measures how much rounding explains, so there is no tolerance to choose;
# * looks at `jit`, `vmap`, `scan`, `checkpoint` and at shapes and dtypes;
# * and, where something is wrong, asks which known mistake would give just these numbers.

# %%
rng = np.random.default_rng(1)
verdicts = []


def draw(*shape):
    return jnp.asarray(rng.normal(size=shape), jnp.float32)


def judge(mistake, op, *args):
    report = check_vjp(op, *args)
    print(report)
    verdicts.append((mistake, op, report))
    return report


# %% [markdown]
# ### 3.1 The transpose
#
# $z = Wx$. The weights get error signal times input: that is an outer product of $\delta$ and $x$. Of $x$ and
# $\delta$?


# %%
@jax.custom_vjp
def layer(x, W):
    return W @ x


def layer_fwd(x, W):
    return layer(x, W), (x, W)


def layer_bwd(kept, delta):
    x, W = kept
    return W.T @ delta, jnp.outer(x, delta)


layer.defvjp(layer_fwd, layer_bwd)
report = judge("x δᵀ for δ xᵀ", layer, draw(4), draw(4, 4))

# %% [markdown]
# The lecture's shape check would have caught it, were $W$ not square. Square matrices hide transposes: give
# every dimension its own size when you check by shapes.
#
# ### 3.2 The bias of a batch
#
# "$b$ has the gradient $\delta$." True for one example. The examples of a batch all use the same $b$, and
# where a value is used more than once its gradients add.


# %%
@jax.custom_vjp
def affine(x, W, b):
    return x @ W.T + b


def affine_fwd(x, W, b):
    return affine(x, W, b), (x, W)


def affine_bwd(kept, delta):
    x, W = kept
    return delta @ W, delta.T @ x, delta[0]


affine.defvjp(affine_fwd, affine_bwd)
report = judge("δ of one row for the sum over rows", affine, draw(5, 4), draw(3, 4), draw(3))

# %% [markdown]
# ### 3.3 $p - y$, and the mean
#
# Every textbook has $p - y$ for softmax and cross-entropy. Here the function is the *mean* over $N$ examples,
# and the mean has a derivative as well.


# %%
@jax.custom_vjp
def cross_entropy(logits, labels):
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1))


def cross_entropy_fwd(logits, labels):
    return cross_entropy(logits, labels), (logits, labels)


def cross_entropy_bwd(kept, dy):
    logits, labels = kept
    y = jax.nn.one_hot(labels, logits.shape[1])
    return dy * (jax.nn.softmax(logits) - y), None


cross_entropy.defvjp(cross_entropy_fwd, cross_entropy_bwd)
report = judge("p − y for (p − y) / N", cross_entropy, draw(5, 3), jnp.array([0, 2, 1, 1, 0]))

# %% [markdown]
# Training survives this one: it is a learning rate $N$ times too large, which changes with the batch size.
#
# ### 3.4 $1 - h^2$, of what?
#
# $\tanh'(z) = 1 - \tanh^2 z$ is written with the output, $1 - h^2$. The rule kept the input.


# %%
@jax.custom_vjp
def hyperbolic(z):
    return jnp.tanh(z)


def hyperbolic_fwd(z):
    return hyperbolic(z), z


def hyperbolic_bwd(z, dh):
    return (dh * (1 - z**2),)


hyperbolic.defvjp(hyperbolic_fwd, hyperbolic_bwd)
report = judge("1 − z² for 1 − h²", hyperbolic, draw(6))

# %% [markdown]
# Near 0 the two are almost equal, so small random weights hide it.
#
# ### 3.5 A mask that lets everything through
#
# A relu passes the gradient where it was active, and its output tells: $y > 0$ there. But $y \ge 0$ holds
# everywhere. The example below has positive numbers only, at which this rule *is* right.


# %%
@jax.custom_vjp
def relu(z):
    return jnp.maximum(z, 0)


def relu_fwd(z):
    y = relu(z)
    return y, y


def relu_bwd(y, dy):
    return (jnp.where(y >= 0, dy, 0),)


relu.defvjp(relu_fwd, relu_bwd)
report = judge("y ≥ 0 for y > 0", relu, jnp.abs(draw(6)))

# %% [markdown]
# ### 3.6 Several winners
#
# The gradient of a maximum goes to the largest entry: "to each entry that equals the maximum". Where two are
# equal, both get all of it. To give it to the first, or to share it, is right; to count it twice is not.


# %%
@jax.custom_vjp
def largest(x):
    return x.max(axis=1)


def largest_fwd(x):
    y = largest(x)
    return y, (x, y)


def largest_bwd(kept, dy):
    x, y = kept
    return (jnp.where(x == y[:, None], dy[:, None], 0),)


largest.defvjp(largest_fwd, largest_bwd)
ties = np.array([[1, 2, 2, 0], [3, 3, 3, 3], [0, -1, 0, -2]], np.float32)
report = judge("each equal winner gets all", largest, ties)

# %% [markdown]
# Ties look rare. They are not: after a relu many entries are exactly 0, and half precision has few numbers.
#
# ### 3.7 A word that occurs twice
#
# A lookup copies rows of a table, so backward each row collects what its copies received. Assignment is not
# collecting: of several copies one wins. No index repeats in the example; the harness draws others.


# %%
@jax.custom_vjp
def lookup(table, ids):
    return table[ids]


def lookup_fwd(table, ids):
    return table[ids], (table, ids)


def lookup_bwd(kept, dy):
    table, ids = kept
    return jnp.zeros_like(table).at[ids].set(dy), None


lookup.defvjp(lookup_fwd, lookup_bwd)
report = judge("set for add", lookup, draw(6, 2), jnp.array([3, 0, 2, 5]))

# %% [markdown]
# ### 3.8 One step too few
#
# A recurrent network, $h_t = \tanh(W h_{t-1} + x_t)$, goes backward through time from the last step to the
# first. `range` leaves its end out, and this loop stops one step early.


# %%
@jax.custom_vjp
def recurrent(h, W, x):
    for x_t in x:
        h = jnp.tanh(W @ h + x_t)
    return h


def recurrent_fwd(h, W, x):
    states = [h]
    for x_t in x:
        states.append(jnp.tanh(W @ states[-1] + x_t))
    return states[-1], (W, x, states)


def recurrent_bwd(kept, dh):
    W, x, states = kept
    dW, dx = jnp.zeros_like(W), jnp.zeros_like(x)
    for t in range(len(x), 1, -1):
        dz = dh * (1 - states[t] ** 2)
        dW, dx = dW + jnp.outer(dz, states[t - 1]), dx.at[t - 1].set(dz)
        dh = W.T @ dz
    return dh, dW, dx


recurrent.defvjp(recurrent_fwd, recurrent_bwd)
report = judge("one step too few", recurrent, draw(3), draw(3, 3), draw(3, 3))

# %% [markdown]
# All three gradients are wrong, in one way each: $h_0$ gets what belongs to $h_1$, $W$ lacks the first step's
# term, the first input gets nothing. Over many steps the gradient of the first has mostly vanished anyway, so
# in training nobody would notice.
#
# ### 3.9 Dropout's scale
#
# Inverted dropout divides what it keeps by the probability of keeping it. The backward rule draws the same
# mask again, from the same key, and forgets to divide.


# %%
@partial(jax.custom_vjp, nondiff_argnums=(1,))
def dropout(x, keep, key):
    return jnp.where(jax.random.bernoulli(key, keep, x.shape), x / keep, 0)


def dropout_fwd(x, keep, key):
    return dropout(x, keep, key), key


def dropout_bwd(keep, key, dy):
    return jnp.where(jax.random.bernoulli(key, keep, dy.shape), dy, 0), None


dropout.defvjp(dropout_fwd, dropout_bwd)
report = judge("mask without 1 / keep", dropout, draw(3, 4), 0.8, jax.random.key(0))

# %% [markdown]
# ### 3.10 The right formula, the wrong numbers
#
# The derivative of $\log \sigma(x)$ is $\sigma(-x) = e^{-x} / (1 + e^{-x})$. No slip here: the formula is
# right. But at $x = -100$ it is ∞ / ∞ in float32.


# %%
@jax.custom_vjp
def log_sigmoid(x):
    return -jnp.logaddexp(0, -x)


def log_sigmoid_fwd(x):
    return log_sigmoid(x), x


def log_sigmoid_bwd(x, dy):
    return (dy * jnp.exp(-x) / (1 + jnp.exp(-x)),)


log_sigmoid.defvjp(log_sigmoid_fwd, log_sigmoid_bwd)
report = judge("e⁻ˣ / (1 + e⁻ˣ) overflows", log_sigmoid, draw(6))

# %% [markdown]
# Wrong and unstable are different faults, and the report tells them apart: an unstable rule agrees with the
# truth in float64. `jax.nn.sigmoid(-x)` computes the same without overflow.
#
# ### All ten


# %%
def names(op, positions):
    parameters = list(inspect.signature(op).parameters)
    return ", ".join(parameters[position] for position in positions)


print(f"{'the mistake':36}{'wrong gradient of':19}looks like")
for mistake, op, report in verdicts:
    likeliest = dict.fromkeys(finding.mistakes[0] for finding in report.findings if finding.mistakes)
    print(f"{mistake:36}{names(op, report.wrong_arguments):19}{', '.join(likeliest)}")
assert [report.wrong_arguments for _, _, report in verdicts] == [
    (1,), (2,), (0,), (0,), (0,), (0,), (0,), (0, 1, 2), (0,), (0,)
]  # fmt: skip

# %% [markdown]
# ## 4. A right one
#
# The relu again, with a mask that is right, and a 0 among its inputs: there it has no derivative.


# %%
@jax.custom_vjp
def rectified(z):
    return jnp.maximum(z, 0)


def rectified_fwd(z):
    return rectified(z), z > 0


def rectified_bwd(active, dy):
    return (jnp.where(active, dy, 0),)


rectified.defvjp(rectified_fwd, rectified_bwd)
report = check_vjp(rectified, jnp.array([-1.5, 0, 0.5, 2]))
print(report)
assert report.ok

# %% [markdown]
# Notes are no complaints. At the kink every number from 0 to 1 times what came in is a valid subgradient;
# this rule chose 0, autodiff of `jnp.maximum` shares equally, and both are right. And a mask of booleans
# takes one byte an entry to keep until the backward pass, a quarter of the inputs themselves.
#
# ## To take away
#
# 1. Central differences with $h \approx \varepsilon^{1/3}$, in float64, or extrapolated ones. A smaller step
#    is not a better one.
# 2. A numerical gradient costs a forward pass a weight. Check with it; do not train with it.
# 3. One example proves little. Positive inputs, unrepeated indices, square matrices, batches of one and small
#    numbers each hide a mistake above.
# 4. Right shape, right direction and a falling loss are no proof either.
# 5. A rule can be right in float64 and useless in float32.
#
# Something to try: repair `recurrent_bwd` and ask again. Then check a rule of your own, from the command line
# with `jaxbackprop check my_module:my_op --arg 'f32[4,5]'`, or in a test with `assert_vjp`.
