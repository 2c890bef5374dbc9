"""Choosing and waiting in a page whose policy forbids what Playwright would do to wait."""

import time


def until(page, condition, given=None, seconds=20.0):
    """Wait until a condition holds in the page: an expression, or a function of what is given.

    Playwright's own waiting evaluates text inside the page, which its policy forbids.
    """
    end = time.monotonic() + seconds
    while not page.evaluate(condition, given):
        assert time.monotonic() < end, f"not within {seconds} s: {condition}"
        page.wait_for_timeout(50)


def pick(page, **what):
    for name, value in what.items():
        page.get_by_test_id(name).select_option(str(value))
