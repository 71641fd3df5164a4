"""Two answers of one rule."""

import numpy as np

from jaxbackprop.check._record import Record
from jaxbackprop.check.properties._transformations import differing
from tests.check.observed import of_sine

ONE = np.ones(3)


def found(got, noise=0.1):
    record = Record(of_sine()[0])
    findings = differing(record, [got], [ONE], [noise], what="vmap", how="under vmap", mistakes=("a label",))
    return findings, record


def test_within_rounding():
    findings, record = found(ONE + 0.05)
    assert findings == []
    assert [compared.how for compared in record.compared] == ["vmap"]


def test_beyond_rounding():
    ((one,), _) = found(ONE + [0, 0, 0.5])
    assert one.message == "dx is another under vmap: 1.5 instead of 1 at [2]"
    assert (one.property, one.mistakes, one.error, one.noise) == ("vmap", ("a label",), 0.5, 0.1)


def test_another_shape():
    ((one,), _) = found(np.ones(2))
    assert one.message == "dx has shape (2,) under vmap, (3,) without"
