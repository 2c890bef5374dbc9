"""Networks of many seeds, trained together: the numbers of one by one, and what becomes of them."""

import json

import numpy as np
import pytest
import torch

from gatewise.cell import Cell
from gatewise.lab.networks import Networks
from gatewise.lab.tasks import Adding, Copy, Counting, EmbeddedReber
from gatewise.lab.training import (
    Recipe,
    judge,
    largest_state,
    losses_of,
    new_models,
    stacked,
    train,
)

TASKS = [Adding(20), Copy(5), Counting(high=4), EmbeddedReber()]


def plain_loss(task, model, batch):
    """The loss as the definition has it, of one model."""
    output = model(torch.from_numpy(np.ascontiguousarray(batch.x))).double()
    counts, target = torch.from_numpy(batch.counts), torch.from_numpy(np.array(batch.target))
    chosen, wanted = output[counts], target[counts]
    f = torch.nn.functional
    if task.loss == "class":
        return f.cross_entropy(chosen, wanted)
    if task.loss == "labels":
        each = f.binary_cross_entropy_with_logits(chosen, wanted.double(), reduction="none")
        return each.sum(1).mean()
    return f.mse_loss(chosen, wanted.double())


@pytest.mark.parametrize("network", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("task", TASKS, ids=lambda t: type(t).__name__)
def test_losses_and_gradients_are_those_of_each_model(task, network):
    recipe = Recipe(network=network, hidden_size=5, num_layers=2)
    models = new_models(task, recipe, [3, 4, 5])
    networks = Networks(models)
    batches = [task.batch(np.random.default_rng(k), 6) for k in range(3)]
    losses = losses_of(task, networks, *stacked(batches))
    losses.sum().backward()
    looked, right = judge(task, networks, batches)
    for g, (model, batch) in enumerate(zip(models, batches, strict=True)):
        loss = plain_loss(task, model, batch)
        found = loss.item()
        assert losses[g].item() == pytest.approx(found, rel=1e-5)
        assert looked[g] == pytest.approx(found, rel=1e-5)
        output = model(torch.from_numpy(batch.x)).detach().numpy()
        assert right[g] == task.correct(output, batch).mean()
        loss.backward()
        for name, parameter in model.named_parameters():
            own = dict(networks.named_parameters())[name].grad[g]
            np.testing.assert_allclose(own, parameter.grad, rtol=2e-3, atol=2e-6)
        for name, parameter in networks.model(g).named_parameters():
            assert torch.equal(parameter, dict(model.named_parameters())[name])


@pytest.mark.parametrize("schedule", ["constant", "one-cycle"])
def test_together_as_one_by_one(schedule):
    recipe = Recipe(hidden_size=6, steps=40, check_every=10, schedule=schedule, batch_size=8)
    together = train(Adding(20), recipe, [1, 2, 3])
    for seed, (model, outcome) in zip([1, 2, 3], together, strict=True):
        ((alone, of_alone),) = train(Adding(20), recipe, [seed])
        assert of_alone.loss == pytest.approx(outcome.loss, rel=1e-3)
        for a, b in zip(alone.parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_it_is_adam_as_pytorch_has_it():
    """One network, written out with PyTorch's own modules."""
    task, steps = Counting(high=4), 12
    recipe = Recipe(hidden_size=4, steps=steps, check_every=steps, batch_size=5, enough=2.0)
    ((model, _),) = train(task, recipe, [7])
    (own,) = new_models(task, recipe, [7])
    optimiser = torch.optim.Adam(own.parameters(), recipe.learning_rate)
    drawn = task.batch(np.random.default_rng(10_007), 5 * 16)
    for k in range(steps):
        optimiser.zero_grad()
        plain_loss(task, own, drawn.rows(slice(5 * k, 5 * k + 5))).backward()
        torch.nn.utils.clip_grad_norm_(own.parameters(), 1.0)
        optimiser.step()
    for a, b in zip(own.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_training_is_the_same_for_the_same_seeds():
    recipe = Recipe(hidden_size=4, steps=30, check_every=10)
    one, two = ([o for _, o in train(Adding(20), recipe, [3, 4])] for _ in range(2))
    assert one == two
    assert one[0] != one[1]
    other = Recipe(hidden_size=4, steps=0, cell=Cell(candidate="relu"))
    assert train(Adding(20), other, [3])[0][1].sequences == 0


def test_networks_that_are_done_leave_the_others_as_they_are():
    recipe = Recipe(hidden_size=8, learning_rate=0.02, steps=600, check_every=50, test=64)
    found = [o for _, o in train(Counting(high=3), recipe, [0, 1, 2, 3])]
    assert all(o.solved and o.right == o.best_right == 1.0 for o in found)
    assert len({o.sequences for o in found}) > 1
    slowest = max(range(4), key=lambda k: found[k].sequences)
    ((_, alone),) = train(Counting(high=3), recipe, [slowest])
    assert abs(alone.sequences - found[slowest].sequences) <= 100 * 20


def test_numbers_that_run_away_end_a_network_alone():
    recipe = Recipe(
        cell=Cell(candidate="relu", cell_output="identity"), forget_bias=5.0, learning_rate=5.0,
        clip=0.0, steps=200, check_every=20, test=32,
    )  # fmt: skip
    for _, outcome in train(Adding(100), recipe, [0, 1]):
        assert not outcome.finite
        assert outcome.largest_gradient is None
        assert not outcome.solved
        json.dumps(outcome.as_dict(), allow_nan=False)


def test_the_best_look_is_kept_if_wanted():
    recipe = Recipe(
        hidden_size=6, learning_rate=0.3, steps=60, check_every=10, enough=2.0, keep_best=True,
        test=64,
    )  # fmt: skip
    task = Adding(20)
    ((model, outcome),) = train(task, recipe, [0])
    test = task.batch(np.random.default_rng(20_000), 64)
    assert judge(task, Networks([model]), [test])[0][0] == pytest.approx(outcome.loss, rel=1e-5)


def test_without_a_head_the_output_is_the_hidden_state():
    recipe = Recipe(hidden_size=5, linear_head=False, steps=20, check_every=20, enough=2.0)
    ((model, outcome),) = train(Adding(20), recipe, [0])
    batch = Adding(20).batch(np.random.default_rng(0), 4)
    x = torch.from_numpy(batch.x)
    assert torch.equal(model(x), model.core(x)[0][..., :1])
    assert outcome.finite


@pytest.mark.parametrize("bias", [0, 1, 5, "chrono", "uniform", None])
def test_forget_biases_are_what_they_say(bias):
    recipe = Recipe(forget_bias=bias, longest=50, num_layers=2, hidden_size=400)
    (model,) = new_models(Adding(20), recipe, [0])
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


def test_the_largest_state_is_looked_for_where_sequences_are():
    (model,) = new_models(EmbeddedReber(), Recipe(hidden_size=4, forget_bias=9.0), [0])
    batch = EmbeddedReber().batch(np.random.default_rng(0), 8)
    short = batch.rows(slice(0, 8))
    short.x[int(short.lengths.min()) :] = 100.0  # beyond the shortest row's end
    lengths = np.full(8, short.lengths.min())
    cut = type(short)(short.x, short.target, short.counts, lengths)
    plain = type(short)(
        short.x[: lengths[0]], short.target[: lengths[0]], short.counts[: lengths[0]], lengths
    )  # fmt: skip
    assert largest_state(model, cut) == pytest.approx(largest_state(model, plain), rel=1e-6)
