"""The command line: one file per command, results on stdout, progress on stderr.

    main.py      the commands put together; errors as one line and an exit code
    forecast.py  gatewise forecast
    backtest.py  gatewise backtest
    tune.py      gatewise tune
    bench.py     gatewise bench
    export.py    gatewise export
    options.py   groups of options that commands share
    source.py    which table, which columns: the options, and what they open
    progress.py  bars on stderr, and where the work stands
    render.py    results as text or JSON

Stands on everything; nothing stands on it. Heavy packages are imported when a command runs, so
`gatewise --help` is quick.
"""

from gatewise.cli.main import main

__all__ = ["main"]
