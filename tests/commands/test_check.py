"""`jaxbackprop check`: what it finds in modules, with which arguments, what it prints, its exit status."""

import importlib
import io
import json
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

from jaxbackprop._errors import CannotRun
from jaxbackprop._imports import importable_from_here
from jaxbackprop._output import write_json
from jaxbackprop._specs import describe
from jaxbackprop.commands._check_target import check_target
from jaxbackprop.commands.targets import discover
from jaxbackprop.commands.targets._annotations import NoArguments, from_annotations

ROOT = Path(__file__).parents[2]

OPS = """
    import jax
    import jax.numpy as jnp
    from jaxtyping import Array, Float

    @jax.custom_vjp
    def square(x: Float[Array, "n m"]):
        return x * x

    square.defvjp(lambda x: (x * x, x), lambda x, dy: (2 * x * dy,))

    @jax.jit
    @jax.custom_vjp
    def cube(x: Float[Array, "n"]):
        return x**3

    cube.__wrapped__.defvjp(lambda x: (x**3, x), lambda x, dy: (2 * x**2 * dy,))

    @jax.custom_vjp
    def scale(x, factor):
        return x * factor

    def scale_fwd(x, factor):
        return x * factor, (x, factor)

    def scale_vjp(residuals, dy):
        x, factor = residuals
        return dy * factor, jnp.sum(dy * x)

    scale.defvjp(scale_fwd, scale_vjp)
"""

PAIRS = """
    import numpy as np

    def sine(x):
        return np.sin(x)

    def sine_vjp(x, dy):
        return (np.cos(x) * dy,)

    def pick(x, ids, *, ignore=None):
        return np.where(ids == ignore, 0.0, x[ids])

    def pick_vjp(x, ids, dy, *, ignore=None):
        dx = np.zeros_like(x)
        np.add.at(dx, ids, np.where(ids == ignore, 0.0, dy))
        return dx, None

    CHECK_ARGUMENTS = {
        "sine": [("f64[3,4]",)],
        "pick": [("f64[5]", "i64[6]<5"), (np.ones(4), np.array([1, 1, 2]), "ignore=2")],
    }
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes modules into the current directory, forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)

    def write(**modules):
        for name, text in modules.items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()

    yield write
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in sys.modules[name].__file__:
            del sys.modules[name]


def check(target, *texts, **options):
    """The command's exit status and what it printed."""
    shown = io.StringIO()
    options = {"effort": "quick", "console": Console(file=shown, width=10_000, markup=False)} | options
    return check_target(target, texts or None, **options), shown.getvalue()


def command(*arguments, cwd=None):
    done = subprocess.run(
        [sys.executable, "-m", "jaxbackprop", "check", *arguments], capture_output=True, text=True, cwd=cwd
    )
    return done.returncode, done.stdout, done.stderr


# One function


def test_a_right_rule_is_0_and_a_wrong_one_1(write):
    write(rules=OPS)
    status, shown = check("rules:square", "f32[2,3]")
    assert (status, shown.startswith("square: right")) == (0, True)
    status, shown = check("rules:cube", "f64[4]")
    assert (status, shown.startswith("cube: WRONG")) == (1, True)
    assert max(map(len, shown.splitlines())) < 500


def test_the_command_says_right_wrong_and_why_not(write, tmp_path):
    write(rules=OPS)
    assert command("rules:square", "--arg", "f32[2]", "--effort", "quick", cwd=tmp_path)[0] == 0
    status, shown, said = command("rules:cube", "--arg", "f32[2]", "--json", "a.json", cwd=tmp_path)
    assert (status, said) == (1, "")
    assert "WRONG" in shown
    assert json.loads((tmp_path / "a.json").read_text())["results"][0]["ok"] is False
    status, shown, said = command("rules:square", "--arg", "f32[2", cwd=tmp_path)
    assert (status, shown, said) == (2, "", "jaxbackprop: error: --arg f32[2: expected ] where it ends\n")


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


# Modules and packages


def lines(shown):
    """Function and verdict of each line of the table."""
    found = (re.match(r"(\S+)\s+(\d+) calls?\s+[\d.]+ s  (\S+)", line) for line in shown.splitlines())
    return {match[1]: (int(match[2]), match[3]) for match in found if match}


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


def test_what_is_imported_belongs_elsewhere(write):
    write(
        rules=OPS, other="from rules import *\nfrom rules import square as again\nimport jax.numpy as jnp\n"
    )
    with pytest.raises(CannotRun, match="other holds no custom_vjp function and no f with an f_vjp"):
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


def test_the_reference_is_right():
    status, shown, said = command("reference", cwd=ROOT)
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
        ("empty", (), {}, "empty holds no custom_vjp function and no f with an f_vjp beside it"),
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
        (["a:b", "--json", "no/where.json"], "--json no/where.json: its folder does not exist"),
        (["a:b", "--json", "."], "--json .: it is a folder"),
        ([], "required: TARGET"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_requests_are_one_line(arguments, said, tmp_path):
    status, shown, error = command(*arguments, cwd=tmp_path)
    assert (status, shown) == (2, "")
    assert re.fullmatch(r"jaxbackprop: error: [^\n]*\n", error), error
    assert said in error
    assert list(tmp_path.iterdir()) == []


def test_no_work_is_done_for_figures_that_cannot_be_written(write):
    write(marks="open('imported', 'w')")
    with pytest.raises(OSError, match="its folder does not exist"):
        check("marks", json_path="no/where.json")
    assert not Path("imported").exists()


def test_figures_are_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "figures.json"
    write_json(str(path), {"a": [float("nan"), -float("inf"), 1.5, "é"], 3: (None, True)})
    expected = {"a": ["nan", "-inf", 1.5, "é"], "3": [None, True]}
    assert json.loads(path.read_text(encoding="utf-8")) == expected

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match=r"--json .*figures\.json: No space left on device"):
        write_json(str(path), {"b": 1})
    assert json.loads(path.read_text(encoding="utf-8")) == expected
    assert [found.name for found in tmp_path.iterdir()] == ["figures.json"]


# Arguments from annotations


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


def test_help_loads_nothing_heavy():
    program = (
        "import sys\nfrom jaxbackprop.commands._main import main\n"
        "try:\n    main(['check', '--help'])\nexcept SystemExit as stop:\n    assert stop.code == 0\n"
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    *shown, loaded = done.stdout.splitlines()
    assert not {"jax", "numpy", "rich", "flax"} & set(re.findall(r"\w+", loaded))
    assert any("i32[4]<10" in line for line in shown)
