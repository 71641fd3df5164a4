"""What must hold of a right rule: a small function each, in the order in which they are asked.

A property takes the session, the rule's answers at its points and the record, and answers with what does not
hold. What comes later may rely on what the record says of those before: `values` records which leaves are
wrong.
"""

from collections.abc import Callable

from .._record import Observations, Record
from .._report import Finding
from .._session import CheckSession
from ._forward import forward
from ._forward import structure as structure
from ._kept import kept_structure
from ._linearity import linearity, outputs_used
from ._precision import precision
from ._residuals import differentiable_again, residuals
from ._residuals import held_bytes as held_bytes
from ._tangents import tangents
from ._transformations import determinism, jit, scan_and_checkpoint, vmap
from ._values import differences, larger_batch, values

Property = Callable[[CheckSession, Observations, Record], list[Finding]]

# `structure` is asked before all of them: where the rule raises there is nothing to observe.
PROPERTIES: tuple[Property, ...] = (
    *(forward, values, linearity, outputs_used, differences, precision, larger_batch),
    *(determinism, vmap, scan_and_checkpoint, jit, residuals, differentiable_again, kept_structure),
)
# The same of a rule for tangents.
OF_TANGENTS: tuple[Property, ...] = (
    *(forward, values, tangents, outputs_used, differences, precision, larger_batch),
    *(determinism, vmap, jit, kept_structure),
)
