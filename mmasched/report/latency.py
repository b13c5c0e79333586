"""How long a compiled network takes, and how much of that its kernels do not."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# Kernels are timed in a native loop of about this long.
KERNEL_SECONDS = 0.02
ROUNDS = 10


@dataclass(frozen=True)
class Latency:
    """Seconds of a run (median, 10th and 90th percentile) and of its kernels alone (median)."""

    runs: int
    median: float
    p10: float
    p90: float
    kernels: float

    @property
    def overhead(self) -> float:
        """What a run costs beyond its kernels; 0 where noise hides it."""
        return max(0.0, self.median - self.kernels)


def measure_latency(network: Any, feeds: Mapping[str, np.ndarray], runs: int, seconds: float) -> Latency:
    """Times `runs` runs one by one, and the kernels in between, in turn so that drift meets both alike.

    network: a CompiledNetwork. No run is started after `seconds`.
    """
    network.run(feeds)
    single = _timed(network, feeds)
    calls = max(1, round(KERNEL_SECONDS / max(single, 1e-6)))
    end = time.perf_counter() + seconds
    times: list[float] = []
    kernels: list[float] = []
    while len(times) < runs and (not times or time.perf_counter() < end):
        for _ in range(max(1, min(runs - len(times), -(-runs // ROUNDS)))):
            times.append(_timed(network, feeds))
            if time.perf_counter() >= end:
                break
        kernels.append(network.time(calls) / calls)
    p10, p90 = (float(np.quantile(times, share)) for share in (0.1, 0.9))
    return Latency(len(times), statistics.median(times), p10, p90, statistics.median(kernels))


def _timed(network: Any, feeds: Mapping[str, np.ndarray]) -> float:
    start = time.perf_counter()
    network.run(feeds)
    return time.perf_counter() - start
