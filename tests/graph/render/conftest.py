"""What several tests of the page show."""

import pytest

from jaxbackprop.doctor import health
from tests.graph.render.html.pages import PARAMS, X, ailing


@pytest.fixture(scope="session")
def ailing_report():
    """A report with three findings: two grave ones behind a mild one."""
    return health(ailing, PARAMS, X)
