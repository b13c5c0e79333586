#!/usr/bin/env python3
"""Verifies the CUDA template without a GPU: builds candidates with nvcc, runs their source on the CPU, bit for bit.

Part a: every distinct convolution of ResNet-50, VGG-16, Inception-v3 and the channel-expanded ResNet-18 at batch 1 in
int8 on sm_80, the draft model's 5 favourites of 512 valid configs. Part b: 12 shapes, one for each kind of layer in
those networks (see tools/_verify_cuda_plan.py), at batch 1 and 16 in turn, the 20 favourites, in every other pair of
int8, int4 and binary (2 x 2 bits) with sm_75, sm_80 and sm_90.

A candidate is exact when the emulator finds no fault and every output equals the reference, on random and on worst-case
operands. Problems of more than --macs multiply-accumulates, and those that would keep the emulator busy for long, are
emulated on a smaller one that runs the same code (mmasched/measure/cuda/shrink.py); each record says which. Machine
code is built for the whole problem, where there is an nvcc; a favourite whose code spills is no candidate, as it is
none in tuning, and the next one takes its place. How long that takes, nvcc aside, --sample says of some of the records'
candidates, which it verifies once more, one at a time, without recording them.
Everything here is emulated, nothing measured.

Every candidate's record is appended to --records at once: an interrupted run (Ctrl-C, --limit) continues where it was.
Candidates that failed are tried again with --again.

Example: python tools/verify_cuda.py --limit 3600
         python tools/verify_cuda.py --report
         python tools/verify_cuda.py --sample 100
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import _bench
import _verify_cuda_report
import _verify_cuda_sample
from _verify_cuda_job import SPILLS
from _verify_cuda_plan import Task, choose, described, tasks

from mmasched import __version__
from mmasched.build.cuda.toolkit import Toolkit, find_toolkit
from mmasched.build.toolchain import find
from mmasched.errors import Missing, MmaschedError
from mmasched.measure.affinity import pick_cores
from mmasched.measure.cuda.shrink import LIMIT
from mmasched.measure.limits import Limits
from mmasched.measure.worker import Worker
from mmasched.space import Config

RECORDS = _bench.OUT / "verify_cuda.jsonl"
PACKED = _bench.ROOT / "tuning_logs" / "cuda_emulated" / "verified.jsonl.gz"
SCHEMA = 1
LIMITS = Limits(build=300.0, reference=300.0, verify=300.0, memory=0)


def main() -> int:
    """Parse, verify or report; returns the exit status."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--part", choices=("a", "b"), help="one part only (default: both)")
    made.add_argument("--quick", action="store_true", help="one candidate each of two shapes of every group")
    made.add_argument("--limit", type=float, metavar="SECONDS", help="stop after so long")
    made.add_argument("--macs", type=int, default=LIMIT, help="emulate smaller problems beyond (default: %(default)s)")
    made.add_argument("--again", action="store_true", help="try candidates again that failed")
    made.add_argument("--seed", type=int, default=0, help="of the operands (default: 0)")
    made.add_argument("--records", type=Path, default=RECORDS, metavar="FILE", help="(default: out/verify_cuda.jsonl)")
    made.add_argument("--report", action="store_true", help="print a Markdown summary of the records and stop")
    made.add_argument("--sample", type=int, metavar="N", help="time N recorded candidates until verified and stop")
    made.add_argument("--pack", action="store_true", help="compress the records to tuning_logs/cuda_emulated and stop")
    arguments = made.parse_args()
    try:
        records = _verify_cuda_report.standing(read(arguments.records))
        if arguments.pack:
            return pack(records)
        if arguments.report:
            print(_verify_cuda_report.summary(records))
            return 0
        if arguments.sample:
            return sample(arguments, records)
        return verify(arguments, records)
    except MmaschedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; the same command continues", file=sys.stderr)
        return 130


def read(path: Path) -> list[dict[str, Any]]:
    """The records of a file, or of the packed ones where there is no such file; a torn last line is left out."""
    if not path.is_file():
        if path != RECORDS or not PACKED.is_file():
            return []
        lines = gzip.decompress(PACKED.read_bytes()).decode().splitlines()
    else:
        lines = path.read_text(encoding="utf-8").splitlines()
    records = []
    for number, line in enumerate(lines):
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            if number + 1 < len(lines):
                raise MmaschedError(f"{path}:{number + 1} is no record: delete the line") from None
    return records


def pack(records: list[dict[str, Any]]) -> int:
    """Writes the compressed records, always the same bytes for the same ones."""
    PACKED.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n" for record in records)
    PACKED.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    print(f"{len(records)} records, {PACKED.stat().st_size} bytes: {PACKED}")
    return 0


def verify(arguments: argparse.Namespace, records: list[dict[str, Any]]) -> int:
    """Tries what has no record; returns 1 when any candidate failed."""
    find("g++", "apt-get install g++")
    compiler = _compiler()
    done = {_identity(record): record for record in records}
    todo = tasks([arguments.part] if arguments.part else ["a", "b"], arguments.quick)
    start, failed, tried = time.monotonic(), 0, 0
    arguments.records.parent.mkdir(parents=True, exist_ok=True)
    _mend(arguments.records)
    with arguments.records.open("a", encoding="utf-8") as file:
        worker = Worker("_verify_cuda_job", pick_cores(1), LIMITS)
        try:
            for number, task in enumerate(todo):
                chosen = choose(task)
                held = 0  # of the task's candidates, those that build without spilling
                for rank, config in enumerate(chosen.configs):
                    if held == task.top:
                        break
                    old = done.get(_identity(described(task, config)))
                    if old is not None and _stands(old, arguments.again):
                        held += old["status"] != SPILLS
                        failed += old["status"] not in ("correct", SPILLS)
                        continue
                    if arguments.limit is not None and time.monotonic() - start > arguments.limit:
                        print(f"{tried} candidates tried within {arguments.limit:g} s; the same command continues")
                        return int(failed > 0)
                    job = {"problem": task.problem, "config": config, "hardware": task.chip, "compiler": compiler,
                           "seed": arguments.seed, "macs": arguments.macs}  # fmt: skip
                    result = worker.call("execute", job)
                    about = {"part": task.part, "group": task.group, "layer": task.layer, "rank": rank,
                             "valid": chosen.valid, "draft_seconds": round(chosen.seconds, 4)}  # fmt: skip
                    record = _record(task, config, result, about, arguments.seed)
                    file.write(json.dumps(record, separators=(",", ":")) + "\n")
                    file.flush()
                    tried += 1
                    held += record["status"] != SPILLS
                    failed += record["status"] not in ("correct", SPILLS)
                    _say(number + 1, len(todo), record)
        finally:
            worker.close()
    print(f"{tried} candidates tried, {failed} of all failed; the summary: python tools/verify_cuda.py --report")
    return int(failed > 0)


def sample(arguments: argparse.Namespace, records: list[dict[str, Any]]) -> int:
    """Times candidates from config to verified; returns 1 when any of them is not exact now."""
    find("g++", "apt-get install g++")
    candidates = _verify_cuda_sample.drawn(records, arguments.part, arguments.sample, arguments.seed)
    worker = Worker("_verify_cuda_job", pick_cores(1), LIMITS)
    try:
        results = _verify_cuda_sample.timed(
            lambda job: worker.call("execute", job), candidates, arguments.macs, arguments.seed
        )
    finally:
        worker.close()
    print(_verify_cuda_sample.summary(results))
    return int(any(result["status"] != "correct" for result in results))


def _stands(record: dict[str, Any], again: bool) -> bool:
    """Whether a candidate need not be tried again; one that was verified although it spilled must be."""
    if record["status"] == "correct":
        return not record.get("resources", {}).get("spill_stores")
    return record["status"] == SPILLS or not again


def _compiler() -> Toolkit | None:
    try:
        return find_toolkit()
    except Missing as error:
        print(f"no machine code is built: {error}")
        return None


def _mend(path: Path) -> None:
    """Cuts off a torn last line."""
    if path.is_file():
        data = path.read_bytes()
        if data and not data.endswith(b"\n"):
            path.write_bytes(data[: data.rfind(b"\n") + 1])


def _identity(record: dict[str, Any]) -> str:
    return json.dumps([record["problem"], record["target"], record["config"]], sort_keys=True)


def _record(task: Task, config: Config, result: dict[str, Any], about: dict[str, Any], seed: int) -> dict[str, Any]:
    fields = ("status", "detail", "emulated", "code", "resources", "seconds")
    return {
        "schema": SCHEMA, "kind": "emulated", **about, **described(task, config),
        **{name: result[name] for name in fields if result.get(name)}, "seed": seed, "mmasched": __version__,
        "time": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }  # fmt: skip


def _say(number: int, count: int, record: dict[str, Any]) -> None:
    seconds = record.get("seconds", {})
    spilled = record.get("resources", {}).get("spill_stores")
    build = sum(seconds.get(name, 0.0) for name in ("lower", "compile"))
    parts = [f"[{number}/{count}] {record['group']} {record['layer']} #{record['rank']}: {record['status']}"]
    parts += [f"{spilled} bytes spilled"] if spilled else []
    parts += [f"build {build:.1f} s, verification {seconds.get('verify', 0.0):.1f} s"]
    print(", ".join(parts), flush=True)
    if record["status"] != "correct":
        print(f"    {record['problem']} {json.dumps(record['config'])}: {record.get('detail', '')}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
