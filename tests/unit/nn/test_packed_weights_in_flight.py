"""Weights that change while a result is under way: before its backward, or in another thread."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from weight_changes import COUNTED, UNCOUNTED, data, flat, made, new, weights_of

from gatewise.nn import native

IN_PLACE = ("copy_", "foreach", "one element", "by a detached tensor", "load_state_dict")


def loss(m, x):
    y, (h, c) = m(x)
    return y.sin().sum() + h.sum() + c.square().sum()


def gradients(m, x):
    return [x.grad, *(p.grad for p in m.parameters())]


def assert_equal(got, expected):
    for a, b in zip(got, expected, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", IN_PLACE)
def test_a_counted_change_before_backward_is_refused(name, frozen):
    m = made()
    m.freeze_weights(frozen)
    under_way = loss(m, data())
    COUNTED[name](m)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        under_way.backward()


@pytest.mark.parametrize("run_between", [False, True])
@pytest.mark.parametrize("name", [*UNCOUNTED, "data ="])
def test_an_uncounted_change_before_backward_leaves_the_gradients_of_forward(name, run_between):
    m, x = made(), data().requires_grad_()
    twin, twin_x = new(m), data().requires_grad_()
    loss(twin, twin_x).backward()
    under_way = loss(m, x)
    (UNCOUNTED | COUNTED)[name](m)
    if run_between:
        assert torch.equal(flat(m(data())), flat(new(m)(data())))
    under_way.backward()
    assert_equal(gradients(m, x), gradients(twin, twin_x))


def test_many_results_under_way_each_keep_their_weights():
    m, under_way = made(), []
    for _ in range(5):
        m.weight_hh_l0.data.mul_(1.1)
        x = data().requires_grad_()
        under_way.append((x, weights_of(m), loss(m, x)))
    for x, weights, result in (under_way[k] for k in (1, 4, 0, 3, 2)):
        m.zero_grad()
        result.backward()
        twin, twin_x = new(m, weights), data().requires_grad_()
        loss(twin, twin_x).backward()
        assert_equal(gradients(m, x), gradients(twin, twin_x))


@pytest.mark.parametrize("frozen", [False, True])
def test_threads_that_call_one_module_see_each_change_between_their_calls(frozen):
    m = made()
    m.freeze_weights(frozen)
    with ThreadPoolExecutor(2) as pool:
        for k in range(30):
            change = UNCOUNTED["data, two signs"] if k % 2 and not frozen else COUNTED["copy_"]
            change(m)
            results = list(pool.map(lambda _: flat(m(data())), range(6)))
            expected = flat(new(m)(data()))
            assert all(torch.equal(result, expected) for result in results)


@pytest.mark.parametrize("frozen", [False, True])
def test_threads_with_weights_of_their_own_each_get_their_own_result(frozen):
    m = made()
    m.freeze_weights(frozen)
    weights = [{k: v * (1 + n) for k, v in weights_of(m).items()} for n in range(2)]
    expected = [flat(new(m, w)(data())) for w in weights]
    engine = m._core_of_now().engine(0, m.num_layers)

    def call(n):
        parameters = [weights[n][name] for name in m._flat_weights_names]
        for _ in range(200):
            y, h, c = native.run(engine, data(), None, None, parameters, native.Options())
            if not torch.equal(flat((y, (h, c))), expected[n]):
                return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(call, [0, 1, 0, 1]))
