"""Windows of ids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.data._windows import PADDING, windows_around


@given(st.lists(st.integers(0, 5), max_size=8), st.integers(0, 4))
def test_against_a_loop_over_words(lengths, m):
    ids = np.arange(100, 100 + sum(lengths), dtype=np.int32)
    expected = []
    start = 0
    for length in lengths:
        sentence = ids[start : start + length].tolist()
        for position in range(length):
            places = range(position - m, position + m + 1)
            expected.append([sentence[place] if 0 <= place < length else PADDING for place in places])
        start += length
    windows = windows_around(ids, np.array(lengths, np.int32), m)
    assert windows.dtype == np.int32
    assert windows.shape == (len(ids), 2 * m + 1)
    assert windows.tolist() == expected


def test_the_result_is_its_own():
    ids = np.array([5, 6, 7], np.int32)
    windows = windows_around(ids, np.array([3]), 1)
    windows[0, 1] = 9
    assert windows[1, 0] == 5
    assert ids[0] == 5


@pytest.mark.parametrize("m", [0, 3])
def test_no_words(m):
    for lengths in ([], [0, 0]):
        assert windows_around(np.array([], np.int32), np.array(lengths, np.int32), m).shape == (0, 2 * m + 1)
