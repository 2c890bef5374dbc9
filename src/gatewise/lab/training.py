"""Networks of several seeds on one task, trained together until they are right or time is up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gatewise.lab.networks import Design, Model, Networks
from gatewise.lab.tasks import Batch, Task
from gatewise.nn import LSTM

_TEST: Final = 256
"""Sequences that a network is judged by, the same for every arm of a seed."""

_BLOCK: Final = 16
"""Batches that are drawn at a time."""

_AT_ONCE: Final = 4_000_000
"""Hidden states that are in memory at a time when networks are judged."""


@dataclass(frozen=True)
class Recipe(Design):
    """How networks are made and trained: Adam with clipped gradients.

    Attributes:
        learning_rate: of Adam.
        schedule: "constant", or "one-cycle" over the budget (Smith & Topin 2018).
        batch_size: sequences.
        steps: updates at most.
        check_every: updates between two looks at the test sequences.
        clip: norm of the gradient at most; 0 leaves it.
        enough: share of test sequences that must be right at a look for the task to be solved; a
            network that has solved it trains no further.
        keep_best: end with the weights of the look with the lowest loss, not with the last.
        test: sequences that are looked at.
    """

    learning_rate: float = 5e-3
    schedule: Literal["constant", "one-cycle"] = "constant"
    batch_size: int = 20
    steps: int = 3000
    check_every: int = 250
    clip: float = 1.0
    enough: float = 1.0
    keep_best: bool = False
    test: int = _TEST


@dataclass(frozen=True)
class Outcome:
    """What became of a network.

    Attributes:
        solved: whether a look found enough sequences right.
        sequences: seen until then; the whole budget where it is not solved.
        loss: of the test sequences at the last look; None if it is not a finite number.
        right: share of the test sequences that are right at the last look.
        best_right: the highest share at any look.
        finite: whether loss and gradients stayed finite numbers.
        largest_gradient: the largest norm before clipping; None if it was no finite number.
        largest_c: max |c| over test sequences at the end (of a control, max |h|); None if it is
            not finite.
    """

    solved: bool
    sequences: int
    loss: float | None
    right: float
    best_right: float
    finite: bool
    largest_gradient: float | None = None
    largest_c: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON takes it."""
        return asdict(self)


def new_models(task: Task, recipe: Recipe, seeds: Sequence[int]) -> list[Model]:
    """Return untrained models; the weights of seed s are drawn after torch.manual_seed(s)."""
    made = []
    for seed in seeds:
        torch.manual_seed(seed)
        made.append(Model(task.inputs, task.outputs, recipe))
    return made


def train(
    task: Task, recipe: Recipe, seeds: Sequence[int], test: Batch | None = None
) -> list[tuple[Model, Outcome]]:
    """Train a network for each seed, all together.

    Seeds: of the weights `seed`, of the sequences 10,000 + `seed`, of the test 20,000 + `seed`;
        arms of one seed see the same sequences and are judged by the same. The numbers of a network
        do not depend on which others are trained with it, but for the order of sums in products.

    Args:
        task: what is to be learnt.
        recipe: how.
        seeds: of the networks.
        test: what all are judged by, in place of sequences of their own.

    Returns:
        For each seed the model as it ended, and what became of it.
    """
    return _Training(task, recipe, list(seeds), test).run()


@dataclass(eq=False)
class _Member:
    """A network while it trains."""

    seed: int
    test: Batch
    loss: float = float("nan")
    right: float = 0.0
    best_right: float = 0.0
    best_loss: float = float("inf")
    best: dict[str, Tensor] | None = None
    gradient: float = 0.0
    finite: bool = True
    done: tuple[Model, Outcome] | None = None


class _Training:
    def __init__(self, task: Task, recipe: Recipe, seeds: list[int], test: Batch | None) -> None:
        self.task, self.recipe = task, recipe
        self.all = [
            _Member(s, test or task.batch(np.random.default_rng(20_000 + s), recipe.test))
            for s in seeds
        ]
        self.members = list(self.all)  # those that still train
        self.networks = Networks(new_models(task, recipe, seeds))
        self.optimiser = self._new_optimiser(self.networks)
        self.rates = _rates(recipe)
        self.supply = _Supply(task, recipe.batch_size, seeds)
        self.step = 0

    def run(self) -> list[tuple[Model, Outcome]]:
        recipe = self.recipe
        if not recipe.steps:
            self._look()
        while self.members and self.step < recipe.steps:
            self._update()
            self.step += 1
            last = self.step == recipe.steps
            if last or self.step % recipe.check_every == 0:
                self._look()
            solved = [m.finite and m.right >= recipe.enough for m in self.members]
            self._end([i for i, m in enumerate(self.members) if solved[i] or not m.finite])
        self._end(list(range(len(self.members))))
        return [m.done for m in self.all if m.done is not None]

    def _update(self) -> None:
        """One step of Adam for all."""
        for group in self.optimiser.param_groups:
            group["lr"], group["betas"] = self.rates[self.step]
        self.optimiser.zero_grad()
        x, target, counts = self.supply.next()
        losses = losses_of(self.task, self.networks, x, target, counts)
        losses.sum().backward()
        norms = _clip(self.networks, self.recipe.clip)
        self.optimiser.step()
        finite = (torch.isfinite(losses.detach()) & torch.isfinite(norms)).tolist()
        for member, norm, is_finite in zip(self.members, norms.tolist(), finite, strict=True):
            member.finite = is_finite
            member.gradient = max(member.gradient, norm) if is_finite else float("inf")

    def _look(self) -> None:
        losses, rights = judge(self.task, self.networks, [m.test for m in self.members])
        for g, (member, loss, right) in enumerate(zip(self.members, losses, rights, strict=True)):
            member.loss, member.right = loss, right
            member.finite = member.finite and bool(np.isfinite(loss))
            member.best_right = max(member.best_right, right)
            if self.recipe.keep_best and loss < member.best_loss:
                member.best_loss = loss
                member.best = {
                    k: p.detach()[g].clone() for k, p in self.networks.named_parameters()
                }

    def _end(self, which: list[int]) -> None:
        """Take networks out that have solved the task, broken down, or come to the end."""
        if not which:
            return
        for g in which:
            self.members[g].done = self._finished(self.members[g], self.networks.model(g))
        left = [g for g in range(len(self.members)) if g not in which]
        if left:
            old, state = self.networks, self.optimiser.state
            self.networks = Networks([old.model(g) for g in left])
            self.optimiser = self._new_optimiser(self.networks)
            for p, q in zip(old.parameters(), self.networks.parameters(), strict=True):
                self.optimiser.state[q] = {
                    k: v[left].clone() if torch.is_tensor(v) and v.dim() else v
                    for k, v in state[p].items()
                }
            self.supply.select(left)
        self.members = [self.members[g] for g in left]

    def _finished(self, m: _Member, model: Model) -> tuple[Model, Outcome]:
        loss = m.loss
        if m.best is not None and m.finite:
            model.load_state_dict(m.best)
            loss = m.best_loss
        finite = m.finite and bool(np.isfinite(loss))
        return model, Outcome(
            finite and m.right >= self.recipe.enough,
            (self.step if finite else self.recipe.steps) * self.recipe.batch_size,
            float(loss) if np.isfinite(loss) else None, m.right, m.best_right, finite,
            m.gradient if np.isfinite(m.gradient) else None,
            largest_state(model, m.test.rows(slice(0, 64))) if finite else None,
        )  # fmt: skip

    def _new_optimiser(self, networks: Networks) -> torch.optim.Optimizer:
        return torch.optim.Adam(networks.parameters(), self.recipe.learning_rate)


def _rates(recipe: Recipe) -> list[tuple[float, tuple[float, float]]]:
    """Learning rate and betas of each step, by PyTorch's scheduler."""
    if recipe.schedule == "constant" or recipe.steps < 2:
        return [(recipe.learning_rate, (0.9, 0.999))] * max(recipe.steps, 1)
    optimiser = torch.optim.Adam([nn.Parameter(torch.zeros(1))], recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps
    )
    found = []
    for _ in range(recipe.steps):
        own = optimiser.param_groups[0]
        found.append((float(own["lr"]), own["betas"]))
        optimiser.step()
        schedule.step() if len(found) < recipe.steps else None
    return found


class _Supply:
    """Batches of each seed's own sequences."""

    def __init__(self, task: Task, size: int, seeds: Sequence[int]) -> None:
        self.task, self.size = task, size
        self.rngs = [np.random.default_rng(10_000 + s) for s in seeds]
        self.at = _BLOCK

    def next(self) -> tuple[Tensor, Tensor, Tensor]:
        """X [G, T, B, I], target [G, T, B, ...], counts [G, T, B]."""
        if self.at == _BLOCK:
            drawn = [self.task.batch(rng, self.size * _BLOCK) for rng in self.rngs]
            self.lengths = np.stack([b.lengths for b in drawn])
            self.block = stacked(drawn)
            self.at = 0
        rows = slice(self.at * self.size, (self.at + 1) * self.size)
        self.at += 1
        T = int(self.lengths[:, rows].max(initial=1))
        x, target, counts = (t[:, :T, rows] for t in self.block)
        return x, target, counts

    def select(self, left: list[int]) -> None:
        """Go on for some of the seeds."""
        self.rngs = [self.rngs[g] for g in left]
        if self.at < _BLOCK:
            self.lengths = self.lengths[left]
            x, target, counts = self.block
            self.block = x[left], target[left], counts[left]


def stacked(batches: Sequence[Batch]) -> tuple[Tensor, Tensor, Tensor]:
    """x, target and counts of batches of as many rows, padded to the longest."""
    T = max(len(b.x) for b in batches)

    def padded(array: NDArray[Any]) -> NDArray[Any]:
        return np.pad(array, [(0, T - len(array)), *[(0, 0)] * (array.ndim - 1)])

    x, target, counts = (
        torch.from_numpy(np.stack([padded(getattr(b, name)) for b in batches]))
        for name in ("x", "target", "counts")
    )
    return x, target, counts


def _clip(networks: Networks, limit: float) -> Tensor:
    """Scale the gradients of each network to a norm of at most `limit`; return norms before."""
    gradients = [p.grad for p in networks.parameters() if p.grad is not None]
    norms = torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0).sqrt()
    if limit:
        factor = (limit / (norms + 1e-6)).clamp(max=1)
        for g in gradients:
            g.mul_(factor.view(-1, *[1] * (g.dim() - 1)))
    return norms


def losses_of(task: Task, networks: Networks, x: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """Return [G]: each network's mean loss over the outputs that count."""
    G = len(x)
    h = networks.states(x)
    many = counts.sum((1, 2))
    if bool((many == many[0]).all()):  # all alike: read out no more than counts
        output = networks.read_out(h[counts].view(G, -1, h.shape[-1]))
        return _each(task, output, target[counts].view(G, -1, *target.shape[3:])).mean(1)
    each = _each(task, networks.read_out(h.flatten(1, 2)), target.flatten(1, 2))
    own = counts.flatten(1, 2)
    return torch.where(own, each, 0).sum(1) / many


def _each(task: Task, output: Tensor, target: Tensor) -> Tensor:
    """[G, n]: the loss of each output."""
    f = nn.functional
    if task.loss == "class":
        G, n, _ = output.shape
        flat = f.cross_entropy(output.flatten(0, 1), target.flatten(), reduction="none")
        return flat.view(G, n)
    if task.loss == "labels":
        return f.binary_cross_entropy_with_logits(output, target, reduction="none").sum(2)
    return f.mse_loss(output, target, reduction="none").mean(2)


@torch.no_grad()
def judge(
    task: Task, networks: Networks, batches: Sequence[Batch]
) -> tuple[list[float], list[float]]:
    """Return the loss of each network's batch, and the share of its sequences that are right."""
    B = len(batches[0].lengths)
    size = len(batches) * max(len(b.x) for b in batches) * networks.head.weight.shape[2]
    rows = max(1, min(B, _AT_ONCE // max(size, 1)))
    losses, weights = np.zeros(len(batches)), np.zeros(len(batches))
    right: list[list[bool]] = [[] for _ in batches]
    for first in range(0, B, rows):
        parts = [b.rows(slice(first, first + rows)) for b in batches]
        x, target, counts = stacked(parts)
        h = networks.states(x)
        output = networks.read_out(h.flatten(1, 2)).unflatten(1, h.shape[1:3])
        each = _each(task, output.flatten(1, 2), target.flatten(1, 2)).double()
        own = counts.flatten(1, 2)
        losses += torch.where(own, each, 0).sum(1).numpy()
        weights += own.sum(1).numpy()
        for g, part in enumerate(parts):
            right[g] += task.correct(output[g, : len(part.x)].numpy(), part).tolist()
    return (losses / weights).tolist(), [float(np.mean(r)) for r in right]


def judge_model(task: Task, model: Model, batch: Batch) -> float:
    """Return the loss of one model."""
    return judge(task, Networks([model]), [batch])[0][0]


def states(model: Model, batch: Batch) -> NDArray[np.floating[Any]]:
    """Return the last layer's cell states [T, B, H]; of a control its hidden states."""
    from gatewise import trace

    x = torch.from_numpy(np.ascontiguousarray(batch.x))
    if isinstance(model.core, LSTM):
        recorded = trace.record(model.core, x, keep="cell_state")
        return recorded.data["cell_state"].values[-1, 0]
    with torch.no_grad():
        return model.core(x)[0].numpy()


def largest_state(model: Model, batch: Batch) -> float | None:
    """Return the largest |c| at steps that the sequences have; None if it is no number."""
    inside = np.arange(len(batch.x))[:, None] < batch.lengths
    found = float(np.abs(states(model, batch))[inside].max(initial=0))
    return found if np.isfinite(found) else None
