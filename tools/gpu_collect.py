"""Collect what tools/gpu.sh measured: tables into docs/benchmarks.md, records compressed into tuning_logs/<chip>/.

python tools/gpu_collect.py --state out/gpu --chip cuda/sm_90
"""

from __future__ import annotations

import argparse
import gzip
import re
import sys
from pathlib import Path

import _gpu
import gpu_peaks
from _gpu_comparison_table import table as comparison_table
from _gpu_cudnn_table import table

from mmasched.errors import BadInput, MmaschedError

MOST_BYTES = 5 << 20
COMPARISONS = ("versus", "few", "compare-*", "peers-*")


def main() -> int:
    """Parse and collect; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, default=_gpu.ROOT / "out" / "gpu", metavar="FOLDER")
    parser.add_argument("--chip", required=True, help="such as cuda/sm_90")
    parser.add_argument("--docs", type=Path, default=_gpu.ROOT / "docs" / "benchmarks.md", metavar="FILE")
    parser.add_argument("--logs", type=Path, default=_gpu.ROOT / "tuning_logs", metavar="FOLDER")
    arguments = parser.parse_args()
    try:
        for line in collect(arguments.state, arguments.chip, arguments.docs, arguments.logs):
            print(line)
    except MmaschedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def collect(state: Path, chip: str, docs: Path, logs: Path) -> list[str]:
    """Write everything there is; says what was written. Raises BadInput for nothing or for records that are too large.

    A section of the document that an earlier run wrote is replaced.
    """
    parts = []
    peaks, cudnn = (_gpu.Lines(state / name).rows for name in ("peaks.jsonl", "cudnn.jsonl"))
    if peaks:
        parts += ["`python tools/gpu_peaks.py`", gpu_peaks.tables(peaks)]
    if cudnn:
        parts += ["`python tools/gpu_cudnn.py`", table(cudnn, "resnet50", [1, 16, 128])]
    for path in sorted(path for name in COMPARISONS for path in state.glob(f"{name}.jsonl")):
        parts += [f"`mmasched compare`, {path.stem}", comparison_table(path)]
    records = sorted([*state.glob("tune*.jsonl"), *state.glob("table-*.jsonl")])
    if not parts and not records:
        raise BadInput(f"{state} has no results: run tools/gpu.sh first")
    said = []
    if parts:
        said.append(write_section(docs, chip, "\n\n".join(parts)))
    if records:
        said += compress(records, logs / chip.replace("/", "-"), logs)
    return said


def write_section(docs: Path, chip: str, text: str) -> str:
    """Put the text between the markers of this chip, at the end where there are none yet."""
    start, end = f"<!-- {chip} begins -->", f"<!-- {chip} ends -->"
    section = f"{start}\n## {chip}\n\n{text}\n{end}\n"
    old = docs.read_text(encoding="utf-8") if docs.is_file() else ""
    pattern = re.compile(re.escape(start) + ".*?" + re.escape(end) + "\n", re.DOTALL)
    new = pattern.sub(lambda _: section, old) if pattern.search(old) else old.rstrip("\n") + "\n\n" + section
    docs.write_text(new.lstrip("\n"), encoding="utf-8")
    return f"tables: {docs}"


def compress(records: list[Path], folder: Path, logs: Path) -> list[str]:
    """Gzip the record files into a folder, without a time stamp. Raises BadInput where tuning_logs grows too large."""
    packed = {folder / f"{path.name}.gz": gzip.compress(path.read_bytes(), 9, mtime=0) for path in records}
    others = sum(path.stat().st_size for path in logs.rglob("*") if path.is_file() and path not in packed)
    total = others + sum(map(len, packed.values()))
    if total > MOST_BYTES:
        raise BadInput(f"{logs} would have {total / 2**20:.1f} MiB, more than {MOST_BYTES >> 20}: keep fewer tables")
    folder.mkdir(parents=True, exist_ok=True)
    for path, data in packed.items():
        path.write_bytes(data)
    return [f"records: {path}, {len(data)} bytes" for path, data in packed.items()]


if __name__ == "__main__":
    sys.exit(main())
