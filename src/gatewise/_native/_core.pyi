# Generated from native/bindings/module.cc by `make stubs`; a test holds it current.
# ruff: noqa

"""Bindings of the native core; see native/include/gatewise/lstm.h."""

from typing import Annotated, overload

import numpy
from numpy.typing import NDArray

MAX_ACTIVATION_ULP: float = 2.0

def isa_name() -> str:
    """Instruction set in use."""

def isa_available() -> str:
    """
    Instruction sets that this machine runs, best first, separated by blanks.
    """

def isa_select(name: str) -> bool:
    """Choose an instruction set; False if this machine does not run it."""

def tape_size(T: int, B: int, I: int, H: int, is_double: bool) -> int:
    """Elements that forward keeps for backward."""

@overload
def forward(
    x: Annotated[
        NDArray[numpy.float32], dict(shape=(None, None, None), device="cpu", writable=False)
    ],
    h0: Annotated[
        NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ],
    c0: Annotated[
        NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ],
    w_ih: Annotated[
        NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ],
    w_hh: Annotated[
        NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ],
    b_ih: Annotated[
        NDArray[numpy.float32], dict(shape=(None,), order="C", device="cpu", writable=False)
    ]
    | None,
    b_hh: Annotated[
        NDArray[numpy.float32], dict(shape=(None,), order="C", device="cpu", writable=False)
    ]
    | None,
    y: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), device="cpu")],
    h_n: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu")],
    c_n: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu")],
    tape: Annotated[NDArray[numpy.float32], dict(shape=(None,), order="C", device="cpu")] | None,
    reverse: bool,
    threads: int,
) -> None: ...
@overload
def forward(
    x: Annotated[
        NDArray[numpy.float64], dict(shape=(None, None, None), device="cpu", writable=False)
    ],
    h0: Annotated[
        NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ],
    c0: Annotated[
        NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ],
    w_ih: Annotated[
        NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ],
    w_hh: Annotated[
        NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ],
    b_ih: Annotated[
        NDArray[numpy.float64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ]
    | None,
    b_hh: Annotated[
        NDArray[numpy.float64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ]
    | None,
    y: Annotated[NDArray[numpy.float64], dict(shape=(None, None, None), device="cpu")],
    h_n: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu")],
    c_n: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu")],
    tape: Annotated[NDArray[numpy.float64], dict(shape=(None,), order="C", device="cpu")] | None,
    reverse: bool,
    threads: int,
) -> None:
    """Run one layer in one direction; see lstm.h."""

@overload
def backward(
    x: Annotated[
        NDArray[numpy.float32], dict(shape=(None, None, None), device="cpu", writable=False)
    ],
    h0: Annotated[
        NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ],
    w_ih: Annotated[
        NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ],
    w_hh: Annotated[
        NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ],
    y: Annotated[
        NDArray[numpy.float32], dict(shape=(None, None, None), device="cpu", writable=False)
    ],
    tape: Annotated[
        NDArray[numpy.float32], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    dy: Annotated[
        NDArray[numpy.float32], dict(shape=(None, None, None), device="cpu", writable=False)
    ]
    | None,
    dh_n: Annotated[
        NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ]
    | None,
    dc_n: Annotated[
        NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ]
    | None,
    dx: Annotated[NDArray[numpy.float32], dict(shape=(None, None, None), device="cpu")] | None,
    dh0: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu")],
    dc0: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu")],
    dw_ih: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu")],
    dw_hh: Annotated[NDArray[numpy.float32], dict(shape=(None, None), order="C", device="cpu")],
    db: Annotated[NDArray[numpy.float32], dict(shape=(None,), order="C", device="cpu")],
    reverse: bool,
    threads: int,
) -> None: ...
@overload
def backward(
    x: Annotated[
        NDArray[numpy.float64], dict(shape=(None, None, None), device="cpu", writable=False)
    ],
    h0: Annotated[
        NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ],
    w_ih: Annotated[
        NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ],
    w_hh: Annotated[
        NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ],
    y: Annotated[
        NDArray[numpy.float64], dict(shape=(None, None, None), device="cpu", writable=False)
    ],
    tape: Annotated[
        NDArray[numpy.float64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    dy: Annotated[
        NDArray[numpy.float64], dict(shape=(None, None, None), device="cpu", writable=False)
    ]
    | None,
    dh_n: Annotated[
        NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ]
    | None,
    dc_n: Annotated[
        NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu", writable=False)
    ]
    | None,
    dx: Annotated[NDArray[numpy.float64], dict(shape=(None, None, None), device="cpu")] | None,
    dh0: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu")],
    dc0: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu")],
    dw_ih: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu")],
    dw_hh: Annotated[NDArray[numpy.float64], dict(shape=(None, None), order="C", device="cpu")],
    db: Annotated[NDArray[numpy.float64], dict(shape=(None,), order="C", device="cpu")],
    reverse: bool,
    threads: int,
) -> None:
    """Back-propagate one layer; see lstm.h."""

@overload
def activate(
    name: str,
    x: Annotated[
        NDArray[numpy.float32], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    y: Annotated[NDArray[numpy.float32], dict(shape=(None,), order="C", device="cpu")],
) -> None: ...
@overload
def activate(
    name: str,
    x: Annotated[
        NDArray[numpy.float64], dict(shape=(None,), order="C", device="cpu", writable=False)
    ],
    y: Annotated[NDArray[numpy.float64], dict(shape=(None,), order="C", device="cpu")],
) -> None:
    """y = sigmoid(x) or tanh(x), as the kernels compute it."""
