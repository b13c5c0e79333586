"""Tuning: the loop for one problem, and one budget over the problems of a network."""

from mmasched.tune.effort import EFFORTS, Effort, effort_of
from mmasched.tune.network import tune_network
from mmasched.tune.progress import Progress
from mmasched.tune.result import Best, LayerResult, NetworkResult, TuningResult
from mmasched.tune.session import Session
from mmasched.tune.single import tune

__all__ = [
    "EFFORTS",
    "Best",
    "Effort",
    "LayerResult",
    "NetworkResult",
    "Progress",
    "Session",
    "TuningResult",
    "effort_of",
    "tune",
    "tune_network",
]
