"""Made series: as many as asked for, positive, repeatable; sums add up."""

import numpy as np

from gatewise.forecast.models.residual.synthetic import aggregate, synthesise

from .panels import panel


def test_made_series_are_positive_and_repeatable():
    made = synthesise(panel(), 10, 4, seed=3)
    assert len(made.rows) == 10
    assert (made.values > 0).all()
    np.testing.assert_array_equal(made.values, synthesise(panel(), 10, 4, seed=3).values)
    assert (made.values[:40] != synthesise(panel(), 10, 4, seed=4).values[:40]).any()


def test_sums_count_from_the_end():
    given = panel(2, rows=50)
    made = aggregate(given, 4, 12, 1)
    last = given.values[given.stop[0] - 4 : given.stop[0]].sum()
    assert made.rows.tolist() == [12, 12]
    assert made.values[made.stop[0] - 1] * made.size[0] == last
    assert aggregate(given, 4, 13, 1) is None
