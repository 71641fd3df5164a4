"""The recurrent layer beside its peers: they do the same work, and memory grows as it should."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxbackprop import ops
from jaxbackprop.bench import _rnn
from jaxbackprop.bench._machine import Limits
from jaxbackprop.bench._memory import temporary_bytes

LIMITS = Limits(1e9, 1e9)
SMALL = {"sequences": 2, "units": 3}


def turned(arrays):
    return tuple(jnp.swapaxes(a, 0, 1) if a.ndim == 3 else a for a in arrays)


def test_all_peers_have_the_same_gradients():
    given = _rnn.arguments(4, **SMALL)
    want = _rnn.gradients_of(ops.rnn)(*given)
    assert [g.shape for g in want] == [a.shape for a in given[:-1]]
    for got in (
        _rnn.gradients_of(_rnn.scan_states)(*given),
        turned(_rnn.gradients_of(_rnn.time_first_states)(*turned(given))),
    ):
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-5, atol=1e-6)


def test_torch_has_the_same_gradients():
    pytest.importorskip("torch")
    given = _rnn.arguments(4, **SMALL)
    dx, dW_x, dW_h, db, dh0 = _rnn.torch_call(turned(given), "cpu")()
    got = (np.swapaxes(dx, 0, 1), dW_x, dW_h, db, dh0[0])
    for g, w in zip(got, _rnn.gradients_of(ops.rnn)(*given), strict=True):
        np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-5)


def test_rows_of_one_length(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    said = []
    bars = {_rnn.SCAN: 1.5, _rnn.UNROLLED: 1.3}
    found = _rnn.at_length(8, bars, LIMITS, said.append, **SMALL, seconds=0.0)
    timed, taken = found[:3], found[3:]
    assert [(row.peer, row.bar) for row in timed] == [
        (_rnn.SCAN, 1.5),
        (_rnn.UNROLLED, 1.3),
        (_rnn.TIME_FIRST, None),
    ]
    # Six products of 2 x 3 by 3 x 3, in 8 steps.
    assert {row.bound for row in timed} == {1e3 * 6 * 2 * (2 * 3 * 3) * 8 / 1e9}
    assert [(row.peer, row.unit) for row in taken] == [(_rnn.SCAN, "bytes"), (_rnn.TIME_FIRST, "bytes")]
    assert any("is fastest" in line for line in said)
    assert any(line.startswith("torch is not installed") for line in said)


def test_the_bars_are_those_asked_for():
    assert _rnn._BARS == {
        128: {_rnn.SCAN: 1.5, _rnn.UNROLLED: 1.3, _rnn.TORCH: 1.6},
        1024: {_rnn.SCAN: 1.2, _rnn.TORCH: 1.5},
    }


@pytest.mark.parametrize("steps", [128, 130])
def test_temporary_memory_at_the_size_that_is_measured(steps):
    shapes = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in jax.eval_shape(lambda: sizes(steps))]
    ours, scan = (
        temporary_bytes(jax.jit(_rnn.gradients_of(f)).lower(*shapes).compile())
        for f in (ops.rnn, _rnn.scan_states)
    )
    assert ours <= 0.75 * scan


def sizes(steps):
    B, H = 64, 256
    shapes = ((B, steps, H), (H, H), (H, H), (H,), (B, H), (B, steps, H))
    return tuple(jnp.zeros(shape, jnp.float32) for shape in shapes)


def test_recomputation_takes_the_root():
    found = _rnn.recomputation_rows((256, 1024, 4096), sequences=8, units=32)
    ours = [row for row in found if row.peer == "ours, all states kept"]
    for shorter, longer in zip(ours, ours[1:], strict=False):
        assert 1.7 < longer.ours / shorter.ours < 2.3
        assert 3.5 < longer.other / shorter.other < 4.5
