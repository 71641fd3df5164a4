"""Softmax, and cross-entropy with class numbers, soft labels, smoothing, ignored examples, a temperature."""

import jax
import jax.numpy as jnp
import numpy as np

from tests.check.corpus._case import Operator, draw, ids, over_the_whole_batch


def _softmax(z):
    e = jnp.exp(z - jnp.max(z, -1, keepdims=True))
    return e / jnp.sum(e, -1, keepdims=True)


def _log_softmax(z):
    shifted = z - jnp.max(z, -1, keepdims=True)
    return shifted - jnp.log(jnp.sum(jnp.exp(shifted), -1, keepdims=True))


def _one_hot(labels, like):
    return jax.nn.one_hot(labels, like.shape[-1], dtype=like.dtype)


# ---- softmax ----------------------------------------------------------------------------------------------


def _softmax_bwd(p, dy):
    return (p * (dy - jnp.sum(p * dy, -1, keepdims=True)),)


softmax = Operator(
    "softmax_cross_entropy/softmax",
    _softmax,
    lambda z: (p := _softmax(z), (p,)),
    _softmax_bwd,
    lambda dtype: (draw(dtype, 3, 4),),
)


def _softmax_fwd_z(z):
    return _softmax(z), (z,)


def _softmax_at_input(z, dy):
    return (z * (dy - jnp.sum(z * dy, -1, keepdims=True)),)


def _softmax_unnormalised(z, dy):
    p = jnp.exp(z - jnp.max(z, -1, keepdims=True))
    return (p * (dy - jnp.sum(p * dy, -1, keepdims=True)),)


log_softmax = Operator(
    "softmax_cross_entropy/log_softmax",
    _log_softmax,
    lambda z: (y := _log_softmax(z), (y,)),
    lambda y, dy: (dy - jnp.exp(y) * jnp.sum(dy, -1, keepdims=True),),
    lambda dtype: (draw(dtype, 3, 4),),
)


def _with_normaliser(z):
    return _softmax(z), jax.nn.logsumexp(z, axis=-1)


with_normaliser = Operator(
    "softmax_cross_entropy/softmax and its normaliser",
    _with_normaliser,
    lambda z: (_with_normaliser(z), (_softmax(z),)),
    lambda p, dy: (_softmax_bwd(p, dy[0])[0] + p * dy[1][..., None],),
    lambda dtype: (draw(dtype, 3, 4),),
)

# ---- class numbers ----------------------------------------------------------------------------------------


def _hard(z, labels):
    return -jnp.sum(_one_hot(labels, z) * _log_softmax(z), -1)


def _hard_fwd(z, labels):
    return _hard(z, labels), (z, labels)


def _hard_bwd(z, labels, dy):
    return dy[..., None] * (_softmax(z) - _one_hot(labels, z)), None


def _hard_args(dtype):
    return draw(dtype, 3, 4), ids(2, 0, 3)


hard = Operator("softmax_cross_entropy/hard", _hard, _hard_fwd, _hard_bwd, _hard_args)


def _hard_unshifted(z, labels, dy):
    p = jnp.exp(z) / jnp.sum(jnp.exp(z), -1, keepdims=True)
    return dy[..., None] * (p - _one_hot(labels, z)), None


def _hard_branching(z, labels, dy):
    if jnp.any(labels >= z.shape[-1]):
        raise ValueError("a label is out of range")
    return _hard_bwd(z, labels, dy)


_sum_of_exponentials = over_the_whole_batch(lambda z: jnp.sum(jnp.exp(z)))


def _hard_global(z, labels, dy):
    p = jnp.exp(z) / _sum_of_exponentials(z)
    return dy[..., None] * (p - _one_hot(labels, z)), None


one = Operator(
    "softmax_cross_entropy/one example",
    _hard,
    _hard_fwd,
    _hard_bwd,
    lambda dtype: (draw(dtype, 4), np.int32(1)),
)

mean = Operator(
    "softmax_cross_entropy/mean of hard",
    lambda z, labels: jnp.mean(_hard(z, labels)),
    lambda z, labels: (jnp.mean(_hard(z, labels)), (z, labels)),
    lambda z, labels, dy: (dy / len(labels) * (_softmax(z) - _one_hot(labels, z)), None),
    _hard_args,
)

# ---- soft labels, not necessarily summing to one ----------------------------------------------------------


def _soft(z, y):
    return -jnp.sum(y * _log_softmax(z), -1)


def _soft_bwd(z, y, dy):
    dz = _softmax(z) * jnp.sum(y, -1, keepdims=True) - y
    return dy[..., None] * dz, -dy[..., None] * _log_softmax(z)


def _soft_args(dtype):
    return draw(dtype, 3, 4), abs(draw(dtype, 3, 4, seed=1))


soft = Operator(
    "softmax_cross_entropy/soft", _soft, lambda z, y: (_soft(z, y), (z, y)), _soft_bwd, _soft_args
)

# ---- smoothed labels --------------------------------------------------------------------------------------


def _smooth(labels, like, smoothing):
    return (1 - smoothing) * _one_hot(labels, like) + smoothing / like.shape[-1]


def _smoothed(z, labels, smoothing):
    return -jnp.sum(_smooth(labels, z, smoothing) * _log_softmax(z), -1)


smoothed = Operator(
    "softmax_cross_entropy/smoothed",
    _smoothed,
    lambda z, labels, smoothing: (_smoothed(z, labels, smoothing), (z, labels)),
    lambda smoothing, z, labels, dy: (dy[..., None] * (_softmax(z) - _smooth(labels, z, smoothing)), None),
    lambda dtype: (*_hard_args(dtype), 0.1),
    static=(2,),
)

# ---- ignored labels: the mean over the examples that count ------------------------------------------------


def _counts(labels, like):
    return (labels >= 0).astype(like.dtype)


def _ignored(z, labels):
    counts = _counts(labels, z)
    return jnp.sum(counts * _hard(z, jnp.maximum(labels, 0))) / jnp.maximum(jnp.sum(counts), 1.0)


def _ignored_bwd(z, labels, dy):
    counts = _counts(labels, z)
    dz = dy * counts[..., None] * (_softmax(z) - _one_hot(labels, z))
    return dz / jnp.maximum(jnp.sum(counts), 1.0), None


def _ignored_not(z, labels, dy):
    counts = _counts(labels, z)
    dz = dy * (_softmax(z) - _one_hot(labels, z))
    return dz / jnp.maximum(jnp.sum(counts), 1.0), None


def _ignored_counted(z, labels, dy):
    dz = dy * _counts(labels, z)[..., None] * (_softmax(z) - _one_hot(labels, z))
    return dz / len(labels), None


ignored = Operator(
    "softmax_cross_entropy/ignored labels",
    _ignored,
    lambda z, labels: (_ignored(z, labels), (z, labels)),
    _ignored_bwd,
    lambda dtype: (draw(dtype, 4, 3), ids(2, -1, 0, -1)),
)


def _smoothed_ignored(z, labels, smoothing):
    return jnp.sum(_counts(labels, z) * _smoothed(z, jnp.maximum(labels, 0), smoothing))


smoothed_ignored = Operator(
    "softmax_cross_entropy/smoothed with ignored labels",
    _smoothed_ignored,
    lambda z, labels, smoothing: (_smoothed_ignored(z, labels, smoothing), (z, labels)),
    lambda smoothing, z, labels, dy: (
        dy * _counts(labels, z)[..., None] * (_softmax(z) - _smooth(jnp.maximum(labels, 0), z, smoothing)),
        None,
    ),
    lambda dtype: (draw(dtype, 4, 3), ids(2, -1, 0, -1), 0.2),
    static=(2,),
)

# ---- a temperature ----------------------------------------------------------------------------------------


def _tempered(z, labels, temperature):
    return _hard(z / temperature, labels)


tempered = Operator(
    "softmax_cross_entropy/temperature",
    _tempered,
    lambda z, labels, temperature: (_tempered(z, labels, temperature), (z, labels)),
    lambda temperature, z, labels, dy: (
        dy[..., None] * (_softmax(z / temperature) - _one_hot(labels, z)) / temperature,
        None,
    ),
    lambda dtype: (*_hard_args(dtype), 2.5),
    static=(2,),
)


def _integer_zeros(z, labels, dy):
    return _hard_bwd(z, labels, dy)[0], jnp.zeros_like(labels)


def _float0_zeros(z, labels, dy):
    return _hard_bwd(z, labels, dy)[0], np.zeros(labels.shape, jax.dtypes.float0)


def _extreme(size, dtype):
    return np.asarray([[size, 0, -size], [-size, size, size], [0, 0, 0]]).astype(np.dtype(dtype)), ids(
        1, 0, 2
    )


CASES = (
    softmax.right("wide logits", make_args=lambda: (draw("float32", 3, 4, scale=100.0),)),
    softmax.right("bfloat16", "bfloat16"),
    softmax.right("one class", make_args=lambda: (draw("float32", 3, 1),)),
    log_softmax.right("a hundred thousand", make_args=lambda: (draw("float64", 3, 4, scale=1e5),)),
    with_normaliser.right("two outputs", "float64"),
    hard.right("logits of ten thousand", make_args=lambda: _extreme(1e4, "float32")),
    hard.right("logits of ten thousand, float16", make_args=lambda: _extreme(1e4, "float16")),
    hard.right("integer cotangent of zeros", bwd=_integer_zeros),
    hard.right("integer cotangent of float0", "float64", bwd=_float0_zeros),
    one.right("scalar label"),
    one.right("vmapped", wrap=jax.vmap, make_args=lambda: _hard_args("float32")),
    mean.right("one example", make_args=lambda: (draw("float32", 1, 4), ids(3))),
    soft.right("labels of any sum", "float64"),
    soft.right(
        "labels of zero",
        make_args=lambda: (draw("float32", 2, 3), np.eye(3, dtype=np.float32)[:2]),
        domains=(None, "fixed"),
    ),
    smoothed.right("bfloat16", "bfloat16"),
    ignored.right("nothing counts", make_args=lambda: (draw("float32", 2, 3), ids(-1, -1))),
    ignored.right("mixed", "float16"),
    tempered.right("near zero", make_args=lambda: (*_hard_args("float64"), 0.01)),
    softmax.wrong("diagonal only", lambda p, dy: (p * (1 - p) * dy,), (0,), "float64"),
    softmax.wrong("unnormalised", _softmax_unnormalised, (0,), fwd=_softmax_fwd_z),
    softmax.wrong("input for output", _softmax_at_input, (0,), fwd=_softmax_fwd_z),
    softmax.wrong(
        "missing term", lambda p, dy: (p * dy,), (0,), "bfloat16", also=("path forgotten", "diagonal only")
    ),
    log_softmax.wrong("diagonal only", lambda y, dy: (dy * (1 - jnp.exp(y)),), (0,)),
    log_softmax.wrong(
        "wrong derivative formula",
        lambda y, dy: (dy - y * jnp.sum(dy, -1, keepdims=True),),
        (0,),
        "float64",
        detail="log p for p",
    ),
    with_normaliser.wrong("output ignored", lambda p, dy: _softmax_bwd(p, dy[0]), (0,)),
    hard.wrong(
        "sign", lambda z, labels, dy: (dy[..., None] * (_one_hot(labels, z) - _softmax(z)), None), (0,)
    ),
    hard.wrong(
        "unnormalised",
        lambda z, labels, dy: (dy[..., None] * (jnp.exp(z) - _one_hot(labels, z)), None),
        (0,),
        "float64",
    ),
    hard.wrong("upstream ignored", lambda z, labels, dy: (_softmax(z) - _one_hot(labels, z), None), (0,)),
    hard.wrong(
        "non-linear in cotangent",
        lambda z, labels, dy: (
            jnp.clip(dy, -1.0, 1.0)[..., None] * (_softmax(z) - _one_hot(labels, z)),
            None,
        ),
        (0,),
    ),
    hard.wrong(
        "extra sum",
        lambda z, labels, dy: (jnp.broadcast_to(jnp.sum(_hard_bwd(z, labels, dy)[0], 0), z.shape), None),
        (0,),
        "float64",
    ),
    hard.wrong(
        "off by one",
        lambda z, labels, dy: (dy[..., None] * (_softmax(z) - _one_hot(labels - 1, z)), None),
        (0,),
        "bfloat16",
        detail="label",
    ),
    hard.wrong(
        "numerically unstable",
        _hard_unshifted,
        (0,),
        make_args=lambda: (draw("float32", 3, 4, scale=200.0), ids(2, 0, 3)),
    ),
    hard.wrong(
        "cotangent dtype",
        lambda z, labels, dy: (_hard_bwd(z.astype(jnp.float32), labels, dy.astype(jnp.float32))[0], None),
        (0,),
        "float16",
    ),
    hard.wrong("not traceable", _hard_branching, detail="a check of the labels"),
    hard.wrong(
        "forward mismatch",
        fwd=lambda z, labels: (jnp.minimum(_hard(z, labels), 1.0), (z, labels)),
        detail="loss capped",
    ),
    one.wrong("batch-global", _hard_global, (0,), detail="normaliser"),
    mean.wrong(
        "constant factor",
        lambda z, labels, dy: (dy * (_softmax(z) - _one_hot(labels, z)), None),
        (0,),
        detail="1/N",
    ),
    mean.wrong(
        "batch of one",
        lambda z, labels, dy: (dy * (_softmax(z[:1]) - _one_hot(labels[:1], z)) * jnp.ones_like(z), None),
        (0,),
        "float64",
        make_args=lambda: (draw("float64", 1, 4), ids(3)),
        shows_at=lambda: (draw("float64", 2, 4), ids(3, 1)),
    ),
    soft.wrong(
        "missing factor",
        lambda z, y, dy: (dy[..., None] * (_softmax(z) - y), -dy[..., None] * _log_softmax(z)),
        (0,),
        "float64",
        detail="the labels' sum",
    ),
    soft.wrong("detached", lambda z, y, dy: (_soft_bwd(z, y, dy)[0], jnp.zeros_like(y)), (1,)),
    soft.wrong("arguments swapped", lambda z, y, dy: _soft_bwd(z, y, dy)[::-1], (0, 1)),
    smoothed.wrong(
        "smoothing forgotten",
        lambda smoothing, z, labels, dy: (dy[..., None] * (_softmax(z) - _one_hot(labels, z)), None),
        (0,),
    ),
    smoothed.wrong(
        "small constant",
        lambda smoothing, z, labels, dy: (
            dy[..., None] * (_softmax(z) - _smooth(labels, z, 0.1 + 1e-4)),
            None,
        ),
        (0,),
        "float64",
        also=("smoothing forgotten",),
        detail="smoothing a little off",
    ),
    smoothed_ignored.wrong(
        "smoothing forgotten",
        lambda smoothing, z, labels, dy: (
            dy * _counts(labels, z)[..., None] * (_softmax(z) - _one_hot(labels, z)),
            None,
        ),
        (0,),
        "float64",
    ),
    smoothed_ignored.wrong(
        "padding",
        lambda smoothing, z, labels, dy: (
            dy * (_softmax(z) - _smooth(jnp.maximum(labels, 0), z, smoothing)),
            None,
        ),
        (0,),
    ),
    ignored.wrong("padding", _ignored_not, (0,), detail="ignored examples receive"),
    ignored.wrong(
        "constant factor", _ignored_counted, (0,), also=("padding",), detail="ignored examples counted"
    ),
    tempered.wrong(
        "constant factor",
        lambda temperature, z, labels, dy: (
            dy[..., None] * (_softmax(z / temperature) - _one_hot(labels, z)),
            None,
        ),
        (0,),
        "float64",
        detail="1/T",
    ),
    tempered.wrong(
        "unnormalised",
        lambda temperature, z, labels, dy: (
            dy[..., None] * (jnp.exp(z / temperature) - _one_hot(labels, z)) / temperature,
            None,
        ),
        (0,),
    ),
)
