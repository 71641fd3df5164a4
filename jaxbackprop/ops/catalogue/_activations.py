"""Entrywise non-linearities and the two maxima."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxbackprop import ops
from jaxbackprop._specs import real

from .. import plain
from ._row import Case, Operator

_TAILS = np.array([-88.0, -20.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 20.0, 88.0])
_KINKS = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
_TIES = np.array([[1.0, 3.0, 3.0, -1.0], [2.0, 2.0, 2.0, 2.0], [0.0, 0.0, -1.0, -1.0]])


def _entrywise(
    name: str,
    formula: str,
    cases: tuple[Case, ...],
    special: tuple[tuple[Any, ...], ...],
    source: str = 'unit 3, "Activation Function"',
) -> Operator:
    """The row of a function of one number, measured over its tails too."""
    return Operator(
        name=name,
        family="activations",
        kind="activation",
        formula=formula,
        op=getattr(ops, name),
        oracle=getattr(plain, name),
        cases=cases,
        special=special,
        elementwise=True,
        sweep=(-100.0, 100.0),
        source=source,
    )


ROWS: tuple[Operator, ...] = (
    _entrywise(
        "sigmoid",
        formula="dx = y (1 - y) dy on paper",
        cases=(Case((real((4, 5), -4.0, 4.0),), bar=4.0), Case((real((), -4.0, 4.0),))),
        special=((_TAILS,),),
        source='unit 2, "Backpropagation"; unit 3, "Activation Function"',
    ),
    _entrywise(
        "tanh",
        formula="dx = (1 - y²) dy on paper",
        cases=(Case((real((4, 5)),), bar=4.0), Case((real(()),))),
        special=((_TAILS / 2,),),
    ),
    _entrywise(
        "hardtanh",
        formula="dx = dy where -1 <= x <= 1, else 0",
        cases=(Case((real((4, 5)),)), Case((real(()),))),
        special=((_KINKS,),),
    ),
    _entrywise(
        "relu",
        formula="dx = dy where x > 0, else 0",
        cases=(
            Case((real((4, 5)),)),
            Case((real(()),)),
        ),
        special=((_KINKS,),),
        source='unit 3, "Activation Function", "Dying ReLU"',
    ),
    _entrywise(
        "leaky_relu",
        formula="dx = dy where x > 0, else slope · dy",
        cases=(
            Case((real((4, 5)),)),
            Case((real((4, 5)), 0.2)),
        ),
        special=((_KINKS,),),
    ),
    Operator(
        name="prelu",
        family="activations",
        kind="activation",
        formula=(
            "dx = dy where x > 0, else slope · dy; dslope = x dy where x <= 0, else 0, summed over "
            "what shares the slope"
        ),
        op=ops.prelu,
        oracle=plain.prelu,
        cases=(
            Case((real((4, 5)), real((), 0.1, 0.5))),
            Case((real((4, 5)), real((5,), 0.1, 0.5))),
            Case((real((2, 4, 5)), real((4, 1), -0.5, 0.5))),
        ),
        special=((_KINKS, np.array(0.25)),),
        elementwise=True,
        source='unit 3, "Activation Function"',
    ),
    _entrywise(
        "elu",
        formula="dx = dy where x > 0, else alpha exp(x) dy",
        cases=(
            Case((real((4, 5)),), bar=4.0),
            Case((real((4, 5)), 1.5)),
        ),
        special=(
            (_TAILS,),
            (_TAILS, 0.5),
        ),
    ),
    _entrywise(
        "softplus",
        formula="dx = σ(x) dy, the sigmoid of x",
        cases=(
            Case((real((4, 5)),), bar=4.0),
            Case((real(()),)),
        ),
        special=((_TAILS,),),
        source="Dugas et al. 2001",
    ),
    _entrywise(
        "silu",
        formula="dx = σ(x) (1 + x σ(-x)) dy, by the product rule and σ' = σ(x) σ(-x)",
        cases=(
            Case((real((4, 5)),), bar=8.0, least=0.1),
            Case((real(()),)),
        ),
        special=((_TAILS,),),
        source="Elfwing et al. 2018",
    ),
    _entrywise(
        "gelu",
        formula="dx = (Φ(x) + x φ(x)) dy, with φ = Φ' the density",
        cases=(
            Case((real((4, 5)),), bar=12.0, least=0.1),
            Case((real((4, 5)),), {"approximate": False}, bar=8.0, least=0.1),
        ),
        special=((_TAILS,),),
    ),
    Operator(
        name="max",
        family="activations",
        kind="gate",
        formula="dx = dy at the winner, 0 elsewhere",
        op=ops.max,
        oracle=plain.max,
        cases=(Case((real((4, 5)), 1)), Case((real((3, 4, 5)), -3)), Case((real((5,)), 0))),
        special=((_TIES, 1), (_TIES, 0)),
        elementwise=True,
        source='unit 2, "Backpropagation" and "Gradient Flow"',
    ),
    Operator(
        name="maximum",
        family="activations",
        kind="gate",
        formula="dy goes to the larger entry, 0 to the other",
        op=ops.maximum,
        oracle=plain.maximum,
        cases=(
            Case((real((4, 3)), real((4, 3)))),
            Case((real((4, 3)), real((1, 3)))),
            Case((real((4, 3)), real(()))),
        ),
        special=((_TIES, _TIES[:, ::-1].copy()),),
        source='unit 2, "Gradient Flow"',
    ),
)
