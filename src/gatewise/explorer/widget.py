"""The page in a notebook, as an anywidget: Jupyter, JupyterLab, VS Code, Colab and marimo."""

from __future__ import annotations

from typing import Any

from gatewise.errors import MissingExtraError
from gatewise.explorer.page import described, page_of

try:
    import anywidget
    import traitlets
except ImportError:
    raise MissingExtraError("The explorer in a notebook", "explorer") from None

_ESM = """
export default {
  render({ model, el }) {
    const frame = document.createElement("iframe");
    frame.title = "gatewise explorer";
    frame.style.cssText = "width:100%;border:0;";
    const fit = () => { frame.style.height = model.get("height") + "px"; };
    const fill = () => { frame.srcdoc = model.get("page"); };
    fit(); fill();
    model.on("change:height", fit);
    model.on("change:page", fill);
    el.appendChild(frame);
  },
};
"""


class Widget(anywidget.AnyWidget):
    """The explorer's page of an LSTM or a forecaster, in the output of a notebook's cell.

    Args:
        model, x: as in `gatewise.explore`.
        height: in pixels. Default 760.
        **about: as in `gatewise.explore`.

    Raises:
        MissingExtraError: anywidget is not installed.
    """

    _esm = _ESM
    page = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(760).tag(sync=True)

    def __init__(self, model: Any = None, x: Any = None, height: int = 760, **about: Any) -> None:
        page = page_of(described(model, x, about), command="gatewise.explorer.Widget(...)")
        super().__init__(page=page, height=height)
