"""Forecasts beside statistical and neural peers: accuracy, time, memory.

    __main__.py  python -m benchmarks.forecasts: measures, writes all
    sets.py      data set -> what is fitted, what is held out, where the origins lie
    peers.py     each forecaster as a function: table -> forecasts
    linear.py    least squares with drivers known ahead, one of the peers
    neural.py    NeuralForecast's LSTM: its accuracy step by step, its time per window
    scores.py    forecasts and what came -> numbers
    measure.py   one peer on one set in a process of its own -> a row of the result
    seen.py      the log of every configuration whose score on a test part was seen
    report.py    JSON -> the block of docs/benchmarks/forecasts.md
    picture.py   JSON -> docs/images/forecasts.png

Data flows in that order. Scores are the package's own:
`src/gatewise/forecast/evaluation/metrics.py`.
"""
