"""Small models for the tests of the doctor: parameters, a loss, a batch."""

import jax
import jax.numpy as jnp
import numpy as np


def cross_entropy(logits, labels):
    picked = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[..., None], -1)
    return -jnp.mean(picked)


def layer_norm(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt(jnp.mean(centred**2, -1, keepdims=True) + 1e-5)


def batch_norm(x):
    centred = x - x.mean(0, keepdims=True)
    return centred / jnp.sqrt(jnp.mean(centred**2, 0, keepdims=True) + 1e-5)


def weights(key, n_in, n_out, gain=1.0):
    return jax.random.normal(key, (n_in, n_out)) * np.float32(np.sqrt(gain / n_in))


def mlp(sizes, activation, *, gain=1.0, norm=lambda x: x, seed=0):
    """Parameters and loss of a classifier."""
    keys = jax.random.split(jax.random.key(seed), len(sizes))
    params = [
        {"W": weights(key, n_in, n_out, gain), "b": jnp.zeros((1, n_out))}
        for key, n_in, n_out in zip(keys, sizes[:-1], sizes[1:], strict=False)
    ]

    def loss(params, x, labels):
        for layer in params[:-1]:
            x = activation(norm(x @ layer["W"] + layer["b"]))
        return cross_entropy(x @ params[-1]["W"] + params[-1]["b"], labels)

    return params, loss


def batch(features=20, classes=5, examples=64, seed=1):
    x = jax.random.normal(jax.random.key(seed), (examples, features))
    return x, jnp.abs(x[:, 0] * 2).astype(jnp.int32) % classes


def descend(loss, params, data, *, rate, steps):
    """Plain gradient descent."""

    @jax.jit
    def run(params):
        def step(params, _):
            slopes = jax.grad(loss)(params, *data)
            return jax.tree.map(lambda w, g: w - jnp.float32(rate) * g, params, slopes), None

        return jax.lax.scan(step, params, None, steps)[0]

    return run(params)


def orthogonal(units, modulus, seed=0):
    drawn = jax.random.normal(jax.random.key(seed), (units, units))
    return jnp.float32(modulus) * jnp.linalg.qr(drawn)[0]
