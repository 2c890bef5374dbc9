"""docs/why-tanh.md and its picture: every figure on it comes from the rows in docs/lab/results/."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from gatewise import lab
from gatewise.lab.claims import counting, explosion, gradients, streams
from gatewise.lab.claims.common import BLUE, GREEN, GREY, ORANGE, VIOLET, values_of
from gatewise.lab.claims.common import share as percent
from gatewise.lab.design import of_arm
from gatewise.lab.report import typeset
from gatewise.lab.store import Row, Store

DOCS = Path(__file__).parent
PAGE, PICTURE = DOCS / "why-tanh.md", DOCS / "images" / "why-tanh.png"
TEMPLATE = DOCS / "why-tanh.template.md"
INK = "#717a85"
_ERRORS = "errors per 1,000, mean"


class Results:
    """The verdicts and rows of docs/lab/results/."""

    def __init__(self) -> None:
        store = Store(":memory:")
        store.bring(DOCS / "lab" / "results")
        self.found = {r.experiment.name: r for r in lab.results(store.rows(), quick=False)}

    def rows(self, name: str) -> Sequence[Row]:
        """Return the judging rows of an experiment."""
        return self.found[name].rows

    def line(self, name: str, **levels: Any) -> dict[str, Any]:
        """Return the line of an experiment's table with these values."""
        for line in self.found[name].table:
            if all(line.get(k) == v for k, v in levels.items()):
                return dict(line)
        raise KeyError((name, levels))


def link(text: str, name: str) -> str:
    """A figure, which leads to its runs."""
    return f"[{text}](lab/{name}.md)"


def number(value: float | None) -> str:
    """A figure in two digits."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2g}"


def page(store: Results) -> str:
    """Return the page."""
    squash = {
        (f, o): link(
            number(store.line("output-squash", **{"forget gate": f, "cell output": o})[_ERRORS]),
            "output-squash",
        )
        for f in streams.FORGETS for o in streams.OUTPUTS
    }  # fmt: skip
    shares = {
        (phi, psi): link(percent(float(np.mean([
            explosion.exploded(row)
            for row in of_arm(store.rows("exploding"), candidate=phi, cell_output=psi)
        ]))), "exploding")
        for phi in ("tanh", "identity") for psi in ("tanh", "identity")
    }  # fmt: skip
    signed = {
        (task, name): store.line("signed", task=task, candidate=name)
        for task in ("adding", "reber") for name in ("tanh(x)", "tanh(x) + 1", "tanh(x)/2")
    }  # fmt: skip
    soon = {k: link(number(v["median sequences"]), "signed") for k, v in signed.items()}
    solved = {k: link(percent(v["solved"]), "signed") for k, v in signed.items()}
    counts = {
        arm: link(percent(store.line("counting", arm=arm)["to twice the trained n"]), "counting")
        for arm in ("LSTM", "ψ = identity")
    }
    free = {
        "free_candidate": (
            f"on adding, gradients pass 1,000 in {shares['identity', 'tanh']} of the runs, with it "
            f"in {shares['tanh', 'tanh']}"
        ),
        "free_output": (
            f"on adding, gradients pass 1,000 in {shares['tanh', 'identity']} of the runs, with it "
            f"in {shares['tanh', 'tanh']}"
        ),
        "signed": (
            "values about 0 are learnt sooner: adding takes "
            f"{soon['adding', 'tanh(x)']} sequences (median) with tanh, "
            f"{soon['adding', 'tanh(x) + 1']} with tanh + 1; embedded Reber is learnt by "
            f"{solved['reber', 'tanh(x)']} and {solved['reber', 'tanh(x) + 1']} of the networks"
        ),
        "squash": (
            "without a forget gate, where nothing else bounds c: mean errors per 1,000 symbols "
            f"{squash['none', 'identity']} without it, {squash['none', 'tanh']} with it. With a "
            f"forget gate {squash['sigmoid', 'identity']} and {squash['sigmoid', 'tanh']}, no "
            f"clear difference; but {counts['ψ = identity']} of the cells without it count to "
            f"twice the trained n, {counts['LSTM']} with it"
        ),
        "odyssey_in": (
            f"{_odyssey(store, 'NIAF')}; tanh(x)/2 learns Reber in "
            f"{solved['reber', 'tanh(x)/2']} of the networks"
        ),
        "odyssey_out": (
            f"{_odyssey(store, 'NOAF')}; in the Reber streams layer norm of c makes "
            f"{squash['sigmoid', 'layer norm']} errors with a forget gate and "
            f"{squash['none', 'layer norm']} without, softsign {squash['sigmoid', 'softsign']} and "
            f"{squash['none', 'softsign']}"
        ),
        "alive": _alive(store),
        "claims": "\n".join(
            f"| “{r.experiment.claim}” | **[{r.verdict.title}](lab/{r.experiment.name}.md)** | "
            f"{(r.verdict.plain or r.verdict.sentence).replace('|', chr(92) + '|')} "
            f"[{r.experiment.name}](lab/{r.experiment.name}.md) |"
            for r in store.found.values() if r.experiment.kind == "claim"
        ),
    }  # fmt: skip
    return typeset(TEMPLATE.read_text("utf-8").format(**free))


def _odyssey(store: Results, variant: str) -> str:
    """What the identity in place of a tanh changes on JSB Chorales."""
    line = store.line("odyssey", variant=variant)
    by, low, high = (line[k] for k in ("worse than V by, mean", "from", "to"))
    word = "worse" if by > 0 else "better"
    low, high = sorted((abs(low), abs(high)))
    told = f"{abs(by):.2f} nats [{low:.2f}, {high:.2f}]"
    return f"on JSB Chorales, within 30 epochs, the identity is {word} by {link(told, 'odyssey')}"


def _alive(store: Results) -> str:
    line = {
        (b, c): store.line("vanishing", task="adding", **{"forget bias": b, "candidate": c})
        for b, c in (("0", "tanh"), ("5", "tanh"), ("5", "identity"), ("chrono", "identity"))
    }
    rnn = store.line("vanishing", task="adding", candidate="tanh RNN")
    left = {k: v["left after 45 steps, untrained"] for k, v in line.items()}
    bias = {b: store.line("forget-bias", T=100, **{"forget bias": b}) for b in ("1", "chrono")}
    kept = {k: link(number(v), "vanishing") for k, v in left.items()}
    few, all_of = (link(percent(bias[b]["solved"]), "forget-bias") for b in ("1", "chrono"))
    rest = link(number(rnn["left after 45 steps, untrained"]), "vanishing")
    return (
        f"Before training, 45 steps back, {kept['0', 'tanh']} of the gradient is left with a "
        f"forget bias of 0 and {kept['5', 'tanh']} with a bias of 5; without the first tanh, "
        f"{kept['5', 'identity']}; in a tanh RNN with PyTorch's weights, {rest}. Training "
        f"[changes this from task to task](lab/vanishing.md). Adding two numbers of a sequence of "
        f"100 steps is solved by {few} of the seeds with a forget bias of 1, by {all_of} with "
        "biases of f and i that fit the lag (chrono)."
    )


def picture(store: Results) -> Figure:
    """Three panels: what keeps gradients, what the second tanh is for, that c is not squashed."""
    figure = Figure(figsize=(11.5, 3.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.1, 1, 1.1))
    rows = store.rows("vanishing")
    for k, (name, colour) in enumerate(
        zip(gradients.CANDIDATES, (BLUE, ORANGE, GREEN, VIOLET), strict=True)
    ):
        for at, bias in enumerate(gradients.BIASES):
            own = of_arm(rows, task="adding", forget_bias=bias, candidate=name)
            left.plot(
                np.full(len(own), at + (k - 1.5) * 0.18), values_of(own, "before", "slope"), "o",
                ms=2.6, color=colour, mew=0, alpha=0.7, label=name if at == 0 else None,
            )  # fmt: skip
    own = of_arm(rows, task="adding", network="tanh RNN")
    left.plot(np.full(len(own), 4.0), values_of(own, "before", "slope"), "o", ms=2.6, color=GREY)
    left.axhline(0, color=GREY, linestyle="--", linewidth=0.8)
    left.set_xticks(range(5), [*(f"bias {b}" for b in gradients.BIASES), "tanh RNN"], fontsize=7)
    left.set_ylabel("growth of ln |∂L/∂c| per step back")
    left.set_title("The forget gate keeps gradients; which squash, hardly", fontsize=9)
    left.legend(frameon=False, fontsize=7, title="candidate", title_fontsize=7)
    rows = store.rows("output-squash")
    for k, (psi, colour) in enumerate((("tanh", BLUE), ("identity", ORANGE))):
        for at, forget in enumerate(streams.FORGETS):
            own = of_arm(rows, forget=forget, cell_output=psi)
            errors = np.maximum(values_of(own, "errors"), 0.01)
            jitter = np.random.default_rng(0).uniform(-0.1, 0.1, len(own))
            middle.plot(at + (k - 0.5) * 0.4 + jitter, errors, "o", ms=3, color=colour, mew=0,
                        alpha=0.6, label=f"ψ {psi}" if at == 0 else None)  # fmt: skip
            middle.plot(at + (k - 0.5) * 0.4 + np.array([-0.17, 0.17]), [np.median(errors)] * 2,
                        color=colour, lw=2)  # fmt: skip
    middle.set_yscale("log")
    middle.set_xticks(range(3), ["forget gate", "none (f = 1)", "f = 1 − i"])
    middle.set_ylabel("errors per 1,000 symbols")
    middle.set_title("The second tanh helps without a forget gate", fontsize=9)
    middle.legend(frameon=False, fontsize=7)
    rows = store.rows("counting")
    for at, arm in enumerate(counting.ARMS):
        reached = np.array(values_of(of_arm(rows, arm=arm), "accepted_to"), float)
        jitter = np.random.default_rng(0).uniform(-0.2, 0.2, len(reached))
        colour = BLUE if arm in counting.FREE else ORANGE
        right.plot(reached, at + jitter, "o", ms=3, color=colour, mew=0, alpha=0.6)
        right.plot([np.median(reached)] * 2, [at - 0.32, at + 0.32], color=colour, lw=2)
    right.axvline(rows[0].config["high"], color=GREY, linestyle="--", linewidth=0.8)
    right.set_yticks(range(len(counting.ARMS)), list(counting.ARMS))
    right.invert_yaxis()
    right.set_xlabel("aⁿbⁿ accepted up to n (dashed: trained to)")
    right.set_title("c is not squashed: it counts", fontsize=9)
    for axis in (left, middle, right):
        axis.spines[["top", "right"]].set_visible(False)
        axis.patch.set_alpha(0)
        axis.tick_params(colors=INK)
        for spine in axis.spines.values():
            spine.set_edgecolor(INK)
        for label in (axis.title, axis.xaxis.label, axis.yaxis.label, *axis.get_yticklabels()):
            label.set_color(INK)
        legend = axis.get_legend()
        for text in [*legend.get_texts(), legend.get_title()] if legend else []:
            text.set_color(INK)
    figure.patch.set_alpha(0)
    return figure


def main() -> None:
    """Write the page and its picture."""
    store = Results()
    PAGE.write_text(page(store), "utf-8")
    picture(store).savefig(PICTURE, dpi=110, transparent=True)


if __name__ == "__main__":
    main()
