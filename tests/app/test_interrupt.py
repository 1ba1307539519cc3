import signal
import threading

import pytest

from volition.app._interrupt import Interrupt


def test_the_first_ctrl_c_waits_for_the_next_check():
    done = []

    def bins():
        with Interrupt() as interrupt:
            interrupt.check()
            signal.raise_signal(signal.SIGINT)
            done.append("the bin")
            interrupt.check()
            done.append("the next bin")

    with pytest.raises(KeyboardInterrupt):
        bins()
    assert done == ["the bin"]


def test_the_second_one_acts_at_once():
    def twice():
        with Interrupt():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        twice()


def test_the_handler_before_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with Interrupt():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_it_does_nothing_outside_the_main_thread():
    errors = []

    def run():
        try:
            with Interrupt() as interrupt:
                interrupt.check()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert not errors
