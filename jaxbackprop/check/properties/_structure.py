"""The rule runs, and its cotangents have their arguments' dtypes."""

from __future__ import annotations

import jax.numpy as jnp

from jaxbackprop._errors import first_line
from jaxbackprop.diagnose import Mistake

from .._findings import finding, raised
from .._report import Finding
from .._session import CheckSession


def structure(session: CheckSession) -> list[Finding]:
    """What the rule's first run showed: it can be traced, does not raise, and keeps dtypes."""
    run, layout = session.first_run, session.layout
    findings: list[Finding] = []
    if run.untraceable is not None:
        message = f"the rule cannot be traced, though the function can: {first_line(run.untraceable)}"
        findings.append(Finding("jit", message, mistakes=(Mistake.NOT_TRACEABLE.value,)))
    if run.error is not None:
        return [*findings, raised(run.error)]
    for leaf, cotangent in enumerate(run.gradient):
        have, due = jnp.dtype(cotangent.dtype), layout.dtypes[leaf]
        if have != due and not layout.from_python[leaf]:
            message = f"{session.names[leaf]} is {have.name}, but the argument is {due.name}"
            mistakes = (Mistake.COTANGENT_DTYPE.value,)
            findings.append(finding(session, leaf, "structure", message, mistakes=mistakes))
    return findings
