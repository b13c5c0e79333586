"""How hard to try: presets, in one place."""

from __future__ import annotations

from dataclasses import dataclass

from mmasched.errors import BadInput, nearest


@dataclass(frozen=True)
class Effort:
    """A preset.

    trials: per distinct problem (a network's budget is this many times its problems). patience: a problem's search ends
    after so many trials in a row that improve nothing; None never ends it early. finalists: how many of the best
    configs are measured again side by side, at most. confirm_rounds: most rounds of that.
    """

    name: str
    trials: int
    patience: int | None
    finalists: int
    confirm_rounds: int


EFFORTS = {
    effort.name: effort
    for effort in (
        Effort("quick", trials=32, patience=24, finalists=3, confirm_rounds=20),
        Effort("standard", trials=128, patience=None, finalists=5, confirm_rounds=50),
        Effort("thorough", trials=512, patience=None, finalists=8, confirm_rounds=100),
    )
}


def effort_of(effort: Effort | str | None) -> Effort:
    """The preset of a name; None is "standard". Raises BadInput for an unknown name."""
    if isinstance(effort, Effort):
        return effort
    name = "standard" if effort is None else effort
    if name not in EFFORTS:
        raise BadInput(f"there is no effort {name!r}; {nearest(str(name), EFFORTS)}")
    return EFFORTS[name]
