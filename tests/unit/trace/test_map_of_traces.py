"""The map in `gatewise.trace`'s docstring leaves no file of the folder out."""

import re
from pathlib import Path

from gatewise import trace


def test_the_docstring_names_every_file_of_the_folder():
    files = {p.name for p in Path(trace.__file__).parent.glob("*.py")} - {"__init__.py"}
    assert {*re.findall(r"\w+\.py\b", trace.__doc__)} == files
