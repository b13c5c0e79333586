"""When to stop: after some batches in a row in which a model expected no gain worth having."""

from __future__ import annotations

import math

from mmasched.search.base import Option

STOP_GAIN = Option(
    "stop_gain", 0.0, "finished when no config is expected to gain this share of the cost; 0: never", low=0
)
# The rule listens from so many observations on, and believes so many batches in a row.
CALM_FROM = 32
CALM_BATCHES = 2


class StoppingRule:
    """Is told before each batch what gain its most promising config may bring. A stop_gain of 0 turns it off."""

    def __init__(self, stop_gain: float):
        self._stop_gain = stop_gain
        self._calm = 0

    @property
    def finished(self) -> bool:
        """Whether the last batches promised too little."""
        return self._calm >= CALM_BATCHES

    def judge(self, gain: float, observations: int) -> None:
        """``gain``: logarithm of the incumbent's cost over the cost that is hoped for; observations made so far."""
        if self._stop_gain and observations >= CALM_FROM:
            self._calm = self._calm + 1 if gain < math.log1p(self._stop_gain) else 0
