"""A case of the corpus through the harness."""

from jaxbackprop.check import Report, check_vjp
from tests.check.corpus import Case


def checked(case: Case) -> Report:
    """The report on a case, given the oracle, the intended rule and the domains that it has."""
    with case.setting():
        return check_vjp(
            case.op,
            *case.args,
            oracle=case.oracle,
            oracle_vjp=case.oracle_vjp,
            domains=case.domains,
            in_axes=case.in_axes,
            kwargs=dict(case.kwargs),
        )
