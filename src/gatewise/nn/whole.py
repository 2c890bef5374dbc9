"""What modules refer to that were pickled, after a call, before there was `gatewise.nn.core`."""

from __future__ import annotations

from typing import Any, NamedTuple


class _Kept(NamedTuple):
    """What such a module kept from call to call; `LSTM.__setstate__` lets it go."""

    cell: Any
    names: Any
    engines: Any
