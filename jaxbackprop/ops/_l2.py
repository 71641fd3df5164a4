"""The L2 penalty over a pytree of parameters."""

from __future__ import annotations

import re
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import KeyPath
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from jaxbackprop._precision import accumulator
from jaxbackprop._shapes import as_floats
from jaxbackprop._sharding import vary_together

_BIAS = re.compile(r"(b|bias|beta|gamma|scale|offset)|.*_(b|bias)")
_WEIGHT = re.compile(r"(w|u|v|kernel|weights?)|.*_(w|kernel|weight)")


def l2(
    tree: Any, strength: Float[ArrayLike, ""], *, biases: bool = False, tables: bool = False
) -> Float[Array, ""]:
    """Penalty strength · Σ θ² over the weights of a pytree.

    Gradient: dθ = 2 strength θ dy for what is penalised and 0 for the rest; dstrength = dy Σ θ². Keeps the
    penalised leaves and strength.

    What a leaf is follows from its path of names (dict keys and attributes; positions say nothing):
    a *table* where a name holds "table" or "embed"; a *bias* where its own name is b, bias, beta, gamma,
    scale or offset (digits and underscores at the ends aside); a *weight* where it is w, u, v, kernel or
    weight; otherwise a bias below rank 2 and a weight from there on. A bare array is a weight.

    Args:
        tree: a pytree of arrays of one float dtype; integer leaves are left out.
        strength: λ, a scalar: a Python number, or an array of the leaves' dtype.
        biases: penalise biases too.
        tables: penalise embedding tables too.

    Returns:
        The penalty, a scalar of the leaves' dtype; half-precision squares are summed in float32.

    Raises:
        TypeError: where leaves differ in dtype or are complex.
        ValueError: where strength is no scalar.

    Source: lecture, unit 3 "Regularization".
    """
    chosen = {
        f"tree{jax.tree_util.keystr(path)}": leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
        if is_penalised(path, leaf, biases, tables)
    }
    if not chosen:
        # Nothing is penalised: zero, of the dtype that the tree would have given.
        dtypes = {leaf.dtype for leaf in map(jnp.asarray, jax.tree.leaves(tree)) if _is_float(leaf)}
        chosen = {"tree": jnp.zeros((), dtypes.pop())} if len(dtypes) == 1 else {}
    *leaves, rounded = as_floats(**chosen, strength=strength)
    # In float16 a strength of 1e-8 would be 0, so a Python number keeps the digits of the sum.
    plain_number = isinstance(strength, int | float)
    strength = jnp.asarray(strength, accumulator(rounded.dtype)) if plain_number else rounded
    if strength.ndim != 0:
        raise ValueError(f"strength must be a scalar, got shape {strength.shape}")
    *leaves, strength = vary_together((*leaves, strength))
    return _l2(tuple(leaves), strength)


def is_penalised(path: KeyPath, leaf: Any, biases: bool, tables: bool) -> bool:
    """Whether the penalty counts a leaf of a tree."""
    if not _is_float(leaf):
        return False
    kind = kind_of_parameter(path, jnp.ndim(leaf))
    return kind == "weight" or (kind == "bias" and biases) or (kind == "table" and tables)


def _is_float(leaf: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.inexact)


def kind_of_parameter(path: KeyPath, rank: int) -> Literal["weight", "bias", "table"]:
    """Whether a leaf is a "weight", a "bias" or a "table"; see `l2` for the rule."""
    if not path:
        return "weight"
    entries = [getattr(entry, "key", getattr(entry, "name", None)) for entry in path]
    # A flax.nnx variable holds its array under the attribute "value"; an integer key is a position.
    names = [name.lower() for name in entries if isinstance(name, str) and name != "value"]
    if any("table" in name or "embed" in name for name in names):
        return "table"
    own = names[-1].strip("_0123456789") if names else ""
    if _BIAS.fullmatch(own):
        return "bias"
    if _WEIGHT.fullmatch(own):
        return "weight"
    return "weight" if rank >= 2 else "bias"


def l2_plain(leaves: tuple[Float[Array, "..."], ...], strength: Float[Array, ""]) -> Float[Array, ""]:
    """The same penalty for autodiff to differentiate."""
    penalty = strength.astype(accumulator(strength.dtype)) * _sum_of_squares(leaves, strength)
    return penalty.astype(leaves[0].dtype if leaves else strength.dtype)


def _sum_of_squares(leaves: tuple[Float[Array, "..."], ...], strength: Float[Array, ""]) -> Float[Array, ""]:
    wide = accumulator(strength.dtype)
    return sum((jnp.sum(jnp.square(leaf.astype(wide))) for leaf in leaves), start=jnp.zeros((), wide))


_l2 = jax.custom_vjp(l2_plain)


class _Residuals(NamedTuple):
    leaves: tuple[Float[Array, "..."], ...]
    strength: Float[Array, ""]


def _l2_fwd(
    leaves: tuple[Float[Array, "..."], ...], strength: Float[Array, ""]
) -> tuple[Float[Array, ""], _Residuals]:
    return l2_plain(leaves, strength), _Residuals(leaves, strength)


def _l2_bwd(
    residuals: _Residuals, dy: Float[Array, ""]
) -> tuple[tuple[Float[Array, "..."], ...], Float[Array, ""]]:
    leaves, strength = residuals
    wide = accumulator(strength.dtype)
    slope = 2 * strength.astype(wide) * dy.astype(wide)
    dleaves = tuple((slope * leaf.astype(wide)).astype(leaf.dtype) for leaf in leaves)
    dstrength = dy.astype(wide) * _sum_of_squares(leaves, strength)
    return dleaves, dstrength.astype(strength.dtype)


_l2.defvjp(_l2_fwd, _l2_bwd)
