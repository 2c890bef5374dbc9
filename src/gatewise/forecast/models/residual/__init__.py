"""A network for what a robust baseline leaves: the forecaster of panels without drivers.

At every origin a cheap baseline is read off the rows before it: level, slope, season and volatility
of the series. An LSTM trained across all series forecasts what the baseline leaves, in units of the
series' own volatility. Several such networks make an ensemble; its intervals come from the errors
it made on horizons that the networks had not seen.

    histories.py  a panel as flat arrays, gaps filled from the past; scale and season chosen
    seasonal.py   windows -> season
    baseline.py   windows -> level, season, slope, volatility: the equations
    origin_features.py  origins -> what the network reads, and what its output is added to
    network.py    the LSTM and its two heads
    distribution.py  what a network may say of a row beside its location
    recipe.py     how much training a table is worth
    training.py   one network
    synthetic.py, joint.py  made series; training sets from panels of any season
    members.py    what a member is, and running some
    calibration.py, bands.py  rows held out of training, and what is missed there; intervals
    ensemble.py   training many, in parallel; their forecasts
    model.py      a panel in, quantiles out
    pretrained.py, pretraining.py  networks that come with the package

Data flows down that list. Nothing here knows tables, files or drivers.
"""
