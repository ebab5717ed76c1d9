import signal
import threading

import pytest

from tts_eval.interrupts import Patience


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)  # in this thread: another one may be handed what is sent to the process


def test_the_first_interrupt_waits_and_the_second_does_not(capsys):
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Patience() as patience:
        assert not patience.is_over
        interrupt()
        assert patience.is_over
        assert "once more to stop at once" in capsys.readouterr().err
        interrupt()
    assert signal.getsignal(signal.SIGINT) is before


def test_interrupts_are_as_before_afterwards():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append("interrupted"))
    try:
        with Patience():
            pass
        interrupt()
    finally:
        signal.signal(signal.SIGINT, before or signal.default_int_handler)
    assert seen == ["interrupted"]


def test_in_another_thread_nothing_is_changed():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with Patience() as patience:
            seen.append((signal.getsignal(signal.SIGINT) is before, patience.is_over))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(True, False)]
