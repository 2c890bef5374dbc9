"""Where pickles of earlier releases look for `Stream`."""

from gatewise.runtime.model import Stream

__all__ = ["Stream"]
