"""What a network says of a row beside its location: nothing, Student's t, or a count's spread.

"empirical": the location alone is trained, by its absolute error; quantiles come from what past
forecasts missed by. "student-t": location, scale and degrees of freedom, by likelihood, as in
DeepAR (Salinas et al. 2020). "negative-binomial": mean and dispersion of a count, by likelihood
(Salinas et al. 2020, equation 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import torch
from scipy.stats import nbinom
from scipy.stats import t as student
from torch import Tensor
from torch.distributions import NegativeBinomial, StudentT
from torch.nn.functional import softplus

from gatewise.forecast.data.panel import Array

if TYPE_CHECKING:
    from jaxtyping import Float

Distribution = Literal["empirical", "student-t", "negative-binomial"]

PARAMETERS: Final[dict[Distribution, int]] = {
    "empirical": 0,
    "student-t": 2,
    "negative-binomial": 1,
}
"""Outputs of a network beside the location."""

_LEAST: Final = 1e-3
"""Smallest scale, in volatilities, and smallest dispersion: a likelihood needs a floor."""


def loss(
    kind: Distribution,
    location: Float[Tensor, "... h"],
    spread: Float[Tensor, "... h"],
    outputs: Float[Tensor, "... h E"],
    labels: Float[Tensor, "... h"],
    unit: Float[Tensor, "... 1"],
) -> Float[Tensor, "... h"]:
    """Loss of each row: absolute error in units, or negative log-likelihood.

    Args:
        kind: of the distribution.
        location: in the target's unit.
        spread: what one volatility is, at each step, in the target's unit.
        outputs: those beside the location.
        labels: the target.
        unit: usual error of the series, in the target's unit.
    """
    if kind == "empirical":
        return (labels - location).abs() / unit
    if kind == "student-t":
        # The degrees of freedom are above 2: the variance is finite.
        scale, freedom = (
            (softplus(outputs[..., 0]) + _LEAST) * spread,
            2 + softplus(outputs[..., 1]),
        )
        made = StudentT(freedom, location / unit, scale / unit, validate_args=False)
        return -made.log_prob(labels / unit)
    total = 1 / (softplus(outputs[..., 0]) + _LEAST)
    mean = location.clamp_min(1e-6)
    counts = NegativeBinomial(total, logits=torch.log(mean / total), validate_args=False)
    return -counts.log_prob(labels)


def quantiles(
    kind: Distribution,
    location: Float[Array, "n h"],
    spread: Float[Array, "n h"],
    outputs: Float[Array, "n h E"],
    probabilities: Sequence[float],
) -> Float[Array, "n h Q"]:
    """Quantiles of a distribution with parameters; see `loss`.

    >>> at, none = np.full((1, 1), 5.0), np.full((1, 1, 2), 20.0)
    >>> quantiles("student-t", at, at / 100, none, (0.1, 0.5, 0.9)).round(1)
    array([[[3.7, 5. , 6.3]]])
    """
    p = np.asarray(probabilities)
    # NumPy's, which gives each number the same bits wherever it stands.
    positive = np.logaddexp(0.0, outputs)[..., None, :]
    if kind == "student-t":
        scale = (positive[..., 0] + _LEAST) * spread[..., None]
        return location[..., None] + scale * student.ppf(p, 2 + positive[..., 1])
    total = 1 / (positive[..., 0] + _LEAST)
    mean = np.maximum(location, 1e-6)[..., None]
    return nbinom.ppf(p, total, total / (total + mean))
