"""Numbers as pages and reports write them."""

from __future__ import annotations

import math


def signed(value: float, digits: int = 2, *, percent: bool = False) -> str:
    """Write a number with its sign, a true minus, and no sign where it rounds to zero.

    Args:
        value: any number.
        digits: after the point. Default 2.
        percent: whether to write it as a percentage.

    >>> signed(0.123), signed(-1.0, 1), signed(-0.001), signed(-0.0), signed(-0.25, 0, percent=True)
    ('+0.12', '−1.0', '0.00', '0.00', '−25 %')
    """
    if not math.isfinite(value):
        return "–"
    value = 100 * value if percent else value
    text = f"{value:+.{digits}f}"
    if not any(digit in "123456789" for digit in text):
        text = text[1:]
    return text.replace("-", "−") + (" %" if percent else "")


def significant(value: float, digits: int = 3) -> str:
    """Write a number with so many significant digits and a true minus; zero has no sign.

    >>> significant(-0.02512), significant(-0.0), significant(1234.5)
    ('−0.0251', '0', '1.23e+03')
    """
    if not math.isfinite(value):
        return "–"
    return f"{value + 0.0:.{digits}g}".replace("-", "−") if value else "0"
