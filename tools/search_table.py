"""Makes the tables on which searches are compared (docs/search.md): resumable, and safe to interrupt at any time.

    python tools/search_table.py status
    python tools/search_table.py collect development --minutes 60
    python tools/search_table.py collect conv3x3_56 --configs 200 --work out/try --out out/try
    python tools/search_table.py disturbance conv3x3_56
    python tools/search_table.py export conv3x3_56 conv3x3_56.json

Nothing else may run while a table is measured. What is known of an unfinished table lies under --work; a finished one
is written to tuning_logs/tables/. Names are tables, sets (development, held-out, measured, draft, model) or networks
(resnet50, mobilenet_v2: small tables of all their convolutions).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _search_tables import ALL, ROOT, TABLES, Spec, chosen
from _table_collector import Collector
from _table_disturbance import disturbance, disturbance_text
from _table_finals import visited_often, with_finals
from _table_journal import SETTLED, TableJournal, to_confirm
from _table_models import draft_table, price_table
from _table_spells import spells

from mmasched.errors import BadInput, MmaschedError
from mmasched.hardware import hardware
from mmasched.log import to_t4
from mmasched.measure.affinity import available_cores, pick_cores
from mmasched.measure.table import Header, Table, error_of, knob_values, noise_of, read_table, shortened, write_table
from mmasched.space import Space


def main(arguments: list[str] | None = None) -> int:
    """Runs the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    collect = commands.add_parser("collect", help="measure tables, or go on with them")
    collect.add_argument("names", nargs="+")
    collect.add_argument("--configs", type=int, help="configs that make a table complete (default: the table's own)")
    collect.add_argument("--minutes", type=float, default=1e6, help="begin no new chunk after so many")
    collect.add_argument("--workers", type=int, default=2, help="processes that build at the same time (default: 2)")
    collect.add_argument("--chunk", type=int, default=24, help="configs that each builds before they are timed")
    collect.add_argument("--no-report", action="store_true", help="record no resources: builds take a third less")
    collect.add_argument("--overlap", action="store_true", help="go on building while others time (one thread only)")
    collect.add_argument("--settle", type=float, default=1e6, help="make a table's costs surer for so many minutes")
    disturbed = commands.add_parser("disturbance", help="are times the same while another core builds? (--overlap)")
    disturbed.add_argument("name", help="a measured table of one thread")
    disturbed.add_argument("--configs", type=int, default=24, help="configs that are timed (default: 24)")
    disturbed.add_argument("--rounds", type=int, default=8, help="rounds of each kind (default: 8)")
    disturbed.add_argument("--json", type=Path, help="write the figures to this file")
    status = commands.add_parser("status", help="how far the tables are")
    status.add_argument("names", nargs="*", default=list(ALL))
    export = commands.add_parser("export", help="write a finished table in the T4 format")
    export.add_argument("name")
    export.add_argument("file", type=Path)
    for each in (collect, disturbed, status, export):
        each.add_argument("--work", type=Path, default=ROOT / "out" / "tables", help="unfinished tables (out/tables)")
        each.add_argument("--out", type=Path, default=TABLES, help="finished tables (tuning_logs/tables)")
    given = parser.parse_args(arguments)
    try:
        return {"collect": _collect, "disturbance": _disturbance, "status": _status, "export": _export}[given.command](
            given
        )
    except MmaschedError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here", file=sys.stderr)
        sys.stderr.flush()
        os._exit(130)  # Threads that wait for workers would hold the exit up; workers end with their threads.


def _collect(given: argparse.Namespace) -> int:
    deadline = time.monotonic() + 60 * given.minutes
    for spec in chosen(given.names):
        enough = given.configs or spec.enough
        space = spec.space
        if spec.kind == "draft":
            write_finished(draft_table(spec, space), spec, given.out)
            continue
        journal = TableJournal(given.work / f"{spec.name}.jsonl", knob_values(space))
        try:
            if spec.kind == "model":
                done = price_table(spec, space, journal, enough, deadline)
            else:
                done = _measure(spec, space, journal, enough, deadline, given)
        finally:
            journal.close()
        if not done:
            print(f"{spec.name}: time is up with {len(journal.entries)} configs; the same command goes on")
            return 1
        write_finished(finished(spec, space, journal), spec, given.out)
    return 0


def _measure(
    spec: Spec, space: Space, journal: TableJournal, enough: int, deadline: float, given: argparse.Namespace
) -> bool:
    cores = available_cores()
    if len(cores) < spec.threads:
        raise BadInput(f"{spec.name} needs {spec.threads} cores, and this process may use {len(cores)}")
    if spec.threads > 1:
        lanes = [pick_cores(spec.threads)] * given.workers
    else:
        lanes = [[cores[i % len(cores)]] for i in range(given.workers)]
    overlap = given.overlap and spec.threads == 1
    collector = Collector(spec, space, journal, lanes, chunk=given.chunk, report=not given.no_report, overlap=overlap)
    with stopped_by_signals(collector):
        try:
            done = collector.collect(enough, deadline)
            settled_by = min(deadline, time.monotonic() + 60 * given.settle)
            if done and not (collector.visit_leaders(settled_by) and collector.settle(settled_by)):
                print(f"{spec.name}: some costs are not settled; the same command goes on")
            return done
        finally:
            collector.close()


@contextmanager
def stopped_by_signals(collector: Collector) -> Iterator[None]:
    """SIGINT and SIGTERM let it time and note the config in flight, and then end the command; a second one ends it."""
    stopping = (signal.SIGINT, signal.SIGTERM)

    def stop(*_: object) -> None:
        collector.stop.set()
        for each in stopping:
            signal.signal(each, signal.default_int_handler)

    before = [signal.signal(each, stop) for each in stopping]
    try:
        yield
    finally:
        for each, handler in zip(stopping, before, strict=True):
            signal.signal(each, handler)
    if collector.stop.is_set():
        raise KeyboardInterrupt


def finished(spec: Spec, space: Space, journal: TableJournal) -> Table:
    """The table of what the journal has."""
    entries = list(journal.entries.values())
    ratios = [repeat / journal.entries[config].cost for config, repeat in journal.repeats.items()]
    entries = with_finals(entries, journal.visits)
    # How well the optimum is known is what the leaders' costs scatter from process to process.
    floor, repeats = noise_of(visited_often(entries, journal.visits) or entries, ratios)
    about = {
        "measured": "single passes beside an anchor; the best tenth confirmed in turn, leaders in several processes",
        "model": "modelled cycles of the runner model; build and verification times are those of emulation",
    }[spec.kind]
    chip = hardware(spec.target)
    header = Header(
        spec.problem.key,
        spec.target,
        chip.chip,
        spec.threads,
        "measured" if spec.kind == "measured" else "modelled",
        journal.knobs,
        space.size,
        space.count_valid(),
        repeats,
        floor,
        journal.facts.get("anchor", {}),
        journal.facts.get("policy", {}),
        about,
        spec.loosening.registers,
        spec.loosening.multiply,
        chip.caches if spec.kind == "measured" else (),
    )
    return Table(header, tuple(shortened(entry) if entry.confirmed else entry for entry in entries))


def write_finished(table: Table, spec: Spec, folder: Path) -> None:
    """Writes a table and says what it holds."""
    path = spec.path(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(table, path)
    print(f"{path}: {_summary(table)}, {path.stat().st_size / 1024:.0f} KiB")


def _summary(table: Table) -> str:
    h, entries = table.header, table.entries
    worst = sum(not entry.ok for entry in entries)
    confirmed = sum(entry.confirmed for entry in entries)
    unit = "cycles" if h.kind == "modelled" else "s"
    near = sum(entry.ok and entry.cost <= table.optimum / 0.97 for entry in entries)
    return (
        f"{len(entries)} of {h.valid} configs ({h.kind}), {worst} failed, {confirmed} confirmed, "
        f"best {table.optimum:.4g} {unit}, {near} within 97%, floor {h.floor:.2%}{_settled(table)}"
    )


def _settled(table: Table) -> str:
    confirmed = [entry for entry in table.entries if entry.confirmed]
    if not confirmed:
        return ""
    sure = sum(error_of(entry) < SETTLED for entry in confirmed)
    best = [entry for entry in confirmed if entry.cost <= table.optimum / 0.95]
    return f", errors below {SETTLED:.1%} of {sure}, {sum(error_of(e) < SETTLED for e in best)} of the best {len(best)}"


def _disturbance(given: argparse.Namespace) -> int:
    spec = _single(given.name)
    cores = available_cores()
    if spec.kind != "measured" or spec.threads != 1 or len(cores) < 2:
        raise BadInput(f"{spec.name} is not a measured table of one thread, or this process may use one core only")
    space = spec.space
    journal = TableJournal(given.work / f"{spec.name}.disturbance.jsonl", knob_values(space))
    collector = Collector(spec, space, journal, [[core] for core in cores[:2]], report=False)
    try:
        found = disturbance(collector, given.configs, given.rounds)
    finally:
        collector.close()
        journal.close()
    print(f"{spec.name}, measured:\n{disturbance_text(found)}")
    if given.json:
        given.json.write_text(json.dumps({"table": spec.name, **found}, indent=1) + "\n")
    return 0


def _status(given: argparse.Namespace) -> int:
    for spec in chosen(given.names):
        path, partial = spec.path(given.out), given.work / f"{spec.name}.jsonl"
        if path.exists():
            table = read_table(path)
            alike = f", spells {spells(table):.2f}x of chance" if spec.kind == "measured" else ""
            print(f"{spec.name} ({spec.set}): {_summary(table)}{alike}")
        elif partial.exists():
            lines = [json.loads(line) for line in partial.read_text().splitlines()]
            journal = TableJournal(partial, lines[0]["facts"]["knobs"])
            journal.close()
            known, left = len(journal.entries), len(to_confirm(journal.entries.values()))
            print(f"{spec.name} ({spec.set}): {known} of {spec.enough} measured, {left} to confirm")
        else:
            print(f"{spec.name} ({spec.set}): not begun")
    return 0


def _single(name: str) -> Spec:
    """The table of a name. Raises BadInput for a set or a network."""
    specs = chosen([name])
    if len(specs) != 1:
        raise BadInput(f"{name!r} stands for {len(specs)} tables: name one, such as {specs[0].name}")
    return specs[0]


def _export(given: argparse.Namespace) -> int:
    spec = _single(given.name)
    table = read_table(spec.path(given.out))
    given.file.write_text(json.dumps(to_t4(table.records()), indent=1) + "\n")
    print(f"{given.file}: {len(table.entries)} results")
    return 0


if __name__ == "__main__":
    sys.exit(main())
