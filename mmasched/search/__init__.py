"""Search: which configs to try next, given what became of the others."""

from mmasched.search.base import Features, Observation, Option, PriorSample, Strategy
from mmasched.search.registry import create, default, names, options, strategy_class

__all__ = [
    "Features",
    "Observation",
    "Option",
    "PriorSample",
    "Strategy",
    "create",
    "default",
    "names",
    "options",
    "strategy_class",
]
