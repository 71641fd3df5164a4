"""Event files for TensorBoard: each figure of each epoch once, also after a run has been resumed."""

import struct

import pytest

from jaxbackprop._errors import CannotRun
from jaxbackprop.train import EventFile, RunError, has_events, refuse_missing_tensorboard

RECORDS = [
    {"epoch": epoch, "step": 10 * epoch, "loss": 1 / epoch, "lr": 0.5, "dev_f1": 0.25 * epoch}
    for epoch in (1, 2, 3)
]


def points(run):
    """What the event files of a run hold: (name, step, value), as their records lie one after another."""
    from tensorboardX.proto.event_pb2 import Event

    data = b"".join(path.read_bytes() for path in sorted((run / "tensorboard").glob("events.*")))
    found = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + length])
        found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
        data = data[12 + length + 4 :]
    return found


def expected(records):
    return [
        (name, record["step"], pytest.approx(record[name]))
        for record in records
        for name in record
        if name not in ("epoch", "step")
    ]


def test_every_figure_of_an_epoch_is_a_point_at_its_step(tmp_path):
    pytest.importorskip("tensorboardX")
    with EventFile(tmp_path, []) as events:
        events.write(RECORDS[0])
        # It can be looked at before the run is at its end.
        assert points(tmp_path) == expected(RECORDS[:1])
        events.write(RECORDS[1])
    assert points(tmp_path) == expected(RECORDS[:2])
    assert has_events(tmp_path)


def test_a_run_that_is_resumed_has_no_point_twice(tmp_path):
    pytest.importorskip("tensorboardX")
    with EventFile(tmp_path, []) as events:
        for record in RECORDS:
            events.write(record)
    (first,) = (tmp_path / "tensorboard").iterdir()
    with first.open("ab") as file:
        file.write(first.read_bytes()[:20])  # half an event, as a process leaves it that is killed
    # The checkpoint it goes on from may be an older one.
    for begin, end in ((1, 2), (2, 3), (0, 1), (1, 3)):
        with EventFile(tmp_path, RECORDS[:begin]) as events:
            for record in RECORDS[begin:end]:
                events.write(record)
        assert points(tmp_path) == expected(RECORDS[:end])


def test_a_run_that_had_no_event_file_gets_the_epochs_before(tmp_path):
    pytest.importorskip("tensorboardX")
    with EventFile(tmp_path, RECORDS):
        assert points(tmp_path) == expected(RECORDS)
    with EventFile(tmp_path, RECORDS[:2]):
        assert points(tmp_path) == expected(RECORDS[:2])


def test_the_files_of_others_are_left_alone(tmp_path):
    pytest.importorskip("tensorboardX")
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "mine").write_text("")
    EventFile(tmp_path, []).__exit__(None, None, None)
    assert (tmp_path / "tensorboard" / "mine").exists()


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    pytest.importorskip("tensorboardX")
    (tmp_path / "tensorboard").write_text("")
    with pytest.raises(RunError, match="cannot write .*tensorboard: "):
        EventFile(tmp_path, [])


def test_without_the_extra_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        CannotRun, match=r"--tensorboard needs tensorboardX: pip install 'jaxbackprop\[tensorboard\]'"
    ):
        refuse_missing_tensorboard()
    with pytest.raises(CannotRun):
        EventFile(tmp_path, [])
    assert list(tmp_path.iterdir()) == []
