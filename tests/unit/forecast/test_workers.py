import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from gatewise.forecast import workers


def squared(k):
    return k * k, signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_results_come_in_order_from_processes_that_leave_ctrl_c_to_their_parent():
    assert list(workers.run(squared, [(k,) for k in range(5)], jobs=2)) == [
        (k * k, True) for k in range(5)
    ]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_an_interrupt_while_workers_start_waits_until_they_have():
    asked: list[int] = []

    def calls() -> Iterator[tuple[int]]:
        for k in range(3):
            if k == 1:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)  # some other thread takes the signal, and this one would raise
            asked.append(k)
            yield (k,)

    other = threading.Event()
    thread = threading.Thread(target=other.wait)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            list(workers.run(squared, calls(), jobs=2))
    finally:
        other.set()
        thread.join()
    assert asked == [0, 1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
