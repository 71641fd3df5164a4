"""`jaxbackprop check`: what it says of rules, right and wrong, what it refuses, its exit status."""

import json
import re
import sys
import textwrap
from pathlib import Path

import jax
import numpy as np
import pytest

from jaxbackprop._errors import CannotRun
from jaxbackprop.commands import main
from tests.commands.process import assert_one_line_error, command
from tests.commands.rules import OPS, PAIRS, check, lines

ROOT = Path(__file__).parents[2]


# One function


def test_a_right_rule_is_0_and_a_wrong_one_1(write):
    write(rules=OPS)
    status, shown = check("rules:square", "f32[2,3]")
    assert (status, shown.startswith("square: right")) == (0, True)
    status, shown = check("rules:cube", "f64[4]")
    assert (status, shown.startswith("cube: WRONG")) == (1, True)
    assert max(map(len, shown.splitlines())) < 500


def test_the_command_says_right_wrong_and_why_not(cli, write, tmp_path):
    write(rules=OPS)
    assert cli("check", "rules:square", "--arg", "f32[2]", "--effort", "quick")[0] == 0
    status, shown, said = command("check", "rules:cube", "--arg", "f32[2]", "--json", "a.json", cwd=tmp_path)
    assert (status, said) == (1, "")
    assert "WRONG" in shown
    assert json.loads((tmp_path / "a.json").read_text())["results"][0]["ok"] is False
    status, shown, said = cli("check", "rules:square", "--arg", "f32[2")
    assert (status, shown, said) == (2, "", "jaxbackprop: error: --arg f32[2: expected ] where it ends\n")


def test_an_argument_without_a_gradient_is_named(cli, write):
    write(
        weighed="""
        import jax

        @jax.custom_vjp
        def weighed(x, w):
            return x * w

        weighed.defvjp(lambda x, w: (x * w, w), lambda w, dy: (dy * w, None))
        """
    )
    call = ("check", "weighed:weighed", "--arg", "f32[3]", "--arg", "f32[3]", "--effort", "quick")
    status, shown, _ = cli(*call)
    assert status == 1
    assert "pass nondiff=(1,)" in shown
    assert cli(*call, "--nondiff", "1")[0] == 0


def test_an_f_with_an_f_vjp_beside_it_is_a_pair(write):
    write(pairs=PAIRS, broken=PAIRS.replace("np.add.at(dx, ids,", "dx.__setitem__(ids,"))
    assert check("pairs:pick", "f64[4]", "i64[6]<4")[0] == 0
    status, shown = check("broken:pick", "f64[4]", "i64[6]<4")
    assert status == 1
    assert "dx keeps one of several contributions" in shown


def test_a_pair_of_jax_is_run_as_the_callers_jax_is_set(write):
    # Where NumPy's float64 is at home, ones would be of float64 and the cotangent with them.
    write(
        rules="""
        import jax.numpy as jnp
        def sine(x):
            return jnp.sin(x)
        def sine_vjp(x, dy):
            return (jnp.cos(x) * dy * jnp.ones(x.shape),)
        """
    )
    assert check("rules:sine", "f32[3]")[0] == 0


def test_a_backward_rule_named_vjp_is_no_pair(write):
    write(
        rules="""
        import jax
        import jax.numpy as jnp
        from jaxtyping import Array, Float

        def sine(x: Float[Array, "n"]):
            return jnp.sin(x)

        def sine_vjp(kept, dy):
            return (jnp.cos(kept[0]) * dy,)

        ruled_sine = jax.custom_vjp(sine)
        ruled_sine.defvjp(lambda x: (sine(x), (x,)), sine_vjp)
        """
    )
    assert lines(check("rules")[1]) == {"rules:ruled_sine": (1, "right")}
    assert check("rules:sine", "f32[3]")[0] == 0


def test_a_name_may_have_dots(write):
    write(
        rules=OPS
        + """
    class Layer:
        @staticmethod
        def forward(x):
            return square(x) + 1

        class Pair:
            sine = staticmethod(lambda x: jnp.sin(x))
            sine_vjp = staticmethod(lambda x, dy: (dy * jnp.sin(x),))

    CHECK_ARGUMENTS = {"Layer.forward": [("f32[2,2]",)]}
    """
    )
    assert check("rules:Layer.forward", "f32[2,3]")[0] == 0
    assert check("rules:Layer.forward")[0] == 0
    assert check("rules:Layer.Pair.sine", "f32[3]")[0] == 1


def test_an_oracle_judges(write):
    # The primal of this rule cannot be differentiated; the plain function can.
    write(rules=OPS, plain="def cube(x):\n    return 2 * x**3 / 3\n")
    status, shown = check("rules:cube", "f32[3]", oracle="plain:cube")
    assert status == 1
    assert "forward" in shown


def test_domains_reach_the_redraws(write):
    write(
        rules="""
        import jax
        import jax.numpy as jnp
        import numpy as np
        seen = []

        def _see(x):
            seen.append(np.asarray(x))

        @jax.custom_vjp
        def logarithm(x, scale):
            return scale * jnp.log(x)

        def _fwd(x, scale):
            jax.debug.callback(_see, x)
            return scale * jnp.log(x), (x, scale)

        logarithm.defvjp(_fwd, lambda kept, dy: (kept[1] * dy / kept[0], jnp.sum(dy * jnp.log(kept[0]))))
        """
    )
    assert check("rules:logarithm", "f32[3] in (2,3)", "f32[]>0")[0] == 0
    jax.effects_barrier()
    seen = np.stack(sys.modules["rules"].seen)
    assert len(np.unique(seen)) > 10
    assert seen.min() > 2
    assert seen.max() < 3


def test_float64_is_float64_and_the_callers_setting_stays(write):
    write(
        rules="""
        import jax
        seen = set()

        @jax.custom_vjp
        def double(x):
            return 2 * x

        def _fwd(x):
            seen.add(str(x.dtype))
            return 2 * x, ()

        double.defvjp(_fwd, lambda _, dy: (2 * dy,))
        """
    )
    before = jax.config.jax_enable_x64
    assert check("rules:double", "f64[3]")[0] == 0
    assert sys.modules["rules"].seen == {"float64"}
    assert jax.config.jax_enable_x64 == before


def test_a_keyword_reaches_the_function_and_its_rule(write):
    write(pairs=PAIRS)
    assert check("pairs:pick", "f64[4]", "i64[6] in [0,4)", "ignore=2")[0] == 0
    with pytest.raises(CannotRun, match="unexpected keyword argument 'ignor'"):
        check("pairs:pick", "f64[4]", "i64[6]<4", "ignor=2")


def test_the_seed_draws(write):
    write(
        pairs="seen = []\n"
        + textwrap.dedent(PAIRS).replace("return np.sin(x)", "seen.append(x); return np.sin(x)")
    )

    def first(seed):
        sys.modules.get("pairs") and sys.modules["pairs"].seen.clear()
        check("pairs:sine", "f64[3]", seed=seed)
        return next(x.tolist() for x in sys.modules["pairs"].seen if isinstance(x, np.ndarray))

    assert first(0) == first(0) != first(1)


def test_a_file_of_the_reference_is_right():
    status, shown, said = command("check", "reference.linear", cwd=ROOT)
    assert (status, said) == (0, ""), shown
    assert {name: verdict for name, (_, verdict) in lines(shown).items()} == {
        "reference.linear:linear": "right"
    }


@pytest.mark.exhaustive
def test_the_reference_is_right():
    status, shown, said = command("check", "reference", "--effort", "quick", cwd=ROOT)
    assert (status, said) == (0, ""), shown
    found = lines(shown)
    assert {verdict for _, verdict in found.values()} == {"right"}
    assert found.keys() >= {
        "reference.linear:linear",
        "reference.dropout:dropout",
        "reference.window:window_lookup",
    }
    pairs = {
        f"{'.'.join(path.relative_to(ROOT).with_suffix('').parts)}:{name}"
        for path in (ROOT / "reference").rglob("[a-z]*.py")
        for name in re.findall(r"^def ([a-z]\w*)_vjp\(", path.read_text(), re.MULTILINE)
    }
    assert found.keys() == pairs
    assert shown.endswith(" 0 wrong, 0 skipped\n")


# What cannot be checked: one line that says why


@pytest.mark.parametrize(
    ("target", "texts", "options", "said"),
    [
        ("nowhere", (), {}, "cannot import nowhere: No module named 'nowhere'"),
        ("nowhere:f", ("f32[3]",), {}, "cannot import nowhere"),
        ("rules:", (), {}, "'rules:' must read package.module:function"),
        ("..:f", (), {}, "cannot import"),
        ("fails", (), {}, "cannot import fails: a reason"),
        ("leaves", (), {}, "cannot import leaves: 3"),
        ("rules:squar", ("f32[3]",), {}, "rules has no squar: is square meant?"),
        ("rules:square.grad", ("f32[3]",), {}, "rules has no square.grad"),
        ("rules:number", ("f32[3]",), {}, "rules:number is no function but of type int"),
        (
            "rules:scale",
            (),
            {},
            "rules:scale needs --arg: it is not in CHECK_ARGUMENTS, and parameter x has no",
        ),
        ("rules:square", ("f32[3", "1"), {}, r"--arg f32\[3: expected \]"),
        ("rules:square", ("x=f32[3]", "1"), {}, "--arg: an argument without a name stands behind x="),
        ("rules:square", ("x=1", "x=2"), {}, "--arg: a keyword is given twice among x, x"),
        ("rules:square", ("f32[3]", "f32[3]"), {}, r"rules:square on f32\[3\], f32\[3\]: .*TypeError"),
        ("rules:square", ("i32[3]",), {}, "no floating-point argument"),
        ("rules:square", ("f32[3]",), {"oracle": "rules:nothing"}, "rules has no nothing"),
        ("rules:square", ("f32[3]",), {"oracle": "rules"}, "'rules' must read package.module:function"),
        ("rules", ("f32[3]",), {}, "--arg is for one function: rules:NAME"),
        ("rules", (), {"oracle": "rules:square"}, "--oracle is for one function: rules:NAME"),
        ("rules", (), {"nondiff": [0]}, "--nondiff is for one function: rules:NAME"),
        ("rules:square", ("f32[3]",), {"nondiff": [1]}, "nondiff names argument 1, but the last .* is 0"),
        ("empty", (), {}, "empty holds no custom_vjp or custom_jvp and no f with an f_vjp beside it"),
        ("bare", (), {}, "nothing in bare could be checked; bare:f: .* parameter x has no annotation"),
        ("list_of_it", (), {}, "list_of_it.CHECK_ARGUMENTS must be a dict .*, got list"),
        ("unknown", (), {}, r"unknown.CHECK_ARGUMENTS\['g'\]: the module has no such function"),
        (
            "no_tuple",
            (),
            {},
            r"no_tuple.CHECK_ARGUMENTS\['f'\] must be a list of tuples, one a call, got 'f32",
        ),
        ("misspelt", (), {}, r"misspelt.CHECK_ARGUMENTS\['f'\]: f32\[: expected a size"),
        ("inside", (), {}, r"inside.CHECK_ARGUMENTS\['f'\]: x=3: a keyword cannot stand inside"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_checked_says_why(write, target, texts, options, said):
    pair = "def f(x):\n    return x\ndef f_vjp(x, dy):\n    return (dy,)\nCHECK_ARGUMENTS = "
    write(
        rules=OPS + "\n    number = 3\n",
        fails="raise RuntimeError('a reason')",
        leaves="raise SystemExit(3)",
        empty="import numpy",
        bare=pair + "{}",
        list_of_it=pair + "[]",
        unknown=pair + "{'g': [(1.0,)]}",
        no_tuple=pair + "{'f': 'f32[3]'}",
        misspelt=pair + "{'f': [('f32[',)]}",
        inside=pair + "{'f': [({'a': 'x=3'},)]}",
    )
    with pytest.raises(CannotRun, match=said):
        check(target, *texts, **options)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere:f"], "cannot import nowhere: No module named 'nowhere'"),
        (["a:b", "--effort", "great"], "--effort: invalid choice: 'great'"),
        (["a:b", "--seed", "-1"], "--seed must be at least 0, not -1"),
        (["a:b", "--budget", "0"], "--budget must be a number of seconds above 0, not 0"),
        (["a:b", "--json", "no/where.json"], "--json no/where.json: its folder does not exist"),
        (["a:b", "--json", "."], "--json .: it is a folder"),
        ([], "required: TARGET"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_requests_are_one_line(cli, arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = cli("check", *arguments)
    assert_one_line_error(result, re.escape(said))
    assert result[1] == ""
    assert list(tmp_path.iterdir()) == []


def test_help_shows_how_arguments_are_written(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["check", "--help"])
    assert "i32[4]<10" in capsys.readouterr().out


def test_no_work_is_done_for_figures_that_cannot_be_written(write):
    write(marks="open('imported', 'w')")
    with pytest.raises(OSError, match="its folder does not exist"):
        check("marks", json_path="no/where.json")
    assert not Path("imported").exists()
