"""Experiments as values, their rules on simulated rows, and sweeps that resume."""

import json

import numpy as np
import pytest

from gatewise import lab
from gatewise.errors import ConfigError, ModelFileError
from gatewise.lab.claims import biases, counting, everything, explosion, gradients, streams
from gatewise.lab.design import LEAST_SEEDS
from gatewise.lab.runner import sweep
from gatewise.lab.store import Row, Store, key_of

NAMES = list(everything())
EXACT = {"placement", "second-derivative"}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", ["quick", "full"])
def test_every_trial_is_a_configuration_of_its_own(name, size):
    experiment = everything()[name]
    tuning = [
        Row(
            name,
            config,
            {"loss": 1.0, "errors": 1.0, "sequences": 1, "finite": True, "accepted_to": 3},
        )
        for config in experiment.tuning(size)
    ]
    configs = experiment.configs(size, tuning)
    keys = {key_of(name, config) for config in (*configs, *experiment.tuning(size))}
    assert len(keys) == len(configs) + len(tuning) == experiment.trials(size)
    assert len(configs) == len(experiment.arms()) * experiment.plans[size].seeds
    json.dumps(configs, allow_nan=False)
    assert all(config["seed"] >= 0 for config in configs)
    assert all(row.config["seed"] < 0 for row in tuning)
    assert not keys & experiment.keys("quick" if size == "full" else "full", tuning)
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
    assert everything()[name].judge([]).word == "underpowered"
    assert everything()[name].draw([]) is not None


def counted(free, squashed, seeds=30):
    """Rows of `counting`: the share of seeds that count to twice the trained n."""
    rng = np.random.default_rng(0)
    return [
        Row("counting", {"arm": arm, "seed": s, "high": 40},
            {"accepted_to": 90 if rng.random() < (free if arm in counting.FREE else squashed)
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
    one_best = never | {(20, 1): 1e3, (100, 1): 1e4}
    assert biases.judge(solving(one_best)).word == "supported"
    chrono_best = never | {(20, "chrono"): 1e3, (100, "chrono"): 1e4}
    assert biases.judge(solving(chrono_best)).word == "contradicted"
    assert biases.judge(solving(one_best | {(100, "chrono"): 1e3})).word == "depends"


def slopes(of_bias, of_candidate, seeds=30, trained=True):
    """Rows of `vanishing`: how much slope each factor makes."""
    rng = np.random.default_rng(0)
    made = []
    for task in gradients.TASKS:
        arms = [
            ({"forget_bias": b, "candidate": c}, of_bias * i + of_candidate * j)
            for i, b in enumerate(gradients.BIASES)
            for j, c in enumerate(gradients.CANDIDATES)
        ]
        for arm, slope in (*arms, ({"network": "tanh RNN"}, -9.0)):
            for s in range(seeds):
                before = {"kept": 0.1, "slope": float(slope + rng.normal(0, 0.01))}
                after = before if trained else {"slope": float(rng.normal())}
                result = {"solved": slope > 1, "sequences": 10, "before": before, "after": after}
                made.append(Row("vanishing", arm | {"task": task, "seed": s}, result))
    return made


@pytest.mark.parametrize(
    ("of_bias", "of_candidate", "word"),
    [(1, 0.01, "contradicted"), (0.01, 1, "supported"), (1, 0.6, "depends")],
)
def test_the_rule_of_vanishing(of_bias, of_candidate, word):
    assert gradients.judge(slopes(of_bias, of_candidate)).word == word


def test_gradients_of_trained_cells_count_too():
    found = gradients.judge(slopes(1, 0.01, trained=False))
    assert found.title.startswith("depends on training")


@pytest.mark.parametrize(
    ("unbounded", "one_sided", "word"),
    [(0.8, 0.05, "contradicted"), (0.05, 0.8, "supported"), (0.8, 0.8, "depends")],
)
def test_the_rule_of_relu(unbounded, one_sided, word):
    def result(arm, rng):
        name, free = arm["candidate"], arm["cell_output"] == "identity"
        lost = max(
            0.02,
            unbounded * (free and name not in explosion.BOUNDED),
            one_sided * (free and name in explosion.ONE_SIDED),
        )
        return {"finite": bool(rng.random() > lost), "largest_gradient": 1.0, "largest_c": 1.0}

    assert explosion.judge_relu(runs(explosion.RELU_SIGN, result)).word == word


def runs(experiment, result, seeds=30, seed=0):
    """Rows of an experiment: a result for each arm and seed."""
    rng = np.random.default_rng(seed)
    return [
        Row(experiment.name, arm | {"seed": s}, result(arm, rng))
        for arm in experiment.arms()
        for s in range(seeds)
    ]


@pytest.mark.parametrize(
    ("without", "word"),
    [((0.9, 0.9), "supported"), ((0.05, 0.05), "contradicted"), ((0.05, 0.9), "depends")],
)
def test_the_rule_of_explosions(without, word):
    def result(arm, rng):
        sites = zip(("candidate", "cell_output"), without, strict=True)
        share = max([0.05, *(p for site, p in sites if arm[site] == "identity")])
        size = 1e6 if rng.random() < share else 1.0
        return {"finite": True, "largest_gradient": size, "largest_c": 1.0}

    assert explosion.judge(runs(explosion.EXPLODING, result)).word == word


@pytest.mark.parametrize(
    ("worse", "word"),
    [
        ({"sigmoid", "none", "coupled"}, "supported"),
        (set(), "contradicted"),
        ({"none"}, "depends"),
    ],
)
def test_the_rule_of_the_output_squash(worse, word):
    def result(arm, rng):
        far = 50 * (arm["forget"] in worse and arm["cell_output"] == "identity")
        return {"errors": 20 + far + rng.normal(), "perfect": 0, "first_error": 9, "c_early": 1.0,
                "c_late": 1.0}  # fmt: skip

    found = streams.judge(runs(streams.OUTPUT_SQUASH, result))
    assert found.word == word
    assert (
        found.word != "depends"
        or found.title == "depends on the forget gate: tanh helps without one"
    )


def test_rules_rarely_find_what_is_not_there(monkeypatch):
    """Nothing is planted: no tanh has an effect on errors, and the rule says so."""
    monkeypatch.setattr("gc.collect", lambda *_: 0)

    def result(arm, rng):
        return {"errors": rng.normal(20), "perfect": 0, "first_error": 9, "c_early": 1.0,
                "c_late": 1.0}  # fmt: skip

    words = [streams.judge(runs(streams.OUTPUT_SQUASH, result, seed=k)).word for k in range(20)]
    assert words.count("contradicted") >= 17  # 5 % of 20 is one


def test_what_is_tuned_is_the_best_on_tuning_seeds_and_deterministic():
    experiment = streams.OUTPUT_SQUASH
    rows = [
        Row(experiment.name, c, {"errors": abs(c["learning_rate"] - 0.01) + (c["seed"] == -1)})
        for c in experiment.tuning("full")
    ]
    assert experiment.tuned("full", rows[1:]) is None  # one is missing
    assert experiment.configs("full", rows[1:]) == []
    assert {c["learning_rate"] for c in experiment.configs("full", rows)} == {0.01}


def test_pictures_are_drawn_of_any_rows():
    assert counting.draw(counted(0.9, 0.1, 5)).axes
    assert biases.draw(solving({(20, 1): 1e3, (100, 1): np.inf}, 5)).axes
    assert gradients.draw(slopes(1, 0, 2)).axes


def test_a_sweep_goes_on_where_it_stopped(tmp_path):
    store, experiment = Store(tmp_path / "a.sqlite"), lab.experiments()["placement"]
    told = []
    assert sweep(experiment, store, "quick", 1, lambda *at: told.append(at)) == 3
    assert told[0] == ("placement", 0, 3)
    assert told[-1] == ("placement", 3, 3)
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


@pytest.mark.parametrize(
    "change",
    [
        lambda result: {},
        dict.fromkeys,
        lambda result: result | {"finite": "no"},
        lambda result: result | {"largest_gradient": "x"},
        lambda result: result | {"largest_gradient": [1]},
    ],
)
def test_rows_that_were_edited_are_not_judged(change):
    def result(arm, rng):
        return {"finite": True, "largest_gradient": 1.0, "largest_c": 1.0}

    experiment = explosion.EXPLODING
    made = [
        Row(experiment.name, config, change(result(config, None)))
        for config in experiment.configs("quick")
    ]
    with pytest.raises(ModelFileError, match="A row of exploding holds no result of it"):
        lab.result(experiment.name, made)


def test_no_process_at_all_is_an_error_before_the_work(tmp_path):
    with pytest.raises(ConfigError, match="jobs is 0"):
        lab.run("placement", store=tmp_path / "a.sqlite", jobs=0)
    with pytest.raises(ModelFileError, match="folder that is there"):
        lab.run("placement", store=tmp_path / "none" / "a.sqlite", jobs=1)
    with pytest.raises(ModelFileError, match="folder that is there"):
        lab.run("placement", store=tmp_path, jobs=1)
