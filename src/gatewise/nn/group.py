"""`LSTMGroup`: many small LSTMs of one shape in one call of the core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from gatewise import _native
from gatewise.errors import ConfigError, ShapeError
from gatewise.nn.lstm import LSTM
from gatewise.nn.native import empty_rows_like
from gatewise.nn.spec import Spec

_SAME = (
    "input_size", "hidden_size", "num_layers", "bias", "bidirectional", "proj_size", "cell",
)  # fmt: skip
_UNUSED = ("recurrent_dropout", "weight_dropout", "dropout", "learn_initial_state")


class LSTMGroup(torch.nn.Module):
    """G LSTMs of one shape, each with weights and rows of its own, trained as one module.

    A network of 32 units is too small for two threads, and Python takes a large part of its time.
    Here a call runs all G at once, each on one thread; gradients of one never meet another's. The
    numbers are those of one after the other.

    Args:
        lstms: `gatewise.nn.LSTM`s of the same sizes and cell, float32 or float64, without dropout,
            regularisers and learnt states, at full precision. Their parameters are copied.

    Attributes:
        spec: what each of them is.

    Their parameters have the names of an LSTM's, stacked: ``weight_ih_l0`` [G, 4H, I].

    Raises:
        ConfigError: there is none, they differ, or have what a group has not.

    >>> group = LSTMGroup([LSTM(3, 4) for _ in range(5)])
    >>> group(torch.randn(5, 7, 2, 3)).shape
    torch.Size([5, 7, 2, 4])
    """

    def __init__(self, lstms: Sequence[LSTM]) -> None:
        super().__init__()
        first = _checked(lstms)
        directions = 2 if first.bidirectional else 1
        self.spec = Spec(
            first.num_layers, directions, first.input_size, first.hidden_size, first.proj_size,
            first.bias, False, first.cell,
        )  # fmt: skip
        for name in filter(None, self.spec.registered_names()):
            stacked = torch.stack([getattr(lstm, name).detach() for lstm in lstms])
            self.register_parameter(name, torch.nn.Parameter(stacked))
        self._cores: dict[tuple[int, torch.dtype], Any] = {}

    def __len__(self) -> int:
        """G."""
        return len(next(self.parameters()))

    def forward(self, x: Tensor) -> Tensor:
        """Run all networks from zero states.

        Args:
            x: [G, T, B, I], the rows of each.

        Returns:
            y [G, T, B, D*P].

        Raises:
            ShapeError: x has another shape.
        """
        G = len(self)
        if x.dim() != 4 or (x.shape[0], x.shape[3]) != (G, self.spec.I):
            raise ShapeError(
                f"x has shape {tuple(x.shape)}: expected [G, T, B, I] with G = {G} and "
                f"I = {self.spec.I}."
            )
        names = self.spec.registered_names()
        parameters = [None if n is None else getattr(self, n) for n in names]
        y: Tensor = _Run.apply(self._core(G, x.dtype), self.spec, x, *parameters)
        return y

    def lstm(self, g: int) -> LSTM:
        """Return a copy of network g, as an LSTM of its own."""
        s = self.spec
        like = next(self.parameters())
        made = LSTM(s.I, s.H, s.L, s.bias, bidirectional=s.D == 2, proj_size=s.projection,
                    dtype=like.dtype, cell=s.cell)  # fmt: skip
        with torch.no_grad():
            for name, parameter in made.named_parameters():
                parameter.copy_(getattr(self, name)[g])
        return made

    def _core(self, G: int, dtype: torch.dtype) -> Any:
        """The core's packed weights of G networks."""
        found = self._cores.get((G, dtype))
        if found is None:
            s = self.spec
            made = _native.GroupF32 if dtype == torch.float32 else _native.GroupF64
            found = made(G, s.L, s.D, s.I, s.H, _native.cell_fields(s.cell), s.projection)
            self._cores = {(G, dtype): found}
        return found

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_cores": {}}

    def extra_repr(self) -> str:
        """What it prints."""
        return f"{len(self)} of {self.spec}"


def _checked(lstms: Sequence[LSTM]) -> LSTM:
    """The first of them.

    Raises:
        ConfigError: they are no group.
    """
    if not lstms or not all(isinstance(lstm, LSTM) for lstm in lstms):
        raise ConfigError("lstms holds no or another module: expected gatewise.nn.LSTMs.")
    first = lstms[0]
    for lstm in lstms:
        for name in _SAME:
            if getattr(lstm, name) != getattr(first, name):
                raise ConfigError(
                    f"The LSTMs of a group have {name} {getattr(first, name)} and "
                    f"{getattr(lstm, name)}: expected the same. Make a group of each."
                )
        used = [n for n in _UNUSED if getattr(lstm, n)] + ["zoneout"] * any(lstm.zoneout)
        if used or lstm.precision != "full":
            raise ConfigError(
                f"An LSTM of the group has {', '.join(used) or 'another precision'}: expected "
                "none. Train it by itself."
            )
        first_weight: Tensor = lstm.weight_hh_l0
        if first_weight.dtype not in (torch.float32, torch.float64) or first_weight.is_cuda:
            raise ConfigError(
                f"An LSTM of the group is {first_weight.dtype} on {first_weight.device}: expected "
                "float32 or float64 on the CPU."
            )
    if first.cell.has_callables:
        raise ConfigError(
            f"{first.cell} holds a Python function: expected built-in activations, which the core "
            "runs."
        )
    return first


class _Run(torch.autograd.Function):
    """One call of the core for all networks, forward and backward."""

    @staticmethod
    def forward(
        ctx: Any, core: Any, spec: Spec, x: Tensor, *parameters: Tensor | None
    ) -> Tensor:  # fmt: skip
        dense = [None if p is None else p.detach().contiguous() for p in parameters]
        for p in dense:
            if p is not None and p.dtype != x.dtype:
                raise ConfigError(f"x is {x.dtype}, the group {p.dtype}: expected the same.")
        x = x.detach().contiguous()
        G, T, B, _ = x.shape
        packed = core.pack(tuple(0 if p is None else p.data_ptr() for p in dense))
        y = x.new_empty((G, T, B, spec.D * spec.P))
        h_n = x.new_empty((G, spec.L * spec.D, B, spec.P))
        c_n = x.new_empty((G, spec.L * spec.D, B, spec.H))
        keep = any(ctx.needs_input_grad)
        tape = packed.tape(T, B) if keep else None
        packed.forward(
            T, B, torch.get_num_threads(), x=x.data_ptr(), y=y.data_ptr(), h_n=h_n.data_ptr(),
            c_n=c_n.data_ptr(), tape=0 if tape is None else tape.data_ptr(),
        )  # fmt: skip
        if keep:
            ctx.save_for_backward(x, y, tape, *parameters)
            ctx.packed, ctx.spec = packed, spec
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        x, y, tape, *parameters = ctx.saved_tensors
        _G, T, B, _ = x.shape
        needed, names = ctx.needs_input_grad[2:], ctx.spec.names
        dx = empty_rows_like(x) if needed[0] else None
        found = [
            torch.empty_like(p, memory_format=torch.contiguous_format) if p is not None and n
            else None
            for p, n in zip(parameters, needed[1:], strict=True)
        ]  # fmt: skip
        given = []  # the core gives both biases one gradient
        for k in range(0, len(found), len(names)):
            w_ih, w_hh, b_ih, b_hh, *others = found[k : k + len(names)]
            given += [w_ih, w_hh, b_hh if b_ih is None else b_ih, *others]
        dy = dy.contiguous()
        ctx.packed.backward(
            T, B, torch.get_num_threads(), x=x.data_ptr(), y=y.data_ptr(), tape=tape.data_ptr(),
            dy=dy.data_ptr(), dx=0 if dx is None else dx.data_ptr(),
            gradients=tuple(0 if g is None else g.data_ptr() for g in given),
        )  # fmt: skip
        for k in range(2, len(found), len(names)):
            b_ih, b_hh = found[k : k + 2]
            if b_ih is not None and b_hh is not None:
                b_hh.copy_(b_ih)
        return None, None, dx, *found
