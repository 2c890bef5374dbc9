"""Run a saved LSTM without PyTorch: `load`, then `run` whole sequences or `stream` single steps.

NumPy and the native core only.
"""

from gatewise.runtime.model import Model, Stream, load

__all__ = ["Model", "Stream", "load"]
