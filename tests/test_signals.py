"""What a signal does to a command, be it wherever it is."""

import os
import signal
import time
import weakref

import pytest

from jaxbackprop._signals import run_stoppable


class Referred:
    pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_a_callback_of_the_collector_is_not_lost(number, capsys):
    def run():
        referred = Referred()
        reference = weakref.ref(referred, lambda _: os.kill(os.getpid(), number))
        del referred
        for _ in range(100):
            time.sleep(0.05)
        return 0 if reference() is None else 1

    before = signal.getsignal(number)
    try:
        signal.signal(number, signal.default_int_handler)
        assert run_stoppable(run) == 128 + number
    finally:
        signal.signal(number, before)
    said = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupted"}[number]
    assert capsys.readouterr().err == f"jaxbackprop: {said}\n"
