"""What is found in modules and packages to be checked, and what it is called with."""

import json
import re
import textwrap

import pytest

from jaxbackprop._errors import CannotRun
from jaxbackprop._imports import importable_from_here
from jaxbackprop.commands.targets import discover
from tests.commands.rules import OPS, PAIRS, check, lines


def test_a_module_is_one_line_a_function_and_a_report_for_each_wrong_one(write):
    write(rules=OPS)
    status, shown = check("rules")
    assert status == 1
    assert lines(shown) == {"rules:square": (1, "right"), "rules:cube": (1, "WRONG")}
    assert "\nrules:cube on f32[3]\ncube: WRONG" in shown
    assert "square: right" not in shown
    assert "skipped\n  rules:scale: it is not in CHECK_ARGUMENTS, and parameter x has no annotation" in shown
    assert shown.endswith("checked 2 functions, 2 calls: 1 wrong, 1 skipped\n")


def test_check_arguments_say_how_to_call(write, tmp_path):
    write(pairs=PAIRS)
    status, shown = check("pairs", json_path="figures.json")
    assert status == 0
    assert lines(shown) == {"pairs:sine": (1, "right"), "pairs:pick": (2, "right")}
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [result["arguments"] for result in figures["results"]] == [
        "f64[3,4]",
        "f64[5], i64[6]",
        "f64[4], i64[3], ignore=2",
    ]
    assert (figures["wrong"], figures["skipped"]) == (0, [])


def test_a_package_is_walked_and_each_function_met_once(write):
    write(
        **{
            "package/__init__": "from .inner import square\nfrom .inner import deeper",
            "package/__main__": "raise RuntimeError('was run')",
            "package/needs": "import nothing_of_that_name",
            "package/inner/__init__": OPS.replace("2 * x**2", "3 * x**2"),
            "package/inner/deeper": PAIRS,
        }
    )
    status, shown = check("package")
    assert status == 0
    assert lines(shown) == {
        "package.inner:square": (1, "right"),
        "package.inner:cube": (1, "right"),
        "package.inner.deeper:sine": (1, "right"),
        "package.inner.deeper:pick": (2, "right"),
    }
    assert "package.needs: cannot import package.needs: No module named 'nothing_of_that_name'" in shown
    assert "was run" not in shown


def test_a_public_function_leads_to_the_rules_that_it_calls(write):
    write(
        rules=OPS
        + """
    @jax.jit
    @jax.custom_vjp
    def bare(x):
        return x

    bare.__wrapped__.defvjp(lambda x: (x, None), lambda _, dy: (dy,))

    def outer(x: Float[Array, "n"]) -> Float[Array, "n"]:
        return scale(x, jnp.float32(3)) + 1

    def plain(x: Float[Array, "n"]):
        return x + 1
    """
    )
    _, shown = check("rules")
    assert lines(shown).keys() == {"rules:square", "rules:cube", "rules:outer"}
    assert "\n  rules:scale: judged by way of outer\n" in shown
    assert "\n  rules:bare: it is not in CHECK_ARGUMENTS, and parameter x has no annotation" in shown


METHODS = """
    import functools
    import jax
    import jax.numpy as jnp
    from jaxtyping import Array, Float

    class Ops:
        @staticmethod
        @jax.custom_vjp
        def cube(x: Float[Array, "n"]):
            return x**3

        cube.__func__.defvjp(lambda x: (x**3, x), lambda x, dy: (2 * x**2 * dy,))

        @staticmethod
        @jax.custom_vjp
        def bare(x):
            return x

        @functools.partial(jax.custom_vjp, nondiff_argnums=0)
        def method(self, x):
            return x

        @classmethod
        @jax.custom_vjp
        def of_class(cls, x):
            return x

        class Inner:
            @staticmethod
            def sine(x: Float[Array, "n"]):
                return jnp.sin(x)

            @staticmethod
            def sine_vjp(x, dy):
                return (jnp.cos(x) * dy,)

        def plain(self, x):
            return x

    @jax.custom_jvp
    def tanh(x: Float[Array, "n"]):
        return jnp.tanh(x)

    tanh.defjvps(lambda t, y, x: t * (1 - y**2))

    def make(k):
        @jax.custom_vjp
        def op(x):
            return k * x

        return op
"""


def test_static_methods_are_checked_and_what_is_left_out_is_listed(write):
    write(methods=METHODS)
    status, shown = check("methods", effort="quick")
    assert status == 1
    assert lines(shown) == {
        "methods:tanh": (1, "right"),
        "methods:Ops.cube": (1, "WRONG"),
        "methods:Ops.Inner.sine": (1, "right"),
    }
    for left_out in (
        "Ops.bare: it is not in CHECK_ARGUMENTS, and parameter x has no annotation",
        "Ops.method: it is a method and needs an object: in Python, check_vjp(object.method, ...)",
        "Ops.of_class: it is a class method: in Python, check_vjp(Ops.of_class, ...) checks it",
        "make.<locals>.op: make makes it (line ",
    ):
        assert f"\n  methods:{left_out}" in shown
    assert shown.endswith("checked 3 functions, 3 calls: 1 wrong, 4 skipped\n")


def test_what_is_imported_belongs_elsewhere(write):
    write(
        rules=OPS, other="from rules import *\nfrom rules import square as again\nimport jax.numpy as jnp\n"
    )
    with pytest.raises(CannotRun, match="other holds no custom_vjp or custom_jvp and no f with an f_vjp"):
        check("other")
    # A custom_vjp function of a primal from elsewhere says that it is from there, wherever it is met.
    write(
        **{
            "wraps/__init__": "from .inner import solve",
            "wraps/inner": "import jax, jax.numpy as jnp\nsolve = jax.custom_vjp(jnp.linalg.solve)",
        }
    )
    with importable_from_here():
        assert [target.name for target in discover("wraps")[0]] == ["wraps:solve"]


def test_annotations_that_lead_to_a_call_that_fails_are_skipped_but_what_was_told_is_an_error(write):
    refuses = """
        import jax
        from jaxtyping import Array, Float

        def sine(x: Float[Array, "n"]):
            if x.shape[0] % 2:
                raise ValueError(f"odd: {x.shape}")
            return jax.numpy.sin(x)

        def sine_vjp(x, dy):
            return (dy * jax.numpy.cos(x),)

        def fine(x: Float[Array, "n"]):
            return x + 0

        def fine_vjp(x, dy):
            return (dy,)
    """
    write(guessed=refuses, told=textwrap.dedent(refuses) + 'CHECK_ARGUMENTS = {"sine": [("f32[3]",)]}')
    status, shown = check("guessed")
    assert (status, lines(shown)) == (0, {"guessed:fine": (1, "right")})
    assert re.search(r"guessed:sine: not for f64\[3\]: .*odd: \(3,\)", shown)
    with pytest.raises(CannotRun, match=r"told:sine on f32\[3\]: .*odd: \(3,\)"):
        check("told")
