"""A layer beside its flax.nnx twin on the same state."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx


def agree(ours, twin, *inputs, compare=lambda outputs: outputs, rtol=1e-5, atol=1e-5, **keywords):
    """Asserts that both do the same once ours has the twin's state, and answers with our outputs.

    The same is: structure of the state, outputs (those that `compare` picks), gradients for parameters and
    inputs, and the state after the call.
    """
    nnx.update(ours, nnx.state(twin))
    assert jax.tree.structure(nnx.state(ours)) == jax.tree.structure(nnx.state(twin))
    got = _run(ours, inputs, keywords, compare)
    # Flax mixes dtypes where it computes in half precision.
    with jax.numpy_dtype_promotion("standard"):
        want = _run(twin, inputs, keywords, compare)
    for part in ("outputs", "gradients", "state"):
        assert jax.tree.structure(got[part]) == jax.tree.structure(want[part]), part
        jax.tree.map(
            lambda g, w, part=part: np.testing.assert_allclose(g, w, rtol=rtol, atol=atol, err_msg=part),
            got[part],
            want[part],
        )
    return got["outputs"]


def _run(module, inputs, keywords, compare):
    graphdef, params, rest = nnx.split(module, nnx.Param, ...)

    def loss(params, inputs, rest):
        model = nnx.merge(graphdef, params, rest, copy=True)
        outputs = compare(model(*inputs, **keywords))
        stats = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
        total = sum(jnp.sum(jnp.sin(y.astype(jnp.float32))) for y in jax.tree.leaves(outputs))
        return total, (outputs, stats)

    step = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
    (_, (outputs, stats)), (to_params, to_inputs) = step(params, inputs, rest)
    return {"outputs": outputs, "gradients": (nnx.to_pure_dict(to_params), to_inputs), "state": stats}


def runs_on_our_rule(module, *inputs, **keywords):
    graphdef, state = nnx.split(module)
    jaxpr = jax.make_jaxpr(lambda *inputs: nnx.merge(graphdef, state, copy=True)(*inputs, **keywords))(
        *inputs
    )
    return "custom_vjp_call" in str(jaxpr)


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape)
