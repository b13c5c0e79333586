"""Candidates with the same code: the first one is timed, the others take its time over.

Knobs of a space may differ and yet lead to the very same machine code (a block longer than what it cuts, say). Such
twins are verified each, since they may pack operands differently, but a second time would only be a second draw of
the noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmasched.measure.outcome import Outcome
from mmasched.problem import Conv2d
from mmasched.space import Config

CODE = "code"
"""The resource that names a candidate's code: equal for equal code."""
TIME_OF = "time_of"
"""The resource of a candidate whose time was taken over: template and knobs of the one that was timed."""


class Timed:
    """What was timed of each code, by problem. One target and thread count, those of the runner that keeps it."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, dict[str, Any]]] = {}

    def note(self, outcome: Outcome) -> None:
        """Remembers a single pass of a correct candidate whose code is known; of several with the same code the first.

        Times of confirming count in another way than those of a search, and are not remembered.
        """
        code = outcome.resources.get(CODE)
        if not outcome.ok or outcome.cost is None or outcome.confirmed or not code or TIME_OF in outcome.resources:
            return
        told = {"cost": outcome.cost, "times": list(outcome.times), "resources": dict(outcome.resources)}
        told[TIME_OF] = _named(outcome.config)
        self._known.setdefault(outcome.problem.key, {}).setdefault(code, told)

    def of(self, problem: Conv2d) -> Mapping[str, Mapping[str, Any]]:
        """code -> cost, times, resources and time_of of what was timed; plain values, to be sent to a worker."""
        return self._known.get(problem.key, {})


def take_over(result: dict[str, Any], config: Config, known: Mapping[str, Mapping[str, Any]]) -> bool:
    """Gives a worker's result of a config the time of its twin, with what timing found out; False without a twin.

    A config is no twin of itself: whoever tries one again wants to know its time now.
    """
    twin = known.get(result["resources"].get(CODE, ""))
    if twin is None or twin[TIME_OF] == _named(config):
        return False
    result["cost"], result["times"] = twin["cost"], list(twin["times"])
    result["resources"] = {**twin["resources"], **result["resources"], TIME_OF: dict(twin[TIME_OF])}
    return True


def _named(config: Config) -> dict[str, Any]:
    return {"template": config.template, **config.as_dict()}
