"""A network that has learnt to add two numbers, to look at: trained in some seconds."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from gatewise.explorer.model import model_data
from gatewise.lab.tasks import Adding
from gatewise.lab.training import Recipe, train

_STEPS: Final = 50
_ROWS: Final = 6


def adding_data() -> dict[str, Any]:
    """Train it, and return it as the page takes it.

    The task is that of Hochreiter & Schmidhuber 1997, experiment 4; 16 units, initialised for the
    lag (Tallec & Ollivier 2018).
    """
    task = Adding(_STEPS)
    recipe = Recipe(forget_bias="chrono", longest=_STEPS, batch_size=50, check_every=50)
    ((network, outcome),) = train(task, recipe, [0])
    batch = task.batch(np.random.default_rng(1), _ROWS)
    return model_data(
        network.core, batch.x, name="adding", inputs=["number", "marker"],
        about=f"16 units that have learnt to add the two marked numbers of {_STEPS} or a few more; "
        f"{100 * outcome.right:.0f} % of 256 unseen sequences are right. At the end it says "
        ".5 + (X1 + X2) / 4.",
        readout=network.head, outputs=[".5 + (X1 + X2) / 4"],
    )  # fmt: skip
