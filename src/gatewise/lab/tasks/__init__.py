"""Tasks as seeded generators, each with its definition, its source and its trivial loss.

batch.py         what a task hands to training, and when it is right
arithmetic.py    adding (both forms) and multiplication
symbols.py       temporal order, copy, aⁿbⁿ and aⁿbⁿcⁿ
reber.py         the embedded Reber grammar, in words and in a stream
series.py        a planted driver, index returns, a ramp that goes on
chorales.py      JSB Chorales, from a file
"""

from gatewise.lab.tasks.arithmetic import Adding, Multiplication
from gatewise.lab.tasks.batch import Batch, Task
from gatewise.lab.tasks.chorales import Chorales
from gatewise.lab.tasks.reber import EmbeddedReber
from gatewise.lab.tasks.series import IndexReturns, PlantedDriver, Ramp
from gatewise.lab.tasks.symbols import Copy, Counting, TemporalOrder

__all__ = [
    "Adding", "Batch", "Chorales", "Copy", "Counting", "EmbeddedReber", "IndexReturns",
    "Multiplication", "PlantedDriver", "Ramp", "Task", "TemporalOrder",
]  # fmt: skip
