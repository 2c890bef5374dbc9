"""Run a saved LSTM without PyTorch: `load`, then `run` whole sequences or `stream` single steps.

NumPy and the native core only. Cells that the core does not compute yet run on the reference.
"""

from gatewise.runtime.model import Model, load
from gatewise.runtime.stream import Stream

__all__ = ["Model", "Stream", "load"]
