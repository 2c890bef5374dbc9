"""One self-contained HTML page about a forecast or a backtest: pictures first.

    figures.py    the backtest, the drivers, the training, the baseline as figures
    parts.py      a backtest's numbers and pictures as the template takes them
    sections.py   those of a forecast: baseline, drivers, training, facts
    page.py       write_forecast, write_backtest: figures and numbers into the template
    page.html.j2  the template

Stands on `forecast`, `trace` and `page`; knows nothing of the command line. Nothing in the page
asks the network for anything.
"""

from gatewise.errors import MissingExtraError

try:
    from gatewise.forecast.report.page import forecast_page, write_backtest, write_forecast
except ModuleNotFoundError as error:
    raise MissingExtraError("A report", "forecast") from error

__all__ = ["forecast_page", "write_backtest", "write_forecast"]
