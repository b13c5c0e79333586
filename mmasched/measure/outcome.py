"""What became of one candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmasched.errors import BadInput
from mmasched.log.record import KINDS, STATUSES
from mmasched.problem import Conv2d
from mmasched.space import Config

__all__ = ["KINDS", "STATUSES", "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """How a candidate ended, what it cost and what it used.

    ``status`` is one of ``STATUSES``; only "correct" ones were verified. ``cost`` is the median seconds of a call when
    ``kind`` is "measured", cycles when it is "modelled", and None when the candidate failed or was not timed; ``times``
    are the single samples. ``detail`` says in one sentence what went wrong. ``confirmed`` marks times from re-measuring
    finalists side by side. Raises BadInput for a status or kind that does not exist.
    """

    status: str
    config: Config
    problem: Conv2d
    detail: str = ""
    kind: str = "measured"
    cost: float | None = None
    times: tuple[float, ...] = ()
    resources: Mapping[str, Any] = field(default_factory=dict)
    build_seconds: float = 0.0
    verify_seconds: float = 0.0
    threads: int = 1
    target: str = ""
    confirmed: bool = False

    def __post_init__(self) -> None:
        if self.status not in STATUSES:
            raise BadInput(f"an outcome's status is one of {', '.join(STATUSES)}, not {self.status!r}")
        if self.kind not in KINDS:
            raise BadInput(f"an outcome's kind is one of {', '.join(KINDS)}, not {self.kind!r}")

    @property
    def ok(self) -> bool:
        """True when the candidate computed the right numbers."""
        return self.status == "correct"
