"""Products of matrices and tensors, and convolutions."""

from __future__ import annotations

import functools

import jax.numpy as jnp
from jax import lax

from ._function import Function, Sizes, function, real

_A, _B = real((3, 4), (384, 512)), real((4, 5), (512, 256))
_BATCH_A, _BATCH_B = real((2, 3, 4), (8, 128, 256)), real((2, 4, 5), (8, 256, 128))
_V, _U = real((5,), (1024,)), real((4,), (512,))

_product = functools.partial(function, "products")
_convolution = functools.partial(function, "convolutions")


def _einsum(pattern: str, *operands: Sizes) -> Function:
    return _product(f"einsum {pattern}", functools.partial(jnp.einsum, pattern), *operands)


_KERNEL = real((3, 3, 3, 4), (3, 3, 16, 16))
_SERIES, _TAPS = real((9,), (8192,)), real((4,), (32,))

FUNCTIONS: tuple[Function, ...] = (
    _product("matmul, batched", jnp.matmul, _BATCH_A, _BATCH_B),
    _product("vector times matrix", jnp.dot, _U, _B),
    _product("vdot", jnp.vdot, _A, _A),
    _product("outer", jnp.outer, _V, _U),
    _product("kron", jnp.kron, real((2, 3), (16, 32)), real((3, 2), (32, 16))),
    _product("tensordot", lambda a, b: jnp.tensordot(a, b, ((0, 2), (0, 1))), _BATCH_A, _BATCH_B),
    _product("vecdot", jnp.vecdot, _A, _A),
    _product("multi_dot", lambda a, b, c: jnp.linalg.multi_dot([a, b, c]), _A, _B, real((5, 3), (256, 384))),
    _product("gram matrix", lambda a: a @ a.T, _A),
    _product("matrix_power", lambda a: jnp.linalg.matrix_power(a, 3), real((3, 3), (128, 128), -0.2, 0.2)),
    _product("quadratic form", lambda x, a: x @ a @ x, _U, real((4, 4), (512, 512))),
    _product("cross", jnp.cross, real((4, 3), (65536, 3)), real((4, 3), (65536, 3))),
    _einsum("ij,jk->ik", _A, _B),
    _einsum("ij,kj->ki", _A, real((5, 4), (256, 512))),
    _einsum("bqhd,bkhd->bhqk", real((2, 3, 2, 4), (4, 64, 8, 32)), real((2, 5, 2, 4), (4, 64, 8, 32))),
    _einsum("ij,ij->", _A, _A),
    _einsum("ii->i", real((4, 4), (1024, 1024))),
    _einsum("ijk->ki", _BATCH_A),
    _einsum("i,j,k->ijk", real((3,), (64,)), real((4,), (64,)), real((2,), (64,))),
    _einsum("abc,cd,de->abe", _BATCH_A, real((4, 5), (256, 128)), real((5, 3), (128, 64))),
    _einsum("...ij,...j->...i", _BATCH_A, real((2, 4), (8, 256))),
    _einsum("bi,ijk,bk->bj", real((2, 3), (64, 32)), real((3, 4, 5), (32, 32, 32)), real((2, 5), (64, 32))),
    *(
        _convolution(f"convolve, {mode}", functools.partial(jnp.convolve, mode=mode), _SERIES, _TAPS)
        for mode in ("full", "same", "valid")
    ),
    _convolution("correlate", jnp.correlate, _SERIES, _TAPS),
    _convolution(
        "conv, valid",
        lambda x, k: lax.conv_general_dilated(
            x, k, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        ),
        real((2, 6, 5, 3), (4, 32, 32, 16)),
        _KERNEL,
    ),
    _convolution(
        "conv, one axis",
        lambda x, k: lax.conv(x, k, (1,), "SAME"),
        real((2, 3, 8), (4, 16, 512)),
        real((4, 3, 3), (16, 16, 5)),
    ),
    _convolution(
        "conv_transpose",
        lambda x, k: lax.conv_transpose(x, k, (2, 2), "SAME"),
        real((2, 4, 3, 3), (4, 16, 16, 16)),
        _KERNEL,
    ),
    _convolution(
        "conv_transpose with its kernel turned",
        lambda x, k: lax.conv_transpose(x, k, (2, 1), "VALID", transpose_kernel=True),
        real((2, 4, 3, 4), (4, 16, 16, 16)),
        _KERNEL,
    ),
    _convolution(
        "patches",
        lambda x: lax.conv_general_dilated_patches(x, (3, 3), (1, 1), "SAME"),
        real((2, 3, 6, 5), (2, 4, 32, 32)),
    ),
)
