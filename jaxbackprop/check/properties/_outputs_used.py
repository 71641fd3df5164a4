"""The cotangent of every result is used."""

from __future__ import annotations

import numpy as np

from jaxbackprop.diagnose import Mistake

from .._findings import finding
from .._record import Observations, Record
from .._report import Finding
from .._sampling import Kind
from .._session import CheckSession


def outputs_used(session: CheckSession, observed: Observations, record: Record) -> list[Finding]:
    """Of several results, where one alone has a cotangent, the gradient is zero only if it should be."""
    alone = [one for one in observed.comparisons if one.kind is Kind.ONE_RESULT]
    findings = []
    for leaf in sorted(record.wrong):
        for k, one in enumerate(alone):
            due = np.any(np.abs(one.want[leaf]) > one.noise[leaf])
            others = (other.violation(leaf) for j, other in enumerate(alone) if j != k)
            if due and not np.any(one.gradient(leaf)) and all(v is None for v in others):
                message = f"{session.names[leaf]} ignores the cotangent of result {k}"
                mistakes = (Mistake.OUTPUT_IGNORED.value,)
                findings.append(finding(session, leaf, "linearity", message, mistakes=mistakes))
    return findings
