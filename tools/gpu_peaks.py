"""Measure a GPU's ceilings: bytes per second by size, and the rate of every matrix instruction from registers.

    python tools/gpu_peaks.py                              # measure; results in out/gpu/peaks.jsonl
    python tools/gpu_peaks.py --build --capability 90      # only compile and look at the machine code; needs no GPU
    python tools/gpu_peaks.py --table                      # print the tables of what was measured

Needs Python 3.10, NumPy and nvcc (or the cubins that --build left); a GPU to measure. What the file has is not measured
again. Clocks and power are read and written down, never set.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import _gpu
import _gpu_copy_kernels as copies
import numpy as np
from _gpu_rate_kernels import Rate, per_turn, rates, shared_bytes, source

from mmasched.compare.cuda.driver import Device
from mmasched.compare.cuda.nvcc import compile_cuda, find_tool
from mmasched.compare.cuda.sass import disassemble, hot_loop
from mmasched.errors import MmaschedError

OUT = _gpu.ROOT / "out" / "gpu"
SAMPLE_SECONDS = 0.01
SAMPLES = 9
WARM_SECONDS = 0.03
SUSTAINED_SECONDS = 2.0
SUSTAINED = ("mma s8.s8", "wgmma s8 n256 A from shared", "wgmma e4m3 n256 A from shared")
COPY_BYTES = [1 << power for power in range(16, 31)]
LEAST_TRAFFIC = 1 << 31  # bytes of one copy launch: small buffers are walked several times
OPERAND_BYTES = 1 << 20


def main() -> int:
    """Parse and run; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT / "peaks.jsonl", metavar="FILE", help="results, JSON lines")
    parser.add_argument("--cubins", type=Path, default=OUT / "cubins", metavar="FOLDER", help="what nvcc made")
    parser.add_argument("--limit-seconds", type=float, metavar="S", help="begin nothing new after S seconds")
    parser.add_argument("--only", default="", metavar="TEXT", help="only measurements whose name has TEXT")
    parser.add_argument("--build", action="store_true", help="only compile, and count instructions; needs no GPU")
    parser.add_argument("--capability", type=int, metavar="N", help="with --build: 90 for sm_90 and so on")
    parser.add_argument("--jobs", type=int, default=4, metavar="N", help="compilers at a time (default: 4)")
    parser.add_argument("--table", action="store_true", help="only print the tables")
    arguments = parser.parse_args()
    try:
        return run(arguments)
    except MmaschedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def run(arguments: argparse.Namespace) -> int:
    """Do what the command line says; returns the exit status."""
    if arguments.build:
        return build(arguments)
    lines = _gpu.Lines(arguments.out)
    if not arguments.table:
        measure(arguments, lines, _gpu.Deadline(arguments.limit_seconds))
    print(tables(lines.rows))
    return 0


def build(arguments: argparse.Namespace) -> int:
    """Compile everything for a chip and print what the hot loops hold; returns 1 if one did not compile."""
    wanted = [rate for rate in rates(arguments.capability or 90) if arguments.only in rate.name]
    rows, failed = [], 0
    for rate, made in zip(wanted, compiled(wanted, arguments.capability or 90, arguments), strict=True):
        if isinstance(made, MmaschedError):
            rows.append([rate.name, "-", str(made)[:100]])
            failed += 1
        else:
            loop = machine_code(rate, made)
            rows.append([rate.name, "native" if loop.get("native") else "emulated", str(loop.get("loop", ""))])
    print(_gpu.markdown(["instruction", "on this chip", "the loop's instructions (compiled, not run)"], rows))
    return 1 if failed else 0


def compiled(wanted: list[Rate], capability: int, arguments: argparse.Namespace) -> list[Any]:
    """The cubin of each, or the MmaschedError that it gave."""

    def one(rate: Rate) -> Any:
        try:
            return compile_cuda(source(rate), capability, cache=arguments.cubins)[0]
        except MmaschedError as error:
            return error

    with ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        return list(pool.map(one, wanted))


def machine_code(rate: Rate, cubin: bytes) -> dict[str, Any]:
    """What SASS shows: "native" where the loop holds the instruction's opcode once for each PTX instruction, "loop"."""
    if find_tool("cuobjdump") is None:
        return {}
    loop = hot_loop(disassemble(cubin))
    if loop is None:
        return {"native": False}
    # A native instruction is one opcode each; emulations call a subroutine or add sums and conversions.
    native = loop.count(rate.opcode) == per_turn(rate) and loop.other.total() < per_turn(rate)
    opcodes = {opcode: number for opcode, number in loop.opcodes.most_common(6) if number > 1}
    return {"native": native, "loop": " ".join(f"{number} {opcode}" for opcode, number in opcodes.items())}


def measure(arguments: argparse.Namespace, lines: _gpu.Lines, deadline: _gpu.Deadline) -> None:
    """Everything that the file lacks, until the time is over."""
    with Device() as device:
        board = _gpu.Board(device.bus)
        about = {"board": device.name, "capability": device.capability, "kind": "measured"}
        if "device" not in lines:
            facts = ("multiprocessors", "clock_hz", "memory_clock_hz", "l2", "memory", "driver")
            lines.add("device", **about, **{name: getattr(device, name) for name in facts}, idle=board.read())
        wanted = [rate for rate in rates(device.capability) if arguments.only in rate.name and rate.name not in lines]
        cubins = compiled(wanted, device.capability, arguments) if wanted else []
        bandwidth(arguments, lines, deadline, device, board, about)
        for rate, cubin in zip(wanted, cubins, strict=True):
            if deadline.passed():
                print("the time is over; the rest is for the next run")
                return
            if isinstance(cubin, MmaschedError):
                lines.add(rate.name, **about, what="rate", error=str(cubin))
                continue
            found = best_rate(device, board, rate, cubin)
            lines.add(rate.name, **about, what="rate", **machine_code(rate, cubin), **found)
            print(f"{rate.name}: {found['rate'] / 1e12:.1f} TOPS, {found['per_clock']:.0f} per clock", flush=True)


def bandwidth(arguments: Any, lines: Any, deadline: Any, device: Device, board: Any, about: dict[str, Any]) -> None:
    """Reads, writes and copies of each size."""
    wanted = [(name, size) for size in COPY_BYTES for name in copies.NAMES]
    wanted = [one for one in wanted if _copy_id(*one) not in lines and arguments.only in _copy_id(*one)]
    if not wanted:
        return
    cubin = compile_cuda(copies.SOURCE, device.capability, cache=arguments.cubins)[0]
    kernels = dict(zip(copies.NAMES, device.kernels(cubin, copies.NAMES), strict=True))
    largest = max(size for _, size in wanted)
    random = np.random.default_rng(1).integers(0, 256, min(largest, 1 << 24), dtype=np.uint8)
    origin, target = device.allocate(largest), device.allocate(largest)
    for start in range(0, largest, random.nbytes):
        part = random[: min(random.nbytes, largest - start)]
        device.call("cuMemcpyHtoD_v2", _at(origin, start), part.ctypes.data_as(_gpu.ctypes.c_void_p),
                    _gpu.ctypes.c_size_t(part.nbytes))  # fmt: skip
    for name, size in wanted:
        if deadline.passed():
            return
        passes = max(1, min(4096, LEAST_TRAFFIC // size))
        launch = lambda kernel=kernels[name], size=size, passes=passes: kernel.launch(  # noqa: E731
            4 * device.multiprocessors, copies.THREADS, origin, target, size // 16, passes
        )
        (seconds, best), state = board.watching(lambda launch=launch: timed(device, launch))
        moved = passes * copies.bytes_moved(name, size)
        lines.add(_copy_id(name, size), **about, what="bandwidth", operation=name, bytes=size, passes=passes,
                  rate=moved / seconds, best=moved / best, state=state)  # fmt: skip
    for memory in (origin, target):
        memory.free()


def _copy_id(name: str, size: int) -> str:
    return f"{name} {size}"


def _at(memory: Any, offset: int) -> Any:
    return _gpu.ctypes.c_void_p(memory.pointer + offset)


def best_rate(device: Device, board: Any, rate: Rate, cubin: bytes) -> dict[str, Any]:
    """The fastest of a few launch shapes: operations per second (median, best), per clock and multiprocessor.

    Clocks are those that the multiprocessors counted while the loop ran, so that a lower frequency does not hide in it.
    """
    kernel = device.kernel(cubin, "rate")
    operands = device.put(random_operands(rate))
    found: dict[str, Any] = {}
    for threads, blocks in shapes(rate):
        grid = blocks * device.multiprocessors
        results, cycles = device.allocate(4 * grid * threads), device.allocate(8 * grid)
        width = threads // (32 if rate.kind == "mma" else 128)
        one = rate.operations * per_turn(rate) * width * grid
        shared = shared_bytes(rate, threads)

        def launch(turns: int, shape: Any = (grid, threads, operands, results, cycles), shared: int = shared) -> None:
            kernel.launch(shape[0], shape[1], *shape[2:], turns, shared=shared)

        launch(64)
        probe = device.seconds(lambda launch=launch: launch(256))
        turns = int(min(1 << 24, max(64, 256 * SAMPLE_SECONDS / max(probe, 1e-6))))
        work = lambda launch=launch, turns=turns: launch(turns)  # noqa: E731
        (seconds, best), state = board.watching(lambda work=work: timed(device, work))
        counted = float(np.median(cycles.download([grid], np.int64)))
        per_clock = one * turns / (counted or 1) / device.multiprocessors
        row = {
            "rate": one * turns / seconds, "best": one * turns / best, "per_clock": per_clock, "threads": threads,
            "blocks": blocks, "registers": kernel.registers, "spilled": kernel.local_bytes, "state": state,
        }  # fmt: skip
        if rate.name in SUSTAINED:
            row["sustained"] = sustained(device, board, work, one * turns)
        for memory in (results, cycles):
            memory.free()
        if row["rate"] > found.get("rate", 0):
            found = row
    operands.free()
    return found


def sustained(device: Device, board: Any, work: Any, operations: int) -> dict[str, Any]:
    """The rate over seconds, where power may hold the clock down."""

    def long() -> float:
        total, calls = 0.0, 0
        while total < SUSTAINED_SECONDS:
            total += device.seconds(work)
            calls += 1
        return operations * calls / total

    value, state = board.watching(long)
    return {"rate": value, "seconds": SUSTAINED_SECONDS, "state": state}


def shapes(rate: Rate) -> list[tuple[int, int]]:
    """(threads of a block, blocks of a multiprocessor) to try."""
    if rate.kind == "mma":
        return [(128, 1), (256, 1), (256, 2), (256, 4)]
    if rate.n > 128:
        return [(128, 1), (256, 1)]
    return [(128, 1), (256, 1), (512, 1), (256, 2)]


def random_operands(rate: Rate) -> np.ndarray:
    """Random bits; floats are finite and small, so that no sum leaves their range."""
    random = np.random.default_rng(7)
    words = random.integers(0, 256, OPERAND_BYTES, dtype=np.uint8)
    if rate.operand in ("fp8", "e4m3", "e5m2"):
        words &= 0x9F  # exponents far below 1 in e4m3 and e5m2 alike
    elif rate.operand == "f16":
        words[1::2] = words[1::2] & 0x83 | 0x34  # 0.25 to 0.5, either sign
    return words


def timed(device: Device, work: Any) -> tuple[float, float]:
    """(median, least) seconds of one `work()`, after a warm-up."""
    total = 0.0
    while total < WARM_SECONDS:
        total += max(device.seconds(work), 1e-6)
    samples = [device.seconds(work) for _ in range(SAMPLES)]
    device.synchronize()
    return max(statistics.median(samples), 1e-9), max(min(samples), 1e-9)


def tables(rows: list[dict[str, Any]]) -> str:
    """Markdown: the board, bandwidth by size, rates."""
    device = next((row for row in rows if row["id"] == "device"), None)
    if device is None:
        return "nothing was measured yet"
    l2 = f"L2 {device['l2'] / 2**20:.0f} MiB"
    head = f"{device['board']}, {device['multiprocessors']} multiprocessors, {l2}; measured"
    moved = {(row["operation"], row["bytes"]): row for row in rows if row.get("what") == "bandwidth"}
    sizes = sorted({size for _, size in moved})
    cells = [[_size(size), *(_tera(moved.get((name, size))) for name in copies.NAMES)] for size in sizes]
    parts = [head, _gpu.markdown(["buffer", *(f"{name}, TB/s" for name in copies.NAMES)], cells)]
    speeds = [row for row in rows if row.get("what") == "rate" and "rate" in row]
    names = ["instruction", "TOPS", "per clock and multiprocessor", "sm clock, MHz", "W", "machine code"]
    code = {True: "native", False: "emulated"}
    cells = [
        [row["id"], f"{row['rate'] / 1e12:.1f}", f"{row['per_clock']:.0f}", _state(row, "sm_mhz"), _state(row, "watts"),
         code.get(row.get("native"), "?")] for row in speeds
    ]  # fmt: skip
    parts.append(_gpu.markdown(names, cells))
    held = [f"{row['id']}: {row['sustained']['rate'] / 1e12:.1f} TOPS over {row['sustained']['seconds']:.0f} s at "
            f"{_state(row['sustained'], 'sm_mhz')} MHz, {_state(row['sustained'], 'watts')} W"
            for row in speeds if "sustained" in row]  # fmt: skip
    failed = [f"{row['id']}: not measured: {row['error']}" for row in rows if "error" in row]
    return "\n\n".join([*parts, *held, *failed])


def _size(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def _tera(row: dict[str, Any] | None) -> str:
    return f"{row['rate'] / 1e12:.2f}" if row else "-"


def _state(row: dict[str, Any], name: str) -> str:
    return f"{row['state'][name]:.0f}" if name in row.get("state", {}) else "-"


if __name__ == "__main__":
    sys.exit(main())
