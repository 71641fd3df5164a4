"""Rules with one mistake each, and the evidence against them with programs that can be edited."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxbackprop._float64 import float64_on_cpu
from jaxbackprop.diagnose import Evidence, Sample

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
