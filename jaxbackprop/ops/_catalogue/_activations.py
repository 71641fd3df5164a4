"""Entrywise non-linearities and the two maxima."""

from __future__ import annotations

import numpy as np

from jaxbackprop import ops
from jaxbackprop.ops import plain

from ._row import Case, Operator, Real

_TAILS = np.array([-88.0, -20.0, -1.0, -1e-3, 0.0, 1e-3, 1.0, 20.0, 88.0])
_KINKS = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0])
_TIES = np.array([[1.0, 3.0, 3.0, -1.0], [2.0, 2.0, 2.0, 2.0], [0.0, 0.0, -1.0, -1.0]])

ROWS: tuple[Operator, ...] = (
    Operator(
        name="sigmoid",
        family="activations",
        op=ops.sigmoid,
        oracle=plain.sigmoid,
        cases=(Case((Real((4, 5), -4.0, 4.0),), bar=4.0), Case((Real((), -4.0, 4.0),))),
        special=((_TAILS,),),
        elementwise=True,
        sweep=(-100.0, 100.0),
        source='unit 2, "sigmoid"',
    ),
    Operator(
        name="tanh",
        family="activations",
        op=ops.tanh,
        oracle=plain.tanh,
        cases=(Case((Real((4, 5)),), bar=4.0), Case((Real(()),))),
        special=((_TAILS / 2,),),
        elementwise=True,
        sweep=(-100.0, 100.0),
        source='unit 3, "Activation Function"',
    ),
    Operator(
        name="hardtanh",
        family="activations",
        op=ops.hardtanh,
        oracle=plain.hardtanh,
        cases=(Case((Real((4, 5)),)), Case((Real(()),))),
        special=((_KINKS,),),
        elementwise=True,
        sweep=(-100.0, 100.0),
        source='unit 3, "Activation Function"',
    ),
    Operator(
        name="relu",
        family="activations",
        op=ops.relu,
        oracle=plain.relu,
        cases=(
            Case((Real((4, 5)),)),
            Case((Real(()),)),
        ),
        special=((_KINKS,),),
        elementwise=True,
        sweep=(-100.0, 100.0),
        source='unit 3, "Activation Function", "Dying ReLU"',
    ),
    Operator(
        name="leaky_relu",
        family="activations",
        op=ops.leaky_relu,
        oracle=plain.leaky_relu,
        cases=(
            Case((Real((4, 5)),)),
            Case((Real((4, 5)), 0.2)),
        ),
        special=((_KINKS,),),
        elementwise=True,
        sweep=(-100.0, 100.0),
        source='unit 3, "Activation Function"',
    ),
    Operator(
        name="prelu",
        family="activations",
        op=ops.prelu,
        oracle=plain.prelu,
        cases=(
            Case((Real((4, 5)), Real((), 0.1, 0.5))),
            Case((Real((4, 5)), Real((5,), 0.1, 0.5))),
            Case((Real((2, 4, 5)), Real((4, 1), -0.5, 0.5))),
        ),
        special=((_KINKS, np.array(0.25)),),
        elementwise=True,
        source='unit 3, "Activation Function"',
    ),
    Operator(
        name="elu",
        family="activations",
        op=ops.elu,
        oracle=plain.elu,
        cases=(
            Case((Real((4, 5)),), bar=4.0),
            Case((Real((4, 5)), 1.5)),
        ),
        special=(
            (_TAILS,),
            (_TAILS, 0.5),
        ),
        elementwise=True,
        sweep=(-100.0, 100.0),
        source='unit 3, "Activation Function"',
    ),
    Operator(
        name="softplus",
        family="activations",
        op=ops.softplus,
        oracle=plain.softplus,
        cases=(
            Case((Real((4, 5)),), bar=4.0),
            Case((Real(()),)),
        ),
        special=((_TAILS,),),
        elementwise=True,
        sweep=(-100.0, 100.0),
        source='unit 3, "Activation Function"',
    ),
    Operator(
        name="silu",
        family="activations",
        op=ops.silu,
        oracle=plain.silu,
        cases=(
            Case((Real((4, 5)),), bar=8.0, least=0.1),
            Case((Real(()),)),
        ),
        special=((_TAILS,),),
        elementwise=True,
        sweep=(-100.0, 100.0),
        source='unit 3, "Activation Function"',
    ),
    Operator(
        name="gelu",
        family="activations",
        op=ops.gelu,
        oracle=plain.gelu,
        cases=(
            Case((Real((4, 5)),), bar=12.0, least=0.1),
            Case((Real((4, 5)),), {"approximate": False}, bar=8.0, least=0.1),
        ),
        special=((_TAILS,),),
        elementwise=True,
        sweep=(-100.0, 100.0),
        source='unit 3, "Activation Function"',
    ),
    Operator(
        name="max",
        family="activations",
        op=ops.max,
        oracle=plain.max,
        cases=(Case((Real((4, 5)), 1)), Case((Real((3, 4, 5)), -3)), Case((Real((5,)), 0))),
        special=((_TIES, 1), (_TIES, 0)),
        elementwise=True,
        source='unit 2, "max"',
    ),
    Operator(
        name="maximum",
        family="activations",
        op=ops.maximum,
        oracle=plain.maximum,
        cases=(
            Case((Real((4, 3)), Real((4, 3)))),
            Case((Real((4, 3)), Real((1, 3)))),
            Case((Real((4, 3)), Real(()))),
        ),
        special=((_TIES, _TIES[:, ::-1].copy()),),
        source='unit 2, "max gate: gradient router"',
    ),
)
