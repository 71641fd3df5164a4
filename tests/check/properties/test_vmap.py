"""Batches."""

import dataclasses

import numpy as np

from jaxbackprop.check._evaluator import Evaluator
from jaxbackprop.check.properties import _transformations
from jaxbackprop.check.properties._transformations import vmap
from tests.check.observed import asked, observe, of_sine
from tests.check.rules import normal, product


def test_what_examples_share_is_the_callers():
    session, _ = observe(product(), normal(3), normal(3, seed=1), in_axes=(0, None))
    base, *others = _transformations._examples(session)
    assert base.leaves[0] is session.base.leaves[0]
    assert len(others) == 2
    for point, dy in zip(others, session.sample.batch[1:], strict=True):
        assert not np.array_equal(point.leaves[0], base.leaves[0])
        assert point.leaves[1] is session.base.leaves[1]
        assert point.dy is dy
    assert asked(vmap, session, None)[0] == []


def test_nothing_to_map():
    session, observed = of_sine()
    assert asked(vmap, dataclasses.replace(session, axes=(None,)), observed)[0] == []


def test_an_example_that_differs_is_found_once(monkeypatch):
    session, observed = of_sine()
    monkeypatch.setattr(Evaluator, "run_batch", lambda evaluator, points, axes: (np.full((3, 3), 7.0),))
    ((found,), _) = asked(vmap, session, observed)
    assert (found.property, found.mistakes) == ("vmap", ("batch-global",))


def test_of_large_arguments_a_quick_check_does_not_ask(monkeypatch):
    session, observed = of_sine()
    monkeypatch.setattr(_transformations, "VERY_MANY", 2)
    findings, record = asked(vmap, session, observed)
    assert findings == []
    assert record.notes == ["not looked at under vmap: the arguments are large and the effort is quick"]
