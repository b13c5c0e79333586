"""Tables whose costs are modelled: the templates' draft cycles, or a core's cycles counted under emulation."""

from __future__ import annotations

import time

from _search_tables import Spec
from _table_journal import TableJournal, measuring_order

from mmasched.hardware import hardware
from mmasched.measure import create_runner
from mmasched.measure.table import Entry, Header, Table, knob_values
from mmasched.space import Space
from mmasched.templates import draft_cycles


def draft_table(spec: Spec, space: Space) -> Table:
    """Every config of the space with the cycles that the template's formulas give it; nothing is built."""
    chip = hardware(spec.target)
    entries = []
    for config in measuring_order(space):
        cycles = draft_cycles(spec.problem, config, chip, spec.threads)
        entries.append(Entry(config, "correct", cycles, cycles))
    about = "draft cycles by the template's formulas, not built and not measured"
    header = Header(
        spec.problem.key, spec.target, chip.chip, spec.threads, "modelled", knob_values(space), space.size,
        space.count_valid(), policy={"source": "draft"}, about=about,
    )  # fmt: skip
    return Table(header, tuple(entries))


def price_table(spec: Spec, space: Space, journal: TableJournal, enough: int, deadline: float) -> bool:
    """Lets runner "model" price configs until ``enough`` are known; whether that was done before the deadline."""
    waiting = [config for config in measuring_order(space) if config not in journal.entries]
    waiting = waiting[: max(0, enough - len(journal.entries))]
    start = time.monotonic()
    with create_runner("model", hardware(spec.target), spec.threads) as runner:
        for number, config in enumerate(waiting, 1):
            if time.monotonic() > deadline:
                return False
            before = time.monotonic()
            (outcome,) = runner.run(spec.problem, [config])
            spent = time.monotonic() - before - outcome.build_seconds - outcome.verify_seconds
            cost = outcome.cost if outcome.ok else None
            journal.add(
                [
                    Entry(
                        config,
                        outcome.status,
                        cost,
                        cost,
                        build_seconds=outcome.build_seconds,
                        verify_seconds=outcome.verify_seconds,
                        measure_seconds=max(spent, 0.0),
                        resources=dict(outcome.resources),
                        detail=outcome.detail,
                    )
                ]
            )
            each = (time.monotonic() - start) / number
            print(f"{spec.name}: priced {number} of {len(waiting)}, {each:.1f} s each")
    return True
