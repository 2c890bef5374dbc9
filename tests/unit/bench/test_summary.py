"""Ratios: who answers to whom, and what is shown."""

from gatewise.bench import summary


def row(mode="inference", threads=1, **medians):
    times = {name.replace("_", "-"): {"median": value} for name, value in medians.items()}
    shape = {"B": 1, "T": 1, "I": 1, "H": 1, "layers": 1, "bidirectional": False}
    return {
        "mode": mode, "threads": threads, "shape": shape, "flops": 4e9, "peak_gflops": 50.0,
        "times": times,
    }  # fmt: skip


def test_the_module_answers_and_the_runtime_when_streaming():
    medians = {"gatewise": 2.0, "gatewise_runtime": 1.0, "torch": 4.0, "jax": 3.0}
    assert summary.ratio(row(**medians)) == 1.5
    assert summary.ratio(row("streaming", **medians)) == 3.0
    assert summary.ratio(row(**medians), "torch") == 2.0


def test_pairs_count_and_not_the_medians_over_all_turns():
    found = row(gatewise=2.0, torch=3.0, jax=4.0)
    found["pairs"] = {"torch": [[1.0, 3.0], [2.0, 5.0], [1.0, 9.0]], "jax": [[1.0, 2.0]] * 3}
    assert summary.ratio(found, "torch") == 3.0
    assert summary.best_peer(found) == "jax"
    assert summary.ratio(found) == 2.0


def test_the_grid_and_the_extra_shapes_are_apart():
    inside, outside = row(), row()
    inside["shape"] = outside["shape"] | {"B": 32, "T": 100, "I": 16, "H": 64}
    assert [*summary.parts([inside, outside])] == [("grid", [inside]), ("extra shapes", [outside])]
    assert [*summary.parts([outside])] == [("", [outside])]


def test_another_of_ours_stands_in():
    assert summary.ours(row(gatewise_runtime=1.0, torch=2.0)) == "gatewise-runtime"
    assert summary.ours(row("streaming", gatewise=1.0)) == "gatewise"


def test_ours_is_never_the_peer():
    found = row(
        gatewise=2.0, gatewise_runtime=0.5, gatewise_bfloat16=0.1, gatewise_plain=0.1, torch=4.0
    )
    assert summary.best_peer(found) == "torch"
    assert summary.ratio(row(gatewise=2.0)) is None
    assert summary.ratio(row(torch=2.0)) is None


def test_the_part_of_the_peak_is_that_of_one_thread():
    assert summary.gflops(row(threads=2, gatewise=0.05)) == 80.0
    assert summary.peak_fraction(row(threads=2, gatewise=0.05)) == 0.8
    assert summary.peak_fraction(row("streaming", gatewise=0.05)) is None
    assert summary.peak_fraction(row(gatewise=0.05) | {"peak_gflops": None}) is None
