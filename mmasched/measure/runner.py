"""The contract of everything that tries candidates: on this machine, elsewhere, in a model, or in a recorded table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from mmasched.measure.outcome import Outcome
from mmasched.problem import Conv2d
from mmasched.space import Config, Space

OnOutcome = Callable[[Outcome], None]


class Runner(ABC):
    """Builds, verifies and prices candidates. A context manager: leaving it ends every process it started.

    A runner never raises because of a candidate: whatever one does becomes its Outcome. It raises MmaschedErrors for
    what no candidate could get right (a compiler that is not installed, a device that is gone).
    """

    kind: str = "measured"
    """Kind of the outcomes: "measured", "modelled" or "emulated"."""
    threads: int = 1
    """Threads that candidates run with."""
    target: str = ""
    """Name of the target that candidates are built for."""
    noisy: bool = True
    """Whether costs differ from run to run, so that finalists are worth confirming."""
    parallel: int = 1
    """How many candidates of one call of ``run`` are worked on at the same time."""
    chip: str | None = None
    """Id of the chip that candidates run on, where it is not simply this machine's; goes into records."""
    caches: tuple[int, ...] = ()
    """Bytes of level 1, 2 and 3 of that chip's caches, where they are not simply what the target's facts say."""

    @abstractmethod
    def run(self, problem: Conv2d, configs: Sequence[Config], *, progress: OnOutcome | None = None) -> list[Outcome]:
        """One outcome per config, in order. ``progress`` is called with each as soon as it is known."""

    @abstractmethod
    def confirm(self, problem: Conv2d, configs: Sequence[Config], rounds: int) -> list[Outcome]:
        """Measures finalists again, in turn, for at most ``rounds`` rounds; outcomes in order, marked confirmed."""

    def restrict(self, problem: Conv2d, space: Space) -> Space:
        """The part of the space that this runner can try; all of it unless a runner says otherwise."""
        return space

    def remarks(self, outcomes: Sequence[Outcome]) -> tuple[str, ...]:
        """Sentences for the user about what the costs of one problem's outcomes leave out; none unless a runner has."""
        return ()

    def note_best(self, problem: Conv2d, cost: float) -> None:  # noqa: B027
        """Tells the runner a cost that is known for the problem, so that it may drop much slower candidates early."""

    def note_anchor(self, problem: Conv2d, config: Config, cost: float) -> None:  # noqa: B027
        """Tells the runner a config and its cost, in whose unit the costs of the problem's other configs shall be."""

    def note_timed(self, outcome: Outcome) -> None:  # noqa: B027
        """Tells the runner of a candidate that was timed before, so that others with the same code need not be."""

    def close(self) -> None:  # noqa: B027
        """Ends what the runner started. Closing twice is fine."""

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
