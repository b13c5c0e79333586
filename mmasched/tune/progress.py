"""What tuning tells while it runs, for progress bars."""

from __future__ import annotations

from mmasched.measure import Outcome
from mmasched.problem import Conv2d
from mmasched.tune.result import Best


class Progress:
    """Told of every step; does nothing. Derive and override what is of interest; methods should return quickly."""

    def network(self, name: str, problems: int, trials: int) -> None:
        """Tuning a network of so many distinct problems begins, with so many trials in all."""

    def start(self, problem: Conv2d, trials: int, done: int) -> None:
        """Work on a problem begins or, in a network, goes on: ``trials`` in all, of which ``done`` are known."""

    def trial(self, outcome: Outcome, best: Best | None) -> None:
        """A candidate was tried; ``best`` is the best so far, None while none was correct."""

    def confirm(self, problem: Conv2d, finalists: int) -> None:
        """So many finalists are about to be measured again side by side."""

    def end(self, problem: Conv2d, best: Best | None) -> None:
        """Work on a problem is over for now."""
