"""Draw the picture of the README: the demo's forecast, and what its cell did."""

import json
from pathlib import Path

import matplotlib.image
import numpy as np
from matplotlib.figure import Figure

from gatewise import trace
from gatewise.forecast import Forecaster, datasets
from gatewise.forecast.charts import fan_chart
from gatewise.page.time_axis import row_labels

HORIZON, PAST = 20, 120
SAVED = {"dpi": 110, "facecolor": "white"}
here = Path(__file__).parent


def pixels(figure: Figure) -> np.ndarray:
    file = here / "part.png"
    figure.savefig(file, **SAVED)
    image = matplotlib.image.imread(file)
    file.unlink()
    return image[..., :3]


data = datasets.load("sp500")
forecaster = Forecaster(prediction_length=HORIZON).fit(data.table, **data.columns)
forecast = forecaster.predict()
series = forecaster.fitted.panel.series[0]
fan = fan_chart(
    series.time[-PAST:],
    series.target[-PAST:],
    forecast["date"].to_numpy().astype("datetime64[us]"),
    {name: forecast[name].to_numpy() for name in forecast.columns if name != "date"},
    (80, 95),
    "S&P 500",
)
window = forecaster.lstm_input()
recorded = trace.record(forecaster.fitted.network.lstm, window.x)
gates = trace.plot_gates(recorded, labels=list(row_labels(window.time)))
last = forecast.tail(1)
told = {"low": last["lo-95"].item(), "high": last["hi-95"].item(), "rows": len(series)}
matplotlib.image.imsave(
    here / "demo.png",
    np.clip(np.concatenate([pixels(fan), pixels(gates)]), 0, 1),
    # A test holds these against the demo's forecast of today.
    metadata={"Description": json.dumps(told)},
)
