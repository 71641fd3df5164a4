"""Linear equations: their solvers are not looked into."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxbackprop.graph import UnsupportedPrimitive, grad, trace

A = jnp.asarray([[2.0, 1.0, 0.3], [0.5, 3.0, -0.2], [0.1, -0.7, 2.5]], jnp.float32)
B = jnp.asarray([[1.0, 0.5], [-2.0, 0.3], [0.7, 1.1]], jnp.float32)
SPD = A @ A.T

FUNCTIONS = {
    "inverse": lambda a: jnp.sum(jnp.linalg.inv(a) ** 2),
    "solve": lambda a: jnp.sum(jnp.linalg.solve(a, B) ** 2),
    "right-hand side": lambda a: jnp.sum(jnp.linalg.solve(SPD, a) ** 2),
    "vector": lambda a: jnp.sum(jnp.linalg.solve(a, a[0]) ** 2),
    "log-determinant": lambda a: jnp.linalg.slogdet(a)[1],
    "conjugate gradients": lambda a: jnp.sum(jax.scipy.sparse.linalg.cg(a @ a.T, B[:, 0], tol=1e-7)[0] ** 2),
    "least squares": lambda a: jnp.sum(jnp.linalg.lstsq(a[:, :2], B[:, 0])[0] ** 2),
    "complex": lambda a: jnp.sum(
        jnp.abs(jnp.linalg.solve(lax.complex(a, a.T), lax.complex(B, B[::-1]))) ** 2
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_those_of_jax(name):
    f = FUNCTIONS[name]
    with jax.numpy_dtype_promotion("standard"):
        got, want = grad(f)(A), jax.grad(f)(A)
    np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5 * float(jnp.abs(want).max()))


def test_under_jit_and_vmap():
    f = FUNCTIONS["solve"]
    batch = jnp.stack([A, SPD])
    np.testing.assert_allclose(
        jax.jit(jax.vmap(grad(f)))(batch), jax.vmap(jax.grad(f))(batch), rtol=1e-3, atol=1e-5
    )


def test_the_node_says_what_is_solved():
    graph = trace(lambda a, b: jnp.sum(jnp.linalg.solve(a, b)), A, B)
    node = graph.node("solve")
    assert node.formula == "db: the transposed equation solved for dy; da = -db yᵀ (a y = b)"
    run = graph.forward().backward()
    np.testing.assert_allclose(run.grads[1], np.linalg.inv(A).T @ np.ones((3, 2)), rtol=1e-4)


def test_without_a_transposed_solver_the_error_says_what_to_give():
    def f(b):
        return jnp.sum(lax.custom_linear_solve(lambda y: A @ y, b, lambda _, b: jnp.linalg.inv(A) @ b))

    with pytest.raises(UnsupportedPrimitive, match=r"give lax\.custom_linear_solve a transpose_solve"):
        grad(f)(B[:, 0])


@pytest.mark.parametrize(
    ("f", "message"),
    [
        (lambda a: jnp.sum(lax.linalg.lu(a[:2])[0]), "the rule of lu is for square matrices, got 2 x 3"),
        (lambda a: jnp.sum(lax.linalg.svd(a[:2], full_matrices=True)[2]), "is for full_matrices=False"),
        (lambda a: jnp.sum(lax.linalg.qr(a[:2])[0]), "the rule of qr is for thin factors"),
        (lambda a: jnp.sum(jnp.abs(jnp.linalg.eig(a)[1])), "the rule of eig is for eigenvalues alone"),
    ],
)
def test_what_a_factorization_has_no_rule_for_is_said(f, message):
    with jax.numpy_dtype_promotion("standard"), pytest.raises(NotImplementedError, match=message):
        grad(f)(A)
