import signal

from gatewise.forecast import workers


def squared(k):
    return k * k, signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_results_come_in_order_from_processes_that_leave_ctrl_c_to_their_parent():
    assert list(workers.run(squared, [(k,) for k in range(5)], jobs=2)) == [
        (k * k, True) for k in range(5)
    ]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
