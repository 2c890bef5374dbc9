"""The masks of a call (see `gatewise.nn.masks`) as the core takes them: of all layers together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from gatewise.nn.composite import Masks


class Noise(NamedTuple):
    """What disturbs the states of L*D layers and directions; weight masks are not among it.

    Attributes:
        recurrent: [L*D, B, P] multiplies h where it meets w_hh, or None.
        zoneout_h: [L*D, T, B, P], how much of h stays as it was; of a ragged batch [L*D, N, P], the
            rows of all steps. None: everywhere as much as `rates` say.
        zoneout_c: [L*D, T, B, H] or [L*D, N, H], the same of c.
        rates: of h and of c.
    """

    recurrent: Tensor | None = None
    zoneout_h: Tensor | None = None
    zoneout_c: Tensor | None = None
    rates: tuple[float, float] = (0.0, 0.0)

    def of(self, first: int, end: int) -> Noise:
        """Return the noise of some of the layers and directions."""
        return self._mapped(lambda mask, _: mask[first:end])

    def packed(self, input: PackedSequence) -> Noise:
        """Return the noise of a padded batch, rows in the caller's order, as that of the packed."""
        sizes = input.batch_sizes
        runs = torch.arange(int(sizes[0])) < sizes[:, None]  # [T, B]

        def pack(mask: Tensor, rows_at: int) -> Tensor:
            if input.sorted_indices is not None:
                mask = mask.index_select(rows_at, input.sorted_indices)
            return mask if rows_at == 1 else mask[:, runs]

        return self._mapped(pack)

    def masks(self, k: int, batch_sizes: Tensor | None = None) -> Masks:
        """Return the noise of one layer and direction as the composite path takes it."""

        def zone(mask: Tensor | None, rate: float) -> Tensor | float:
            if mask is None:
                return rate
            if batch_sizes is None:
                return mask[k]
            return pad_packed_sequence(PackedSequence(mask[k], batch_sizes))[0]

        recurrent = None if self.recurrent is None else self.recurrent[k]
        zones = zone(self.zoneout_h, self.rates[0]), zone(self.zoneout_c, self.rates[1])
        return Masks(recurrent=recurrent, zoneout=zones)

    def _mapped(self, function: Callable[[Tensor, int], Tensor]) -> Noise:
        """Each mask as the function makes it, which is also told the axis of the rows."""

        def apply(mask: Tensor | None, rows_at: int) -> Tensor | None:
            return None if mask is None else function(mask, rows_at).contiguous()

        recurrent = apply(self.recurrent, 1)
        return Noise(recurrent, apply(self.zoneout_h, 2), apply(self.zoneout_c, 2), self.rates)


def disturbed(
    parameters: Sequence[Any], drawn: Sequence[Masks], names: Sequence[str]
) -> tuple[list[Any], Noise | None]:
    """Return the parameters times the masks of the weights, and the other masks together.

    Args:
        parameters: `names` of each layer and direction.
        drawn: the masks of each layer and direction.
        names: of the parameters of one layer and direction.
    """
    changed = list(parameters)
    for k, own in enumerate(drawn):
        if own.weight is not None:
            w_hh = k * len(names) + names.index("w_hh")
            changed[w_hh] = changed[w_hh] * own.weight
    return changed, together(drawn)


def together(drawn: Sequence[Masks]) -> Noise | None:
    """Put the masks of all layers and directions together; None if none disturbs a state."""
    first = drawn[0]
    recurrent = None
    if first.recurrent is not None:
        recurrent = torch.stack([m.recurrent for m in drawn if m.recurrent is not None])
    if first.zoneout is None:
        return None if recurrent is None else Noise(recurrent)
    zones: list[Tensor | None] = []
    rates: list[float] = []
    for part in range(2):
        own = [m.zoneout[part] for m in drawn if m.zoneout is not None]
        masks = [mask for mask in own if isinstance(mask, Tensor)]
        zones.append(torch.stack(masks) if masks else None)
        rates.append(0.0 if isinstance(own[0], Tensor) else float(own[0]))
    return Noise(recurrent, zones[0], zones[1], (rates[0], rates[1]))
