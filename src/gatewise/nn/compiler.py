"""Marks for PyTorch's compiler, made without importing it: that takes as long as PyTorch itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch._C._dynamo import eval_frame as frames

P = ParamSpec("P")
R = TypeVar("R")


def constant(function: Callable[P, R]) -> Callable[P, R]:
    """Mark a function that the compiler calls once, while it compiles.

    The same as `torch.compiler.assume_constant_result`.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def eager(function: Callable[P, R]) -> Callable[P, R]:
    """Keep the compiler out of a function that runs eagerly, and of all that it calls.

    Where the compiler breaks a graph, it compiles what is called next, function by function, and
    loses `self` of a method of the compiled module. `torch.compiler.disable` takes time at each
    call; this is the mark that it leaves on functions of its own.
    """
    if not hasattr(frames, "set_code_exec_strategy"):
        return not_compiled(function)
    skip = frames._FrameAction.SKIP
    strategy = frames._FrameExecStrategy(skip, skip)  # of this function; of those that it calls
    frames.set_code_exec_strategy(function.__code__, strategy)
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
