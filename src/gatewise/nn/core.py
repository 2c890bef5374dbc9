"""`Core`: what an LSTM module keeps from call to call, and how a call of it is cut.

All layers go through the core in one call, but for PyTorch's dropout between layers: that is drawn
by PyTorch, so each layer is a call of its own.
"""

from __future__ import annotations

from operator import is_
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from gatewise.errors import ConfigError
from gatewise.nn import native, ops, paths
from gatewise.nn.engine import Engine
from gatewise.nn.options import Options
from gatewise.nn.spec import Spec
from gatewise.nn.usual import Usual

State = tuple[Tensor, Tensor]


class Core:
    """A module's place on the native core: the names of its parameters, its packed weights.

    It is made for one `Spec`, and knows nothing of the module. Threads may share it.

    Args:
        spec: what the module is.
        frozen: see `gatewise.nn.LSTM.freeze_weights`.
    """

    def __init__(self, spec: Spec, frozen: bool = False) -> None:
        self.spec = spec
        self.frozen = frozen
        self.names = spec.registered_names()
        base = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        self._registered = {n for n in self.names if n}
        self._flat_at = [k for k, n in enumerate(self.names) if n and n.startswith(base)]
        self._engines: dict[tuple[int, int, bool], Engine] = {}
        self._rounded: Core | None = None
        self.usual: Usual | None = None

    def parameters_of(self, module: torch.nn.LSTM) -> list[Any]:
        """Return a module's parameters as they are at this moment, parametrised or swapped too.

        `Spec.names` of each layer and direction; None for a bias that it does not have.
        """
        registered = module._parameters
        if not self.spec.bias and "bias_ih_l0" in registered:
            raise ConfigError(
                "bias is False, but there are biases: expected an LSTM as it was made. Make one "
                "with bias=False and load its weights."
            )
        if torch.compiler.is_compiling() or not self._registered <= registered.keys():
            return [None if n is None else getattr(module, n) for n in self.names]
        found: list[Any] = [None if n is None else registered[n] for n in self.names]
        flat = module._flat_weights
        if len(flat) == len(self._flat_at):
            own = [found[k] for k in self._flat_at]
            if not all(map(is_, flat, own)) and _was_assigned(module, own):
                for k, p in zip(self._flat_at, flat, strict=True):
                    found[k] = p
        return found

    def run(
        self,
        x: Tensor,
        hx: State | None,
        parameters: list[Any],
        options: Options,
        dropout: float = 0.0,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run all layers.

        Args:
            x: [T, B, I], a view of any strides; of a packed batch [N, I].
            hx: (h0 [L*D, B, P], c0 [L*D, B, H]), or None for zeros.
            parameters: `parameters_of` the module, or others of their shapes.
            options: how.
            dropout: probability of an entry of the input of layers after the first to become zero.

        Returns:
            y [T, B, D*P] or [N, D*P], h_n [L*D, B, P], c_n [L*D, B, H].
        """
        h0, c0 = hx or (None, None)
        L, D = self.spec.L, self.spec.D
        if not dropout or L == 1:
            return self._run_layers(0, L, x, h0, c0, parameters, options)
        h_n, c_n, per_layer, noise = [], [], len(parameters) // L, options.noise
        for layer in range(L):
            states = slice(layer * D, (layer + 1) * D)
            x, h, c = self._run_layers(
                layer,
                layer + 1,
                functional.dropout(x, dropout) if layer else x,
                None if h0 is None else h0[states],
                None if c0 is None else c0[states],
                parameters[layer * per_layer : (layer + 1) * per_layer],
                options._replace(
                    batch_first=options.batch_first and layer == L - 1,
                    noise=noise and noise.of(states.start, states.stop),
                ),
            )
            h_n.append(h)
            c_n.append(c)
        return x, torch.cat(h_n), torch.cat(c_n)

    def run_packed(
        self,
        input: PackedSequence,
        hx: State | None,
        parameters: list[Any],
        options: Options,
        dropout: float = 0.0,
    ) -> tuple[PackedSequence, State]:
        """Run all layers over a ragged batch as it is packed, without padding.

        Args:
            input: data [N, I].
            hx: as in `run`, rows in the caller's order.
            parameters, dropout: as in `run`.
            options: of this batch.

        Returns:
            The outputs, packed like the input, and (h_n, c_n) with rows in the caller's order.
        """
        x, sizes, to_sorted, to_unsorted = input
        if hx is not None and to_sorted is not None:
            hx = _reordered(hx, to_sorted)
        y, h_n, c_n = self.run(x, hx, parameters, options, dropout)
        state = h_n, c_n
        if to_unsorted is not None:
            state = _reordered(state, to_unsorted)
        return PackedSequence(y, sizes, to_sorted, to_unsorted), state

    def engine(self, first: int, end: int) -> Engine:
        """Return the packed weights of the layers from `first` to before `end`."""
        key = (first, end, self.spec.bfloat16)
        engine = self._engines.get(key)
        if engine is None:
            made = Engine(self.spec.of_layers(*key), self.frozen)
            engine = self._engines.setdefault(key, made)
        return engine

    def rounded(self) -> Core:
        """Return the core of the same module in bfloat16."""
        if self._rounded is None:
            self._rounded = Core(self.spec._replace(bfloat16=True), self.frozen)
        return self._rounded

    def _run_layers(
        self,
        first: int,
        end: int,
        x: Tensor,
        h0: Tensor | None,
        c0: Tensor | None,
        parameters: list[Any],
        options: Options,
    ) -> tuple[Tensor, Tensor, Tensor]:
        if torch.compiler.is_compiling() or paths.are_modes_active():
            spec = self.spec.of_layers(first, end, self.spec.bfloat16)
            return ops.run(spec, x, h0, c0, parameters, options)
        return native.run(self.engine(first, end), x, h0, c0, parameters, options)

    def __reduce__(self) -> Any:
        return Core, (self.spec, self.frozen)  # a copy or pickle of it starts afresh


def _was_assigned(module: torch.nn.LSTM, registered: list[Any]) -> bool:
    """Whether `_flat_weights` was set: PyTorch's LSTM goes by it while the parameters stay."""
    refs = module._flat_weight_refs
    return len(refs) == len(registered) and all(
        ref is not None and ref() is p for ref, p in zip(refs, registered, strict=True)
    )


def _reordered(state: State, rows: Tensor) -> State:
    return state[0].index_select(1, rows), state[1].index_select(1, rows)
