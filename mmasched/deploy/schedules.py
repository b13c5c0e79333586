"""Which config each convolution of a network runs: the best record that fits, else the template's default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mmasched.log import Record, best_record, matching
from mmasched.problem import Conv2d
from mmasched.space import Config
from mmasched.templates import default_config, space_for


@dataclass
class Schedules:
    """Looks configs up by problem key, target, chip and threads; remembers which problems had none."""

    records: list[Record]
    hardware: Any
    threads: int
    untuned: dict[str, Conv2d] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fitting = matching(self.records, None, str(self.hardware.target), self.hardware.chip, self.threads)
        self._by_key: dict[str, list[Record]] = {}
        for record in fitting:
            self._by_key.setdefault(record.problem, []).append(record)

    def find(self, problem: Conv2d) -> Config:
        """The config for a problem; recorded ones that its space no longer allows do not count.

        A problem without a record counts as untuned, but runs the record of its twin with activations of the other sign
        where there is one: the code differs in an instruction at most.
        """
        config = self._recorded(problem, problem.key)
        if config is not None:
            return config
        self.untuned.setdefault(problem.key, problem)
        twin = self._recorded(problem, other_sign(problem.key))
        return twin or default_config(problem, self.hardware, self.threads)

    def _recorded(self, problem: Conv2d, key: str) -> Config | None:
        records = self._by_key.get(key, [])
        while (best := best_record(records)) is not None:
            config = Config.from_dict(best.template, best.config)
            if not space_for(problem, self.hardware, self.threads).violated(config):
                return config
            records = [record for record in records if record.config_key != best.config_key]
        return None


def other_sign(key: str) -> str:
    """The key of the same problem with signed instead of unsigned inputs and outputs, or the other way round."""
    flipped = {"u": "s", "s": "u"}
    parts = []
    for part in key.split("/"):
        operand, bits, rest = part[:1], part[1:2], part[2:]
        turns = operand in ("x", "y") and bits.isdigit() and rest[:1] in flipped
        parts.append(f"{operand}{bits}{flipped[rest[0]]}{rest[1:]}" if turns else part)
    return "/".join(parts)
