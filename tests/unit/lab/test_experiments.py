"""Experiments as values, their rules on simulated rows, and sweeps that resume."""

import json

import numpy as np
import pytest

from gatewise import lab
from gatewise.cell import Cell
from gatewise.errors import ConfigError
from gatewise.lab.design import LEAST_SEEDS
from gatewise.lab.claims import biases, counting, gradients
from gatewise.lab.runner import sweep
from gatewise.lab.store import Row, Store
from gatewise.lab.tasks import Adding, Counting
from gatewise.lab.training import Recipe, train

NAMES = list(lab.experiments())
EXACT = {"placement", "second-derivative"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", ["quick", "full"])
def test_every_trial_is_a_configuration_of_its_own(name, size):
    experiment = lab.experiments()[name]
    configs = experiment.configs(size)
    assert (
        len(experiment.keys(size))
        == len(configs)
        == len(experiment.arms()) * (experiment.plans[size].seeds)
    )
    json.dumps(configs, allow_nan=False)
    assert not experiment.keys("quick") & experiment.keys("full")
    assert experiment.plans["full"].seeds >= LEAST_SEEDS or name in EXACT
    assert experiment.plans["quick"].minutes <= 3
    assert experiment.plans["full"].minutes <= 40


@pytest.mark.parametrize("name", sorted(EXACT))
def test_exact_verdicts(name, tmp_path):
    found = lab.run(name, store=tmp_path / "lab.sqlite", jobs=1)
    assert found.verdict.word == "contradicted"
    assert found.table


@pytest.mark.parametrize("name", sorted(set(NAMES) - EXACT))
def test_few_seeds_are_too_few(name):
    assert lab.experiments()[name].judge([]).word == "underpowered"


def counted(free, squashed, seeds=30):
    """Rows of `counting`: the share of seeds that count beyond the range."""
    rng = np.random.default_rng(0)
    return [
        Row("counting", {"arm": arm, "seed": s, "high": 40},
            {"accepted_to": 60 if rng.random() < (free if arm in counting.FREE else squashed)
             else 20, "loss": 0.1, "largest_state": 1.0})
        for arm in counting.ARMS for s in range(seeds)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("free", "squashed", "word"),
    [(0.95, 0.02, "contradicted"), (0.05, 0.05, "supported"), (0.95, 0.95, "depends")],
)
def test_the_rule_of_counting(free, squashed, word):
    assert counting.judge(counted(free, squashed)).word == word
    assert counting.judge(counted(free, squashed, 12)).word == "underpowered"


def solving(times, seeds=30):
    """Rows of `forget-bias`: median sequences by (T, bias); infinite for never."""
    rng = np.random.default_rng(0)
    made = []
    for (T, bias), median in times.items():
        for s in range(seeds):
            t = median * rng.lognormal(0, 0.3)
            solved = bool(np.isfinite(t))
            config = {"T": T, "forget_bias": bias, "seed": s}
            result = {"solved": solved, "sequences": float(t) if solved else 1e6}
            made.append(Row("forget-bias", config, result))
    return made


def test_the_rule_of_forget_biases():
    never = {(T, bias): np.inf for T in (20, 100) for bias in biases.BIASES}
    one_best = never | {(20, 1.0): 1e3, (100, 1.0): 1e4}
    assert biases.judge(solving(one_best)).word == "supported"
    chrono_best = never | {(20, "chrono"): 1e3, (100, "chrono"): 1e4}
    assert biases.judge(solving(chrono_best)).word == "contradicted"
    assert biases.judge(solving(one_best | {(100, "chrono"): 1e3})).word == "depends"


def slopes(of_bias, of_candidate, seeds=30):
    """Rows of `vanishing`: how much slope each factor makes."""
    rng = np.random.default_rng(0)
    return [
        Row("vanishing", {"forget_bias": b, "candidate": c, "seed": s},
            {"solved": i > 1, "before": {"kept": 0.1, "slope": float(
                of_bias * i + of_candidate * j + rng.normal(0, 0.01))}})
        for i, b in enumerate(gradients.BIASES) for j, c in enumerate(gradients.CANDIDATES)
        for s in range(seeds)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("of_bias", "of_candidate", "word"),
    [(1, 0.01, "contradicted"), (0.01, 1, "supported"), (1, 0.6, "depends")],
)
def test_the_rule_of_vanishing(of_bias, of_candidate, word):
    assert gradients.judge_vanishing(slopes(of_bias, of_candidate)).word == word


def test_pictures_are_drawn_of_any_rows():
    some = solving({(20, 1.0): 1e3, (100, 1.0): np.inf}, 5)
    for module, rows in ((counting, counted(0.9, 0.1, 5)), (biases, some)):
        assert module.draw(rows).axes
        assert module.draw([]) is not None
    assert gradients.draw_vanishing(slopes(1, 0, 2)).axes


def test_training_is_the_same_for_the_same_seed_and_arms_see_the_same_sequences():
    recipe = Recipe(hidden_size=4, steps=30, check_every=10)
    one, two = (train(Adding(20), recipe, 3)[1] for _ in range(2))
    assert one == two
    assert train(Adding(20), recipe, 4)[1] != one
    other = Recipe(hidden_size=4, steps=0, cell=Cell(candidate="relu"))
    assert train(Adding(20), other, 3)[1].sequences == 0


def test_a_task_is_learnt_and_then_stopped():
    recipe = Recipe(hidden_size=8, learning_rate=0.02, steps=600, check_every=50)
    _, outcome = train(Counting(high=3), recipe, 0)
    assert outcome.solved
    assert outcome.sequences < 600 * 20
    assert outcome.right == outcome.best_right == 1.0


def test_numbers_that_run_away_end_a_trial():
    recipe = Recipe(
        cell=Cell(candidate="relu", cell_output="identity"), forget_bias=5.0, learning_rate=5.0,
        clip=0.0, steps=200, check_every=20,
    )  # fmt: skip
    _, outcome = train(Adding(100), recipe, 0)
    assert not outcome.finite
    assert outcome.loss is None or np.isfinite(outcome.loss)
    json.dumps(outcome.as_dict(), allow_nan=False)


@pytest.mark.parametrize("bias", [0.0, 1.0, 5.0, "chrono", "uniform", None])
def test_forget_biases_are_what_they_say(bias):
    recipe = Recipe(forget_bias=bias, longest=50, steps=0, num_layers=2, hidden_size=400)
    model, _ = train(Adding(20), recipe, 0)
    H = 400
    for layer in range(2):
        b_ih, b_hh = (getattr(model.core, f"bias_{s}_l{layer}").detach() for s in ("ih", "hh"))
        f = (b_ih + b_hh)[H : 2 * H].numpy()
        if bias is None:
            assert np.abs(f).max() < 0.2
        elif bias == "chrono":
            assert 0 <= f.min() < f.max() <= np.log(49)
            np.testing.assert_allclose(-f, (b_ih + b_hh)[:H].numpy(), rtol=1e-5)
        elif bias == "uniform":
            share = 1 / (1 + np.exp(-f))
            assert share.mean() == pytest.approx(0.5, abs=0.05)
            assert share.std() == pytest.approx(12**-0.5, abs=0.03)
        else:
            assert (f == bias).all()


def test_a_sweep_goes_on_where_it_stopped(tmp_path):
    store, experiment = Store(tmp_path / "a.sqlite"), lab.experiments()["placement"]
    told = []
    assert sweep(experiment, store, "quick", 1, lambda *at: told.append(at)) == 3
    assert told == [("placement", k, 3) for k in range(4)]
    assert sweep(experiment, store, "quick", 1) == 0
    whole = list(store.rows())
    other = Store(tmp_path / "b.sqlite")
    other.add(whole[1])
    assert sweep(experiment, other, "quick", 2) == 2
    assert [(r.config, r.result) for r in other.rows()] == [(r.config, r.result) for r in whole]


def test_names_and_stores_that_there_are_not(tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'counting'"):
        lab.run("countin", store=tmp_path / "a.sqlite")
    assert not (tmp_path / "a.sqlite").exists()
    with pytest.raises(ConfigError, match="no full run of counting"):
        lab.result("counting", [], quick=False)
