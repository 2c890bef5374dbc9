"""Other cells, ragged batches and float64 beside the default cell and PyTorch.

    __main__.py  python -m benchmarks.cells: measures, writes all
    report.py    JSON -> the block of docs/benchmarks/cells.md
    picture.py   JSON -> docs/images/cells.png

What is measured, and what it is to reach: `src/gatewise/bench/variants.py` and `targets.py`.
"""
