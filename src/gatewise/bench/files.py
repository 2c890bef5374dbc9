"""A result as JSON text that reads well in a diff: one row on one line."""

from __future__ import annotations

import json
from typing import Any


def to_json(result: dict[str, Any]) -> str:
    """Write a result as JSON.

    >>> print(to_json({"date": "2026-01-01", "rows": [{"threads": 1}, {"threads": 2}]}), end="")
    {
     "date": "2026-01-01",
     "rows": [
      {"threads": 1},
      {"threads": 2}
     ]
    }
    """
    lines = []
    for key, value in result.items():
        text = json.dumps(value)
        if isinstance(value, list) and value:
            text = "[\n  " + ",\n  ".join(json.dumps(item) for item in value) + "\n ]"
        lines.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"
