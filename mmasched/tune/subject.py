"""What is tuned: a problem on a chip with so many threads, and the space of its schedules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mmasched.errors import BadInput
from mmasched.hardware import Hardware, Target, hardware
from mmasched.measure import Runner, create_runner
from mmasched.problem import Conv2d
from mmasched.space import Config, Space


@dataclass(frozen=True)
class Machine:
    """Where candidates run: the chip's facts and the names that records are filed under."""

    hardware: Hardware
    target: str
    chip: str
    threads: int


def machine_and_runner(
    target: str | Target, runner: Runner | str | None, threads: int | None, seed: int
) -> tuple[Machine, Runner]:
    """The machine a user names and the runner that tries candidates on it.

    Raises BadInput when a given Runner is for another target or thread count, and what ``create_runner`` raises.
    """
    chip = hardware(target)
    made = create_runner(runner, chip, threads, seed)
    if made.target and made.target != str(chip.target):
        raise BadInput(f"the runner is for {made.target}, but the target is {chip.target}: pass target={made.target!r}")
    if threads is not None and made.threads != threads:
        raise BadInput(f"the runner uses {made.threads} threads, not {threads}: leave threads out or make them equal")
    return Machine(chip.with_caches(made.caches), str(chip.target), made.chip or chip.chip, made.threads), made


@dataclass(frozen=True)
class Subject:
    """A problem on a machine, and all valid configs of it there."""

    problem: Conv2d
    machine: Machine
    space: Space

    @classmethod
    def of(cls, problem: Conv2d, machine: Machine) -> Subject:
        """Asks the templates for the space. Raises Unsupported when no template serves the problem there."""
        from mmasched.templates import space_for

        return cls(problem, machine, space_for(problem, machine.hardware, machine.threads))

    def features(self, config: Config) -> Sequence[float]:
        """Analytic figures of a config for learning strategies."""
        from mmasched.templates import features

        return features(self.problem, config, self.machine.hardware, self.machine.threads)

    def notes(self) -> tuple[str, ...]:
        """What the templates have to say about how the problem runs."""
        from mmasched.templates import notes

        return notes(self.problem, self.machine.hardware)

    def starting_configs(self) -> tuple[Config, ...]:
        """The schedule that an untuned network gets, and the like of every other template."""
        from mmasched.templates import starting_configs

        return starting_configs(self.problem, self.machine.hardware, self.machine.threads)
