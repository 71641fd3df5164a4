"""The grammar of arguments: what it reads, what is drawn, what it refuses and how it says so."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop._specs import Argument, Array, HalfLine, Key, describe, parse_argument
from jaxbackprop.commands._check import EPILOG, EXAMPLES
from jaxbackprop.commands._options import FORMS

SHORT = {
    "f16": "float16",
    "bf16": "bfloat16",
    "f32": "float32",
    "f64": "float64",
    "i8": "int8",
    "i32": "int32",
    "u8": "uint8",
    "u32": "uint32",
    "bool": "bool",
}


def draw(text, seed=0):
    return parse_argument(text).draw(np.random.default_rng(seed))


@given(st.sampled_from(sorted(SHORT)), st.lists(st.integers(0, 4), max_size=3))
def test_an_array_has_the_dtype_and_shape_written(dtype, shape):
    text = f"{dtype}[{','.join(map(str, shape))}]"
    value = draw(text)
    assert isinstance(value, np.ndarray)
    assert value.shape == tuple(shape)
    assert value.dtype == jnp.dtype(SHORT[dtype])
    assert describe(value) == text
    assert describe(parse_argument(f" {SHORT[dtype]} [{', '.join(map(str, shape))}] ").value) == text


@given(st.integers(-50, 50), st.integers(1, 20), st.integers(0, 5))
def test_integers_stay_within_their_range_and_reach_its_ends(low, width, seed):
    ranges = {
        f"in [{low},{low + width})": (low, low + width - 1),
        f"in ({low}, {low + width}]": (low + 1, low + width),
        f"<{width}": (0, width - 1),
        f"<= {width}": (0, width),
    }
    for text, (least, most) in ranges.items():
        argument = parse_argument(f"i32[2000]{text}")
        assert argument.domain == (least, most)
        values = argument.draw(np.random.default_rng(seed))
        assert (values.min(), values.max()) == (least, most)


@given(st.floats(-100, 100), st.floats(0.5, 100), st.sampled_from(["f64", "f32", "bf16"]))
def test_numbers_stay_inside_of_their_interval(low, width, dtype):
    argument = parse_argument(f"{dtype}[500] in ({low!r}, {low + width!r})")
    assert argument.domain == (low, low + width)
    values = argument.draw(np.random.default_rng(0)).astype(np.float64)
    unit = float(jnp.finfo(SHORT[dtype]).eps) * (abs(low) + width)
    assert low + 0.01 * width - unit < values.min() < low + 0.1 * width + unit
    assert low + 0.9 * width - unit < values.max() < low + 0.99 * width + unit


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("f32[200]>0", "positive"),
        ("f32[200]>=0", "positive"),
        ("f32[200] positive", "positive"),
        ("f32[200]>2", HalfLine(2.0, above=True)),
        ("f32[200] >= -2.5", HalfLine(-2.5, above=True)),
        ("f32[200]<0", HalfLine(0.0, above=False)),
        ("f32[200]<=1e1", HalfLine(10.0, above=False)),
    ],
)
def test_a_half_line_holds_what_is_drawn_and_what_is_redrawn(text, domain):
    argument = parse_argument(text)
    assert argument.domain == domain
    rng = np.random.default_rng(0)
    drawn = [argument.draw(rng)]
    if callable(domain):
        drawn.append(domain(rng, np.zeros((3, 4), np.float32)))
        assert drawn[1].shape == (3, 4)
    bound, above = (0.0, True) if domain == "positive" else (domain.bound, domain.above)
    for values in drawn:
        assert np.all(values > bound if above else values < bound)
        assert np.ptp(values) > 0.5


def test_without_a_range_numbers_are_normal_and_integers_zero_or_one():
    assert parse_argument("f32[3]").domain is None
    values = draw("f64[20000]")
    assert abs(values.mean()) < 0.05
    assert abs(values.std() - 1) < 0.05
    assert set(np.unique(draw("i32[50]"))) == {0, 1}
    assert set(np.unique(draw("bool[50]"))) == {False, True}


def test_a_simplex_sums_to_one_along_the_last_axis():
    argument = parse_argument("f64[5,3] simplex")
    values = argument.draw(np.random.default_rng(0))
    assert argument.domain == "simplex"
    assert np.all(values > 0)
    np.testing.assert_allclose(values.sum(-1), 1)


def test_fixed_arrays_and_settings_are_not_redrawn():
    assert parse_argument("i32[4]<3 fixed") == Argument(Array("int32", (4,), (0, 2), fixed=True))
    assert parse_argument("f32[4] fixed").domain == "fixed"
    assert [parse_argument(text).domain for text in ("0.5", "3", "None")] == ["fixed"] * 3


def test_draws_follow_the_generator():
    np.testing.assert_array_equal(draw("f32[4]", 1), draw("f32[4]", 1))
    assert np.all(draw("f32[4]", 1) != draw("f32[4]", 2))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-3", -3),
        ("+3", 3),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e-5", 1e-5),
        ("-inf", float("-inf")),
        ("None", None),
        ("True", True),
        ("False", False),
        ("'same'", "same"),
        ('"it\'s"', "it's"),
        ("''", ""),
        ("()", ()),
        ("(3)", 3),
        ("(3,)", (3,)),
        ("(1, -2, 'a')", (1, -2, "a")),
        ("[1, [2.0]]", [1, [2.0]]),
        ("{'a': 1, \"b\": (None,)}", {"a": 1, "b": (None,)}),
    ],
)
def test_settings_stand_for_themselves(text, value):
    read = draw(text)
    assert read == value
    assert type(read) is type(value)
    assert parse_argument(describe(value)) == Argument(value)


def test_containers_hold_arrays():
    value = draw("({'W': f32[3,4], 'b': f32[3]}, [i32[2]<5, key(3)], 0.5)")
    assert describe(value) == "({'W': f32[3,4], 'b': f32[3]}, [i32[2], key], 0.5)"
    assert value[0]["W"].shape == (3, 4)
    assert value[2] == 0.5


def test_a_container_is_redrawn_only_where_one_range_says_all():
    assert parse_argument("[f32[3]>0, f32[2]>0]").domain == "positive"
    assert parse_argument("{'W': f32[3,4], 'b': f32[3]}").domain is None
    assert parse_argument("[f32[3]>0, i32[2]<5]").domain == "fixed"


def test_keys_are_of_a_seed_or_drawn():
    assert parse_argument("key(7)") == Argument(Key(7))
    same = jax.random.key_data(draw("key(7)")) == jax.random.key_data(jax.random.key(7))
    assert bool(same.all())
    first, second = (jax.random.key_data(draw("key", seed)) for seed in (0, 1))
    assert bool((first != second).any())


def test_a_keyword_has_its_name():
    assert parse_argument("axis=-1") == Argument(-1, "axis")
    assert parse_argument(" mask = bool[3]") == Argument(Array("bool", (3,)), "mask")


def test_what_needs_64_bits_says_so():
    wide = {text: parse_argument(text).wide for text in ("f64[2]", "[f32[2], i64[1]]", "f32[2]", "3", "key")}
    assert wide == {"f64[2]": True, "[f32[2], i64[1]]": True, "f32[2]": False, "3": False, "key": False}
    assert Argument(np.ones(2)).wide
    assert not Argument(np.ones(2, np.float32)).wide


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a value .* where it ends"),
        ("f32", r"expected a shape \(f32\[4,5\], or f32\[\] for a scalar\) where it ends"),
        ("f32(4)", r"expected a shape .* where \( stands"),
        ("f32[4,x]", "expected a size such as 4 where x stands"),
        ("f32[4,-1]", "expected a size such as 4 where -1 stands"),
        ("f32[4.0]", r"expected a size such as 4 where 4\.0 stands"),
        ("f32[4", "expected ] where it ends"),
        ("f32[100000,100000]", "10,000,000,000 entries, more than 268,435,456"),
        ("g32[4]", "expected a dtype .*bf16.* where g32 stands"),
        ("c64[4]", "expected a dtype"),
        ("float", "expected a value .* where float stands"),
        ("f32[4] f32[5]", "expected nothing more where f32 stands"),
        ("f32[4]<", "expected a finite number where it ends"),
        ("f32[4]==3", "expected nothing more where = stands"),
        ("f32[4] in 0,1", r"expected \( or \[ and two numbers where 0 stands"),
        ("f32[4] in (0 1)", "expected , where 1 stands"),
        ("f32[4] in (0,1", r"expected \) or \] where it ends"),
        ("f32[4] in (1,0)", r"in \(1\.0, 0\.0\) holds no number"),
        ("f32[4] in (0,inf)", "expected a finite number where inf stands"),
        ("f16[4] in (0,1e6)", "wider than float16, which holds -65504.0 to 65504.0"),
        ("f32[] simplex", "expected a last axis before simplex"),
        ("i32[4]>0", "expected for integers a range with an upper end"),
        ("i32[4] positive", "expected for integers a range with an upper end"),
        ("i32[4]<1.5", r"expected a whole number where 1\.5 stands"),
        ("i32[4]<0", "its range holds no integer"),
        ("i32[4] in (1,2)", "its range holds no integer"),
        ("i8[4]<1000", "wider than int8, which holds -128 to 127"),
        ("u8[4] in [-1,3]", "wider than uint8"),
        ("bool[4]<1", "expected no range, for truth values"),
        ("key(-1)", r"expected a seed from 0 to 2\*\*32 - 1 where -1 stands"),
        ("key(1.5)", "expected a seed"),
        ("key(7", r"expected \) where it ends"),
        ("4x", "expected nothing more where x stands"),
        ("1e999", "expected a finite number where 1e999 stands"),
        ("'abc", "expected a value .* where ' stands"),
        ("{a: 3}", "expected a name in quotation marks where a stands"),
        ("{'a' 3}", "expected : where 3 stands"),
        ("{'a': 1, 'a': 2}", "a name stands twice"),
        ("(,)", "expected a value .* where , stands"),
        ("x==3", "expected a value .* where = stands"),
        ("(" * 5000, "nested too deeply"),
    ],
    ids=lambda value: value[:20],
)
def test_what_cannot_be_read_says_what_came_and_what_was_expected(text, said):
    with pytest.raises(ValueError, match=said) as caught:
        parse_argument(text)
    message = str(caught.value)
    assert message.startswith(text[:40] or "''")
    assert "\n" not in message


@given(st.text(alphabet="f32i[](){}<>=,.: 0123'\"keyxinNone-+e_é", max_size=15))
def test_any_text_is_read_or_refused(text):
    try:
        argument = parse_argument(text)
    except ValueError:
        return
    assert describe(argument.draw(np.random.default_rng(0)))


def test_whatever_else_is_described_by_its_name():
    assert describe(jnp.tanh) == "tanh"
    assert describe(object()) == "object"
    assert describe(jnp.zeros((2, 3), jnp.bfloat16)) == "bf16[2,3]"
    assert describe(np.float32(3)) == "f32[]"


def test_the_help_holds_only_what_can_be_read():
    written = [text for example in EXAMPLES for text in re.findall(r"--arg (?:'([^']*)'|(\S+))", example)]
    assert len(written) >= 7
    for quoted, bare in written:
        assert parse_argument(quoted or bare)
    for forms, _ in FORMS:
        for form in forms:
            assert parse_argument(form)
            assert form in EPILOG
