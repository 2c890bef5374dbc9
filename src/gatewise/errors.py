"""Errors that gatewise raises: fault, expected, got, remedy, in that order.

Each class derives from `GatewiseError` and from the builtin that a caller would expect, so both
``except gatewise.GatewiseError`` and ``except ValueError`` work.
"""

from __future__ import annotations


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


class ModelFileError(GatewiseError, ValueError):
    """A model file is missing parts, damaged, or was written by something else."""


class CheckpointError(GatewiseError, ValueError):
    """A file that an interrupted backtest would go on from is damaged or foreign."""


class BenchmarkError(GatewiseError, RuntimeError):
    """A peer in a benchmark failed, or computed something else than PyTorch."""


class MissingExtraError(GatewiseError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed. "
            f"Install them with: pip install 'gatewise[{extra}]'"
        )


def nearest(name: str, known: list[str]) -> str:
    """Return a hint naming the known word closest to `name`, or all of them if none is close.

    >>> nearest("clsoe", ["open", "close", "volume"])
    "Did you mean 'close'?"
    """
    import difflib

    match = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if match:
        return f"Did you mean {match[0]!r}?"
    return f"Known: {', '.join(map(repr, known))}."
