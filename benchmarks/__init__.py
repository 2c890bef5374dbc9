"""The published figures: raw JSON in results/, and what is generated from it.

    __main__.py  python -m benchmarks: measures everything with `gatewise.bench`, writes all
    report.py    JSON -> a page for each machine, docs/benchmarks/speed*.md; the block in README.md
    picture.py   JSON -> docs/images/speed*.png
    cells/       the same for other cells, ragged batches and float64
    forecasts/   accuracy, time and memory of the forecaster beside its peers

How things are measured is the package's business: see `src/gatewise/bench/`.
"""
