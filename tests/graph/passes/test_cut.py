"""The smallest cut: no other choice keeps fewer bytes."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from jaxbackprop.graph.passes._cut import smallest_cut


@st.composite
def programs(draw):
    """Values numbered in order, each computed from earlier ones, some of which may be computed again."""
    count = draw(st.integers(1, 8))
    sizes = draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    operands = {}
    for v in range(1, count):
        if draw(st.booleans()):
            operands[v] = draw(st.lists(st.integers(0, v - 1), max_size=3, unique=True))
    wanted = draw(st.sets(st.integers(0, count - 1), max_size=3))
    return sizes, operands, wanted


def is_enough(kept, sizes, operands, wanted):
    def there(v):
        return v in kept or sizes[v] == 0 or (v in operands and all(map(there, operands[v])))

    return all(map(there, wanted))


@given(programs())
@settings(deadline=None)
def test_no_other_choice_keeps_less(program):
    sizes, operands, wanted = program
    cut = smallest_cut(wanted, operands, sizes.__getitem__)
    assert len(cut) == len(set(cut))
    assert is_enough(cut, *program)
    kept = sum(sizes[v] for v in cut)
    choices = itertools.chain.from_iterable(
        itertools.combinations(range(len(sizes)), n) for n in range(len(sizes) + 1)
    )
    assert kept == min(sum(sizes[v] for v in c) for c in choices if is_enough(set(c), *program))


def test_of_equal_choices_the_one_nearest_to_the_end():
    assert smallest_cut({2}, {1: [0], 2: [1]}, lambda v: 7) == [2]


def test_sizes_beyond_an_integer_of_32_bits():
    assert smallest_cut({1, 2}, {1: [0], 2: [0]}, lambda v: 2**40 + v) == [0]
