"""Picks the records worth shipping out of tuning logs: tuning_logs/CHIP/NAME.jsonl, one file per name.

For every problem and thread count: the winner, and the runners-up, which teach a search where to look. Records already
there stay unless better ones push them out. Measured and modelled records are taken, emulated ones say nothing.

    python tools/ship_records.py --name resnet50 resnet50.jsonl
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

from mmasched.log import Log, Record, best_record, standing

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("measured", "modelled")


def chosen(records: list[Record], keep: int) -> list[Record]:
    """The records to keep of one problem, chip, target and thread count: the winner first, then by cost."""
    believed = [record for record in standing(records).values() if record.ok and record.cost is not None]
    winner = best_record(believed)
    others = sorted((r for r in believed if r is not winner), key=lambda r: r.cost)
    return [winner, *others[: keep - 1]] if winner else []


def main() -> None:
    """Merge, choose, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="+", type=Path, help="tuning logs")
    parser.add_argument("--name", required=True, help="file name under tuning_logs/CHIP/, without .jsonl")
    parser.add_argument("--keep", type=int, default=4, help="records per problem and thread count (default 4)")
    arguments = parser.parse_args()
    by_chip: dict[str, dict[tuple, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for path in arguments.logs:
        for record in Log(path, must_exist=True).records():
            if record.kind in SHIPPED:
                by_chip[record.chip][record.problem, record.target, record.threads].append(record)
    for chip, groups in by_chip.items():
        target = ROOT / "tuning_logs" / chip / f"{arguments.name}.jsonl"
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            for record in Log(target).records():
                groups[record.problem, record.target, record.threads].append(record)
            target.unlink()
        kept = [record for key in sorted(groups) for record in chosen(groups[key], arguments.keep)]
        Log(target).append(*kept)
        target.with_name(target.name + ".lock").unlink(missing_ok=True)
        print(f"{target.relative_to(ROOT)}: {len(kept)} records of {len(groups)} problems and thread counts")


if __name__ == "__main__":
    main()
