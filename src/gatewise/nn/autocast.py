"""Under torch.autocast, where PyTorch's own LSTM needs instructions that the processor lacks.

PyTorch has float32 batches computed by oneDNN in autocast's dtype, which fails without AVX-512, or
for float16 wherever gradients are recorded.
The core does them instead: bfloat16 emulated, as with `LSTM(precision="bfloat16")`, or for float16
and regularised LSTMs in float32, which it warns of once. The outputs have autocast's dtype, as
PyTorch's would.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from gatewise.nn import compiler, paths
from gatewise.nn.core import Core
from gatewise.nn.options import Options
from gatewise.nn.spec import Spec
from gatewise.nn.variants import warn_of_float32

State = tuple[Tensor, Tensor]


def is_for_the_core(spec: Spec, tensors: list[Any], unfit: str | None) -> bool:
    """Whether PyTorch cannot run this call, and the core can.

    Args:
        spec: what the LSTM is; its cell is PyTorch's.
        tensors: input, parameters and states of the call.
        unfit: as for `paths.choose`.
    """
    if unfit is not None or not torch.is_autocast_enabled("cpu") or paths.is_tracing():
        return False
    x = tensors[0]
    if spec.projection or x.dtype is not torch.float32:
        return False
    if _pytorch_can(torch.get_autocast_dtype("cpu"), torch.is_grad_enabled()) or any(
        t is None for t in tensors
    ):
        return False
    with torch.autocast("cpu", enabled=False):
        return paths.obstacle(None, [t.float() for t in tensors], None) is None


def run(
    core: Core,
    x: Tensor,
    hx: State | None,
    parameters: list[Any],
    options: Options,
    dropout: float,
    rounded: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run all layers; see `Core.run`.

    Args:
        core, x, hx, parameters, options, dropout: as there, of any floating dtype.
        rounded: bfloat16 is emulated where it is autocast's dtype.
    """
    dtype = torch.get_autocast_dtype("cpu")
    if rounded and dtype is torch.bfloat16:
        core = core.rounded()
    else:
        warn_of_float32()
    with torch.autocast("cpu", enabled=False):
        state = None if hx is None else (hx[0].float(), hx[1].float())
        numbers = [None if p is None else p.float() for p in parameters]
        outputs = core.run(x, state, numbers, options, dropout)
    y, h_n, c_n = (t.to(dtype) for t in outputs)
    return y, h_n, c_n


@compiler.constant
def _pytorch_can(dtype: torch.dtype, recorded: bool) -> bool:
    """Whether PyTorch's LSTM runs here under autocast of this dtype: asked once, by a tiny one.

    Args:
        dtype: of autocast.
        recorded: for gradients. With AVX512-FP16, float16 runs without them alone.
    """
    return _probe(dtype, recorded)


@cache
def _probe(dtype: torch.dtype, recorded: bool) -> bool:
    with paths.unseen(), torch.set_grad_enabled(recorded):
        x, weight, bias = (torch.zeros(s, device="cpu") for s in ((1, 1, 1), (4, 1), (4,)))
        try:
            with torch.autocast("cpu", dtype):
                torch.lstm(
                    x, (x, x), [weight, weight, bias, bias], True, 1, 0.0, False, False, False
                )
        except RuntimeError:  # that oneDNN has no such primitive is the answer
            return False
    return True
