"""Marks for PyTorch's compiler, made without importing it: that takes as long as PyTorch itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def constant(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function that the compiler calls once, while it compiles.

    The same as `torch.compiler.assume_constant_result`.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def not_compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Keep the compiler out of a function: `torch.compiler.disable`, from its first call on."""

    @cache
    def disabled() -> Any:
        return torch.compiler.disable(function)

    @wraps(function)
    def call(*arguments: P.args, **named: P.kwargs) -> R:
        result: R = disabled()(*arguments, **named)
        return result

    return call
