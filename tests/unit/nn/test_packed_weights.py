"""Attempts at a stale result: the core keeps packed weights, and must use them for no others."""

import copy
import pickle

import pytest
import torch
from weight_changes import COUNTED, UNCOUNTED, assert_current, data, flat, made, new, weights_of

from gatewise import _native, native_info
from gatewise.nn import LSTM


@pytest.mark.parametrize("change", [*COUNTED.values(), *UNCOUNTED.values()],
                         ids=[*COUNTED, *UNCOUNTED])  # fmt: skip
def test_every_change_of_the_weights_is_seen(change):
    m = made()
    before = assert_current(m)
    for _ in range(4):  # the memory of packed weights is used again, by turns
        change(m)
        after = assert_current(m)
        assert not torch.equal(before.double(), after.double())
        before = after


@pytest.mark.parametrize("change", COUNTED.values(), ids=COUNTED)
def test_counted_changes_are_seen_by_a_frozen_module(change):
    m = made()
    m.freeze_weights()
    before = assert_current(m)
    for _ in range(4):
        change(m)
        after = assert_current(m)
        assert not torch.equal(before.double(), after.double())
        before = after


@pytest.mark.parametrize("name", ["parametrize", "parameters with gaps"])
def test_new_tensors_at_the_address_of_old_ones_are_new_weights(name):
    torch.manual_seed(0)
    m, x = LSTM(64, 64), torch.randn(3, 2, 64)
    m.freeze_weights()
    with torch.no_grad():
        for _ in range(4):
            # Nothing else takes memory in between: what a call has freed, the next one gets.
            m(x)
            COUNTED[name](m)
            got = flat(m(x))
            assert torch.equal(got, flat(new(m)(x)))


def test_a_frozen_module_stands_by_the_promise_until_it_is_thawed():
    m = made()
    m.freeze_weights()
    before = assert_current(m)
    m.weight_hh_l0.data.mul_(2)
    assert torch.equal(flat(m(data())), before)
    m.freeze_weights(False)
    assert not torch.equal(assert_current(m), before)


@pytest.mark.parametrize("frozen", [False, True])
def test_weights_of_one_call_only_are_used_in_that_call_only(frozen):
    m = made()
    m.freeze_weights(frozen)
    own = weights_of(m)
    for factor in (1.1, 1.2, 1.3, 1.4):
        # New tensors, which may well come to lie where those of the call before lay.
        call = {name: value * factor for name, value in own.items()}
        assert_current(m, call, lambda x, w=call: torch.func.functional_call(m, w, (x,)))
        del call
        assert_current(m, own)


@pytest.mark.parametrize("frozen", [False, True])
def test_modules_that_share_parameters_see_each_others_changes(frozen):
    a, b = made(), made(1)
    for name, p in a.named_parameters():
        setattr(b, name, p)
    for m in (a, b):
        m.freeze_weights(frozen)
    for change in (COUNTED["Adam, fused"], COUNTED["copy_"], COUNTED["load_state_dict"]):
        for m in (a, b):
            change(m)
            assert torch.equal(assert_current(a), assert_current(b))


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_goes_its_own_way(copied, frozen):
    m = made()
    m.freeze_weights(frozen)
    before = assert_current(m)
    other = copied(m)
    COUNTED["copy_"](other)
    assert not torch.equal(assert_current(other), before)
    assert torch.equal(assert_current(m), before)
    COUNTED["Adam, fused"](m)
    assert_current(m)
    assert_current(other)


def test_a_shallow_copy_shares_the_weights():
    m = made()
    assert_current(m)
    other = copy.copy(m)
    for changed in (m, other):
        for change in (COUNTED["copy_"], UNCOUNTED["data, two signs"], COUNTED["data ="]):
            change(changed)
            assert torch.equal(assert_current(m), assert_current(other))


@pytest.mark.parametrize("frozen", [False, True])
def test_parameters_of_inference_mode_are_not_counted_but_seen(frozen):
    with torch.inference_mode():
        m = made()
        m.freeze_weights(frozen)
        for _ in range(3):
            m.weight_hh_l0.mul_(1.1)
            got, expected = flat(m(data())), flat(new(m)(data()))
            assert torch.equal(got, expected)


@pytest.mark.parametrize("frozen", [False, True])
def test_instruction_sets_in_turn(frozen):
    before, m = _native.isa_name(), made()
    m.freeze_weights(frozen)
    try:
        for _ in range(2):
            for isa in native_info()["available"]:
                _native.select_isa(isa)
                assert_current(m)
                COUNTED["copy_"](m)
    finally:
        _native.select_isa(before)
