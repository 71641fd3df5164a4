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
# # Gradients through time
#
# A recurrent network uses one weight matrix at every step, so a gradient that travels back through time is
# multiplied by it again and again. Unit 3 of the lecture says what then happens: if the largest eigenvalue is
# above 1 the gradient explodes, if it is below 1 the gradient vanishes. Here you derive that, see it, see
# where it fails and why, and try what helps: truncation, clipping, and where the weights start.
#
# Section 1 is backpropagation by hand. If you know it, begin with section 2.

# %%
import os

# One thread: these matrices are small, and waiting for one another would cost more than it brings.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import io
from functools import partial, reduce

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from IPython.display import Image, display
from PIL import Image as Picture

from jaxbackprop import ops
from jaxbackprop.doctor import health
from reference.initialization import he_normal
from reference.numerical import central_difference
from reference.rnn import bare_rnn, bare_rnn_vjp, rnn, rnn_vjp

plt.rcParams |= {"savefig.dpi": 90, "axes.spines.top": False, "axes.spines.right": False}
# Blue where a gradient should vanish, orange where it should explode, black between.
COLOURS = {0.5: "#08306b", 0.7: "#2171b5", 0.9: "#6baed6", 1.0: "black"}
COLOURS |= {1.1: "#fd9f4d", 1.3: "#e6550d", 1.5: "#8c2d04"}


def show(figure):
    """Shows a figure in 128 colours: a third of the bytes, and no difference to the eye."""
    full, reduced = io.BytesIO(), io.BytesIO()
    figure.savefig(full)
    plt.close(figure)
    Picture.open(full).convert("RGB").quantize(128).save(reduced, "png", optimize=True)
    display(Image(reduced.getvalue()))


# %% [markdown]
# ## 1. Backpropagation through time
#
# The lecture's network has a state $h_t$ of $H$ numbers, no inputs and no bias:
#
# $$z_t = W h_{t-1}, \qquad h_t = \max(0, z_t), \qquad t = 1 \dots T.$$
#
# Unroll the loop and nothing is recurrent any more: it is a network of $T$ layers which happen to have the
# same $W$. So walk back from the last layer. A scalar $s$ is computed from $h_T$. Call the gradient that
# reaches a state $g_t = \partial s/\partial h_t$, and the error signal before the nonlinearity
# $\delta_t = \partial s/\partial z_t$. Both have $H$ numbers.
#
# * **Through the nonlinearity.** A relu has slope 1 where $z_t > 0$ and slope 0 elsewhere, and $h_t > 0$ just
#   where $z_t > 0$: $\delta_t = [h_t > 0] \circ g_t$.
# * **Into the state before.** $z_t = W h_{t-1}$ is linear: $g_{t-1} = W^\mathsf{T} \delta_t$.
# * **Into the weights.** One step's share is error signal × input, $\delta_t h_{t-1}^\mathsf{T}$: the input
#   of step $t$ is the state *before* it. All steps use the same $W$, and where a value is used more than once
#   its gradients add: $\partial s/\partial W = \sum_t \delta_t h_{t-1}^\mathsf{T}$.
#
# This is the loop from the slide, with the sum for the weights added.

# %%
rng = np.random.default_rng(2)
H = 5  # dimensionality of hidden state
T = 50  # number of time steps
whh = rng.normal(size=(H, H))

hs, ss = {-1: rng.normal(size=H)}, {}
for t in range(T):
    ss[t] = np.dot(whh, hs[t - 1])
    hs[t] = np.maximum(0, ss[t])

dhs, dss = {T - 1: rng.normal(size=H)}, {}
dwhh = np.zeros_like(whh)
for t in reversed(range(T)):
    dss[t] = (hs[t] > 0) * dhs[t]
    dhs[t - 1] = np.dot(whh.T, dss[t])
    dwhh += np.outer(dss[t], hs[t - 1])

# %% [markdown]
# > **Left out on the slide.** It stops at `dhs[-1]`, the gradient of the first state; the weights get none.
# > And `dhs[t-1] = …` is right only because nothing but the next step uses $h_{t-1}$. If the loss looks at
# > every state, as it does when every word gets a label, the two gradients add: `dhs[t-1] += …`. (`xrange` is
# > `range` since Python 3.)
#
# Four ways to the same gradient: this loop, the derivation in `reference.rnn`, the operator in
# `jaxbackprop.ops` under `jax.grad`, and central differences.

# %%
dy = np.zeros((T, H))
dy[-1] = dhs[T - 1]  # the gradient enters at the last state
dW, dh0, _ = bare_rnn_vjp(whh, hs[-1], T, dy)


def s_in_jax(W, h0):
    return jnp.vdot(ops.bare_rnn(W, h0, T)[-1], dhs[T - 1])


with jax.enable_x64(True):
    dW_ops, dh0_ops = jax.device_get(jax.grad(s_in_jax, argnums=(0, 1))(whh, hs[-1]))

dW_differences = central_difference(lambda W: bare_rnn(W, hs[-1], T)[-1] @ dhs[T - 1], whh, 6e-6)[0]

print("difference from the loop on the slide, in parts of the largest entry")
for name, for_weights, for_start in [
    ("reference.rnn", dW, dh0),
    ("jaxbackprop.ops", dW_ops, dh0_ops),
    ("central differences", dW_differences, None),
]:
    off = np.abs(for_weights - dwhh).max() / np.abs(dwhh).max()
    print(f"  {name:20} weights {off:.0e}", end="")
    if for_start is not None:
        print(f", first state {np.abs(for_start - dhs[-1]).max() / np.abs(dhs[-1]).max():.0e}", end="")
    print()
np.testing.assert_allclose(dW_ops, dwhh, rtol=1e-9)
np.testing.assert_allclose(dW, dwhh, rtol=1e-9)
print("\nnorm of the gradient")
for t in (T - 1, 39, 29, 19, 9, -1):
    print(f"  dhs[{t:2}] {np.linalg.norm(dhs[t]):.1e}")
print(f"largest modulus of an eigenvalue of whh: {np.abs(np.linalg.eigvals(whh)).max():.2f}")

# %% [markdown]
# By the slide's rule this gradient should have exploded. It vanished. Let us see when the rule holds.
#
# ## 2. When does it explode?
#
# Write the slopes of step $t$ as a diagonal matrix $D_t$. One step back multiplies by $W^\mathsf{T} D_t$,
# and $k$ steps by the product of $k$ such matrices:
#
# $$g_{T-k} = (W^\mathsf{T} D_{T-k+1}) \cdots (W^\mathsf{T} D_{T-1}) (W^\mathsf{T} D_T)\, g_T.$$
#
# **Without a nonlinearity** every $D_t$ is the identity, and what remains is a power:
# $g_{T-k} = (W^\mathsf{T})^k g_T$. If $W = V \Lambda V^{-1}$ has a basis of eigenvectors, then
# $W^k = V \Lambda^k V^{-1}$. Each eigenvalue is raised to the power $k$, and in the end the one of largest
# modulus $\rho$ wins, if $g_T$ has any part along its eigenvector:
#
# $$\|g_{T-k}\| \sim \rho^k.$$
#
# > **Slip on the slide.** It says "the largest eigenvalue". What is raised to a power is a complex number,
# > and how fast that grows is decided by its modulus: −1.2 explodes as 1.2 does, and so does the pair ±1.2i.

# %%
for W, eigenvalues in [
    (np.diag([1.2, 0.5]), "1.2 and 0.5"),
    (np.diag([-1.2, 0.5]), "-1.2 and 0.5"),
    (1.2 * np.array([[0, -1], [1, 0]]), "1.2i and -1.2i"),
]:
    growth = np.linalg.norm(np.linalg.matrix_power(W, 50), 2)
    print(f"eigenvalues {eigenvalues:15} ‖W⁵⁰‖ = {growth:,.0f}")
print(f"{'predicted':28}1.2⁵⁰ = {1.2**50:,.0f}")

# %% [markdown]
# Now for larger networks: 64 units, two kinds of $W$, scaled so that $\rho$ is what we want.
#
# * **Scaled orthogonal**, $\rho Q$. An orthogonal matrix keeps every length, so
#   $\|g_{T-k}\| = \rho^k \|g_T\|$ exactly, from the first step on.
# * **Gaussian**: every entry drawn from a normal distribution, then all multiplied by one number.
#
# Each with no nonlinearity, with relu and with tanh. The loop is the slide's; the slope takes the place of
# `hs[t] > 0`.

# %%
NONLINEARITIES = {
    "linear": (lambda z: z, np.ones_like),
    "relu": (lambda z: np.maximum(0, z), lambda z: (z > 0).astype(float)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(z) ** 2),
}


def through_time(W, h, g, steps, nonlinearity):
    """The gradients g_0 … g_T, one a row, and the slopes at steps 1 … T."""
    f, slope = NONLINEARITIES[nonlinearity]
    slopes = []
    for _ in range(steps):
        z = W @ h
        slopes.append(slope(z))
        h = f(z)
    gradients = [g]
    for D in reversed(slopes):
        g = W.T @ (D * g)
        gradients.append(g)
    return np.array(gradients[::-1]), np.array(slopes)


def largest_modulus(W):
    return np.abs(np.linalg.eigvals(W)).max()


rng = np.random.default_rng(0)
units = 64
orthogonal = np.linalg.qr(rng.normal(size=(units, units)))[0]
gaussian = rng.normal(size=(units, units))
kinds = {"scaled orthogonal W": orthogonal, "Gaussian W": gaussian / largest_modulus(gaussian)}
h0, g_T = rng.normal(size=(2, units))

# %%
figure, grid = plt.subplots(2, 3, figsize=(10, 6.4), sharex=True, sharey=True, layout="constrained")
time = np.arange(T + 1)
for row, (kind, W) in zip(grid, kinds.items(), strict=True):
    for axes, nonlinearity in zip(row, NONLINEARITIES, strict=True):
        for radius, colour in COLOURS.items():
            g, slopes = through_time(radius * W, h0, g_T, T, nonlinearity)
            norms = np.linalg.norm(g, axis=1) / np.linalg.norm(g_T)
            axes.semilogy(time[::5], norms[::5], "o", color=colour, ms=4, label=f"{radius}")
            axes.semilogy(time, norms, color=colour, lw=0.8)
            axes.semilogy(time[[0, -1]], radius ** np.array([T, 0.0]), "--", color=colour, lw=1)
        axes.set_title(f"{nonlinearity}, {kind}", fontsize=11)
grid[0, 0].set_ylim(1e-17, 1e10)
for axes in grid[:, 0]:
    axes.set_ylabel(r"$\|g_t\| \; / \; \|g_T\|$")
for axes in grid[1]:
    axes.set_xlabel("time step t")
grid[0, 0].annotate(
    "the gradient\nenters here", (50, 1), (31, 3e-12), ha="center", arrowprops={"arrowstyle": "->"}
)
handles, labels = grid[0, 0].get_legend_handles_labels()
figure.legend(
    handles,
    labels,
    title=r"modulus $\rho$ of the largest eigenvalue; points: measured, dashed: $\rho^{T-t}$",
    loc="outside upper center",
    ncols=7,
    frameon=False,
    handletextpad=0,
)
show(figure)

# %% [markdown]
# Read each panel from right to left: that is the way the gradient goes. The scale is logarithmic, so equal
# factors a step make a straight line, and $\rho$ sets its slope.
#
# * **Linear and orthogonal** (top left): the prediction holds to the last digit.
# * **Linear and Gaussian** (bottom left): $\rho$ gives the slope, after some steps in which the parts along
#   all other eigenvectors fade. The slide's rule is about the long run.
# * **relu** (middle): all curves keep their distances, for $\max(0, cz) = c \max(0, z)$ when $c > 0$, so that
#   scaling $W$ does not change which units are on. But all of them are tilted. With $\rho = 1.1$ the gradient
#   should grow a hundredfold and has almost vanished.
# * **tanh** (right): below 1 the prediction is fair, above 1 it is far off. Nothing explodes.
#
# The operator sees the same. `ops.rnn` also takes inputs $x_t$, with weights $W_x$. Give it inputs of 0 and
# $W_x = I$, and the gradient of $x_t$ is $\delta_t$ itself:

# %%
W = 1.3 * kinds["Gaussian W"]
g, slopes = through_time(W, h0, g_T, T, "tanh")


def s_of_inputs(x):
    return jnp.vdot(ops.rnn(x, np.eye(units), W, None, h0, activation="tanh")[-1], g_T)


with jax.enable_x64(True):
    deltas = jax.device_get(jax.jit(jax.grad(s_of_inputs))(np.zeros((T, units))))
print(f"largest difference {np.abs(deltas - slopes * g[1:]).max():.0e}")
np.testing.assert_allclose(deltas, slopes * g[1:], atol=1e-12)

# %% [markdown]
# You need not write the loop to see this in a network of your own. `jaxbackprop.doctor.health` takes any
# function of JAX arrays, walks its computation graph forward and back, and measures on the way; along a loop
# it is the growth of the gradient a step. What is ill is a finding, with its place, the figure and a remedy.


# %%
def s_after_a_loop(W, h):
    h, _ = jax.lax.scan(lambda h, _: (W @ h, None), h, length=T)
    return jnp.vdot(h, jnp.float32(g_T))


for radius in (0.5, 1.0, 1.4):
    report = health(s_after_a_loop, jnp.float32(radius * orthogonal), jnp.float32(h0))
    (sequence,) = report.sequences
    found = [f"{finding.kind}, at {finding.name}" for finding in report.findings]
    print(f"ρ = {radius}: × {sequence.rate:.2f} a step, × {sequence.total:.0e} in all: {found or 'healthy'}")
    assert abs(sequence.rate - radius) < 1e-3
worst = report.findings[0]
print(f"\n{worst.message}\ntry: {worst.remedy}")

# %% [markdown]
# ## 3. Where the prediction fails
#
# ### Slopes
#
# The forgotten factor is $D_t$. Both nonlinearities have slopes of at most 1, so they can only shrink what
# passes. For an orthogonal $W$ that is easy to estimate. If the gradient is spread evenly over the units, a
# step multiplies its length by $\rho$ times the root mean square of the slopes, which the forward pass knows:

# %%
print("ρ       relu: per step  ρ × slope    tanh: per step  ρ × slope")
for radius in COLOURS:
    print(f"{radius}", end="")
    for nonlinearity in ("relu", "tanh"):
        g, slopes = through_time(radius * orthogonal, h0, g_T, T, nonlinearity)
        measured = (np.linalg.norm(g[0]) / np.linalg.norm(g[-1])) ** (1 / T)
        estimated = radius * np.prod(np.sqrt((slopes**2).mean(axis=1))) ** (1 / T)
        print(f"{measured:18.2f}{estimated:11.2f}", end="")
        assert abs(measured / estimated - 1) < 0.03
    print()

# %% [markdown]
# relu switches about half of the units off, and half of the slopes 0 means $\sqrt{1/2} \approx 0.7$ times the
# length: the gradient holds its size near $\rho = \sqrt 2$, not near 1. tanh adapts. A larger $W$ makes
# larger states, larger states have smaller slopes, and the product stays near 1. What would have exploded
# saturates.
#
# ### The rule put to the test
#
# Draw the slide's matrix, five units, 400 times, each scaled to some modulus between 0.3 and 2.5. How many
# times larger does the gradient get in a step, on average over 50 steps?
#
# For relu there is a better prediction than $\rho$. The units that are off take no part, so what counts is
# the *active part* of $W$: the product of the $D_t W$ that occurred. The last panel takes the largest modulus
# of that product over the last 30 steps, per step. It needs the forward pass only.

# %%
rng = np.random.default_rng(1)
tested = {nonlinearity: [] for nonlinearity in NONLINEARITIES}
radii, active_radii = [], []
for radius in rng.uniform(0.3, 2.5, size=400):
    W = rng.normal(size=(H, H))
    W *= radius / largest_modulus(W)
    start, end = rng.normal(size=(2, H))
    radii.append(radius)
    for nonlinearity, rates in tested.items():
        g, slopes = through_time(W, start, end, T, nonlinearity)
        rates.append((np.linalg.norm(g[0]) / np.linalg.norm(end)) ** (1 / T))
        if nonlinearity == "relu":
            active = reduce(lambda product, D: D[:, None] * (W @ product), slopes[-30:], np.eye(H))
            active_radii.append(largest_modulus(active) ** (1 / 30))
radii, active_radii = np.array(radii), np.array(active_radii)
tested = {nonlinearity: np.array(rates) for nonlinearity, rates in tested.items()}
dead = tested["relu"] == 0

figure, grid = plt.subplots(2, 2, figsize=(7.6, 6.6), sharex=True, sharey=True, layout="constrained")
for axes, nonlinearity, predictor, title in [
    (grid[0, 0], "linear", radii, "linear"),
    (grid[0, 1], "tanh", radii, "tanh"),
    (grid[1, 0], "relu", radii, "relu"),
    (grid[1, 1], "relu", active_radii, "relu, by the active part of W"),
]:
    rates = tested[nonlinearity]
    axes.plot(predictor[rates > 0], rates[rates > 0], "o", color="#2171b5", ms=2.5)
    axes.plot(predictor[rates == 0], rates[rates == 0], "x", color="#e6550d", ms=4)
    axes.plot([0, 3], [0, 3], "--", color="0.3", lw=1)
    axes.set_title(title, fontsize=11)
grid[0, 0].annotate("dashed: as predicted", (1.95, 1.4), color="0.3")
grid[1, 0].annotate("exactly 0", (2.55, 0), color="#b8430a", va="center")
grid[0, 0].set_xlim(-0.1, 3.25)
grid[0, 0].set_ylim(-0.1, 3.25)
figure.supylabel("growth of the gradient per step, measured", fontsize=10)
grid[1, 0].set_xlabel("largest modulus of W")
grid[1, 1].set_xlabel("largest modulus of the active part, per step")
show(figure)
print(f"relu: gradient exactly 0 in {dead.mean():.0%} of the draws")
above = radii > 1
print(f"relu, modulus above 1: the gradient explodes in {(tested['relu'][above] > 1).mean():.0%}")
print(
    f"tanh, modulus above 1: it grows by more than 5 % a step in {(tested['tanh'][above] > 1.05).mean():.0%}"
)
ratio = tested["relu"][~dead] / active_radii[~dead]
print(f"relu, by the active part: half of the draws within {np.median(np.abs(ratio - 1)):.1%}")

# %% [markdown]
# Without a nonlinearity the rule stands. tanh follows it up to 1 and then bends: the many draws near 1 keep
# moving about, those far below settled where tanh is flat. And relu leaves the dashed line altogether. In
# some draws a step comes in which every unit is off; from then on the state is 0, and the gradient of
# whatever came before is exactly 0, no matter how large $\rho$ is. In a few it grows *faster* than $\rho$: a
# unit that is off may have been the one that held the others back. The active part predicts nearly all of
# them.
#
# Three matrices small enough to follow by hand:
#
# | $W$ | $\rho$ | nonlinearity | what happens |
# |---|---|---|---|
# | $-2I$ | 2 | relu | from $h \ge 0$ every unit is off at once: gradient 0 |
# | $2I$ | 2 | tanh | $h$ settles at ±0.957, where $h = \tanh 2h$: a step multiplies by $2(1 - h^2) = 0.17$ |
# | $\begin{pmatrix} 2 & 2 \\ -2 & -2 \end{pmatrix}$ | 0 | relu | the second unit stays off: it doubles |

# %%
for W, nonlinearity in [
    (-2 * np.eye(2), "relu"),
    (2 * np.eye(2), "tanh"),
    (np.array([[2.0, 2.0], [-2.0, -2.0]]), "relu"),
]:
    g, _ = through_time(W, np.array([1.0, 0.0]), np.array([1.0, 0.0]), 30, nonlinearity)
    factor = np.linalg.norm(g[0]) ** (1 / 30)
    print(f"ρ = {largest_modulus(W):.0f}, {nonlinearity}: {factor:.2f} a step over 30 steps")

# %% [markdown]
# ### Matrices that are not normal
#
# Even without a nonlinearity $\rho$ speaks about the long run only. A matrix with
# $W W^\mathsf{T} = W^\mathsf{T} W$ is called *normal*; symmetric and orthogonal ones are. Its eigenvectors
# are perpendicular, and then $\|W^k\| = \rho^k$ from the start. Otherwise all that holds at every step is
#
# $$\rho^k \le \|W^k\| \le \sigma^k,$$
#
# with $\sigma$ the largest singular value, the most that one step can stretch. A chain of eight units, each
# keeping 0.7 of itself and passing 0.6 of itself on, has all eigenvalues at 0.7 and $\sigma \approx 1.28$:

# %%
chain = 0.7 * np.eye(8) + 0.6 * np.eye(8, k=1)
radius, sigma = largest_modulus(chain), np.linalg.norm(chain, 2)
k = np.arange(61)
worst = [np.linalg.norm(np.linalg.matrix_power(chain, n), 2) for n in k]
typical = np.linalg.norm(
    through_time(chain, np.ones(8), rng.normal(size=8) / np.sqrt(8), 60, "linear")[0], axis=1
)

figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
axes.fill_between(k, radius**k, sigma**k, color="0.93")
axes.semilogy(k, radius**k, "--", color="#2171b5", lw=1.2)
axes.semilogy(k, sigma**k, "--", color="#e6550d", lw=1.2)
axes.semilogy(k, worst, "o-", color="black", ms=3.5, lw=0.8)
axes.semilogy(k, typical[::-1], "s", color="0.55", ms=3)
axes.set_ylim(1e-4, 1e3)
axes.set_xlim(0, 61)
axes.annotate(r"$\sigma^k$", (20, 250), color="#e6550d")
axes.annotate(r"$\rho^k$", (20, 1.5e-3), color="#2171b5")
axes.annotate(r"$\|W^k\|$: the worst direction", (24, 60))
axes.annotate("a random direction", (13, 1.2), color="0.35")
axes.set_xlabel("steps back k")
axes.set_ylabel("growth of the gradient over k steps")
show(figure)
print(f"ρ = {radius:.2f}, σ = {sigma:.2f}; largest ‖W^k‖ = {max(worst):.0f}, at k = {np.argmax(worst)}")

# %% [markdown]
# For 21 steps the gradient grows, thirtyfold at worst, although every eigenvalue says that it vanishes. (This
# chain has one eigenvector only. Its powers are $\rho^k$ times a polynomial in $k$, which delays the decline
# still at $k = 60$.) If a gradient must not explode, it is $\sigma < 1$ that guarantees it, also with relu
# and tanh, whose slopes are at most 1.
#
# ## 4. First remedy: truncation
#
# Backpropagation through $T$ steps keeps $T$ states and does $T$ products. *Truncated* backpropagation stops
# after $k$ steps and takes what it has:
#
# $$\frac{\partial s}{\partial W} = \sum_{t=1}^{T} \delta_t h_{t-1}^\mathsf{T}
# \quad\text{becomes}\quad \sum_{t=T-k+1}^{T} \delta_t h_{t-1}^\mathsf{T}.$$
#
# What is lost? Let random inputs drive a linear network with $W = \rho Q$. The error signal $j$ steps before
# the end has length $\rho^j$, and the state there a mean square of $1 + \rho^2 + \rho^4 + \dots$, a term for
# each input so far. With many units the terms of different steps are nearly perpendicular, so their squares
# add. From that comes the error of the truncated sum. Where $\rho < 1$ it is nearly $\rho^k$. Where
# $\rho > 1$ the error signals grow toward the past and the states toward the future; all terms weigh the
# same, and the error is $\sqrt{1 - k/T}$.

# %%
steps, units = 40, 64
rng = np.random.default_rng(3)
# So small that tanh is linear; relative errors do not depend on it.
inputs = 1e-9 * rng.normal(size=(steps, units))
dy = np.zeros((steps, units))
dy[-1] = rng.normal(size=units)


def shares(x, W, dy, activation="tanh"):
    """Each δ_t and each h_{t-1}, (..., T, units), of h_t = f(W h_{t-1} + x_t)."""
    states = rnn(x, np.eye(units), W, activation=activation)
    # With W_x = I the gradient of x_t is δ_t.
    deltas = rnn_vjp(x, np.eye(units), W, None, None, None, dy, activation=activation)[0]
    return deltas, np.concatenate([np.zeros_like(states[..., :1, :]), states[..., :-1, :]], axis=-2)


def truncation_errors(radius):
    """The error of the truncated sum in parts of the whole, measured and predicted, for k = 1 …"""
    deltas, before = shares(inputs, radius * orthogonal, dy)
    terms = np.einsum("tm,tn->tmn", deltas, before)[::-1]
    missing = np.array([np.linalg.norm(terms[k:].sum(axis=0)) for k in truncations])
    powers = radius ** (2.0 * np.arange(steps))
    mean_squares = np.cumsum(powers) - powers  # of the state before step 1, 2, …
    sizes = powers * mean_squares[::-1]
    predicted = np.sqrt([sizes[k:].sum() / sizes.sum() for k in truncations])
    return missing / np.linalg.norm(terms.sum(axis=0)), predicted


# The first state is 0, so the last term is too.
truncations = np.arange(1, steps - 1)
errors = {radius: truncation_errors(radius) for radius in COLOURS}
measured, predicted = errors[1.5]
print(f"ρ = 1.5, half of the steps kept: error {measured[19]:.2f}, predicted {predicted[19]:.2f}")
print(f"ρ = 0.7, half of the steps kept: error {errors[0.7][0][19]:.0e}, 0.7²⁰ = {0.7**20:.0e}")

# %% [markdown]
# Is that noise, of which training has plenty, or bias, which stays? Take a small task: **remember the first
# input**. It is +1 or −1, at random; the inputs that follow are noise. After the last step the network has to
# say which it was. The loss is the binary cross-entropy of one logit, $u^\mathsf{T} h_T$. The gradient that
# we want is its mean over all sequences; here, over 8,192 that nothing else uses.

# %%
units = 16


def sequences(rng, shape, steps):
    """Inputs (*shape, steps, 1), and whether the first is +1, which it is in every other sequence."""
    x = rng.normal(scale=0.5, size=(*shape, steps, 1))
    labels = np.broadcast_to(np.arange(shape[-1]) % 2 == 0, shape)
    x[..., 0, 0] = np.where(labels, 1, -1)
    return x, labels


def start(W_h, rng):
    """The parameters of a network that starts with these recurrent weights."""
    W_x, u = 0.3 * rng.normal(size=(units, 1)), 0.1 * rng.normal(size=units)
    return {"W_x": W_x, "W_h": W_h, "b": np.zeros(units), "u": u}


def random_orthogonal(rng):
    return np.linalg.qr(rng.normal(size=(units, units)))[0]


rng = np.random.default_rng(4)
steps, count = 20, 2**13
network = start(1.5 * random_orthogonal(rng), rng)
x, labels = sequences(rng, (2 * count,), steps)
x = x @ network["W_x"].T
probabilities = 1 / (1 + np.exp(-rnn(x, np.eye(units), network["W_h"])[:, -1] @ network["u"]))
dy = np.zeros_like(x)
dy[:, -1] = (probabilities - labels)[:, None] * network["u"]
deltas, before = shares(x, network["W_h"], dy)


def gradient(first, last, kept):
    """The mean over some of the sequences, with k steps kept."""
    signals, states = (array[first:last, -kept:].reshape(-1, units) for array in (deltas, before))
    return signals.T @ states / (last - first)


wanted = gradient(count, 2 * count, steps)


def distance(number, kept):
    """Root mean square over as many sets of so many sequences as there are, 64 at most."""
    firsts = range(0, min(count, 64 * number), number)
    squares = [np.sum((gradient(first, first + number, kept) - wanted) ** 2) for first in firsts]
    return np.sqrt(np.mean(squares)) / np.linalg.norm(wanted)


# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for radius, (measured, predicted) in errors.items():
    left.semilogy(truncations[1::4], measured[1::4], "o", color=COLOURS[radius], ms=4, label=f"{radius}")
    left.semilogy(truncations, predicted, "--", color=COLOURS[radius], lw=1)
left.set_ylim(1e-8, 2)
left.legend(title=r"$\rho$", frameon=False, handletextpad=0, loc="lower left")
left.set_xlabel("steps kept, k (of 40)")
left.set_title("one sequence, linear network", fontsize=11)
left.set_ylabel("error / size of the gradient that is wanted")
numbers = 4 ** np.arange(7)
for kept, colour, marker in [(5, "#e6550d", "s"), (10, "#2171b5", "^"), (20, "black", "o")]:
    distances = [distance(number, kept) for number in numbers]
    right.loglog(numbers, distances, marker, color=colour, ms=5)
    bias = np.linalg.norm(gradient(0, count, kept) - wanted) / np.linalg.norm(wanted) if kept < steps else 0
    noise = np.sqrt(distances[0] ** 2 - bias**2)
    right.loglog(numbers, np.sqrt(bias**2 + noise**2 / numbers), "--", color=colour, lw=1)
    name = "all 20 steps" if kept == steps else f"{kept} of 20 steps"
    right.annotate(name, (numbers[-1] * 1.4, distances[-1]), color=colour, va="center")
    print(f"{name:13} error with 1 sequence {distances[0]:.1f}, with {numbers[-1]:,} {distances[-1]:.2f}")
right.set_xlim(right=numbers[-1] * 25)
right.set_xticks([1, 10, 100, 1000], ["1", "10", "100", "1,000"])
right.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
right.minorticks_off()
right.set_xlabel("number of sequences averaged")
right.set_title("the memory task, tanh, ρ = 1.5", fontsize=11)
show(figure)

# %% [markdown]
# On the left, points and dashed prediction. A network whose gradient vanishes loses next to nothing, since
# what is cut off had vanished anyway. Where it does not vanish, the error stays near 1 until nearly all steps
# are kept.
#
# On the right, averages over more and more sequences. The whole gradient comes nearer and nearer, as
# $1/\sqrt N$. A truncated one is *less* noisy, and with a small batch it may even be the better guess. But it
# comes to rest at its bias (dashed: bias and noise together). More data do not help: it is the gradient of
# something else. (The last black point lies high because what is wanted is itself a mean over 8,192 only.)
#
# And what does a network learn from it? Train the task over 30 steps, by gradient descent. The truncation is
# done with masks: the steps before the last $k$ run behind a `stop_gradient`, and the last $k$ go on from
# there. (Where a mask of `ops.rnn` is False the state passes through.) Many networks are trained at once,
# under `jax.vmap`. Their updates are clipped; that is the next section.

# %%
longest, batch, updates, networks = 40, 16, 200, 21

rng = np.random.default_rng(5)
x, labels = sequences(rng, (updates, batch), longest)
x_test, labels_test = sequences(rng, (512,), longest)
x, x_test = jnp.float32(x), jnp.float32(x_test)


def logits(parameters, x, steps, kept, activation):
    layer = partial(ops.rnn, x, parameters["W_x"], parameters["W_h"], parameters["b"], activation=activation)
    number = jnp.broadcast_to(jnp.arange(longest), x.shape[:-1])
    before = layer(None, number < steps - kept)[:, -1]
    last = layer(jax.lax.stop_gradient(before), (number >= steps - kept) & (number < steps))[:, -1]
    return last @ parameters["u"]


def loss(parameters, x, labels, steps, kept, activation):
    return jnp.mean(ops.sigmoid_binary_cross_entropy(logits(parameters, x, steps, kept, activation), labels))


@partial(jax.jit, static_argnames="activation")
@partial(jax.vmap, in_axes=(0, 0, 0, 0, None, None))
def descend(parameters, rate, threshold, kept, steps, activation):
    """The loss at every update, one a batch; then the share of right answers on new sequences, and W_h."""
    optimiser = optax.chain(optax.clip_by_global_norm(threshold), optax.sgd(rate))

    def update(state, data):
        parameters, memory = state
        value, gradients = jax.value_and_grad(loss)(parameters, *data, steps, kept, activation)
        changes, memory = optimiser.update(gradients, memory)
        return (optax.apply_updates(parameters, changes), memory), value

    (parameters, _), losses = jax.lax.scan(update, (parameters, optimiser.init(parameters)), (x, labels))
    answers = logits(parameters, x_test, steps, steps, activation) > 0
    return losses, jnp.mean(answers == labels_test), parameters["W_h"]


def train(starts, steps, activation, rate, threshold=1.0, kept=None):
    """Losses, right answers and final W_h, one row a network."""
    parameters = jax.tree.map(lambda *arrays: jnp.float32(np.stack(arrays)), *starts)
    kept = jnp.broadcast_to(jnp.int32(steps if kept is None else kept), networks)
    rate, threshold = (jnp.broadcast_to(jnp.float32(a), networks) for a in (rate, threshold))
    return jax.device_get(descend(parameters, rate, threshold, kept, steps, activation))


kept = [30, 29, 28, 25, 15, 5, 1]
identity = [start(np.eye(units), np.random.default_rng(seed)) for seed in range(3)]
rngs = [np.random.default_rng(seed) for seed in range(3)]
scaled = [start(1.3 * random_orthogonal(rng), rng) for rng in rngs]
_, relu_right, _ = train(identity * 7, 30, "relu", 0.03, kept=np.repeat(kept, 3))
_, tanh_right, _ = train(scaled * 7, 30, "tanh", 0.1, kept=np.repeat(kept, 3))
print(f"{'right answers, steps kept:':27}", *[f"{k:5}" for k in kept])
for name, right in [("relu, from W = I", relu_right), ("tanh, from W = 1.3 Q", tanh_right)]:
    print(f"{name:27}", *[f"{share:5.0%}" for share in right.reshape(7, 3).mean(axis=1)])

# %% [markdown]
# The relu network starts as a sum of its inputs, in which the first one drowns. It has to learn to treat the
# first input unlike the others, and of that a truncated gradient knows nothing: five steps too few, and it
# does little better than guess. The tanh network manages even with one step. Its $W$ turns the state at every
# step, so that after 30 steps the first input is still there, in a direction of its own, and the output
# weights need only find it. Truncation does not forbid long memories. It cannot build them.
#
# ## 5. Second remedy: clipping
#
# An exploding gradient does its harm in one update. If it is a thousand times as long as usual then so is the
# step, and the weights land where nothing is left of what they had learnt. *Clipping by the global norm*
# takes the norm over the gradients of all parameters together, and shortens them all if it is above a
# threshold $c$:
#
# $$g \leftarrow g \cdot \min\left(1, \frac{c}{\|g\|}\right).$$
#
# The direction of each update stays. (The average over updates does not: long gradients now count for less.
# So clipping is biased too.) In optax it is `optax.clip_by_global_norm(c)`, put in front of the optimiser.
#
# The relu network again, over 20 steps. Left: the loss of seven networks at learning rate 0.02, without
# clipping and clipped to 1. Right: which learning rates work.

# %%
steps = 20
starts = [start(np.eye(units), np.random.default_rng(seed)) for seed in range(7)]
losses, right, W_h = train(starts * 3, steps, "relu", 0.02, threshold=np.repeat([np.inf, 10, 1], 7))
rates = np.array([0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0])
by_rate = [
    train(starts[:3] * 7, steps, "relu", np.repeat(rates, 3), threshold)[1].reshape(7, 3)
    for threshold in (np.inf, 10, 1)
]
names = ("no clipping", "c = 10", "c = 1")

figure, (left, middle) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
smooth = np.array([np.convolve(row, np.ones(10) / 10, "valid") for row in losses])
number = np.arange(10, updates + 1)
left.plot(number, smooth[:7].T, color="#e6550d", lw=1)
left.plot(number, smooth[14:].T, color="#2171b5", lw=1)
left.set_ylim(0, 1.5)
left.set_xlabel("update")
left.set_ylabel("loss in nats, mean of ten updates")
middle.set_xlabel("learning rate")
middle.set_ylabel("right answers (%)")
for share, name, colour, marker, place in zip(
    by_rate,
    names,
    ("#e6550d", "0.4", "#2171b5"),
    "s^o",
    ((0.0025, 68), (0.06, 80), (0.56, 80)),
    strict=True,
):
    middle.semilogx(rates, 100 * share.mean(axis=1), f"{marker}-", color=colour, ms=5, lw=1)
    middle.annotate(name, place, color=colour)
for axes, guessing in [(left, np.log(2)), (middle, 50)]:
    axes.axhline(guessing, ls="--", color="black", lw=1)
middle.annotate("dashed: guessing", (1e-3, 45))
middle.set_ylim(40, 104)
show(figure)
for name, group in zip(names, np.arange(networks).reshape(3, 7), strict=True):
    ends = " ".join(f"{largest_modulus(W) if np.isfinite(W).all() else np.inf:4.2f}" for W in W_h[group])
    print(
        f"{name:12} {right[group].mean():4.0%} right, largest loss {losses[group].max():4.1f}, final ρ {ends}"
    )

# %% [markdown]
# On the left the unclipped networks learn as fast as the others, or faster. Then one update throws them out,
# some of them after they had nearly done it, and most end at guessing. The last column suggests why. All
# start at $\rho = 1$. The networks that succeed end between 1.4 and 2: so that the first input is heard above
# the noise of nineteen others, it has to be amplified. The way there leads through exploding gradients.
# (Which network is thrown out, and when, hangs on the last digits of the numbers; that they are does not.)
#
# Could one not take a smaller learning rate? One can, says the right panel, but 0.003 is then slow for the
# 200 updates, 0.01 is already a gamble, and at 0.03 all is lost. Clipped to 1, everything from 0.01 to 0.3
# works. A learning rate that survives the longest gradient is too small for all the others. Clipping bounds
# the length of an update by learning rate × $c$; hence a $c$ ten times as large wants a learning rate about
# ten times smaller.
#
# ## 6. Where the weights start
#
# Clipping shortens what explodes. Nothing lengthens what has vanished: it is lost among the gradients of the
# later inputs. What can be done is to start where nothing vanishes.
#
# * **tanh: scaled orthogonal**, $W_h = \rho Q$. Which $\rho$? Train with seven of them, to remember over 5 to
#   40 steps.
# * **relu: the identity.** While a unit is on, $h_t = h_{t-1} + (W_x x_t)$ and the gradient passes unchanged.
#   Rivals: He's initialisation, $2/n$ for the variance, made to make up for the half of the units that is
#   off; and $\sqrt 2\, Q$, which does the same with equal lengths.
#
# Before training, backpropagate once from $u^\mathsf{T} h_T$ and note how long the error signal is at the
# first step, relative to the last.

# %%
lengths = (5, 10, 15, 20, 30, 40)
radii = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.3)
shades = COLOURS | {0.6: "#08519c", 0.8: "#4292c6"}


def error_signals(network, steps, activation, count):
    """δ_1 and δ_T before training, a row for each of the first sequences."""
    inputs = np.asarray(x_test[:count, :steps], np.float64) @ network["W_x"].T
    dy = np.zeros_like(inputs)
    dy[:, -1] = network["u"]
    signals, _ = shares(inputs, network["W_h"], dy, activation)
    return signals[:, 0], signals[:, -1]


def reaching(network, steps, activation):
    first, last = error_signals(network, steps, activation, 100)
    return np.linalg.norm(first) / np.linalg.norm(last)


def agreement(network, steps, activation):
    """1 where the δ_1 of all sequences are the same, near 0 where they point anywhere."""
    first, _ = error_signals(network, steps, activation, 512)
    return np.linalg.norm(first.mean(axis=0)) / np.sqrt((first**2).sum(axis=1).mean())


rngs = [np.random.default_rng(seed) for seed in range(3)]
scaled = [start(radius * random_orthogonal(rng), rng) for radius in radii for rng in rngs]
remembered = 100 * np.array([train(scaled, steps, "tanh", 0.1)[1].reshape(7, 3) for steps in lengths])
reached = np.reshape([[reaching(net, steps, "tanh") for net in scaled] for steps in lengths], (6, 7, 3))

relu_kinds = {
    "identity": lambda rng: np.eye(units),
    "He": lambda rng: he_normal(rng, units, units),
    "√2 Q": lambda rng: np.sqrt(2) * random_orthogonal(rng),
}
relu_lengths = (10, 20, 30, 40)
rngs = [np.random.default_rng(seed) for seed in range(7)]
relu_starts = [start(draw(rng), rng) for draw in relu_kinds.values() for rng in rngs]
relu_remembered = 100 * np.array(
    [train(relu_starts, steps, "relu", 0.03)[1].reshape(3, 7) for steps in relu_lengths]
)

# %%
figure, (left, middle, right) = plt.subplots(
    1, 3, figsize=(12, 4.2), layout="constrained", gridspec_kw={"width_ratios": [1.15, 1, 1]}
)
means = remembered.mean(axis=2).T
left.imshow(means, cmap="cividis", vmin=50, vmax=100, aspect="auto", origin="lower")
for (row, column), number in np.ndenumerate(means):
    colour = "white" if number < 75 else "black"
    left.text(column, row, f"{number:.0f}", ha="center", va="center", color=colour)
left.set_xticks(range(6), lengths)
left.set_yticks(range(7), radii)
left.spines[:].set_visible(False)
left.set_xlabel("steps to remember over, T")
left.set_ylabel(r"$\rho$ at the start")
left.set_title("tanh, from ρQ: right answers (%)", fontsize=11)
for row, radius in enumerate(radii):
    middle.semilogx(reached[:, row].ravel(), remembered[:, row].ravel(), "o", color=shades[radius], ms=4)
middle.set_xlabel(r"$\|\delta_1\| \; / \; \|\delta_T\|$ before training")
middle.set_title("the same networks one by one", fontsize=11)
for index, (name, colour, marker) in enumerate(
    zip(relu_kinds, ("#2171b5", "#e6550d", "0.4"), "os^", strict=True)
):
    right.plot(
        relu_lengths,
        relu_remembered[:, index].mean(axis=1),
        f"{marker}-",
        color=colour,
        ms=5,
        lw=1,
        label=name,
    )
right.legend(title=r"start of $W_h$", frameon=False, loc=(0.02, 0.2))
right.set_xticks(relu_lengths)
right.set_xlabel("steps to remember over, T")
right.set_title("relu: mean of seven networks", fontsize=11)
for axes in (middle, right):
    axes.axhline(50, ls="--", color="black", lw=1)
    axes.set_ylim(40, 104)
    axes.set_ylabel("right answers (%)")
show(figure)
learned = remembered > 90
reaches = np.reshape([reaching(net, 40, "relu") for net in relu_starts], (3, 7))
agreements = np.reshape([agreement(net, 40, "relu") for net in relu_starts], (3, 7))
print(f"tanh: every network learns that more than {reached[~learned].max():.0e} reaches,")
print(f"      none that less than {reached[learned].min():.0e} reaches")
print("relu, 40 steps, middle of seven")
for kind, reach, agree in zip(
    relu_kinds, np.median(reaches, axis=1), np.median(agreements, axis=1), strict=True
):
    print(f"  {kind:9} ‖δ_1‖ / ‖δ_T‖ {reach:5.2f}, agreement of the δ_1 {agree:.2f}")

# %% [markdown]
# **tanh.** A staircase: the smaller $\rho$, the shorter the memory. The middle panel holds the same networks,
# each against what reached its first step before training, and they fall on one curve. From a hundredth on
# all learn, below a thousandth none. In 200 updates a gradient that vanished teaches nothing at all. On the
# other side there is no such edge: tanh saturates, clipping does the rest, and $\rho = 1.3$ is as good as 1.
#
# **relu.** The identity wins clearly, and not by the length of what arrives: He's start has *more* of it, and
# $\sqrt 2\, Q$ about as much as at the end. But there each sequence switches other units off, so the error
# signals that arrive at the first step point in different directions and cancel in the mean over a batch.
# From the identity they agree far better. The length of a gradient is necessary, not sufficient.
#
# ## To take away
#
# 1. Backpropagation through time is backpropagation through $T$ layers that share $W$: walk back, and add up
#    $\delta_t h_{t-1}^\mathsf{T}$.
# 2. In a linear network with a normal $W$ the gradient changes by $\rho$ a step, the largest *modulus* of an
#    eigenvalue. For other $W$ that is the long run, and before it up to $\sigma$ a step is possible.
# 3. relu takes units out: what counts is the active part of $W$. tanh saturates, so $\rho > 1$ need not
#    explode. Below 1, vanishing is the rule for both.
# 4. Truncation costs little where gradients vanish, and is biased where they do not.
# 5. Clipping makes large learning rates survive the rare long gradient. It brings back nothing that vanished.
# 6. Start where the gradient arrives: orthogonal for tanh, the identity for relu.
#
# Something to try: give the slide's loop a loss at every state. Then draw $W$ orthogonal in the test of
# section 3 and see which panels change. Or start the tanh networks from a Gaussian $W$ with the same $\rho$.
