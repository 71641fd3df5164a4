"""Small rules in NumPy, right and wrong in one way each, and the evidence against them."""

import numpy as np

from jaxbackprop.diagnose import Evidence, Sample
from jaxbackprop.diagnose.by_values import ranked, search


def evidence(f, right, rule, *leaves, names=None, fixed=(), points=4):
    """A rule and the right one, (*leaves, *dy) -> cotangents of the float leaves, at some points."""
    leaves = tuple(np.asarray(leaf) for leaf in leaves)
    slots = tuple(i for i, leaf in enumerate(leaves) if leaf.dtype.kind == "f")
    rng = np.random.default_rng(0)
    ask = {
        g: lambda leaves, dy, g=g: tuple(np.asarray(a, float) for a in g(*leaves, *dy)) for g in (rule, right)
    }
    samples = []
    for point in range(points):
        at = leaves
        if point > 1:
            at = tuple(
                leaf + 0.5 * rng.normal(size=leaf.shape) if i in slots and i not in fixed else leaf
                for i, leaf in enumerate(leaves)
            )
        y = f(*at)
        y = tuple(np.asarray(v, float) for v in (y if isinstance(y, tuple) else (y,)))
        dy = tuple(rng.integers(8, 33, v.shape) / 16 * rng.choice([-1, 1], v.shape) for v in y)
        with np.errstate(all="ignore"):
            got, want = ask[rule](at, dy), ask[right](at, dy)
        noise = tuple(1e-12 * (np.abs(w) + np.max(np.abs(w), initial=0.0)) for w in want)
        samples.append(Sample(at, dy, y, got, want, noise))
    close = [[np.allclose(s.got[i], s.want[i], 1e-9, 1e-12) for s in samples] for i in range(len(slots))]
    wrong = tuple(i for i, right_at in enumerate(close) if not all(right_at))
    names = names or tuple("d" + "xyzw"[i] for i in range(len(slots)))
    return Evidence(names, slots, wrong, tuple(samples), ask[rule], ask[right])


def suspicions(case):
    """What the numbers of a case look like, likeliest first."""
    return ranked(search(case), len(case.wrong))


def labels(found):
    return list(dict.fromkeys(s.label for s in found))


def normal(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def linear(x, W, b):
    return x @ W.T + b


def linear_vjp(x, W, b, dy):
    return dy @ W, dy.T @ x, dy.sum(0)


def linear_evidence(rule, n=4):
    return evidence(
        linear, linear_vjp, rule, normal(n, 4), normal(4, 4, seed=1), normal(4), names=("dx", "dW", "db")
    )


LINEAR = {
    "missing transpose": lambda x, W, b, dy: (dy @ W.T, dy.T @ x, dy.sum(0)),
    "transposed result": lambda x, W, b, dy: (dy @ W, x.T @ dy, dy.sum(0)),
    "missing sum": lambda x, W, b, dy: (dy @ W, dy.T @ x, dy[-1]),
    "extra sum": lambda x, W, b, dy: (np.broadcast_to((dy @ W).sum(0), x.shape), dy.T @ x, dy.sum(0)),
    "wrong axis": lambda x, W, b, dy: (dy @ W, dy.T @ x, dy.sum(1)),
    "constant factor": lambda x, W, b, dy: (dy @ W, dy.T @ x, dy.mean(0)),
    "sign": lambda x, W, b, dy: (-dy @ W, dy.T @ x, dy.sum(0)),
    "upstream ignored": lambda x, W, b, dy: (dy @ W, np.ones_like(dy).T @ x, dy.sum(0)),
    "upstream squared": lambda x, W, b, dy: (dy @ W, dy.T @ x, (dy * dy).sum(0)),
    "non-linear in cotangent": lambda x, W, b, dy: (np.clip(dy, -1, 1) @ W, dy.T @ x, dy.sum(0)),
    "order reversed": lambda x, W, b, dy: ((dy @ W)[::-1], dy.T @ x, dy.sum(0)),
    "off by one": lambda x, W, b, dy: (dy @ W, dy.T @ np.roll(x, 1, 0), dy.sum(0)),
    "detached": lambda x, W, b, dy: (dy @ W, 0 * W, dy.sum(0)),
    "partly wrong": lambda x, W, b, dy: (dy @ W, (dy.T @ x) * (np.arange(4) < 3), dy.sum(0)),
    "small constant": lambda x, W, b, dy: (dy @ W, 1.001 * dy.T @ x, dy.sum(0)),
}


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# Its rule takes the softmax along the other axis.
LOG_SUM_EXP = (
    lambda x: np.log(np.exp(x).sum(-1)),
    lambda x, dy: (softmax(x) * dy[:, None],),
    lambda x, dy: (softmax(x.T).T * dy[:, None],),
)


def softmax_vjp(z, dy):
    p = softmax(z)
    return (p * (dy - (p * dy).sum(-1, keepdims=True)),)


def softmax_at(p, dy):
    return (p * (dy - (p * dy).sum(-1, keepdims=True)),)


def cross_entropy(z, labels):
    return -np.log(np.take_along_axis(softmax(z), labels[:, None], -1)[:, 0])


def cross_entropy_vjp(z, labels, dy, smoothing=0.0):
    target = (1 - smoothing) * np.eye(z.shape[-1])[labels] + smoothing / z.shape[-1]
    return (dy[:, None] * (softmax(z) - target),)


def lookup_vjp(table, ids, dy):
    out = np.zeros_like(table)
    np.add.at(out, ids, dy)
    return (out,)


def lookup_set(table, ids, dy):
    out = np.zeros_like(table)
    out[ids] = dy
    return (out,)


def max_vjp(x, dy, pick=np.argmax):
    return (np.eye(x.shape[-1])[pick(x, -1)] * dy[..., None],)


def two(x):
    return np.sin(x), np.cos(x)


def tanh_vjp(x, dy):
    return ((1 - np.tanh(x) ** 2) * dy,)


def relu(x):
    return np.maximum(x, 0)


def relu_vjp(x, dy):
    return ((x > 0) * dy,)


def normalise_vjp(x, dy):
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    y = x / length
    return ((dy - y * (dy * y).sum(-1, keepdims=True)) / length,)


def normalise(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def recurrence(W, h0, xs):
    hs = []
    for x in xs:
        h0 = np.tanh(W @ h0 + x)
        hs.append(h0)
    return np.stack(hs)


def recurrence_vjp(W, h0, xs, dy, *, state="before", through=True, transpose=True):
    hs = recurrence(W, h0, xs)
    before = np.concatenate([h0[None], hs[:-1]])
    dh, dW, dxs = np.zeros_like(h0), np.zeros_like(W), np.zeros_like(xs)
    for t in range(len(xs))[::-1]:
        dz = (dh * through + dy[t]) * (1 - hs[t] ** 2)
        dW = dW + np.outer(dz, hs[t] if state == "after" else before[t])
        dh, dxs[t] = (W.T if transpose else W) @ dz, dz
    return dW, dh, dxs


def recurrence_evidence(**changed):
    """Against a recurrence, wrong in what differs from the defaults of `recurrence_vjp`."""
    return evidence(
        recurrence,
        recurrence_vjp,
        lambda *args: recurrence_vjp(*args, **changed),
        0.7 * normal(3, 3),
        normal(3),
        normal(4, 3, seed=1),
        names=("dW", "dh0", "dxs"),
    )


Z, LABELS, IDS = normal(3, 4), np.array([2, 0, 3]), np.array([3, 1, 1, 0])
MASK = np.array([[True, False, True, True], [False, True, True, False], [True, True, False, True]])
MISTAKES = {
    "diagonal only": (softmax, softmax_vjp, lambda z, dy: (softmax(z) * (1 - softmax(z)) * dy,), Z),
    "input for output": (softmax, softmax_vjp, softmax_at, Z),
    "unnormalised": (
        cross_entropy,
        cross_entropy_vjp,
        lambda z, labels, dy: (dy[:, None] * (np.exp(z - z.max(-1, keepdims=True)) - np.eye(4)[labels]),),
        Z,
        LABELS,
    ),
    "smoothing forgotten": (
        lambda z, labels: cross_entropy(z, labels),
        lambda z, labels, dy: cross_entropy_vjp(z, labels, dy, 0.1),
        cross_entropy_vjp,
        Z,
        LABELS,
    ),
    "off by one": (
        cross_entropy,
        cross_entropy_vjp,
        lambda z, labels, dy: cross_entropy_vjp(z, (labels + 1) % 4, dy),
        Z,
        LABELS,
    ),
    "set instead of add": (lambda t, i: t[i], lookup_vjp, lookup_set, normal(5, 3), IDS),
    "order reversed": (
        lambda t, i: t[i],
        lookup_vjp,
        lambda t, i, dy: lookup_vjp(t, i[::-1], dy),
        normal(5, 3),
        IDS,
    ),
    "wrong winner": (
        lambda x: x.max(-1),
        max_vjp,
        lambda x, dy: max_vjp(x, dy, lambda x, axis: np.argsort(x, axis)[..., 0]),
        normal(4, 5),
    ),
    "output ignored": (
        two,
        lambda x, a, b: (a * np.cos(x) - b * np.sin(x),),
        lambda x, a, b: (a * np.cos(x),),
        Z,
    ),
    "output for input": (
        np.sinh,
        lambda x, dy: (np.cosh(x) * dy,),
        lambda x, dy: (np.cosh(np.sinh(x)) * dy,),
        normal(5),
    ),
    "wrong derivative formula": (
        np.arctan,
        lambda x, dy: (dy / (1 + x * x),),
        lambda x, dy: (dy / (1 + x) ** 2,),
        normal(5),
    ),
    "wrong mask": (relu, relu_vjp, lambda x, dy: ((x > -1) * dy,), normal(9)),
    "padding": (
        lambda x, mask: x * mask,
        lambda x, mask, dy: (dy * mask,),
        lambda x, mask, dy: (dy,),
        Z,
        MASK,
    ),
    "missing factor": (
        lambda x, g: x * g,
        lambda x, g, dy: (dy * g, (dy * x).sum(0)),
        lambda x, g, dy: (dy, (dy * x).sum(0)),
        Z,
        normal(4, seed=3),
    ),
    "path forgotten": (
        lambda x: x + np.tanh(x) @ np.tri(4),
        lambda x, dy: (dy + (1 - np.tanh(x) ** 2) * (dy @ np.tri(4).T),),
        lambda x, dy: ((1 - np.tanh(x) ** 2) * (dy @ np.tri(4).T),),
        Z,
    ),
    "arguments swapped": (
        lambda x, y: x * y,
        lambda x, y, dy: (dy * y, dy * x),
        lambda x, y, dy: (dy * x, dy * y),
        Z,
        normal(3, 4, seed=5),
    ),
    "sign": (
        normalise,
        normalise_vjp,
        lambda x, dy: (2 * dy / np.linalg.norm(x, axis=-1, keepdims=True) - normalise_vjp(x, dy)[0],),
        Z,
    ),
    "batch of one": (
        normalise,
        normalise_vjp,
        lambda x, dy: normalise_vjp(np.broadcast_to(x[:1], x.shape), dy),
        Z,
    ),
    "stale residual": (
        lambda x, mask: np.sin(x * mask),
        lambda x, mask, dy: (np.cos(x * mask) * dy,),
        lambda x, mask, dy: (np.cos(x) * dy,),
        Z,
        MASK,
    ),
}
