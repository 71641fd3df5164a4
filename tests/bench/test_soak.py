"""A shorter soak than `jaxbackprop bench soak`; memory is judged loosely in a process of tests."""

import pytest

from jaxbackprop.bench import CannotBench, Soak, _soak, soak


def test_nothing_is_compiled_after_the_first_epoch(monkeypatch):
    monkeypatch.setattr(_soak, "_STEPS_AN_EPOCH", 20)
    monkeypatch.setattr(_soak, "_EXAMPLES", 40)
    said = []
    found = soak(400, said.append)
    assert (found.steps, found.compilations) == (400, 0)
    assert found.growth < 0.2
    assert len(said) == 10


@pytest.mark.parametrize(
    ("compilations", "growth", "met"), [(0, 0.009, True), (1, 0.0, False), (0, 0.011, False)]
)
def test_it_is_met_where_nothing_is_compiled_and_memory_stays(compilations, growth, met):
    assert Soak(1, 1.0, compilations, 100.0, growth).met is met


def test_it_must_be_long_enough():
    with pytest.raises(CannotBench, match=r"--steps must be at least 100,000, not 10"):
        soak(10, print)
