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
# # Activations and their slopes
#
# On its way back through $y = f(x)$ a gradient is multiplied by $f'(x)$, entry by entry:
#
# $$\frac{\partial s}{\partial x} = f'(x) \circ \frac{\partial s}{\partial y}.$$
#
# So what an activation does to training can be read from its slope. Unit 3 of the lecture names two ways in
# which slopes spoil a network: gradients that *vanish* behind sigmoids, and relu units that *die*. This
# notebook shows both, and what initialisation and the relatives of relu change. It ends with the digits: how
# many of those of a slope are right.

# %%
import io
from functools import partial

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Image, display
from jax.nn import initializers
from matplotlib.collections import LineCollection
from PIL import Image as Picture

from jaxbackprop import ops
from jaxbackprop.doctor import health
from reference import activations as on_paper
from reference.initialization import he_variance, xavier_variance

# Colours of Okabe and Ito, which can be told apart with any colour vision.
BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE = "#56B4E9", "#CC79A7"
plt.rcParams |= {"savefig.dpi": 96, "axes.spines.top": False, "axes.spines.right": False}
plt.rcParams |= {"axes.titlesize": 10, "legend.frameon": False}


def show(figure):
    """Shows a figure in 128 colours: a third of the bytes, and no difference to the eye."""
    full, reduced = io.BytesIO(), io.BytesIO()
    figure.savefig(full)
    plt.close(figure)
    Picture.open(full).convert("RGB").quantize(128).save(reduced, "png", optimize=True)
    display(Image(reduced.getvalue()))


# %% [markdown]
# ## 1. Every activation, with its derivative
#
# Values and slopes come from `jaxbackprop.ops`, the slopes by the hand-written rules. Each is held against
# its derivation in `reference.activations`, which knows nothing of JAX.

# %%
# The operator, its usual formula, its VJP on paper, and its kinks.
ACTIVATIONS = {
    "sigmoid": (ops.sigmoid, ops.plain.sigmoid, on_paper.sigmoid_vjp, ()),
    "tanh": (ops.tanh, ops.plain.tanh, on_paper.tanh_vjp, ()),
    "hardtanh": (ops.hardtanh, ops.plain.hardtanh, on_paper.hardtanh_vjp, (-1, 1)),
    "softplus": (ops.softplus, ops.plain.softplus, on_paper.softplus_vjp, ()),
    "relu": (ops.relu, ops.plain.relu, on_paper.relu_vjp, (0,)),
    "leaky_relu, slope 0.1": (
        lambda x: ops.leaky_relu(x, 0.1),
        lambda x: ops.plain.leaky_relu(x, 0.1),
        lambda x, dy: on_paper.leaky_relu_vjp(x, 0.1, dy),
        (0,),
    ),
    "prelu, learnt slope 0.3": (
        lambda x: ops.prelu(x, jnp.float32(0.3)),
        lambda x: ops.plain.prelu(x, jnp.float32(0.3)),
        lambda x, dy: on_paper.prelu_vjp(x, 0.3, dy),
        (0,),
    ),
    "elu": (ops.elu, ops.plain.elu, lambda x, dy: on_paper.elu_vjp(x, 1.0, dy), ()),
    "elu, alpha 0.5": (
        lambda x: ops.elu(x, 0.5),
        lambda x: ops.plain.elu(x, 0.5),
        lambda x, dy: on_paper.elu_vjp(x, 0.5, dy),
        (0,),
    ),
    "silu": (ops.silu, ops.plain.silu, on_paper.silu_vjp, ()),
    "gelu, exact": (
        lambda x: ops.gelu(x, approximate=False),
        lambda x: ops.plain.gelu(x, approximate=False),
        lambda x, dy: on_paper.gelu_vjp(x, dy, approximate=False),
        (),
    ),
    "gelu, tanh form": (ops.gelu, ops.plain.gelu, on_paper.gelu_vjp, ()),
}


def slope(f, x):
    """f′ at each x, as jax.grad finds it: by f's rule where it has one, else through its formula."""
    return np.asarray(jax.jit(jax.vmap(jax.grad(f)))(x))


# Steps of 1/128 are exact in float32, so that the kinks are among the points.
x = np.arange(-4, 4 + 1 / 128, 1 / 128, dtype=np.float32)


@jax.jit
def values_and_slopes(x):
    """By name, of all activations at once."""
    return {name: jax.vmap(jax.value_and_grad(f))(x) for name, (f, *_) in ACTIVATIONS.items()}


both = values_and_slopes(x)
value, derivative = ({name: np.asarray(both[name][k]) for name in ACTIVATIONS} for k in (0, 1))
for name, (*_, f_vjp, _) in ACTIVATIONS.items():
    (on_paper_too, *_) = f_vjp(x, np.ones_like(x))
    assert np.allclose(derivative[name], on_paper_too, atol=1e-6)

# %%
figure, panels = plt.subplots(3, 4, figsize=(9, 6.2), sharex=True, sharey=True, layout="constrained")
for axes, (name, (*_, kinks)) in zip(panels.flat, ACTIVATIONS.items(), strict=True):
    axes.axhline(0, color="0.85", lw=0.8, zorder=0)
    axes.axvline(0, color="0.85", lw=0.8, zorder=0)
    (value_line,) = axes.plot(x, value[name], color="0.4", lw=1.6)
    # At a kink the derivative has no value, and its line a gap.
    (slope_line,) = axes.plot(x, np.where(np.isin(x, kinks), np.nan, derivative[name]), color=BLUE, lw=1.6)
    for kink in kinks:
        at = np.searchsorted(x, kink)
        sides = derivative[name][[at - 1, at + 1]]
        (valid,) = axes.plot([kink, kink], sides, color=ORANGE, lw=5, alpha=0.7, solid_capstyle="butt")
        (chosen,) = axes.plot(kink, derivative[name][at], "o", color=VERMILLION, ms=6)
    if name.startswith("prelu"):
        (by_slope,) = axes.plot(x, np.minimum(x, 0), color=GREEN, lw=1.6, ls="--")
    axes.set_title(name)
    axes.set(ylim=(-1.3, 2.2), xticks=[-4, -2, 0, 2, 4])
for axes in panels[-1]:
    axes.set_xlabel("x")
figure.legend(
    [value_line, slope_line, valid, chosen, by_slope],
    ["f(x)", "f′(x)", "valid slopes at a kink", "slope chosen there", "∂f/∂slope of prelu"],
    loc="outside upper center",
    ncols=5,
)
show(figure)

# %%
table = [f"{'':24} kink   valid slopes   chosen   jax.grad of the usual formula"]
for name, (_, plain, _, kinks) in ACTIVATIONS.items():
    for kink in kinks:
        at = np.searchsorted(x, kink)
        low, high = sorted(derivative[name][[at - 1, at + 1]])
        (other,) = slope(plain, x[at : at + 1])
        ours = derivative[name][at]
        table.append(f"{name:24} {kink:4}   {low:.1f} to {high:.1f}     {ours:6.1f}   {other:6.1f}")
        assert low <= ours <= high

table.append(f"\n{'':24} least and largest slope, |x| ≤ 4")
for name, slopes in derivative.items():
    table.append(f"{name:24} {slopes.min():6.2f} {slopes.max():6.2f}")
print("\n".join(table))
apart = {what: np.abs(of["gelu, exact"] - of["gelu, tanh form"]).max() for what, of in
         {"values": value, "slopes": derivative}.items()}  # fmt: skip
print(f"\nthe two forms of gelu: values at most {apart['values']:.1e} apart, slopes {apart['slopes']:.1e}")

# %% [markdown]
# *Squashing functions* (sigmoid, tanh, hardtanh) have slopes that go to 0 on both sides: far out they
# **saturate**. The sigmoid's slope is at most 1/4, tanh's at most 1. *Rectifiers* have slope 1 for all
# positive $x$ and differ on the left, where relu's is 0. *Smooth* ones (softplus, silu, gelu) bend from one
# to the other; the slopes of silu and gelu dip below 0 and rise above 1 on the way. The two forms of gelu
# cannot be told apart by eye.
#
# **At a kink** there is no derivative, but every slope on the orange bar is a valid generalised gradient. The
# relatives of relu take the slope from the left, hardtanh takes the 1 of the lecture's middle piece $-1 \le x
# \le 1$. JAX's `maximum` and `clip` take the middle; both are right. It matters where inputs are *exactly* at
# the kink, as those of padding are when biases start at 0: with 0 such a relu stays at rest.
#
# ## 2. Gradients that vanish, layer by layer
#
# A deep network has $z_l = W_l h_{l-1}$, $h_l = f(z_l)$. The error signal $\delta_l = \partial s / \partial
# z_l$ comes from that of the next layer:
#
# $$\delta_l = f'(z_l) \circ W_{l+1}^\mathsf{T} \delta_{l+1}.$$
#
# Let the weights be random with variance $v$, and all layers $n$ units wide. Each entry of $W^\mathsf{T}
# \delta$ is a sum of $n$ products, so on average
#
# $$\mathrm E[\delta_l^2] = \mathrm E[f'(z_l)^2] \cdot n v \cdot \mathrm E[\delta_{l+1}^2],
# \qquad \text{a factor of } \sqrt{n v\, \mathrm E[f'(z_l)^2]} \text{ a layer}.$$
#
# With $f' \approx 1$ (tanh near 0) the factor is 1 for $nv = 1$: **Xavier**. With $f' = 1$ for half of the
# units and 0 for the others (relu) it is 1 for $nv = 2$: **He**. `reference.initialization` derives both. The
# mean of $f'^2$ can be had without these approximations: $z_l$ is a sum of $n$ terms, hence about normal, and
# its variance is $n v\, \mathrm E[h_{l-1}^2]$. So `predict` computes every layer's factor without drawing a
# network; `measure` draws one, 20 layers of 256 units, and looks.

# %%
WIDTH, DEPTH, EXAMPLES = 256, 20, 128
DEEP = {
    "sigmoid": (ops.sigmoid, on_paper.sigmoid, on_paper.sigmoid_vjp, VERMILLION),
    "tanh": (ops.tanh, on_paper.tanh, on_paper.tanh_vjp, BLUE),
    "relu": (ops.relu, on_paper.relu, on_paper.relu_vjp, GREEN),
}


@partial(jax.jit, static_argnames="activation")
def error_signals(activation, x, weights, dy):
    """δ and z of every layer. Adding e = 0 to z changes nothing, and the gradient by e is δ."""

    def layer(h, W_and_e):
        W, e = W_and_e
        z = ops.linear(h, W) + e
        return activation(z), z

    def network(e):
        return jax.lax.scan(layer, x, (weights, e))

    _, backward, z = jax.vjp(network, jnp.zeros((DEPTH, EXAMPLES, WIDTH)), has_aux=True)
    return backward(dy)[0], z


keys = jax.random.split(jax.random.key(0), DEPTH)
inputs, dy = np.float32(np.random.default_rng(0).normal(size=(2, EXAMPLES, WIDTH)))


def draw(initializer):
    # JAX's initialisers draw inputs × outputs.
    return jnp.stack([initializer(key, (WIDTH, WIDTH)).T for key in keys])


def measure(name, weights):
    """Root mean square of each layer's δ, as a fraction of the last one's; and each layer's z."""
    delta, z = error_signals(DEEP[name][0], inputs, weights, dy)
    norms = np.sqrt(np.mean(np.square(delta, dtype=np.float64), axis=(1, 2)))
    return norms / norms[-1], z


normal = np.linspace(-8, 8, 4001)
density = np.exp(-(normal**2) / 2)
density /= density.sum()


def predict(name, nv):
    """The fractions that `measure` should find."""
    _, f, f_vjp, _ = DEEP[name]
    factors, mean_square = [], 1.0
    for _ in range(DEPTH):
        z = np.sqrt(nv * mean_square) * normal
        mean_square = density @ f(z) ** 2
        (slopes,) = f_vjp(z, np.ones_like(z))
        factors.append(np.sqrt(nv * (density @ slopes**2)))
    # The last layer's own factor is in all of them.
    return np.append(np.cumprod(factors[-2::-1])[::-1], 1)


def factor(fractions):
    """The factor a layer, on average from the last layer to the first."""
    return fractions[0] ** (1 / (DEPTH - 1))


# Each initialiser, and the n v that it gives these layers.
INITIALIZERS = {
    "small": (initializers.normal(1 / 64), WIDTH / 64**2, ORANGE),
    "Xavier": (initializers.glorot_normal(), WIDTH * xavier_variance(WIDTH, WIDTH), BLUE),
    "He": (initializers.he_normal(), WIDTH * he_variance(WIDTH), GREEN),
    "large": (initializers.normal(1 / 4), WIDTH / 4**2, PURPLE),
}
weights = {start: draw(initializer) for start, (initializer, *_) in INITIALIZERS.items()}
measured = {(name, start): measure(name, weights[start]) for name in DEEP for start in weights}

# %%
layers = np.arange(1, DEPTH + 1)
figure, panels = plt.subplots(1, 3, figsize=(9, 3.6), sharex=True, sharey=True, layout="constrained")
table = ["factor a layer           n v   measured   predicted   layer 1 / layer 20"]
for axes, name in zip(panels, DEEP, strict=True):
    for start, (_, nv, colour) in INITIALIZERS.items():
        fractions, expected = measured[name, start][0], predict(name, nv)
        axes.semilogy(layers, fractions, "o", color=colour, ms=3.5)
        axes.semilogy(layers, expected, color=colour, lw=1.2)
        offset = (-6, {"He": 3, "Xavier": -3}.get(start, 0))
        axes.annotate(
            start,
            (1, fractions[0]),
            offset,
            textcoords="offset points",
            color=colour,
            ha="right",
            va="center",
        )
        found, foreseen = factor(fractions), factor(expected)
        table.append(f"{name:8} {start:7} {nv:11.4g} {found:10.3f} {foreseen:11.3f} {fractions[0]:17.0e}")
        assert abs(found / foreseen - 1) < 0.03
    axes.set_title(name)
    axes.set_xlabel("layer (1 is next to the input)")
    axes.set_xlim(-6, DEPTH + 0.5)
    axes.set_xticks([1, 5, 10, 15, 20])
panels[0].set_ylabel("size of δ / size of the last layer's")
show(figure)
print("\n".join(table))

# %% [markdown]
# Dots are measured, lines predicted. They agree, so the four starts can be compared on paper:
#
# * **relu** keeps its gradient under He, and multiplies it by $\sqrt{1/2}$ a layer under Xavier.
# * **tanh** loses little under Xavier, and less the deeper it goes: every layer shrinks $h$ a bit, so slopes
#   come closer to 1.
# * **sigmoid** loses its gradient under all four: under Xavier, twelve orders of magnitude over twenty
#   layers. Its slope is 1/4 at best, so weights that suit tanh leave it a factor of a quarter at most. The
#   lecture avoids it in deep networks for the cost of its exponential, which elu and gelu have too; here is
#   a stronger reason.
#
# Then why not larger weights? Turn the knob.

# %%
knob = (0.03, 0.1, 0.3, 1, 2, 4, 10, 30, 100, 300)
weights = {nv: draw(initializers.variance_scaling(nv, "fan_avg", "normal")) for nv in knob}
dense = np.logspace(-2, 3, 61)
figure, axes = plt.subplots(figsize=(6.5, 3.8), layout="constrained")
axes.axhline(1, color="0.6", lw=0.8)
for name, (*_, colour) in DEEP.items():
    expected = [factor(predict(name, nv)) for nv in dense]
    axes.loglog(dense, expected, color=colour, lw=1.4)
    axes.annotate(
        name, (dense[-1], expected[-1]), (4, 0), textcoords="offset points", color=colour, va="center"
    )
    axes.loglog(knob, [factor(measure(name, weights[nv])[0]) for nv in knob], "o", color=colour, ms=4.5)
for start, side in [("Xavier", "right"), ("He", "left")]:
    nv = INITIALIZERS[start][1]
    axes.axvline(nv, color="0.6", lw=0.8, ls=":")
    axes.annotate(f" {start} ", (nv, 15), ha=side, color="0.35")
axes.set_xlim(dense[0], 6 * dense[-1])
axes.set_xlabel("n v: width times variance of the weights")
axes.set_ylabel("factor a layer on the gradient")
show(figure)

_, z = measure("sigmoid", weights[100])
(slopes,) = on_paper.sigmoid_vjp(z, np.ones(z.shape))
tenth, median = np.quantile(slopes, [0.1, 0.5])
print(f"sigmoid, n v = 100: median slope {median:.3f}, a tenth of them below {tenth:.0e}")

# %% [markdown]
# relu's line is straight, since $\mathrm{relu}(cz) = c\, \mathrm{relu}(z)$: the scale of the weights goes
# straight through. The other two bend, because larger weights push $z$ out to where the slope is small. The
# sigmoid does reach a factor of 1, at weights a hundred times Xavier's variance, and there most of its units
# have no slope to speak of: they are **saturated**, and few carry the whole gradient. Look at all slopes of
# the networks from before. (The titles give the median in the last layer.)

# %%
figure, panels = plt.subplots(2, 3, figsize=(8.5, 4.4), sharex=True, sharey="row", layout="constrained")
for row, name in zip(panels, ("sigmoid", "tanh"), strict=True):
    *_, f_vjp, colour = DEEP[name]
    for axes, start in zip(row, ("Xavier", "He", "large"), strict=True):
        z = measured[name, start][1]
        (slopes,) = f_vjp(z, np.ones(z.shape))
        least, low, middle, high, most = np.quantile(slopes, [0.05, 0.25, 0.5, 0.75, 0.95], axis=(1, 2))
        axes.fill_between(layers, least, most, color=colour, alpha=0.2, lw=0, label="90 % of the units")
        axes.fill_between(layers, low, high, color=colour, alpha=0.35, lw=0, label="50 % of the units")
        axes.plot(layers, middle, color=colour, lw=2, label="median")
        axes.set_title(f"{name}, {start}: median {middle[-1]:.2f}")
        axes.set_xticks([1, 5, 10, 15, 20])
        axes.set_ylim(bottom=0)
    row[0].set_ylabel("slope f′(z)")
    row[0].legend(loc="lower right", fontsize=9)
for axes in panels[-1]:
    axes.set_xlabel("layer")
show(figure)

ones = [np.mean(measured["relu", start][1] > 0) for start in INITIALIZERS]
print(f"relu: the slope is 1 for {min(ones):.1%} to {max(ones):.1%} of the units, from every start")

# %% [markdown]
# Vanishing and saturating are two things. Under Xavier hardly any sigmoid is saturated, and the gradient
# vanishes for all that, because the best slope is 1/4. With large weights most tanh units are saturated, and
# the gradient explodes for all that, carried by the few that are not.
#
# `jaxbackprop.doctor.health` makes this examination on any function of JAX arrays: it walks the computation
# graph forward and back and measures every layer on the way.


# %%
def deep(name):
    def loss(weights, x):
        for W in weights:
            x = DEEP[name][0](ops.linear(x, W))
        return jnp.mean(jnp.square(x))

    return loss


for name, start in [("sigmoid", "Xavier"), ("tanh", "Xavier"), ("relu", "He")]:
    drawn = list(draw(INITIALIZERS[start][0]))
    report = health(deep(name), drawn, jnp.asarray(inputs))
    print(f"{name}, {start}: {'healthy' if report.healthy else ''}")
    for finding in report.findings:
        print(f"  {finding.kind}, at {finding.name}: {finding.message}\n  try: {finding.remedy}")
    assert report.healthy == (name != "sigmoid")

# %% [markdown]
# ## 3. Units that die
#
# relu has no slope on the left. A unit with $z \le 0$ on *every* example of the data gets no gradient for its
# weights and its bias, so no step moves it: it is **dead**. (Only a layer below that still moves could wake
# it, by chance.) Who kills it? The picture takes the smallest network that shows it: two inputs, 64 relu
# units, three classes, plain SGD. In the plane each unit is a line, $w \cdot x + b = 0$; the unit is active
# on one side of it.

# %%
HIDDEN, SEEDS, STEPS, EVERY, BATCH = 64, 5, 1200, 20, 32
rng = np.random.default_rng(0)
labels = np.arange(300) % 3
radius = np.sqrt(rng.uniform(0.02, 1, 300))
angle = 2 * np.pi * (labels / 3 + 0.8 * radius)
points = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) + rng.normal(0, 0.03, (300, 2))
points, labels = jnp.asarray(points / points.std(axis=0), jnp.float32), jnp.asarray(labels)
batches = jnp.asarray(rng.integers(0, 300, (STEPS // EVERY, EVERY, BATCH)))

RATES = (0.1, 0.3, 1, 2, 3, 5, 10)
# One column a run: a constant rate each, and in the last one a rate of 0.3 with twenty steps of 5.
schedules = np.full((STEPS, len(RATES) + 1), [*RATES, 0.3], np.float32)
SPIKE = slice(100, 120)
schedules[SPIKE, -1] = 5
SPIKED = len(RATES)


def initialize(variance):
    """SEEDS networks, stacked; the same draws for every variance, and biases 0."""
    rng = np.random.default_rng(1)

    def weights(n_in, n_out):
        return np.float32(rng.normal(0, np.sqrt(variance(n_in, n_out)), (SEEDS, n_out, n_in)))

    W, U = weights(2, HIDDEN), weights(HIDDEN, 3)
    b, c = np.zeros((SEEDS, HIDDEN), np.float32), np.zeros((SEEDS, 3), np.float32)
    return {"W": W, "b": b, "U": U, "c": c}


@partial(jax.jit, static_argnames="activation")
def logits(p, activation, x):
    return ops.linear(activation(ops.linear(x, p["W"], p["b"])), p["U"], p["c"])


def loss(p, activation, x, labels):
    return ops.softmax_cross_entropy(logits(p, activation, x), labels).mean()


@jax.jit
def never_active(p):
    return (ops.linear(points, p["W"], p["b"]) <= 0).all(axis=0)


@partial(jax.jit, static_argnames="activation")
def train(networks, activation, rates):
    """Plain SGD on many networks at once; also the share of units never active and the loss, by time."""

    def step(p, now):
        batch, rate = now
        g = jax.vmap(jax.grad(loss), (0, None, None, None))(p, activation, points[batch], labels[batch])
        return jax.tree.map(lambda w, dw: w - jnp.expand_dims(rate, range(1, w.ndim)) * dw, p, g), None

    def some_steps(p, now):
        p, _ = jax.lax.scan(step, p, now)
        losses = jax.vmap(loss, (0, None, None, None))(p, activation, points, labels)
        return p, (jax.vmap(never_active)(p).mean(axis=1), losses)

    return jax.lax.scan(some_steps, networks, (batches, rates))


def run(activation, variance):
    """Every schedule from the same few seeds: networks, and curves (time, schedule, seed)."""
    runs = schedules.shape[1]
    networks = {name: np.concatenate([leaf] * runs) for name, leaf in initialize(variance).items()}
    rates = np.repeat(schedules, SEEDS, axis=1).reshape(STEPS // EVERY, EVERY, -1)
    networks, curves = train(networks, activation, rates)
    share, losses = (np.asarray(curve).reshape(-1, runs, SEEDS) for curve in curves)
    networks = {n: np.asarray(leaf).reshape(runs, SEEDS, *leaf.shape[1:]) for n, leaf in networks.items()}
    # Of a network that diverged to nan nothing can be said.
    return networks, np.where(np.isnan(losses), np.nan, share), losses


def leaky_relu(x):
    return ops.leaky_relu(x, 0.1)


# Variance of the weights by inputs and outputs of the layer.
STARTS = {
    "small": (lambda n_in, n_out: 0.05**2, ORANGE),
    "Xavier": (xavier_variance, BLUE),
    "He": (lambda n_in, n_out: he_variance(n_in), GREEN),
    "large": (lambda n_in, n_out: 2.0**2, PURPLE),
}
by_start = {start: run(ops.relu, variance) for start, (variance, _) in STARTS.items()}
by_activation = {
    "relu": by_start["He"],
    "leaky_relu": run(leaky_relu, STARTS["He"][0]),
    "elu": run(ops.elu, STARTS["He"][0]),
}

# %%
networks, _, _ = by_start["He"]
start = initialize(STARTS["He"][0])
pictures = {"at the start": {name: leaf[0] for name, leaf in start.items()}}
for rate in (1, 10):
    picked = (RATES.index(rate), 0)
    pictures[f"learning rate {rate}"] = {name: leaf[picked] for name, leaf in networks.items()}
grid = np.linspace(-3, 3, 151, dtype=np.float32)
plane = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
classes = np.array([BLUE, ORANGE, GREEN])
figure, panels = plt.subplots(1, 3, figsize=(9, 3.5), sharex=True, sharey=True, layout="constrained")
for axes, (title, p) in zip(panels, pictures.items(), strict=True):
    winner = logits(p, ops.relu, plane).argmax(axis=1).reshape(len(grid), len(grid))
    axes.contourf(grid, grid, winner, levels=[-0.5, 0.5, 1.5, 2.5], colors=classes, alpha=0.25)
    dead = np.asarray(never_active(p))
    # Both ends of each unit's line, far outside the picture.
    W, along = p["W"], p["W"][:, ::-1] * [-1, 1]
    foot = -p["b"][:, None] * W / np.sum(W**2, axis=1, keepdims=True)
    reach = 99 * along / np.linalg.norm(along, axis=1, keepdims=True)
    lines = np.stack([foot - reach, foot + reach], axis=1)
    axes.add_collection(LineCollection(lines[~dead], color="0.4", lw=0.8))
    axes.add_collection(LineCollection(lines[dead], color=VERMILLION, lw=0.8, ls="--"))
    axes.scatter(*np.asarray(points).T, s=5, c=classes[np.asarray(labels)], zorder=3)
    axes.set_title(f"{title}: {dead.sum()} of {HIDDEN} dead")
    axes.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xlabel="first input")
panels[0].set_ylabel("second input")
show(figure)

# %% [markdown]
# Dots are the data, colours behind them the predicted class. Grey lines belong to living units, dashed ones
# to dead units. All lines start at the origin, for biases start at 0. At rate 1 they spread among the data
# and bend the border between the classes. At rate 10 the first steps throw most lines out of the data, with
# every point on the inactive side. There they stay, and what is left of the network cannot bend the border.

# %%
figure, (over_time, *over_rate) = plt.subplots(1, 3, figsize=(9, 3.4), sharey=True, layout="constrained")
steps = np.arange(EVERY, STEPS + 1, EVERY)
_, share, _ = by_start["He"]
for k in range(RATES.index(1), SPIKED):
    percent, colour = 100 * share[:, k].mean(axis=1), plt.cm.viridis(0.9 * k / SPIKED)
    over_time.plot([0, *steps], [0, *percent], color=colour)
    # The lines of 1 and 2, and of 10 and 5, end close to each other.
    offset = (4, {2: 5, 1: -3, 5: 5, 10: -5}.get(RATES[k], 0))
    over_time.annotate(
        f"{RATES[k]}", (STEPS, percent[-1]), offset, textcoords="offset points", color=colour, va="center"
    )
over_time.set(xlabel="step", ylabel="units never active (%)", title="relu, He, by learning rate")
for axes, runs, colours, title in [
    (over_rate[0], by_start, [colour for _, colour in STARTS.values()], "relu, by initialisation"),
    (over_rate[1], by_activation, [GREEN, SKY, "0.2"], "He, by activation"),
]:
    for (name, (_, share, _)), colour in zip(runs.items(), colours, strict=True):
        axes.semilogx(RATES, 100 * share[-1, :SPIKED].mean(axis=1), "o-", color=colour, ms=4, label=name)
    axes.set(xlabel="learning rate", title=title)
    axes.legend(loc="upper left")
show(figure)

for _, share, _ in by_start.values():
    assert not (np.diff(share, axis=0) < 0).any()
table = ["units never active at the end, by learning rate"]
table.append(f"{'':18}" + "".join(f"{rate:>7g}" for rate in RATES))
rows = {f"relu, {start}": shares for start, (_, shares, _) in by_start.items()}
rows |= {f"{name}, He": shares for name, (_, shares, _) in by_activation.items() if name != "relu"}
for name, share in rows.items():
    means = share[-1, :SPIKED].mean(axis=1)
    table.append(f"{name:18}" + "".join(f"{'–':>7}" if np.isnan(mean) else f"{mean:7.0%}" for mean in means))
print("\n".join([*table, "– at least one of the networks diverged"]))

# %% [markdown]
# Means of five networks; `leaky_relu` has slope 0.1 here.
#
# **The learning rate** decides. Up to 1 nearly all units live, at 5 nearly all die, most of them within the
# first twenty steps. They do not come back: no curve of relu ever falls.
#
# **Initialisation** moves the edges. A line's distance from the origin is $|b| / \lVert w \rVert$, so where
# $w$ is small a step carries it further: small and Xavier lose a few units at every rate, He none up to 1.
# (For two inputs He's variance is 1, Xavier's 1/33.) Large output weights make large gradients below them,
# and units begin to die at smaller rates. At the start none of this shows: since $\mathrm{relu}(cz) = c\,
# \mathrm{relu}(z)$ the same units are active at every scale. So it is not He's purpose to save units; that is
# the factor of 1 a layer in section 2.
#
# **leaky_relu and elu** do not keep units among the data either, though mostly fewer leave. The difference is
# what happens to those that left. Take the relu networks trained at rate 5, swap the activation, and look at
# what their dead units would receive:

# %%
networks, share, _ = by_start["He"]
networks = {name: leaf[RATES.index(5)] for name, leaf in networks.items()}
dead = np.asarray(jax.vmap(never_active)(networks))
table = [f"relu, learning rate 5: {dead.sum()} of {dead.size} units are never active"]
table.append("gradient of their weights and biases   exactly 0   median size")
gradients = jax.jit(jax.vmap(jax.grad(loss), (0, None, None, None)), static_argnums=1)
for name, activation in {
    "relu": ops.relu,
    "leaky_relu, slope 0.01": ops.leaky_relu,
    "leaky_relu, slope 0.1": leaky_relu,
    "elu": ops.elu,
}.items():
    g = gradients(networks, activation, points, labels)
    of_dead = np.concatenate([np.asarray(g["W"])[dead].ravel(), np.asarray(g["b"])[dead]])
    table.append(f"with {name:31} {np.mean(of_dead == 0):11.0%} {np.median(np.abs(of_dead)):13.0e}")
    assert (name == "relu") == (not of_dead.any())
print("\n".join(table))

ill = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), networks)
finding = health(loss, ill, ops.relu, points, labels).findings[0]
print(
    f"\nthe doctor on the first: {finding.kind}, at {finding.name}: {finding.message}\ntry: {finding.remedy}"
)
assert finding.kind == "dead"

# %% [markdown]
# relu passes nothing, exactly; the others pass something to every one of them. Does that help? A trial has to
# throw units out and then train on: with rate 0.3 throughout, but 5 for the twenty steps in the stripe.
# (The last column of `schedules` was just that.)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
table = [f"medians of {SEEDS} networks at the end   units never active   loss"]
for (name, (_, share, losses)), colour in zip(by_activation.items(), (GREEN, SKY, "0.2"), strict=True):
    for axes, curves in [(left, 100 * share[:, SPIKED]), (right, losses[:, SPIKED])]:
        axes.plot(steps, curves, color=colour, lw=0.5, alpha=0.5)
        axes.plot(steps, np.median(curves, axis=1), color=colour, lw=2, label=name)
    table.append(f"{name:33} {np.median(share[-1, SPIKED]):20.0%} {np.median(losses[-1, SPIKED]):6.2f}")
for axes in (left, right):
    axes.axvspan(SPIKE.start, SPIKE.stop, color=VERMILLION, alpha=0.3, lw=0)
    axes.set_xlabel("step")
left.set_ylabel("units never active (%)")
left.set_ylim(0, 100)
right.set_yscale("log")
right.set_ylabel("loss (nats)")
right.legend()
show(figure)
print("\n".join(table))

# %% [markdown]
# relu loses most of its units for good, and the few that are left can bring the loss only so far. The other
# two pay more for the spike, since none of their units falls silent. Then they learn on, half of their units
# or more still on the left, to less than a fifth of relu's loss. (elu's slope there is $e^z$: a unit that is
# thrown very far is as good as dead.)
#
# ## 4. The digits
#
# On paper $\sigma' = y (1 - y)$, $\tanh' = 1 - y^2$, and elu's slope on the left is $y + \alpha$. In float32
# all three **cancel**. Near 1 the numbers of float32 are $2^{-24}$ apart, so $y$ is off by up to $2^{-25}$ as
# soon as it is stored; $1 - y$ inherits that error and is itself only $e^{-x}$. Beyond $x = 17.4$ $y$ is 1,
# and the slope 0.
#
# The operators use what the derivations found: $\sigma'$ is even, so $y = \sigma(-|x|) \le 1/2$ serves as
# well, and its $1 - y$ does not cancel. $\tanh'$ is $4\sigma'(2x)$, and elu's slope is $\alpha e^x$. Errors
# are in *units in the last place* (ulp), against the derivations in float64.

# %%
DIGITS = {
    # How f′ moves with y, where the usual formula computes f′ from y.
    "sigmoid": lambda y: 1 - 2 * y,
    "tanh": lambda y: -2 * y,
    "elu": np.ones_like,
    "silu": None,
}
float32 = np.finfo(np.float32)
size = np.logspace(-2, 2, 40_001, dtype=np.float32)
x = np.concatenate([-size, size])
exact_x = x.astype(np.float64)
edges = np.logspace(-2, 2, 161)


def largest(error):
    """The largest error among all x of about one size, of either sign."""
    found = np.zeros(len(edges))
    np.maximum.at(found, np.digitize(np.abs(x), edges) - 1, error)
    return np.where(found > 0, found, np.nan)


figure, panels = plt.subplots(1, 4, figsize=(9, 3.2), sharex=True, sharey=True, layout="constrained")
table = ["largest error of the gradient (ulp)   usual formula   ours"]
for axes, (name, by_y) in zip(panels, DIGITS.items(), strict=True):
    f, plain, f_vjp, _ = ACTIVATIONS[name]
    (true, *_) = f_vjp(exact_x, np.ones_like(exact_x))
    ulp = np.spacing(np.abs(true).astype(np.float32)).astype(np.float64)
    # XLA flushes what is below the least normal number to 0: of σ(x) in silu too.
    counted = np.minimum(np.abs(true), on_paper.sigmoid(exact_x) if name == "silu" else 1) >= float32.tiny
    errors = []
    for function, colour, label in [(plain, VERMILLION, "usual formula"), (f, BLUE, "ours")]:
        errors.append(np.where(counted, np.abs(slope(function, x) - true) / ulp, 0))
        axes.loglog(edges, largest(errors[-1]), color=colour, lw=1.5, label=label)
    if by_y:
        y = getattr(on_paper, name)(exact_x).astype(np.float32)
        rounding = np.abs(by_y(y)) * np.spacing(np.abs(y)) / 2 / ulp
        curved = counted & (true < 1)
        axes.loglog(edges, largest(np.where(curved, rounding, 0)), color="0.3", ls=":", label="rounding of y")
    axes.set_title(name)
    axes.set_xlabel("|x|")
    axes.set_ylim(0.05, 1e9)
    if name == "silu":
        errors = [np.where(np.abs(true) < 0.1, 0, error) for error in errors]
        name = "silu, |f′| ≥ 0.1"
    table.append(f"{name:37} {errors[0].max():13.2g} {errors[1].max():6.2g}")
panels[0].set_ylabel("error of the gradient (ulp)")
panels[0].legend(loc="upper left", fontsize=9)
show(figure)
print("\n".join(table))

# %% [markdown]
# "Usual formula" is `jax.grad` of `ops.plain`. The dotted line is what the rounding of $y$ alone does to the
# slope: from where it dominates, the usual formulas follow it. At $2^{24} \approx 1.7 \cdot 10^7$ ulp no
# digit is right. silu is different: its usual formula, $\sigma(x) + x\, \sigma(x)(1 - \sigma(x))$, loses only
# a few ulp where the last factor cancels, because that term is small there beside 1. The peak is at $x =
# -1.278$, where the slope goes through 0 and an ulp shrinks with it: there both ways cancel. (So silu's row
# counts slopes from 0.1 on.) Newer versions of JAX than this page was run with differentiate elu's `expm1` as
# $e^x$, and there elu's usual formula is as good as ours.
#
# Is a slope of $10^{-8}$ worth its digits? Mostly it changes nothing whether it arrives or not. But a slope
# of exactly 0 is a dead unit, and one that is right can be divided, or multiplied by a large $\delta$.
#
# **The price** is memory. $\sigma(-|x|)$ needs $x$, the paper's form needs $y$, and $y$ is kept anyway: it is
# the input of the next layer, whose $\mathrm dW$ needs it. So sigmoid and tanh let you choose: `keep="x"`
# (accurate, the default) or `keep="y"` (lean).

# %%
ROWS, UNITS, LAYERS = 2048, 512, 8


def chain(activation):
    def total(weights, x):
        for W in weights:
            x = activation(ops.linear(x, W))
        return x.sum()

    return total


weights = [jax.ShapeDtypeStruct((UNITS, UNITS), jnp.float32)] * LAYERS
rows = jax.ShapeDtypeStruct((ROWS, UNITS), jnp.float32)
array = 4 * ROWS * UNITS
table = [f"one array of {ROWS:,} × {UNITS} numbers: {array / 1e6:.1f} MB; temporaries of the gradient:"]
for name in ("sigmoid", "tanh"):
    for keep in ("x", "y"):
        gradient = jax.jit(jax.grad(chain(partial(getattr(ops, name), keep=keep))))
        memory = gradient.lower(weights, rows).compile().memory_analysis().temp_size_in_bytes
        table.append(f"{name:7} keep={keep!r} {memory / 1e6:6.1f} MB, {memory / array:.0f} arrays")
print("\n".join(table))

# %% [markdown]
# With `"x"` each of the eight layers keeps two arrays, $x$ and $y$; with `"y"` one, and one more is in work.
#
# ## To take away
#
# 1. A gradient that passes a layer is multiplied by about $\sqrt{n v\, \mathrm E[f'^2]}$. Choose the variance
#    $v$ so that it is 1: Xavier for tanh, He for relu.
# 2. No sensible variance does that for the sigmoid: its slope is at most 1/4. Keep it for gates and outputs.
# 3. Vanishing does not need saturation, and saturation does not prevent explosion.
# 4. A relu dies of a step that is too large. Look at the share of units never active before you blame the
#    data; lower the learning rate, or take an activation with a slope on the left.
# 5. A formula that is right on paper may have no right digit in float32.
#
# Something to try: give `DEEP` a gelu or an elu and find the $n v$ for which its factor is 1. Or start the
# biases of section 3 at 0.1 instead of 0, as is often advised: does it save units?
