"""Tasks are what their papers say: markers, lengths, grammars, trivial losses."""

import math
import re

import numpy as np
import pytest

from gatewise.lab.tasks import (
    Adding,
    Copy,
    Counting,
    EmbeddedReber,
    Multiplication,
    TemporalOrder,
)
from gatewise.lab.tasks.reber import SYMBOLS, text_of

RNG = np.random.default_rng

TASKS = [
    Adding(60), Adding(60, "sum"), Adding(60, "sum", halves=True), Multiplication(60),
    TemporalOrder(2), TemporalOrder(3), Copy(20), Counting(2), Counting(3, high=9),
    EmbeddedReber(), EmbeddedReber(50),
]  # fmt: skip


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_the_same_seed_gives_the_same_batch_of_the_stated_shape(task):
    one, two = (task.batch(RNG(3), 7) for _ in range(2))
    T = int(one.lengths.max())
    assert one.x.shape == (T, 7, task.inputs)
    assert one.x.dtype == np.float32
    assert one.target.shape[:2] == one.counts.shape == (T, 7)
    for name in ("x", "target", "counts", "lengths"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    beyond = np.arange(T)[:, None] >= one.lengths
    assert not one.x[beyond].any()
    assert not one.counts[beyond].any()
    assert one.counts.any(axis=0).all()


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_the_perfect_answer_is_right_and_a_constant_is_not(task):
    batch = task.batch(RNG(0), 64)
    if task.loss == "squared":
        perfect = batch.target
    elif task.loss == "labels":
        perfect = 20.0 * (2 * batch.target - 1)
    else:
        perfect = np.eye(task.outputs)[batch.target]
    assert task.correct(perfect, batch).all()
    assert task.correct(np.zeros_like(perfect), batch).mean() < 0.5
    bent = np.array(perfect)
    t = np.flatnonzero(batch.counts[:, 5])[-1]
    bent[t, 5] = -bent[t, 5] + (0.2 if task.loss == "squared" else 0)
    assert not task.correct(bent, batch)[5]
    assert task.correct(bent, batch).sum() == 63


@pytest.mark.parametrize("task", TASKS, ids=repr)
def test_the_trivial_loss_is_that_of_the_best_constant(task):
    batch = task.batch(RNG(1), 4000)
    wanted = batch.target[batch.counts]
    if isinstance(task, Copy):  # blanks until the recall, then eight symbols
        assert task.trivial == pytest.approx(10 * math.log(8) / (task.T + 20))
        return
    if task.loss == "squared":
        found = float(((wanted - wanted.mean()) ** 2).mean())
    elif task.loss == "labels":
        p = np.clip(wanted.mean(axis=0), 1e-12, 1 - 1e-12)
        found = float(-(p * np.log(p) + (1 - p) * np.log(1 - p)).sum())
    else:
        share = np.bincount(wanted, minlength=task.outputs) / len(wanted)
        found = float(-(share[share > 0] * np.log(share[share > 0])).sum())
    assert found == pytest.approx(task.trivial, rel=0.05)


def test_adding_marks_as_1997():
    batch = Adding(100).batch(RNG(2), 2000)
    rows = np.arange(2000)
    assert batch.lengths.min() == 100
    assert batch.lengths.max() == 110
    marker = batch.x[..., 1]
    assert (marker[0] == -1).all()
    assert (marker[batch.lengths - 1, rows] == -1).all()
    marked = marker == 1
    assert set(marked.sum(axis=0)) == {1, 2}  # one where the first pair is marked
    assert not marked[49:].any()
    assert marked[:10].any(axis=0)[marked.sum(axis=0) == 2].all()
    total = (batch.x[..., 0] * marked).sum(axis=0)
    target = batch.target[batch.lengths - 1, rows, 0]
    np.testing.assert_allclose(target, 0.5 + total / 4, atol=1e-6)
    first_marked = (marked.sum(axis=0) == 1).mean()
    assert first_marked == pytest.approx(0.1 + 0.9 / 48, abs=0.03)


def test_sums_in_halves():
    batch = Adding(40, "sum", halves=True).batch(RNG(2), 500)
    marked = batch.x[..., 1] == 1
    assert (marked[:20].sum(axis=0) == 1).all()
    assert (marked[20:].sum(axis=0) == 1).all()


def test_temporal_order_reads_its_symbols_from_left_to_right():
    batch = TemporalOrder(3).batch(RNG(0), 300)
    symbol = batch.x.argmax(axis=2)
    for b in range(300):
        at = np.flatnonzero(symbol[:, b] >= 6)
        assert len(at) == 3
        for t, (low, high) in zip(at, ((10, 20), (33, 43), (66, 76)), strict=True):
            assert low <= t <= high
        kind = int("".join(str(symbol[t, b] - 6) for t in at), 2)
        assert batch.target[batch.lengths[b] - 1, b].argmax() == kind


def test_copy_asks_for_the_symbols_after_the_delimiter():
    batch = Copy(30).batch(RNG(0), 3)
    given = batch.x.argmax(axis=2)
    assert (given[10:39] == 8).all()
    assert (given[39] == 9).all()
    np.testing.assert_array_equal(batch.target[-10:], given[:10])
    assert (batch.target[:-10] == 8).all()


def test_words_of_the_embedded_grammar_are_legal_and_close_as_they_opened():
    batch = EmbeddedReber().batch(RNG(0), 400)
    inner = r"(T(S*)X(X(T*)(VPX(T*))*V(V|PS)|S)|P(T*)(VPX(T*))*V(V|PS))"
    opened = {"T": 0, "P": 0}
    for b in range(400):
        text = text_of(batch, b)
        assert re.fullmatch(rf"B([TP])B{inner}E\1", text), text
        opened[text[1]] += 1
        for t, symbol in enumerate(text[1:] + "E"):
            legal = {SYMBOLS[k] for k in np.flatnonzero(batch.target[t, b])}
            assert symbol in legal
            assert len(legal) == (2 if t == 0 or 2 <= t < len(text) - 3 else 1)
    assert min(opened.values()) > 150


def test_a_stream_is_words_without_a_sign_between():
    batch = EmbeddedReber(200).batch(RNG(0), 2)
    text = "".join(SYMBOLS[k] for k in batch.x[:, 0].argmax(axis=1))
    assert "EB" in text
    assert not set(text) - set(SYMBOLS)
    legal = batch.target[:, 0]
    for t in range(199):
        assert legal[t, SYMBOLS.index(text[t + 1])] == 1
