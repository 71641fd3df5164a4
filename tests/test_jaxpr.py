"""The one reader of jaxprs: what an equation holds, and a walk over all of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.custom_derivatives import SymbolicZero

from jaxbackprop import _jaxpr

X = jnp.array([0.5, -1.0, 2.0])


def last(f, *args):
    """The last equation of a function's program."""
    return _jaxpr.opened(jax.make_jaxpr(f)(*args))[0].eqns[-1]


@jax.custom_jvp
def slope_of_three(x, i):
    return 2 * x, i + 1


@slope_of_three.defjvp
def _(primals, tangents):
    return slope_of_three(*primals), (3 * tangents[0], tangents[1])


@jax.custom_vjp
def product(a, b):
    return a * b


def product_forward(a, b):
    return product(a, b), (a, b)


def product_backward(residuals, dy):
    a, b = residuals
    return 5 * dy * b, None


product.defvjp(product_forward, product_backward)


def test_a_call_has_a_body_and_a_name():
    @jax.jit
    def named(x):
        return jnp.sin(x)

    equation = last(named, X)
    assert equation.primitive.name in _jaxpr.JITTED
    assert _jaxpr.call_name(equation) == "named"
    (inner,) = _jaxpr.opened(_jaxpr.call_body(equation))[0].eqns
    assert _jaxpr.operation_name(inner) == "sin"
    assert _jaxpr.call_body(inner) is _jaxpr.main_body(inner) is None


def test_a_loop_and_a_choice_are_no_calls_but_hold_programs():
    scan = last(lambda x: jax.lax.scan(lambda h, a: (h * a, h), 1.0, x), X)
    cond = last(lambda i, x: jax.lax.switch(i, [jnp.sin, jnp.cos, jnp.tan], x), np.int32(0), X)
    assert _jaxpr.call_body(scan) is None
    assert _jaxpr.main_body(scan) is not None
    assert _jaxpr.main_body(cond) is None
    assert len(list(_jaxpr.bodies(scan))) == 1


def names(jaxpr):
    return [equation.primitive.name for equation in _jaxpr.opened(jaxpr)[0].eqns]


def test_the_branches_of_a_choice():
    cond = last(lambda i, x: jax.lax.switch(i, [jnp.sin, jnp.cos, jnp.tan], x), np.int32(0), X)
    assert [names(branch) for branch in _jaxpr.branches(cond)] == [["sin"], ["cos"], ["tan"]]


@pytest.mark.parametrize("reverse", [False, True])
def test_the_parts_of_a_scan(reverse):
    def f(w, h, count, xs):
        def step(carry, x):
            h, count = carry
            return (h * w, count + 1), h + x

        return jax.lax.scan(step, (h, count), xs, reverse=reverse, unroll=2)

    parts = _jaxpr.scan_parts(last(f, 2.0, 1.0, 0, X))
    assert (parts.constants, parts.carried, parts.length) == (1, 2, 3)
    assert (parts.reverse, parts.unroll) == (reverse, 2)
    assert len(_jaxpr.opened(parts.body)[0].invars) == 4


def test_the_parts_of_a_scan_along_arrays_of_matrices_and_of_nothing():
    def f(W, h, xs):
        return jax.lax.scan(lambda h, x: (h @ W + x, None), h, xs)[0]

    def count(h):
        return jax.lax.scan(lambda h, _: (h * 2.0, None), h, length=5)[0]

    parts = _jaxpr.scan_parts(last(f, jnp.ones((2, 2)), jnp.ones((3, 2)), jnp.ones((4, 3, 2))))
    assert (parts.constants, parts.carried, parts.length) == (1, 1, 4)
    parts = _jaxpr.scan_parts(last(count, 1.0))
    assert (parts.constants, parts.carried, parts.length) == (0, 1, 5)


def test_the_parts_of_a_while_loop():
    def f(bound, factor, x):
        return jax.lax.while_loop(lambda x: x < bound, lambda x: x * factor, x)

    parts = _jaxpr.while_parts(last(f, 9.0, 2.0, 1.0))
    assert (parts.condition_constants, parts.body_constants) == (1, 1)
    assert names(parts.condition) == ["lt"]
    assert names(parts.body) == ["mul"]


def test_the_parts_of_a_checkpoint():
    policy = jax.checkpoint_policies.dots_saveable
    parts = _jaxpr.checkpoint_parts(last(jax.checkpoint(jnp.sin, policy=policy, prevent_cse=False), X))
    assert names(parts.body) == ["sin"]
    assert parts.policy is policy
    assert not parts.prevent_cse
    assert _jaxpr.checkpoint_parts(last(jax.checkpoint(jnp.sin), X))[1:] == (None, True)


def test_the_rule_of_a_custom_jvp_takes_and_gives_none_for_no_tangent():
    rule = _jaxpr.jvp_rule(last(slope_of_three, X, 1))
    (y, i), (dy, di) = rule([X, jnp.array(1)], [X, None])
    np.testing.assert_array_equal(y, 2 * X)
    np.testing.assert_array_equal(dy, 3 * X)
    assert (int(i), di) == (2, None)
    (_, (dy, _)) = rule([X, jnp.array(1)], [None, None])
    np.testing.assert_array_equal(dy, 0 * X)


def test_the_rule_of_a_custom_jvp_with_symbolic_zeros():
    given = []

    @jax.custom_jvp
    def f(a, b):
        return a * b, b

    def rule(primals, tangents):
        given.append([isinstance(t, SymbolicZero) for t in tangents])
        return f(*primals), (tangents[0] * primals[1], tangents[1])

    f.defjvp(rule, symbolic_zeros=True)
    _, tangents = _jaxpr.jvp_rule(last(f, X, 2 * X))([X, 2 * X], [X, None])
    assert given == [[False, True]]
    np.testing.assert_array_equal(tangents[0], 2 * X * X)
    assert tangents[1] is None


def test_the_rule_of_a_custom_vjp():
    rule = _jaxpr.vjp_rule(last(product, X, 2 * X), (True, True))
    assert rule.name == "product_backward"
    results, residuals = rule.forward([X, 2 * X])
    np.testing.assert_array_equal(results, [2 * X * X])
    # Residuals that are operands come back as such.
    np.testing.assert_array_equal(residuals, [X, 2 * X])
    da, db = rule.backward(residuals, [X])
    np.testing.assert_array_equal(da, 5 * X * 2 * X)
    assert db is None or not np.any(db)
    (da, _) = rule.backward(residuals, [None])
    np.testing.assert_array_equal(da, 0 * X)


def test_the_forward_rule_of_a_custom_vjp_is_told_what_is_perturbed():
    told = []

    @jax.custom_vjp
    def f(a, b):
        return a * b

    def forward(a, b):
        told.append((a.perturbed, b.perturbed))
        return a.value * b.value, (b.value,)

    f.defvjp(forward, lambda residuals, dy: (dy * residuals[0], None), symbolic_zeros=True)
    rule = _jaxpr.vjp_rule(last(f, X, 2 * X), (True, False))
    results, residuals = rule.forward([X, 2 * X])
    assert told[-1] == (True, False)
    da, db = rule.backward(residuals, [X])
    np.testing.assert_array_equal(da, X * 2 * X)
    assert db is None


def everything(x):
    h, _ = jax.lax.scan(lambda h, a: (jnp.sin(h * a), None), jnp.ones(()), x)
    h = jax.lax.cond(h > 0, lambda h: h * 2.0, jnp.cos, h)
    return jax.jit(lambda h: product(h, h + 1.0))(h), jnp.zeros(3) + x[0]


def test_a_binder_computes_what_the_equation_computes():
    jaxpr = jax.make_jaxpr(everything)(X)
    walked = _jaxpr.interpret(jaxpr, [X], lambda equation, operands: _jaxpr.binder(equation)(*operands))
    for ours, theirs in zip(walked, everything(X), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_binder_with_a_parameter_changed():
    equation = last(lambda x: jax.lax.integer_pow(x, 2), X)
    np.testing.assert_allclose(_jaxpr.binder(equation, y=3)(X)[0], X**3, rtol=1e-6)


def test_a_walk_hands_on_literals_and_constants():
    seen = []

    def constant(value, dtype):
        seen.append((np.asarray(value).tolist(), dtype))
        return np.asarray(value, dtype)

    table = np.arange(3.0, dtype=np.float32)
    jaxpr = jax.make_jaxpr(lambda x: (x + table) * 2.0)(X)
    _jaxpr.interpret(jaxpr, [X], lambda equation, operands: _jaxpr.binder(equation)(*operands), constant)
    assert seen == [([0, 1, 2], None), (2.0, np.float32)]


def test_inner_equations_come_after_the_one_that_holds_them():
    found = [equation.primitive.name for equation in _jaxpr.all_equations(jax.make_jaxpr(everything)(X))]
    assert found.index("scan") < found.index("sin") < found.index("cond") < found.index("cos")
    assert "custom_vjp_call" in found


def test_only_what_leads_to_the_wanted_values_is_live():
    def f(x):
        a = jnp.sin(x)
        return jnp.cos(a), jnp.tan(x)

    program, _ = _jaxpr.opened(jax.make_jaxpr(f)(X))
    kept = _jaxpr.live(program.eqns, {program.outvars[0]})
    assert [equation.primitive.name for equation in kept] == ["sin", "cos"]
    known = {program.invars[0]: X}
    _jaxpr.evaluate(kept, known)
    np.testing.assert_allclose(_jaxpr.read(known, program.outvars[0]), jnp.cos(jnp.sin(X)), rtol=1e-6)


def test_a_program_knows_the_function_it_was_traced_from():
    program, _ = _jaxpr.opened(jax.make_jaxpr(everything)(X))
    assert _jaxpr.function_name(program) == "everything"
    assert _jaxpr.function_file(program) == __file__
