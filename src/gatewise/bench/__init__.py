"""Speed, side by side with peers: what `gatewise bench` and the published tables measure.

    cells.py       the cells beside PyTorch's, by name
    grid.py        modes and shapes
    problem.py     weights and inputs of a case, the same numbers for every peer
    peers/         how each peer runs a case
    timing.py      one turn: many calls, timed
    worker.py      one peer in its own process, asked turn by turn
    pairs.py       ours and each peer back to back, turn after turn; the plain case in our process
    measure.py     a whole plan: peers checked against PyTorch, then timed in turns
    contention.py  the same while another process holds one of the cores
    roofline.py    the shortest time that a case can take
    scaling.py     what two cores reach at work that shares nothing
    machine.py     what it ran on, and the machine's own limits
    summary.py     ratios and means of a result, for tables and tests
    variants.py    other cells, ragged batches and float64, and what they are to reach:
    targets.py     what `make bench-cells` measures
    files.py       a result as JSON text

Peers run in separate processes, since spinning threads of one slow another down, and take turns, so
that a machine whose speed drifts treats all alike. A peer is timed only after its numbers agree
with PyTorch's. Stands on `nn` and `runtime`; imports neither here, nor any peer: the processes do.
"""

from gatewise.bench.files import restored, shortened, to_json
from gatewise.bench.grid import GRID, MODES, QUICK, Case, Mode, Shape, cases
from gatewise.bench.machine import core_count
from gatewise.bench.measure import Plan, run
from gatewise.bench.peers import PEERS
from gatewise.bench.variants import VARIANT_PEERS, variants

__all__ = [
    "GRID",
    "MODES",
    "PEERS",
    "QUICK",
    "VARIANT_PEERS",
    "Case",
    "Mode",
    "Plan",
    "Shape",
    "cases",
    "core_count",
    "restored",
    "run",
    "shortened",
    "to_json",
    "variants",
]
