"""Speed, side by side with peers: raw JSON, and tables generated from it.

    grid.py      shapes and modes
    peers.py     how each peer runs a shape
    worker.py    one peer in its own process, asked turn by turn
    report.py    JSON -> docs/benchmarks/speed.md
    __main__.py  python -m benchmarks: alternates the peers, writes both

Peers run in separate processes (spinning threads of one slow another down) and take turns, so that
a machine whose speed drifts treats all alike. Medians and quartiles over many turns are kept.
"""
