"""Numbers of pages: a true minus, and never a minus before zero."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gatewise.page.numerals import signed, significant


@given(st.floats(), st.integers(0, 5), st.booleans())
def test_no_number_is_minus_zero(value, digits, percent):
    for text in (signed(value, digits, percent=percent), significant(value, digits + 1)):
        assert not re.fullmatch(r"[-−+]0(\.0*)?( %)?", text)
        assert "-" not in text.replace("e-", "")


@given(st.floats(-1e6, 1e6), st.integers(0, 5))
def test_what_is_written_is_the_rounded_number(value, digits):
    assert float(signed(value, digits).replace("−", "-")) == pytest.approx(round(value, digits))


def test_what_is_no_number_is_a_dash():
    assert signed(float("nan")) == significant(float("inf")) == "–"
