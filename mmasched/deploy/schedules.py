"""Which config each convolution of a network runs: the best record that fits, else the template's default."""

from __future__ import annotations

import re
from collections import defaultdict
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
        self._by_key: dict[str, list[Record]] = defaultdict(list)
        self._by_kin: dict[str, list[Record]] = defaultdict(list)
        for record in fitting:
            self._by_key[record.problem].append(record)
            self._by_kin[kin(record.problem)].append(record)

    def find(self, problem: Conv2d) -> Config:
        """The config for a problem; recorded ones that its space no longer allows do not count.

        A problem without a record counts as untuned, but runs a record of its kin where there is one: the code differs
        in a few instructions outside the innermost loop, or in the sign that one of them takes.
        """
        config = self._recorded(problem, self._by_key.get(problem.key, []))
        if config is not None:
            return config
        self.untuned.setdefault(problem.key, problem)
        borrowed = self._recorded(problem, self._by_kin.get(kin(problem.key), []))
        return borrowed or default_config(problem, self.hardware, self.threads)

    def _recorded(self, problem: Conv2d, records: list[Record]) -> Config | None:
        while (best := best_record(records)) is not None:
            config = Config.from_dict(best.template, best.config)
            if not space_for(problem, self.hardware, self.threads).violated(config):
                return config
            records = [record for record in records if record.config_key != best.config_key]
        return None


def kin(key: str) -> str:
    """What a problem's key has in common with those whose schedules suit it: shape, bits, kind of epilogue.

    Signs, zero points, a narrower range of the weights and per-tensor against per-channel scales are left out.
    """
    key = re.sub(r"/([xwy][1-8])[us](?::-?\d+\.\.-?\d+)?(?:\+zp)?", r"/\1", key)
    return re.sub(r"/(tensor|channel)(?=/|$)", "/scaled", key).replace("/residual+zp", "/residual")
