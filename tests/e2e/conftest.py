"""Pages of the explorer in a browser."""

from pathlib import Path

import pytest


@pytest.fixture
def opened(chromium):
    """Open a page file; at the end no error was in its console, and it asked for nothing."""
    contexts, faults, asked = [], [], []

    def open_page(path, fragment="", **options):
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda m: m.type in ("error", "warning") and faults.append(m.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: (faults.append("a dialog"), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(Path(path).resolve().as_uri() + fragment)
        page.wait_for_selector("html[data-ready]", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults
    assert all(url.startswith(("file:", "blob:", "data:", "about:srcdoc")) for url in asked)
    assert sum(url.startswith("file:") for url in asked) == len(contexts)  # each page alone
