"""The pytest plugin: a fixture `check_vjp` and a marker that sets how hard it looks.

    @pytest.mark.check_vjp(effort="quick")
    def test_my_rule(check_vjp):
        check_vjp(my_op, x, W, oracle=plain)

pytest imports this at start-up, so it imports the harness, and with it jax, where a test asks for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxbackprop.check import Report

_EFFORTS = ("quick", "thorough")
_SETTINGS = ("effort", "seed")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker, so that --strict-markers knows it."""
    config.addinivalue_line(
        "markers",
        "check_vjp(effort='thorough', seed=0): settings of the fixture check_vjp: "
        "effort 'quick' or 'thorough', and the seed of its draws",
    )


@pytest.fixture
def check_vjp(request: pytest.FixtureRequest) -> Callable[..., Report]:
    """`jaxbackprop.check.check_vjp`, which fails the test where the rule is wrong.

    It takes the same arguments and returns the report of a right rule. What the call does not say, the
    closest marker `check_vjp` says: `@pytest.mark.check_vjp(effort="quick")`.
    """
    # From the class or module to the test itself: the closest wins.
    settings: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("check_vjp"))):
        settings |= _settings(marker)

    def check(op: Callable[..., Any], *args: Any, **options: Any) -> Report:
        __tracebackhide__ = True
        from jaxbackprop.check import CannotCheck
        from jaxbackprop.check import check_vjp as judge

        options = settings | options
        if "effort" in options and options["effort"] not in _EFFORTS:
            pytest.fail(_no_effort(options["effort"]))
        failure = None
        try:
            report = judge(op, *args, **options)
        except CannotCheck as error:
            failure = f"cannot be checked: {error}"
        # Within the except block pytest would show that error too.
        if failure is not None:
            pytest.fail(failure)
        if not report.ok:
            pytest.fail(str(report))
        return report

    return check


def _settings(marker: pytest.Mark) -> dict[str, Any]:
    if marker.args or not set(marker.kwargs) <= set(_SETTINGS):
        got = [repr(value) for value in marker.args] + [f"{k}={v!r}" for k, v in marker.kwargs.items()]
        pytest.fail(
            f"the marker check_vjp takes effort= and seed= alone, got {', '.join(got)}", pytrace=False
        )
    if "effort" in marker.kwargs and marker.kwargs["effort"] not in _EFFORTS:
        pytest.fail("the marker check_vjp: " + _no_effort(marker.kwargs["effort"]), pytrace=False)
    return dict(marker.kwargs)


def _no_effort(effort: Any) -> str:
    return f"effort must be 'quick' or 'thorough', got {effort!r}"
