"""What the site does to pages, which are read in the repository, too.

Links to files that the site does not have (sources, raw results) become text. Doctests of
docstrings become blocks of code. The explorer, the front door, gets a link to the documentation.
"""

import os
import re
from pathlib import Path
from typing import Any

import griffe

_LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(((?!https?:|mailto:)[^)#]+)(#[^)]*)?\)")
_SHOWN = {".md", ".html", ".png", ".svg"}
_DOOR = (
    '<a href="start.html" style="position:fixed;right:12px;bottom:12px;z-index:9;padding:6px 12px;'
    "border-radius:6px;background:#37474f;color:#fff;font:14px system-ui,sans-serif;"
    'text-decoration:none">Documentation</a>'
)


class FencedDoctests(griffe.Extension):
    """Doctests that stand in a docstring's text, without a heading of their own."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence each of them: what begins with >>> and ends with an empty line."""
        if obj.docstring is not None and ">>> " in obj.docstring.value:
            obj.docstring.value = _fenced(obj.docstring.value)


def _fenced(text: str) -> str:
    made: list[str] = []
    inside = False
    for line in text.splitlines():
        if line.startswith(">>> ") and not inside:
            made += ["", "```python"]
            inside = True
        elif not line.strip() and inside:
            made += ["```", ""]
            inside = False
        made.append(line)
    return "\n".join([*made, "```"] if inside else made)


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turn links to files outside docs/ into text that names the file."""
    folder = Path(page.file.src_uri).parent

    def told(link: re.Match[str]) -> str:
        target = os.path.normpath(folder / link[2])
        here = Path(config.docs_dir, target)
        if not target.startswith("..") and here.suffix in _SHOWN and here.exists():
            return link[0]
        name = re.sub(r"^(\.\./)+", "", target)
        return link[1] if link[1].strip("`") == name else f"{link[1]} (`{name}`)"

    return _LINK.sub(told, markdown)


def on_post_build(config: Any) -> None:
    """Let the explorer, which is the front door, lead to the documentation."""
    door = Path(config.site_dir, "index.html")
    text = door.read_text("utf-8")
    head, end, tail = text.rpartition("</body>")
    door.write_text(head + _DOOR + end + tail, "utf-8")
