"""The same bits for any number of threads, any run and (not dW) any split of the batch.

The shapes are large enough that the core really uses so many threads: see native/src/sharing.h.
"""

import itertools
import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from layers import assert_near, by_reference, draw, native

from gatewise.nn import LSTM

DTYPES = (np.float32, np.float64)
LARGE = {"T": 40, "B": 64, "I": 32, "H": 64}
SMALL = {"T": 5, "B": 64, "I": 3, "H": 7}
ODD = {"T": 40, "B": 67, "I": 33, "H": 65}
FREE_OF_THE_SPLIT = ("y", "h_n", "c_n", "dx", "dh0", "dc0")
ON_BATCH_AXIS_1 = ("y", "dx", "x")


def assert_same_bits(got, expected, names=None):
    for name in names or expected:
        assert got[name].tobytes() == expected[name].tobytes(), name


def rows(name, array, part):
    return array[:, part] if name in ON_BATCH_AXIS_1 else array[part]


@pytest.mark.parametrize("shape", [LARGE, ODD], ids=["even", "odd"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_any_number_of_threads_gives_the_same_bits(isa, dtype, shape):
    inputs, grads = draw(**shape, dtype=dtype)
    alone = native(inputs, grads, threads=1)
    for threads in (2, 3, 4, 16):
        assert_same_bits(native(inputs, grads, threads=threads), alone)


@pytest.mark.parametrize("dtype", DTYPES)
def test_reverse_gives_the_same_bits_for_any_number_of_threads(isa, dtype):
    inputs, grads = draw(**LARGE, dtype=dtype)
    alone = native(inputs, grads, reverse=True)
    assert_same_bits(native(inputs, grads, reverse=True, threads=3), alone)


@pytest.mark.parametrize("cut", [1, 5, 32, 63])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "shape", [LARGE, SMALL, {**SMALL, "I": 1}], ids=["large", "small", "one input"]
)
def test_a_batch_in_two_parts_gives_the_same_bits(isa, dtype, cut, shape):
    inputs, grads = draw(**shape, dtype=dtype)
    whole = native(inputs, grads, threads=2)
    for part in (slice(0, cut), slice(cut, None)):
        own = {k: v if k[0] in "wb" else rows(k, v, part) for k, v in inputs.items()}
        dy, dh, dc = grads
        found = native(own, (dy[:, part], dh[part], dc[part]), threads=3)
        expected = {k: rows(k, whole[k], part) for k in FREE_OF_THE_SPLIT}
        assert_same_bits(found, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_run_gives_the_same_bits(isa, dtype):
    inputs, grads = draw(**LARGE, dtype=dtype)
    first = native(inputs, grads, threads=3)
    for _ in range(5):
        # Another shape in between leaves its numbers in the scratch memory.
        native(*draw(9, 70, 50, 90, dtype=dtype, seed=5), threads=3)
        assert_same_bits(native(inputs, grads, threads=3), first)


def module_pass(lstm, x):
    lstm.zero_grad()
    x = x.clone().requires_grad_()
    y, (h, c) = lstm(x)
    (y.sin().sum() + h.sum() + 2 * c.sum()).backward()
    found = {"y": y, "h": h, "c": c, "dx": x.grad}
    found |= {k: p.grad for k, p in lstm.named_parameters()}
    return {k: v.detach().numpy().copy() for k, v in found.items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_module_gives_the_same_bits_for_any_number_of_threads(isa, threads, dtype):
    torch.manual_seed(0)
    lstm = LSTM(32, 64, num_layers=2, bidirectional=True, dtype=dtype)
    x = torch.randn(40, 64, 32, dtype=dtype)
    threads(1)
    alone = module_pass(lstm, x)
    for count in (2, 3, 4, 4, 4, 4, 4):
        threads(count)
        assert_same_bits(module_pass(lstm, x), alone)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_batch_in_two_parts_gives_the_module_s_bits(isa, threads, dtype):
    torch.manual_seed(0)
    lstm = LSTM(32, 64, num_layers=2, bidirectional=True, dtype=dtype)
    x = torch.randn(40, 64, 32, dtype=dtype)
    threads(1)
    whole = module_pass(lstm, x)
    for count, cut in itertools.product((1, 4), (1, 37)):
        threads(count)
        for part in (slice(0, cut), slice(cut, None)):
            found = module_pass(lstm, x[:, part])
            expected = {k: whole[k][:, part] for k in ("y", "h", "c", "dx")}
            assert_same_bits(found, expected)


# Few rows and many hidden units: the threads share out the units of each step, in lockstep.
@pytest.mark.parametrize(("B", "H"), [(1, 256), (2, 241), (3, 230), (4, 233)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_lockstep_gives_the_same_bits_for_any_number_of_threads(isa, dtype, B, H):
    inputs, grads = draw(200 // B, B, 33, H, dtype=dtype)
    alone = native(inputs, grads, threads=1)
    for threads in (2, 3, 4):
        for _ in range(2):
            assert_same_bits(native(inputs, grads, threads=threads), alone)
    for row in range(B):
        part = slice(row, row + 1)
        own = {k: v if k[0] in "wb" else rows(k, v, part) for k, v in inputs.items()}
        dy, dh, dc = grads
        found = native(own, (dy[:, part], dh[part], dc[part]), threads=2)
        assert_same_bits(found, {k: rows(k, alone[k], part) for k in FREE_OF_THE_SPLIT})


# More weights than L2 keeps: hidden units are shared out, too, and tiles fetch the next weights.
@pytest.mark.parametrize(("T", "B"), [(9, 23), (3, 130), (300, 7), (700, 1)])
def test_a_layer_of_many_weights_gives_the_same_bits(isa, T, B):
    inputs, grads = draw(T, B, 290, 331, dtype=np.float32)
    alone = native(inputs, grads, threads=1)
    for change in ({"threads": 2}, {"threads": 5}, {"threads": 16}, {"checkpoint_every": 4}):
        assert_same_bits(native(inputs, grads, **change), alone)


# Rows shared out in the first shape, hidden units in the others; odd numbers of columns in all.
@pytest.mark.parametrize("shape", [ODD, {"T": 200, "B": 1, "I": 33, "H": 257},
                                   {"T": 66, "B": 3, "I": 35, "H": 231}], ids=str)  # fmt: skip
def test_bfloat16_gives_the_same_bits(isa, shape):
    inputs, grads = draw(**shape, dtype=np.float32)
    alone = native(inputs, grads, bfloat16=True)
    for change in ({"threads": 2}, {"threads": 3}, {"threads": 4}, {"checkpoint_every": 7}, {}):
        assert_same_bits(native(inputs, grads, bfloat16=True, **change), alone)
    B = shape["B"]
    cuts = {1, B // 2, B - 1} & set(range(1, B))
    for part in (part for cut in cuts for part in (slice(0, cut), slice(cut, B))):
        own = {k: v if k[0] in "wb" else rows(k, v, part) for k, v in inputs.items()}
        dy, dh, dc = grads
        found = native(own, (dy[:, part], dh[part], dc[part]), threads=2, bfloat16=True)
        assert_same_bits(found, {k: rows(k, alone[k], part) for k in FREE_OF_THE_SPLIT})


@pytest.mark.parametrize("precision", ["full", "bfloat16"])
def test_lockstep_of_layers_and_directions_gives_the_same_bits(isa, threads, precision):
    torch.manual_seed(0)
    lstm = LSTM(33, 235, num_layers=2, bidirectional=True, precision=precision)
    x = torch.randn(70, 2, 33)
    threads(1)
    alone = module_pass(lstm, x)
    for count in (2, 3, 4):
        threads(count)
        assert_same_bits(module_pass(lstm, x), alone)


@pytest.mark.parametrize("precision", ["full", "bfloat16"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_without_gradients_the_module_gives_the_same_bits(isa, batch_first, precision):
    kw = {"num_layers": 2, "bidirectional": True, "batch_first": batch_first}
    lstm = LSTM(33, 65, precision=precision, **kw)
    x = torch.randn(40, 64, 33)
    y, (h, c) = lstm(x)
    with torch.no_grad():
        y_eval, (h_eval, c_eval) = lstm.eval()(x)
    assert y.requires_grad
    assert not y_eval.requires_grad
    for got, expected in ((y_eval, y), (h_eval, h), (c_eval, c)):
        assert torch.equal(got, expected)


def test_python_threads_computing_at_once_give_the_right_bits(isa):
    problems = [draw(**LARGE, dtype=DTYPES[k % 2], seed=k) for k in range(4)]
    alone = [native(*problem) for problem in problems]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            jobs = [pool.submit(native, *problem, threads=2) for problem in problems]
            for job, expected in zip(jobs, alone, strict=True):
                assert_same_bits(job.result(), expected)


def test_a_forked_child_computes_the_right_bits():
    script = textwrap.dedent(
        """
        import os
        import numpy as np
        from layers import draw, native

        inputs, grads = draw(40, 64, 32, 64, dtype=np.float32)
        expected = native(inputs, grads, threads=3)  # the parent's pool has its threads now
        child = os.fork()
        got = native(inputs, grads, threads=3)
        right = all(got[k].tobytes() == expected[k].tobytes() for k in expected)
        if child == 0:
            os._exit(0 if right else 1)
        status = os.waitpid(child, 0)[1]
        raise SystemExit(0 if right and status == 0 else f"child {status}, parent {right}")
        """
    )
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"PYTHONPATH": here},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("workers", [1, 3])
def test_subnormal_numbers_survive_a_call(isa, workers):
    inputs, grads = draw(**LARGE, dtype=np.float32)
    native(inputs, grads, threads=workers)
    tiny = np.array([np.finfo(np.float32).tiny], np.float32)
    assert (tiny / 2 > 0).all()
    assert (tiny / 2 * 2 == tiny).all()
    double = np.array([np.finfo(np.float64).tiny])
    assert (double / 2 > 0).all()


def test_subnormal_inputs_give_results_near_the_reference(isa):
    inputs, grads = draw(5, 3, 4, 6, dtype=np.float32)
    inputs = {
        k: (v * np.float32(1e-41)) if k in ("x", "h0", "c0") else v for k, v in inputs.items()
    }
    got, expected = native(inputs, grads), by_reference(inputs, grads)
    for name in expected:
        assert_near(got[name], expected[name], np.float32, name)
