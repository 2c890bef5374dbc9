"""PyTorch's own database of module inputs (torch.testing._internal), with our modules in place.

`make test-torch` runs it. It needs expecttest, as PyTorch's test code does.
"""

import copy
import io
import pickle
import warnings

import pytest
import torch

from gatewise.nn import LSTM, LSTMCell, accelerate

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:LSTM with projections")]

pytest.importorskip("expecttest")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # PyTorch's own, of what it imports
    from torch.testing._internal.common_modules import ModuleErrorEnum, module_db

OURS = {torch.nn.LSTM: LSTM, torch.nn.LSTMCell: LSTMCell}
INFOS = {info.name: info for info in module_db if info.module_cls in OURS}
every_info = pytest.mark.parametrize("info", INFOS.values(), ids=INFOS)
every_dtype = pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16]
)
in_training = pytest.mark.parametrize("training", [False, True])


def samples(info, dtype, training=False, requires_grad=False):
    """Ours, PyTorch's twin, and the arguments of a call, for each sample of the database."""
    found = info.module_inputs_func(
        info, device="cpu", dtype=dtype, requires_grad=requires_grad, training=training
    )
    for sample in found:
        made = []
        for cls in (OURS[info.module_cls], info.module_cls):
            torch.manual_seed(0)
            args, kwargs = sample.constructor_input.args, sample.constructor_input.kwargs
            made.append(cls(*args, **kwargs, dtype=dtype).train(training))
        yield sample, *made, sample.forward_input.args, sample.forward_input.kwargs


def flat(result):
    if isinstance(result, torch.Tensor):
        return [result]
    if hasattr(result, "batch_sizes"):
        return [result.data]
    return [t for part in result for t in flat(part)]


def assert_same(got, expected, **tolerance):
    for a, b in zip(flat(got), flat(expected), strict=True):
        torch.testing.assert_close(a, b, **tolerance)


@every_info
@every_dtype
@in_training
def test_forward_and_the_reference_of_the_database(info, dtype, training):
    for sample, ours, theirs, args, kwargs in samples(info, dtype, training):
        got = ours(*args, **kwargs)
        assert_same(got, theirs(*args, **kwargs))
        if sample.reference_fn is not None:
            expected = sample.reference_fn(ours, *args, **kwargs)
            assert_same(got, expected)
        assert repr(ours) == repr(theirs)


@every_info
@every_dtype
def test_factory_arguments(info, dtype):
    for _, ours, theirs, _, _ in samples(info, dtype):
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            assert (a.dtype, a.device) == (dtype, b.device)
            assert torch.equal(a, b)


@every_info
def test_gradients_and_their_gradients(info):
    for _, ours, _, args, kwargs in samples(info, torch.float64, requires_grad=True):
        parameters = tuple(ours.parameters())
        leaves = [t for t in flat(args) if t.requires_grad]

        def call(*_, ours=ours, args=args, kwargs=kwargs):
            return tuple(flat(ours(*args, **kwargs)))

        given = (*leaves, *parameters)
        assert torch.autograd.gradcheck(call, given, fast_mode=True)
        assert torch.autograd.gradgradcheck(call, given, fast_mode=True)


@every_info
def test_pickles_copies_and_state_dicts(info):
    for _, ours, theirs, args, kwargs in samples(info, torch.float32):
        expected = ours(*args, **kwargs)
        file = io.BytesIO()
        torch.save(theirs.state_dict(), file)
        file.seek(0)
        empty = copy.deepcopy(ours).to("meta").to_empty(device="cpu")
        empty.load_state_dict(torch.load(file, weights_only=True))
        for other in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours)), empty):
            assert_same(other(*args, **kwargs), expected, rtol=0, atol=0)


@every_info
def test_inputs_with_gaps(info):
    def with_gaps(value):
        if isinstance(value, torch.Tensor):
            return torch.stack([value, value + 1], -1)[..., 0]
        if hasattr(value, "batch_sizes"):
            return value._replace(data=with_gaps(value.data))
        return tuple(with_gaps(part) for part in value)

    for _, ours, _, args, kwargs in samples(info, torch.float32):
        assert_same(ours(*with_gaps(args), **kwargs), ours(*args, **kwargs), rtol=0, atol=0)


@every_info
def test_conversions(info):
    for _, ours, theirs, args, kwargs in samples(info, torch.float32):
        for m in (ours, theirs):
            m.double().half().float().to(memory_format=torch.preserve_format)
        assert_same(ours(*args, **kwargs), theirs(*args, **kwargs))
        assert_same(accelerate(theirs)(*args, **kwargs), ours(*args, **kwargs), rtol=0, atol=0)


@every_info
@in_training
def test_errors(info, training):
    if info.module_error_inputs_func is None:
        pytest.skip("the database has none")
    found = info.module_error_inputs_func(
        info, device="cpu", dtype=torch.float32, requires_grad=False, training=training
    )
    assert found
    for error in found:
        sample = error.module_error_input
        cls = OURS[info.module_cls]
        args, kwargs = sample.constructor_input.args, sample.constructor_input.kwargs
        if error.error_on is ModuleErrorEnum.CONSTRUCTION_ERROR:
            with pytest.raises(error.error_type, match=error.error_regex):
                cls(*args, **kwargs)
            continue
        m, call = cls(*args, **kwargs), sample.forward_input
        with pytest.raises(error.error_type, match=error.error_regex):
            m(*call.args, **call.kwargs)
