import pytest

from gatewise.errors import ConfigError
from gatewise.forecast import Forecaster, driver_effects

from .simulated import planted


@pytest.mark.parametrize("seed", [0, 1])
def test_planted_drivers_are_found_with_sign_and_lag(seed):
    f = Forecaster(prediction_length=3, seed=seed)
    f.fit(planted(seed, rows=600), past=["up", "down", "noise"])
    up, down, noise = driver_effects(f)
    assert (up.name, up.kind, up.lag, up.sign) == ("up", "past", 1, "+")
    assert (down.lag, down.sign) == (1, "-")
    # What a network makes of noise may be clear, but it is little.
    assert abs(noise.effect) < 0.3 * min(abs(up.effect), abs(down.effect))
    assert up.low <= up.effect <= up.high
    assert up.effect == up.profile[0]
    assert len(up.profile) == 10


def test_known_future_drivers_act_at_lag_0(shops):
    from .conftest import SHOPS

    f = Forecaster(prediction_length=3, max_epochs=30).fit(shops, **SHOPS)
    visits, temperature = driver_effects(f)
    assert (temperature.kind, temperature.lag, temperature.sign) == ("future", 0, "+")
    assert visits.kind == "past"
    assert driver_effects(f) == [visits, temperature]


def test_without_drivers_there_is_nothing_to_say(walk_forecaster):
    assert driver_effects(walk_forecaster) == []


def test_a_table_without_a_usable_origin_is_refused(shop_forecaster, shops):
    with pytest.raises(ConfigError, match="long enough"):
        driver_effects(shop_forecaster, shops.group_by("shop").head(6))
