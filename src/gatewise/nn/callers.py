"""Whose line a warning names."""

from __future__ import annotations

import sys
from typing import Final

_NOT_THE_CALLER: Final = ("gatewise", "torch")


def level_of_the_caller() -> int:
    """Return the `stacklevel` of the first line that is neither ours nor PyTorch's."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").split(".")[0] in _NOT_THE_CALLER:
        frame, level = frame.f_back, level + 1
    return level
