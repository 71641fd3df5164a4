"""Headers of safetensors files, honest and not."""

import json
import resource
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxbackprop.pretrained import DataError, TensorFile
from jaxbackprop.pretrained._tensors import read_header
from tests.models.bert.folders import safetensors, with_header

ARRAYS = {
    "a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "b": np.zeros(0, np.float16),
    "c": np.array(7, np.int64),
}


def test_an_honest_file_is_read(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "m.safetensors"
    path.write_bytes(safetensors(ARRAYS))
    file = TensorFile(path)
    assert {name: (entry.dtype, entry.shape) for name, entry in file.entries.items()} == {
        "a": ("F32", (2, 3)),
        "b": ("F16", (0,)),
        "c": ("I64", ()),
    }
    with file.opened() as tensors:
        np.testing.assert_array_equal(tensors.get_tensor("a"), ARRAYS["a"])


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


MANY = "{" + ",".join(f'"{n}":{json.dumps(entry(shape=[0], offsets=[0, 0]))}' for n in range(25_000)) + "}"
REFUSED = {
    "empty": (b"", "within 0 bytes"),
    "header beyond the file": (b"\xff" * 8 + b"{}", "within 10 bytes"),
    "header too long": (with_header(b"{" + b" " * (3 << 20) + b"}"), "a header of at most"),
    "no brace": (with_header(b"[]"), "begins with a brace"),
    "deep": (with_header(b'{"a":' + b"[" * 200_000), "nested too deeply"),
    "nan": (with_header('{"a": NaN}'), "no number of JSON"),
    "many": (with_header(MANY), "at most 20,000 tensors"),
    "no entry": (with_header('{"a": 3}'), "expected dtype, shape and data_offsets"),
    "dtype": (with_header(json.dumps({"a": entry("F8")}), bytes(8)), "expected a dtype out of F32"),
    "shape": (with_header(json.dumps({"a": entry(shape=[-2])}), bytes(8)), "expected a shape"),
    "bool shape": (with_header(json.dumps({"a": entry(shape=[True, 2])}), bytes(8)), "expected a shape"),
    "axes": (with_header(json.dumps({"a": entry(shape=[1] * 9 + [2])}), bytes(8)), "expected a shape"),
    "large": (with_header(json.dumps({"a": entry(shape=[1 << 50] * 4)}), bytes(8)), "needs .* bytes"),
    "offsets": (with_header(json.dumps({"a": entry(offsets=[0, 16])}), bytes(8)), "offsets within 8 bytes"),
    "reversed": (with_header(json.dumps({"a": entry(offsets=[8, 0])}), bytes(8)), "offsets within 8 bytes"),
    "size": (with_header(json.dumps({"a": entry(shape=[3])}), bytes(8)), "needs 12 bytes, got 8"),
    "hole": (with_header(json.dumps({"a": entry(offsets=[4, 12])}), bytes(12)), "one at byte 4, not 0"),
    "overlap": (
        with_header(json.dumps({"a": entry(), "b": entry(offsets=[4, 12])}), bytes(12)),
        "one at byte 4, not 8",
    ),
    "rest": (with_header(json.dumps({"a": entry()}), bytes(9)), "expected 8 bytes of tensors, got 9"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_header_that_lies_is_refused_at_once(tmp_path, name):
    content, said = REFUSED[name]
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    memory, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(DataError, match=said) as caught:
        read_header(path)
    assert time.process_time() - began < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 150_000
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=60), st.integers(0, 40), st.integers(0, 255))
def test_whatever_the_bytes_it_is_read_or_refused(tmp_path_factory, junk, at, byte):
    content = bytearray(safetensors({"a": np.ones(2, np.float32)}))
    content[at] = byte
    path = tmp_path_factory.mktemp("junk") / "m.safetensors"
    for written in (bytes(content), junk, with_header(junk)):
        path.write_bytes(written)
        try:
            read_header(path)
        except DataError:
            pass
