"""What annotations say to call a function with, and what they leave open."""

import re

import pytest

from jaxbackprop._specs import describe
from jaxbackprop.commands.targets._annotations import NoArguments, from_annotations


def annotated(signature, imports=""):
    scope = {}
    code = f"from jaxtyping import *\nfrom jax import Array\nimport jaxtyping, numpy as np\n{imports}\n"
    exec(code + f"def f({signature}): ...", scope)
    return scope["f"]


@pytest.mark.parametrize(
    ("signature", "arguments"),
    [
        (
            "x: Float[Array, 'n m'], W: Float[Array, 'k m'], b: Float[Array, ' k']",
            "f32[3,4], f32[5,4], f32[5]",
        ),
        ("x: Float[Array, ''], y: Float[Array, '3 n']", "f32[], f32[3,3]"),
        ("x: Float[Array, '... n'], y: Float[Array, '...']", "f32[3,4,5], f32[3,4]"),
        ("x: Float[Array, '*batch n'], y: Float[Array, '*batch']", "f32[3,4,5], f32[3,4]"),
        ("x: Float[Array, 'rows=n #m'], y: Float[Array, 'n m']", "f32[3,4], f32[3,4]"),
        ("x: Float[Array, '_ _'], y: Float[Array, '_']", "f32[3,4], f32[5]"),
        ("x: Float[Array, 'n'], y: Float[Array, '2*n+1 n-1 n//2']", "f32[3], f32[7,2,1]"),
        ("x: Float64[Array, 'n'], y: BFloat16[Array, 'n']", "f64[3], bf16[3]"),
        ("x: Float[np.ndarray, 'n'], y: Int[Array, 'n'], z: Bool[Array, 'n']", "f32[3], i32[3], bool[3]"),
        ("x: Float[Array, 'n'], key: Key[Array, '']", "f32[3], key"),
        ("x: Float[Array, 'n'], key: jaxtyping.PRNGKeyArray", "f32[3], key"),
        ("x: Float[Array, 'n'], b: Float[Array, 'n'] | None = None", "f32[3], f32[3]"),
        ("x: Shaped[Array, 'n'], y: Num[Array, 'n']", "f32[3], f32[3]"),
        ("x: Float[Array, 'n'], axis: int, rate: float, on: bool", "f32[3], 1, 0.5, False"),
        ("x: Float[Array, 'n'], how='sum', axis: int = -1", "f32[3], 'sum', -1"),
        ("x: Float[Array, 'n'], *, axis: int = -1, w: Float[Array, 'n'], n: int", "f32[3], w=f32[3], n=1"),
        ("x: Float[Array, 'n'], *rest, **more", "f32[3]"),
        ("p: tuple[Float[Array, 'n'], Int[Array, 'm']]", "(f32[3], i32[4])"),
        ("p: tuple[Float[Array, 'n'], ...]", "(f32[3], f32[3])"),
        ("p: list[Float[Array, 'n']]", "[f32[3], f32[3]]"),
    ],
)
def test_annotations_say_what_to_call_with(signature, arguments):
    call = from_annotations(annotated(signature), wide=False)
    written = ", ".join((f"{a.name}=" if a.name else "") + describe(a.value) for a in call)
    assert written == arguments


def test_annotations_that_leave_the_precision_open_may_mean_float64():
    function = annotated("x: Float[Array, 'n'], y: Float32[Array, 'n']")
    assert [describe(a.value) for a in from_annotations(function, wide=True)] == ["f64[3]", "f32[3]"]


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ("x", "parameter x has no annotation and no default"),
        ("x: Array", "parameter x has no shape in its annotation and no default"),
        ("x: Float[Array, 'n'], y: Float[Array, 'm+1']", "parameter y has no shape"),
        ("x: Float[Array, 'n'], y: Complex[Array, 'n']", "parameter y has no shape"),
        ("n: int", "no parameter has a shape in its annotation"),
        ("x: 'Missing'", "its annotations cannot be read: name 'Missing' is not defined"),
    ],
)
def test_annotations_that_say_too_little_say_what_is_missing(signature, said):
    with pytest.raises(NoArguments, match=re.escape(said)):
        from_annotations(annotated(signature), wide=False)
