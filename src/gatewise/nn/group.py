"""`LSTMGroup`: many small LSTMs of one shape in one call of the core."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import torch
from torch import Tensor

from gatewise import _native
from gatewise.errors import ConfigError, DtypeError, ShapeError
from gatewise.nn import native, paths
from gatewise.nn.lstm import LSTM
from gatewise.nn.spec import Spec

_SAME = (
    "input_size", "hidden_size", "num_layers", "bias", "bidirectional", "proj_size", "cell",
)  # fmt: skip
_UNUSED = ("batch_first", "recurrent_dropout", "weight_dropout", "dropout", "learn_initial_state")


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

    def __init__(self, lstms: Iterable[LSTM]) -> None:
        super().__init__()
        lstms = list(lstms)
        first = _checked(lstms)
        directions = 2 if first.bidirectional else 1
        self.spec = Spec(
            first.num_layers, directions, first.input_size, first.hidden_size, first.proj_size,
            first.bias, False, first.cell,
        )  # fmt: skip
        for name in filter(None, self.spec.registered_names()):
            stacked = torch.stack([getattr(lstm, name).detach() for lstm in lstms])
            self.register_parameter(name, torch.nn.Parameter(stacked))
        self._size = len(lstms)
        self._cores: dict[tuple[int, torch.dtype], Any] = {}

    def __len__(self) -> int:
        """G."""
        return self._size

    def forward(self, x: Tensor) -> Tensor:
        """Run all networks from zero states.

        Args:
            x: [G, T, B, I], the rows of each.

        Returns:
            y [G, T, B, D*P].

        Raises:
            ShapeError: x or a parameter has another shape, or lies not in plain memory of the CPU.
            DtypeError: x is neither float32 nor float64.
        """
        G, spec = len(self), self.spec
        if x.dtype not in paths.NATIVE_DTYPES:
            raise DtypeError(f"x is {x.dtype}: expected float32 or float64. Convert x and group.")
        if x.dim() != 4 or (x.shape[0], x.shape[3]) != (G, spec.I) or not x.shape[1]:
            raise ShapeError(
                f"x has shape {tuple(x.shape)}: expected [G, T, B, I] with G = {G}, T from 1 on "
                f"and I = {spec.I}."
            )
        names = spec.registered_names()
        parameters = [None if n is None else getattr(self, n) for n in names]
        missing = [n for n, p in zip(names, parameters, strict=True) if n and p is None]
        if missing:
            raise ShapeError(f"{missing[0]} is missing. Assign a parameter.")
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
        for p in lstm.parameters():
            if p.device.type != "cpu" or p.dtype not in paths.NATIVE_DTYPES:
                raise ConfigError(
                    f"An LSTM of the group is {p.dtype} on {p.device}: expected float32 or float64 "
                    "on the CPU."
                )
            if p.dtype != first.weight_hh_l0.dtype:
                raise ConfigError(
                    f"The group has {first.weight_hh_l0.dtype} and {p.dtype}: expected one dtype."
                )
    if first.cell.has_callables:
        raise ConfigError(
            f"{first.cell} holds a Python function: expected built-in activations, which the core "
            "runs."
        )
    return first


_HOOKS = "A hook of saved tensors shall unpack what it was given to pack."


class _Run(torch.autograd.Function):
    """One call of the core for all networks, forward and backward."""

    @staticmethod
    def forward(
        ctx: Any, core: Any, spec: Spec, x: Tensor, *parameters: Tensor | None
    ) -> Tensor:  # fmt: skip
        x = cast(Tensor, native.dense(native.materialised(x.detach())))
        shapes = [x.shape, *((len(x), *shape) for shape in spec.shapes)]
        native.check_tensors((x, *parameters), shapes, x.dtype, "Give x and group one dtype.")
        dense = [None if p is None else native.dense(p.detach()) for p in parameters]
        G, T, B, _ = x.shape
        packed = core.pack(tuple(map(paths.address, dense)))
        y = x.new_empty((G, T, B, spec.D * spec.P))
        h_n = x.new_empty((G, spec.L * spec.D, B, spec.P))
        c_n = x.new_empty((G, spec.L * spec.D, B, spec.H))
        keep = any(ctx.needs_input_grad)
        tape = packed.tape(T, B) if keep else None
        packed.forward(
            T, B, torch.get_num_threads(), x=paths.address(x), y=y.data_ptr(), h_n=h_n.data_ptr(),
            c_n=c_n.data_ptr(), tape=0 if tape is None else tape.data_ptr(),
        )  # fmt: skip
        if tape is not None:
            ctx.save_for_backward(x, y, tape, *parameters)
            ctx.packed, ctx.spec, ctx.shapes = packed, spec, (x.shape, y.shape, tape.shape)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Any, ...]:  # type: ignore[override]
        x, y, tape, *parameters = ctx.saved_tensors
        G, T, B, _ = x.shape
        needed, names = ctx.needs_input_grad[2:], ctx.spec.names
        dx = native.empty_rows_like(x) if needed[0] else None
        found = [
            x.new_empty((G, *shape)) if p is not None and n else None
            for p, n, shape in zip(parameters, needed[1:], ctx.spec.shapes, strict=True)
        ]
        given = []  # the core gives both biases one gradient
        for k in range(0, len(found), len(names)):
            w_ih, w_hh, b_ih, b_hh, *others = found[k : k + len(names)]
            given += [w_ih, w_hh, b_hh if b_ih is None else b_ih, *others]
        dy = cast(Tensor, native.dense(native.materialised(dy)))
        native.check_tensors((x, y, tape, dy), (*ctx.shapes, y.shape), x.dtype, _HOOKS)
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
