"""Hand-written VJPs as engineers write them: right ones that are hard to judge, and wrong ones with a label.

They stand on their own: plain JAX, nothing of jaxbackprop.
"""

from tests.check.corpus import (
    attention,
    convolution,
    dense,
    dropout,
    elementwise,
    embedding,
    losses,
    maxima,
    normalisation,
    recurrent,
    reductions,
    softmax_cross_entropy,
)
from tests.check.corpus._case import Case as Case

# The vocabulary of mistakes. Several may fit one rule; a case's own comes first in `Case.mistakes`.
MISTAKES = (
    "missing transpose",
    "transposed result",
    "missing sum",
    "extra sum",
    "wrong axis",
    "constant factor",
    "sign",
    "unnormalised",
    "diagonal only",
    "upstream ignored",
    "upstream squared",
    "non-linear in cotangent",
    "output for input",
    "input for output",
    "wrong derivative formula",
    "wrong mask",
    "wrong winner",
    "set instead of add",
    "order reversed",
    "padding",
    "smoothing forgotten",
    "off by one",
    "path forgotten",
    "missing term",
    "missing factor",
    "time shift",
    "detached",
    "arguments swapped",
    "partly wrong",
    "small constant",
    "stale residual",
    "numerically unstable",
    "batch-global",
    "batch of one",
    "cotangent dtype",
    "not traceable",
    "forward mismatch",
    "output ignored",
)

FAMILIES = (
    attention,
    convolution,
    dense,
    dropout,
    elementwise,
    embedding,
    losses,
    maxima,
    normalisation,
    recurrent,
    reductions,
    softmax_cross_entropy,
)
CASES: tuple[Case, ...] = tuple(case for family in FAMILIES for case in family.CASES)
RIGHT: tuple[Case, ...] = tuple(case for case in CASES if not case.mistakes)
WRONG: tuple[Case, ...] = tuple(case for case in CASES if case.mistakes)
