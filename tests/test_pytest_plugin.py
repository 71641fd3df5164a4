"""The fixture `check_vjp` and its marker, in a pytest of their own."""

import subprocess
import sys
import textwrap

import pytest

pytest_plugins = ["pytester"]

RULES = """
import jax
import jax.numpy as jnp
import pytest

@jax.custom_vjp
def square(x):
    return x * x

square.defvjp(lambda x: (x * x, x), lambda x, dy: (2 * x * dy,))

@jax.custom_vjp
def cube(x):
    return x**3

cube.defvjp(lambda x: (x**3, x), lambda x, dy: (2 * x**2 * dy,))

x = jnp.asarray([0.5, -1.25, 2.0])
"""


@pytest.fixture
def run(pytester):
    """Runs tests in a fresh process."""

    def run(text, *arguments):
        # With its own colleagues absent, the plugin alone is looked at.
        pytester.makepyfile(RULES + textwrap.dedent(text))
        pytester.makeini("[pytest]\naddopts = --strict-markers -p no:xdist -p no:cacheprovider\n")
        return pytester.runpytest_subprocess(*arguments)

    return run


def test_a_right_rule_passes_and_a_wrong_one_fails_with_its_report(run):
    result = run(
        """
        pytestmark = pytest.mark.check_vjp(effort="quick")

        def test_right(check_vjp):
            report = check_vjp(square, x)
            assert report.ok
            assert report.points > 1

        def test_wrong(check_vjp):
            check_vjp(cube, x)
            raise RuntimeError("goes on")

        def test_wrong_by_its_oracle(check_vjp):
            check_vjp(square, x, oracle=lambda x: 2 * x**2, domains=("fixed",), in_axes=0)

        def test_right_as_intended(check_vjp):
            check_vjp(cube, x, oracle_vjp=lambda x, dy: (2 * x**2 * dy,))
        """
    )
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines([">*check_vjp(cube, x)", "E*Failed: cube: WRONG*"])
    result.stdout.fnmatch_lines(["FAILED *::test_wrong*", "FAILED *::test_wrong_by_its_oracle*"])
    result.stdout.no_fnmatch_line("*goes on*")
    # The line of the test is shown, and nothing of ours.
    result.stdout.no_fnmatch_line("*_pytest_plugin.py*")


def test_the_closest_marker_chooses_and_the_call_overrides_it(run):
    result = run(
        """
        import jaxbackprop.check

        pytestmark = pytest.mark.check_vjp(effort="quick", seed=3)
        report = jaxbackprop.check.check_vjp(square, x, effort="quick")

        @pytest.fixture(autouse=True)
        def options(monkeypatch):
            options = []

            def judge(op, *args, **given):
                options.append(given)
                return report

            monkeypatch.setattr(jaxbackprop.check, "check_vjp", judge)
            return options

        def test_of_the_module(check_vjp, options):
            check_vjp(square, x)
            assert options == [{"effort": "quick", "seed": 3}]

        @pytest.mark.check_vjp(effort="thorough")
        class TestClass:
            def test_of_the_class(self, check_vjp, options):
                check_vjp(square, x)
                assert options == [{"effort": "thorough", "seed": 3}]

            @pytest.mark.check_vjp(seed=4)
            def test_of_its_own(self, check_vjp, options):
                check_vjp(square, x)
                check_vjp(square, x, effort="quick", seed=5)
                assert options == [{"effort": "thorough", "seed": 4}, {"effort": "quick", "seed": 5}]
        """
    )
    result.assert_outcomes(passed=3)


def test_what_is_imported_fails_at_the_line_of_the_test_too(run):
    result = run(
        """
        from jaxbackprop.check import assert_vjp, check_vjp as judge

        def refuses(x):
            raise ValueError("not today")

        def test_integers():
            judge(square, jnp.arange(3))

        def test_raises():
            assert_vjp(refuses, x)

        def test_wrong():
            assert_vjp(cube, x, effort="quick")

        def test_by_fixture(check_vjp):
            check_vjp(refuses, x)
        """
    )
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines([">*judge(square, jnp.arange(3))", "E*CannotCheck: square has no float*"])
    result.stdout.fnmatch_lines([">*assert_vjp(refuses, x)", "E*CannotCheck: refuses raises*: not today"])
    result.stdout.fnmatch_lines([">*assert_vjp(cube*", "E*AssertionError: cube: WRONG*"])
    result.stdout.fnmatch_lines([">*check_vjp(refuses, x)", "E*Failed: cannot be checked: refuses raises*"])
    for other in ("_api.py", "_attempt.py", "_pytest_plugin.py", "another exception", "direct cause"):
        result.stdout.no_fnmatch_line(f"*{other}*")


def test_what_cannot_be_checked_and_what_is_misspelt_says_so(run):
    result = run(
        """
        def test_integers(check_vjp):
            check_vjp(square, jnp.arange(3))

        def test_call(check_vjp):
            check_vjp(square, x, effort="quik")

        @pytest.mark.check_vjp(effort="through")
        def test_marker(check_vjp):
            check_vjp(square, x)

        @pytest.mark.check_vjp("quick")
        def test_position(check_vjp):
            check_vjp(square, x)

        @pytest.mark.check_vjp(efort="quick")
        def test_keyword(check_vjp):
            check_vjp(square, x)
        """
    )
    result.assert_outcomes(failed=2, errors=3)
    for said in (
        "E*Failed: cannot be checked: square has no floating-point argument*",
        "E*Failed: effort must be 'quick' or 'thorough', got 'quik'",
        "the marker check_vjp: effort must be 'quick' or 'thorough', got 'through'",
        "the marker check_vjp takes effort= and seed= alone, got 'quick'",
        "the marker check_vjp takes effort= and seed= alone, got efort='quick'",
    ):
        result.stdout.fnmatch_lines([said])


def test_the_marker_is_registered(pytester):
    result = pytester.runpytest_subprocess("--markers", "-p", "no:xdist")
    result.stdout.fnmatch_lines(["@pytest.mark.check_vjp(effort='thorough', seed=0): settings of*"])


def test_loading_the_plugin_imports_nothing_else_of_the_package():
    program = (
        "import sys\nimport jaxbackprop._pytest_plugin\n"
        "print(*(n for n in sys.modules if n.split('.')[0] in ('jax', 'numpy', 'rich', 'jaxbackprop')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    light = {"jaxbackprop", "jaxbackprop._lazy", "jaxbackprop._version", "jaxbackprop._pytest_plugin"}
    assert set(done.stdout.split()) == light


def test_the_import_hook_of_jaxtyping_still_reaches_the_package(run):
    result = run(
        """
        def test_hooked():
            import jaxbackprop.check
            assert type(jaxbackprop.check.__loader__).__name__ == "_JaxtypingLoader"
        """,
        "--jaxtyping-packages=jaxbackprop.check,beartype.beartype",
    )
    result.assert_outcomes(passed=1)
