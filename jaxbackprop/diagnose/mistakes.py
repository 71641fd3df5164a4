"""The vocabulary of mistakes in a hand-written VJP: what each label means, and which count as equal."""

from __future__ import annotations

import enum


class Mistake(enum.StrEnum):
    """A mistake. Its value is the label that `Finding.mistakes` holds.

    Members stand in the order in which they are listed to a reader.

    Attributes:
        meaning: what is wrong, as the end of a sentence that begins with the cotangent's name.
    """

    meaning: str

    def __new__(cls, label: str, meaning: str) -> Mistake:
        """Takes the label and what it means."""
        member = str.__new__(cls, label)
        member._value_ = label
        member.meaning = meaning
        return member

    MISSING_TRANSPOSE = "missing transpose", "a matrix factor is not transposed (square, so the shape fits)"
    TRANSPOSED_RESULT = "transposed result", "the result is the transpose of the right one (square)"
    MISSING_SUM = "missing sum", "one slice taken where a sum over an axis is due"
    EXTRA_SUM = "extra sum", "summed, and broadcast back, over an axis that must be kept"
    WRONG_AXIS = "wrong axis", "reduced over the wrong axis of a square array"
    CONSTANT_FACTOR = "constant factor", "off by one constant everywhere (1/N, 2, 1/keep, λ, 1/√d)"
    SIGN = "sign", "sign flipped"
    UNNORMALISED = "unnormalised", "unnormalised probabilities where normalised ones are due"
    DIAGONAL_ONLY = "diagonal only", "only the diagonal of a full Jacobian used"
    UPSTREAM_IGNORED = "upstream ignored", "not multiplied by the incoming cotangent"
    UPSTREAM_SQUARED = "upstream squared", "multiplied by the incoming cotangent twice"
    NON_LINEAR = (
        "non-linear in cotangent",
        "absolute value, clipping or normalisation of the incoming cotangent",
    )
    OUTPUT_FOR_INPUT = "output for input", "local derivative evaluated at the output instead of the input"
    INPUT_FOR_OUTPUT = "input for output", "local derivative evaluated at the input instead of the output"
    WRONG_DERIVATIVE = "wrong derivative formula", "an elementary derivative remembered wrongly"
    WRONG_MASK = "wrong mask", "the mask of a piecewise-linear function is wrong"
    WRONG_WINNER = "wrong winner", "the gradient of a maximum goes to the wrong element or to several"
    SET_NOT_ADD = "set instead of add", "repeated indices overwrite instead of accumulating"
    ORDER_REVERSED = "order reversed", "positions in reversed order"
    PADDING = "padding", "a masked or padded entry receives gradient, or padding is counted"
    SMOOTHING_FORGOTTEN = "smoothing forgotten", "label smoothing absent from the backward rule"
    OFF_BY_ONE = "off by one", "an index or label shifted by one"
    PATH_FORGOTTEN = (
        "path forgotten",
        "one of several ways in which the result depends on the argument is left out",
    )
    MISSING_TERM = "missing term", "one additive term of the derivative is left out"
    MISSING_FACTOR = "missing factor", "a factor that depends on the data is left out"
    TIME_SHIFT = "time shift", "state of the wrong time step, or one step too few"
    DETACHED = "detached", "one argument gets a zero cotangent"
    ARGUMENTS_SWAPPED = "arguments swapped", "the cotangents of two arguments are exchanged"
    PARTLY_WRONG = "partly wrong", "wrong on some elements only (negative inputs, the last column)"
    SMALL_CONSTANT = "small constant", "a constant rounded or an epsilon left out: a small relative error"
    STALE_RESIDUAL = "stale residual", "the rule saved a value from before a later change"
    UNSTABLE = "numerically unstable", "right formula, overflow or cancellation in the working precision"
    BATCH_GLOBAL = "batch-global", "reduces over the vmapped batch"
    BATCH_OF_ONE = "batch of one", "right only for a batch of one"
    COTANGENT_DTYPE = "cotangent dtype", "a cotangent has another dtype than its argument"
    NOT_TRACEABLE = "not traceable", "Python control flow on a traced value"
    FORWARD_MISMATCH = "forward mismatch", "the forward rule computes another value than the function"
    OUTPUT_IGNORED = "output ignored", "the cotangent of one of several outputs is ignored"

    @property
    def neighbours(self) -> frozenset[Mistake]:
        """Labels that count as equal to this one when a diagnosis is judged."""
        return _NEIGHBOURS.get(self, frozenset())


_NEIGHBOURS = {
    Mistake.UNNORMALISED: frozenset({Mistake.WRONG_DERIVATIVE}),
    Mistake.DIAGONAL_ONLY: frozenset({Mistake.MISSING_TERM}),
    Mistake.UPSTREAM_SQUARED: frozenset({Mistake.NON_LINEAR}),
    Mistake.WRONG_WINNER: frozenset({Mistake.WRONG_MASK}),
    Mistake.SMOOTHING_FORGOTTEN: frozenset({Mistake.MISSING_TERM}),
    Mistake.PATH_FORGOTTEN: frozenset({Mistake.MISSING_TERM}),
    Mistake.MISSING_TERM: frozenset({Mistake.PATH_FORGOTTEN}),
}
