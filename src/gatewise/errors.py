"""Errors that gatewise raises: fault, expected, got, remedy, in that order.

Each class derives from `GatewiseError` and from the builtin that a caller would expect, so both
``except gatewise.GatewiseError`` and ``except ValueError`` work.
"""

from __future__ import annotations

import reprlib
from collections.abc import Sequence
from typing import Final


class GatewiseError(Exception):
    """Base of every error that gatewise raises on purpose."""


class ShapeError(GatewiseError, ValueError):
    """An array has the wrong number of axes or the wrong length along one."""


class DtypeError(GatewiseError, TypeError):
    """An array has a dtype that the operation does not take."""


class ConfigError(GatewiseError, ValueError):
    """An option has a value outside its range, or two options contradict each other."""


class TableError(GatewiseError, ValueError):
    """A table cannot be forecast as it is: a column, a time stamp or a value is at fault."""


class NotFittedError(GatewiseError, RuntimeError):
    """A forecaster was asked for a forecast before it was fitted."""


class StreamError(GatewiseError, RuntimeError):
    """Another thread uses a stream, or a fork while one did has left its state half written."""


class ModelFileError(GatewiseError, ValueError):
    """A model file is missing parts, damaged, or was written by something else."""


class CheckpointError(GatewiseError, ValueError):
    """A file that an interrupted backtest would go on from is damaged or foreign."""


class BenchmarkError(GatewiseError, RuntimeError):
    """A peer in a benchmark failed, or computed something else than PyTorch."""


class ModuleError(GatewiseError, TypeError):
    """An object is not the LSTM that was asked for."""


class MissingExtraError(GatewiseError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed. "
            f"Install them with: pip install 'gatewise[{extra}]'"
        )


LONGEST: Final = 200
"""Characters of foreign text that a message quotes at most."""

_LISTED: Final = 20
_COMPARED: Final = 1000


class _Short(reprlib.Repr):
    """`repr` that looks at no more of a value than it shows, and never fails."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = LONGEST
        self.maxlist = self.maxtuple = 10

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write integers of thousands of digits.
        return repr(x) if x.bit_length() < LONGEST else f"an integer of {x.bit_length()} bits"


_SHORT: Final = _Short()


def shortened(text: object, limit: int = LONGEST) -> str:
    r"""Return foreign text in one printable line, its end cut off if it is too long.

    Args:
        text: the message of another library's exception, for example.
        limit: characters at most.

    >>> shortened("line 1\nline 2", 10)
    'line 1 ...'
    """
    start = str(text)[: 4 * limit]
    line = " ".join("".join(c if c.isprintable() else " " for c in start).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def shown(value: object, limit: int = LONGEST) -> str:
    """Return `repr(value)` as messages quote it: one line, and a part of long values.

    >>> shown("volume"), shown("x" * 3_000_000, 12)
    ("'volume'", "'xxxxxxxx...")
    """
    return shortened(_SHORT.repr(value), limit)


def nearest(name: str, known: Sequence[str]) -> str:
    """Return a hint naming the known word closest to `name`, or the first of them if none is close.

    >>> nearest("clsoe", ["open", "close", "volume"])
    "Did you mean 'close'?"
    """
    import difflib

    # Comparing takes time by the square of the length, and what is so long is near to nothing.
    match, name = [], str(name)
    if len(name) <= LONGEST:
        match = difflib.get_close_matches(name, known[:_COMPARED], n=1, cutoff=0.5)
    if match:
        return f"Did you mean {shown(match[0])}?"
    more = f" and {len(known) - _LISTED} more" if len(known) > _LISTED else ""
    return f"Known: {', '.join(shown(word, 40) for word in known[:_LISTED])}{more}."
