"""A call in the core's words: one struct with named fields, for NumPy's arrays and for tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gatewise._native._core import Call, Edits, Noise, Ragged

Address = Callable[[Any], int]


def make_call(
    address: Address,
    rows: Callable[[Any], tuple[int, int, int]],
    *,
    T: int,
    B: int,
    threads: int,
    x: Any,
    h0: Any,
    c0: Any,
    checkpoint_every: int,
    ragged: Ragged | None,
    masks: Sequence[Any] | None,
    rates: tuple[float, float],
    edits: Mapping[str, Any] | None = None,
) -> Call:
    """Return what forward and backward share; see `gatewise::Call` in lstm.h.

    Args:
        address: where an array lies, 0 for None.
        rows: an array's address, and its strides of time and batch in elements.
        T, B, threads, x, h0, c0, checkpoint_every, ragged: as in lstm.h; the arrays as `address`
            and `rows` take them, `checkpoint_every` of any size.
        masks: recurrent_mask, zoneout_h, zoneout_c, each or None; None if nothing disturbs the
            states.
        rates: of zoneout; ignored without masks.
        edits: arrays by site; see `gatewise::Edits`. Default: none.
    """
    noise = None
    if masks is not None:
        recurrent_mask, zoneout_h, zoneout_c = map(address, masks)
        noise = Noise(
            recurrent_mask=recurrent_mask,
            zoneout_h=zoneout_h,
            zoneout_c=zoneout_c,
            rate_h=rates[0],
            rate_c=rates[1],
        )
    return Call(
        T=T,
        B=B,
        threads=threads,
        x=rows(x),
        h0=address(h0),
        c0=address(c0),
        checkpoint_every=min(checkpoint_every, T),
        ragged=ragged,
        noise=noise,
        edits=Edits(**{site: address(a) for site, a in edits.items()}) if edits else None,
    )
