"""What a forecast's page says: one rival, one coverage, the baseline, reasons, no empty chart."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import matplotlib.colors
import numpy as np
import polars as pl
import pytest

from gatewise.explorer.forecast import forecaster_data
from gatewise.forecast import Forecaster, backtest, driver_effects
from gatewise.forecast.charts import MODEL, fan_chart
from gatewise.forecast.explain.baseline import baseline_paths
from gatewise.forecast.explain.drivers import DriverEffect
from gatewise.forecast.models.residual.origin_features import describe_origins
from gatewise.forecast.report import figures, forecast_page
from gatewise.forecast.report.parts import backtest_parts

DARK_CARD = "#1b1f23"  # of page/base.html.j2
ROWS = 120


class Text(HTMLParser):
    """The text that a reader sees, without styles."""

    def __init__(self, page):
        super().__init__()
        self.parts, self.inside = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.inside = tag

    def handle_data(self, data):
        if self.inside != "style":
            self.parts.append(data)

    def __str__(self):
        return " ".join(" ".join(self.parts).split())


@pytest.fixture(scope="module")
def months():
    rng, t = np.random.default_rng(0), np.arange(ROWS)
    y = 200 + t + 30 * np.sin(2 * np.pi * t / 12) + rng.normal(0, 3, ROWS)
    ds = pl.datetime_range(pl.datetime(2010, 1, 1), pl.datetime(2019, 12, 1), "1mo", eager=True)
    return pl.DataFrame({"ds": ds, "y": y})


@pytest.fixture(scope="module")
def pretrained(months):
    return Forecaster.pretrained(12).fit(months)


@pytest.fixture(scope="module")
def judged(months):
    f = Forecaster.pretrained(6)
    return backtest(f, months, folds=8, refit_every=8, checks=False)


@pytest.fixture(scope="module")
def page(pretrained, judged):
    return str(Text(forecast_page(pretrained, pretrained.predict(), result=judged)))


@pytest.fixture(scope="module")
def driven():
    rng, t = np.random.default_rng(1), np.arange(160)
    x = rng.normal(size=160)
    y = 50 + np.r_[0, x[:-1]] + 0.3 * rng.normal(size=160)
    table = pl.DataFrame({"ds": t, "y": y, "x": x, "idle": rng.normal(size=160)})
    return Forecaster(3, max_epochs=3).fit(table, past=["x", "idle"])


def test_verdict_tiles_and_captions_name_one_rival(judged, page):
    rival = judged.naive
    assert f"the {rival}" in judged.verdict
    parts = backtest_parts(judged)
    assert all(f"relative to the {rival}" in remark for _, _, remark in parts["tiles"][:2])
    assert f"relative to the {rival}" in parts["sentences"][1]
    assert f"The rival is the {rival}" in page
    assert judged.cone == rival
    for other in ("random walk", "forecast to beat", "beside"):
        assert other not in page


def test_the_rival_is_the_naive_forecast_that_the_verdict_needs_to_beat(judged):
    naives = ("last value", "drift" if "and the drift" in judged.verdict else "mean")
    hardest = max(judged.tests[name].p_adjusted for name in naives)
    assert judged.tests[judged.naive].p_adjusted == hardest


def test_an_interval_has_one_coverage(judged):
    assert judged.adaptive
    for found in judged.adaptive:
        assert found["before"] == judged.scores["gatewise"][f"coverage-{found['level']:g}"]
        assert found["rows"] == sum(fold["rows"] for fold in judged.folds)
    (_, share, _) = backtest_parts(judged)["tiles"][-1]
    shown = {covers for _, covers, _, _ in backtest_parts(judged)["adaptive"]}
    assert share in shown


def test_the_page_of_an_ensemble_says_which_network_it_shows_and_how_much_it_made(page):
    assert "The pictures show network 1 of 3" in page
    assert "The forecast is the median of all 3 networks" in page
    assert re.search(r"the forecast of the 12 rows moves by [\d.]+ \([\d.]+%", page)


def test_the_baseline_is_drawn_part_by_part(pretrained):
    page = forecast_page(pretrained, pretrained.predict())
    label = 'aria-label="The baseline of the forecast, part by part: the level, the slope'
    assert page.count(label) == 2  # for screens and for phones
    assert "The networks then move that forecast by" in page


def test_the_parts_of_the_baseline_are_those_that_the_networks_start_from(pretrained, months):
    paths, model = baseline_paths(pretrained), pretrained.fitted.model
    histories, place = model.histories(pretrained.fitted.panel)
    made = []
    for member in model.ensemble.members:
        found = describe_origins(histories, member.reading, place[:1], np.array([ROWS]))
        z = found.base[0].astype(float)
        linear = found.centre + found.level * z
        log = found.level * np.exp(z)
        made.append((log if member.reading.scale == "log" else linear) * histories.size[0])
    np.testing.assert_allclose(paths.with_season, np.median(made, axis=0), rtol=1e-5)
    np.testing.assert_allclose(paths.forecast, pretrained.predict()["forecast"])
    assert np.ptp(paths.level) < 1e-9 * paths.level[0]
    assert (np.diff(paths.with_slope) > 0).all()  # the series rises
    seasons = paths.with_season - paths.with_slope
    assert np.ptp(seasons) == pytest.approx(60, abs=12)
    assert paths.added == pytest.approx(np.abs(paths.forecast - paths.with_season).mean())


def test_a_model_of_windows_has_no_such_baseline(driven):
    assert baseline_paths(driven) is None


def test_networks_that_come_with_the_package_have_no_chart_of_losses(pretrained, driven):
    ready = forecast_page(pretrained, pretrained.predict())
    assert "Loss after each epoch" not in ready
    assert "none: the networks come with the package" in ready
    assert "epochs" not in str(Text(ready))
    assert "Loss after each epoch" in forecast_page(driven, driven.predict())


def test_no_page_shows_a_minus_before_zero(page, driven):
    effects = [replace(e, effect=-1e-9, low=-0.0, high=1e-9) for e in driver_effects(driven)]
    told = str(Text(forecast_page(driven, driven.predict(), effects=effects)))
    for text in (page, told):
        assert not re.search(r"[-−]0(\.0+)?(?![\d.])(?!\d)", text.replace("e-0", "e"))


def test_a_sign_that_is_unclear_has_its_reason(driven):
    effects = {e.name: e for e in driver_effects(driven)}
    assert effects["x"].sign == "+"
    assert effects["x"].reason == ""
    small = DriverEffect("small", "past", 1, -0.025, -0.026, -0.024, "unclear", (-0.025,))
    wide = DriverEffect("wide", "past", 1, 0.2, -0.1, 0.5, "unclear", (0.2,))
    page = str(Text(forecast_page(driven, driven.predict(), effects=[small, wide])))
    assert "unclear: smaller than 0.05 σ of the target" in page
    assert "unclear: the interval includes 0" in page
    assert "−0.026 to −0.024" in page


def test_axes_have_units_and_months(months, pretrained, judged):
    time = months["ds"].to_numpy().astype("datetime64[us]")
    ahead = {k: np.arange(12.0) for k in ("forecast", "lo-95", "hi-95")}
    figure = fan_chart(time[:-12], months["y"].to_numpy()[:-12], time[-12:], ahead, (95,), "sales")
    assert figure.axes[0].get_ylabel() == "sales"
    shown = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert shown == ["2010", "2012", "2014", "2016", "2018"]
    for draw in (figures.windows_chart, figures.backtest_chart, figures.standing_chart,
                 figures.calibration_chart, figures.coverage_chart):  # fmt: skip
        for width in (10, 3.6):
            (axis, *_) = draw(judged, width).axes
            assert axis.get_ylabel() or axis.get_xlabel().endswith("%")
    assert figures.windows_chart(judged).axes[0].get_ylabel() == "y"
    assert figures.backtest_chart(judged).axes[0].get_ylabel().startswith("absolute error, ")


def luminance(colour):
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return float(np.dot(parts, [0.2126, 0.7152, 0.0722]))


def test_the_widest_band_is_seen_in_the_dark(months):
    time = months["ds"].to_numpy().astype("datetime64[us]")
    ahead = {"forecast": np.ones(12), "lo-95": np.zeros(12), "hi-95": np.full(12, 2.0)}
    axis = fan_chart(time[:-12], np.ones(108), time[-12:], ahead, (95,), "y").axes[0]
    edges = [line for line in axis.lines if line.get_label() == "_"]
    assert [line.get_ydata()[-1] for line in edges] == [0, 2]
    card = np.array(matplotlib.colors.to_rgb(DARK_CARD))
    for line in edges:
        drawn = matplotlib.colors.to_rgb(line.get_color())
        seen = card + line.get_alpha() * (np.array(drawn) - card)
        assert (luminance(seen) + 0.05) / (luminance(card) + 0.05) > 3  # WCAG 2.2, 1.4.11
    (area,) = axis.collections
    seen = card + area.get_alpha() * (np.array(matplotlib.colors.to_rgb(MODEL)) - card)
    assert (luminance(seen) + 0.05) / (luminance(card) + 0.05) > 1.15


def test_a_time_column_without_a_name_is_no_series_column():
    """As pandas writes an index: the charts once looked for a series of that name."""
    charts = []
    for name in ("", "ds"):
        table = pl.DataFrame({name: range(60), "y": [20.0 + t % 12 for t in range(60)]})
        f = Forecaster.pretrained(3, season_length=12).fit(table, time=name)
        ahead = f.predict()
        (fan,) = forecaster_data(f, forecast=ahead)["forecast"]["series"]
        assert fan["quantiles"]["0.5"] == ahead["forecast"].to_list()
        page = forecast_page(f, ahead)
        start = page.index('id="fan0')
        charts.append(page[start : page.index("</svg>", start)])
    assert charts[0] == charts[1]


def test_windows_of_times_in_words_are_drawn_in_their_order():
    """Jul 1 2009 stands behind Apr 1 2010 in the alphabet."""
    days = np.arange("2000-01", "2006-01", dtype="datetime64[M]").astype("datetime64[s]").tolist()
    y = [20.0 + t % 12 for t in range(72)]
    made = []
    for spell in ("%b %d %Y", "%Y-%m-%d"):
        table = pl.DataFrame({"ds": [day.strftime(spell) for day in days], "y": y})
        result = backtest(Forecaster.pretrained(12), table, folds=2, refit_every=2, checks=False)
        axis = figures.windows_chart(result).axes[0]
        made.append([line.get_xdata() for line in axis.lines])
    for words, iso in zip(*made, strict=True):
        np.testing.assert_array_equal(words, iso)
        assert (np.diff(words) > 0).all()


@pytest.mark.parametrize("width", [10, 3.6])
def test_a_baseline_with_a_long_name_leaves_room_for_the_errors(judged, width):
    name = "linear, the mean change for its last steps"
    result = replace(judged, tests={name: next(iter(judged.tests.values())), **judged.tests})
    figure = figures.standing_chart(result, width)
    figure.draw_without_rendering()
    assert figure.axes[0].get_position().width > 0.5


@pytest.mark.parametrize("form", ["years", "%Y%m%d"])
def test_times_written_as_numbers_are_dates_on_an_axis(months, form):
    numbers = 2010 + np.arange(ROWS) / 12
    if form != "years":
        numbers = months["ds"].dt.strftime(form).cast(pl.Int64)
    table = months.with_columns(ds=numbers)
    result = backtest(Forecaster.pretrained(6), table, folds=2, refit_every=2, checks=False)
    for draw in (figures.windows_chart, figures.backtest_chart):
        shown = [label.get_text() for label in draw(result).axes[0].get_xticklabels()]
        assert shown
        assert all(re.fullmatch(r"20\d\d(-\d\d){0,2}", text) for text in shown), shown
