"""The benchmark tools: their help, and short runs on tiny networks whose JSON has what it promises."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmasched.errors import MmaschedError
from mmasched.hardware import native_target, runs_here

TOOLS = Path(__file__).resolve().parents[2] / "tools"
BENCHMARKS = ["bench_conv", "bench_network", "bench_exact", "bench_meta_schedule"]
COMMON = {"schema", "tool", "command", "kind", "started", "seconds", "machine", "versions", "options", "results",
          "summary", "load_before"}  # fmt: skip


def run(tool, *arguments, status=0):
    """Standard output of a tool."""
    done = subprocess.run(
        [sys.executable, str(TOOLS / f"{tool}.py"), *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


def report(path):
    """The JSON that a tool wrote, its common fields checked."""
    found = json.loads(path.read_text())
    assert found.keys() == COMMON
    assert found["kind"] == "measured" and found["machine"]["chip"] and found["versions"]["mmasched"]
    assert found["command"].startswith(f"python tools/{found['tool']}.py ")
    return found


@pytest.fixture
def here():
    """Skips where nothing can be measured."""
    pytest.importorskip("onnxruntime")
    try:
        native_target()
    except MmaschedError as error:
        pytest.skip(str(error))


@pytest.fixture
def tools(monkeypatch):
    """The folder of the tools on the import path."""
    monkeypatch.syspath_prepend(str(TOOLS))


@pytest.mark.parametrize("tool", BENCHMARKS)
def test_help(tool) -> None:
    text = run(tool, "--help")
    assert all(option in text for option in ("--quick", "--json", "Example:"))


@pytest.mark.parametrize(
    "arguments, named",
    [
        (("bench_conv", "--network", "resnet5"), "resnet50"),
        (("bench_conv", "--only", "9x9"), "9x9"),
        (("bench_conv", "--threads", "4096"), "thread"),
        (("bench_network", "--networks", "resnet51"), "resnet50"),
        (("bench_exact", "--formats", "qdq"), "QDQ"),
        (("bench_meta_schedule", "--shapes", "3x3 1->1 @1"), "3x3 1->1 @1"),
        (("bench_exact", "--json", "/no/folder/x.json"), "/no/folder"),
    ],
)
def test_what_is_wrong_is_one_sentence(here, arguments, named) -> None:
    if arguments[0] == "bench_meta_schedule" and not runs_here("x86/avx512-vnni"):
        pytest.skip("meta_schedule's rules need AVX-512 VNNI")
    text = run(*arguments, status=2)
    assert text.startswith("error: ") and named in text and "Traceback" not in text


def test_convolutions(here, tmp_path) -> None:
    path = tmp_path / "conv.json"
    text = run("bench_conv", "--quick", "--network", "tiny", "--only", "1x1 16->24", "--activation", "both", "--peers",
               "onnxruntime,onnxruntime-gemm", "--json", path)  # fmt: skip
    assert "headline: geometric mean" in text and "; measured" in text
    (entry,) = report(path)["results"]
    assert entry["threads"] == 1 and entry["peak_operations_per_second"] > 0
    assert {"u8", "s8", "s8_against_u8"} == entry["summary"].keys()
    for row in entry["rows"]:
        assert row["own"].keys() == {"u8", "s8"} and row["peers"].keys() == {"onnxruntime", "onnxruntime-gemm"}
        for own in row["own"].values():
            verdict = own["verdict"]
            assert own["exact"] and own["kind"] == "measured" and isinstance(own["untuned"], bool)
            best = row["peers"][verdict["best"]]
            whole, ours = np.array(best["times"]), np.array(own["times"])
            work = np.maximum(whole - best["call_seconds"], 0.05 * whole)
            assert verdict["ratio"] == pytest.approx(np.median(work / ours))
            assert own["seconds"] == pytest.approx(np.median(ours))
            assert own["gops"] == pytest.approx(2e-9 * row["macs"] / own["seconds"])
        for peer in row["peers"].values():
            assert peer["exact"] and 0 < peer["work_seconds"] <= peer["seconds"]
    means = entry["summary"]["u8"]
    entered = [row["own"]["u8"]["verdict"]["entered"] for row in entry["rows"]]
    assert means["geometric_mean"] == pytest.approx(float(np.exp(np.mean(np.log(entered)))))


def test_networks(here, tmp_path) -> None:
    path = tmp_path / "network.json"
    run("bench_network", "--quick", "--networks", "tiny", "--folder", tmp_path, "--json", path)
    (row,) = report(path)["results"]
    assert {"mmasched", "onnxruntime", "onnxruntime-bound"} <= row["seconds"].keys()
    ours, *runtimes = (np.array(row["times"][name]) for name in ("mmasched", "onnxruntime", "onnxruntime-bound"))
    assert row["against_onnxruntime"] == pytest.approx(min(np.median(theirs / ours) for theirs in runtimes))
    assert row["exact"] and row["kind"] == "measured"
    assert {"packages_seconds", "import_seconds", "compile_seconds", "wall_seconds"} <= row["compile"].keys()
    assert {"run_seconds", "kernel_seconds", "overhead_seconds", "changing_seconds"} <= row["run"].keys()
    assert row["run"]["kernel_seconds"] < row["run"]["run_seconds"]


def test_exactness(here, tmp_path) -> None:
    path = tmp_path / "exact.json"
    run("bench_exact", "--networks", "tiny", "--formats", "QDQ", "--activations", "s8", "--folder", tmp_path,
        "--json", path)  # fmt: skip
    found = report(path)
    assert found["summary"]["acceptable"]
    assert [row["session"] for row in found["results"]] == ["optimized", "default options"]
    row = found["results"][0]
    for way in ("evaluated", "compiled", "network_output"):
        assert row[way]["neither"] == 0 and row[way]["largest"] == 0 < row[way]["elements"]


def test_workload_of_meta_schedule_is_the_convolution(here, tools) -> None:
    """Unscheduled, on operands packed as the peer packs them."""
    tvm = pytest.importorskip("tvm")
    from _tuning_job import workload

    from mmasched.compare.meta_schedule_peer import blocked_output_shape, packed, unsupported
    from mmasched.problem import Conv2d, random_operands, reference

    key = "conv2d/n1/h7w6/i8o32/k3x3/s2x1/p1.0.1.2/d1x1/g1/x8u+zp/w8s:-127..127/y8u+zp/channel"
    problem = Conv2d.from_key(key)
    assert unsupported(problem) is None and unsupported(Conv2d.from_key(key.replace("x8u", "x8s")))
    operands = random_operands(problem, 0)
    compiled = tvm.compile(workload(problem), tvm.target.Target("llvm"))
    arrays = [operands["x"], *packed(problem, operands["w"], operands["bias"])]
    output = tvm.runtime.tensor(np.zeros(blocked_output_shape(problem), np.uint8))
    compiled["main"](*map(tvm.runtime.tensor, arrays), output)
    np.testing.assert_array_equal(output.numpy().reshape(problem.output_shape), reference(problem, **operands))


def test_rules_of_the_comparison(tools) -> None:
    from _rivals import Rival, Verdict

    rivals = [Rival("slow", (20.0,), 2.0, True), Rival("quick", (12.0,), 1.0, True), Rival("free", (1.0,), 0.0, False)]
    verdict = Verdict.of([10.0], 0.5, rivals)
    assert (verdict.best, verdict.ratio, verdict.ratio_raw, verdict.entered) == ("quick", 1.1, 1.2, 1.1)
    assert Verdict.of([11.0], 0.96, rivals).ratio == 1.0
    assert Verdict.of([11.0], 0.96, rivals).entered == 1.1
    assert Verdict.of([11.0], 0.94, rivals).entered == 1.0
    assert Verdict.of([10.0], 0.5, rivals[2:]) is None


def test_a_machine_of_two_speeds_does_not_change_a_ratio(tools) -> None:
    from _rivals import Rival, Verdict

    # Both are slower by half in some rounds; the medians alone (20 and 15) would say 1.33.
    theirs, ours = (30.0, 20.0, 20.0, 20.0, 30.0), (15.0, 10.0, 15.0, 10.0, 15.0)
    verdict = Verdict.of(ours, 0.5, [Rival("peer", theirs, 0.0, True)])
    assert verdict.ratio == 2.0


def test_differences_count_the_nearer_reference(tools) -> None:
    from _differences import Count

    optimized, unoptimized = np.array([1, 2, 3, 9], np.uint8), np.array([1, 3, 3, 6], np.uint8)
    count = Count.of(np.array([1, 3, 4, 4], np.uint8), optimized, unoptimized)
    assert (count.optimized, count.unoptimized, count.neither, count.largest) == (1, 2, 2, 2)
    assert not count.acceptable and (count + count).neither == 4
    steps = Count.of(np.float32([[0.5], [2.0]]), *[np.float32([[0.5], [1.0]])] * 2, quantum=np.float32(0.5))
    assert (steps.neither, steps.largest) == (1, 2)


def test_caps_of_the_peers(tools) -> None:
    from _cap import Cap, cap_for

    from mmasched.hardware import Target

    amx, vnni, avx2 = (Target.parse(f"x86/{name}") for name in ("amx", "avx512-vnni", "avx2"))
    assert not cap_for(amx, amx).active and not cap_for(vnni, vnni).active
    assert cap_for(avx2, vnni).isa == "AVX2" and cap_for(avx2, vnni).uncapped("onnxruntime")
    refused = Cap("AVX10_1_512", False, "avx512-vnni")
    assert not any(refused.uncapped(name) for name in ("onnxruntime", "onnxruntime-gemm", "onednn", "openvino"))
    assert Cap("AVX10_1_512", True, "avx512-vnni").uncapped("onnxruntime-gemm")


def test_tiles_are_refused_where_filters_work(tools) -> None:
    from _cap import PROBE, WITHOUT_AMX, tiles_can_be_refused

    if not tiles_can_be_refused():
        pytest.skip("this system sets no filter on system calls")
    command = [sys.executable, str(WITHOUT_AMX), sys.executable, "-c", PROBE]
    assert subprocess.run(command).returncode == 0
    echoed = subprocess.run([sys.executable, str(WITHOUT_AMX), "/bin/echo", "a b"], capture_output=True, text=True)
    assert echoed.stdout == "a b\n"


def test_the_time_to_the_quality_of_meta_schedule_is_that_of_the_first_lead_that_is_as_fast(tools) -> None:
    from types import SimpleNamespace

    import bench_meta_schedule as tool

    class Race:
        """Leads take 3, 2 and 1 ms; the second one ended with an error."""

        def race(self, entries):
            times = {name: [1e-3 * (3 - number)] * 3 for number, name in enumerate(n for n in entries if "lead" in n)}
            times.pop(next((n for n in times if n.endswith("lead 1")), None), None)
            times[tool.PEER] = [self.theirs] * 3
            return {name: SimpleNamespace(times=t) for name, t in times.items()}, {}

        def end(self, names):
            self.ended = list(names)

    leads = [{"seconds": 5.0 * n, "trials": 8 * n, "recorded_seconds": 1.0, "template": "t", "config": {"k": n}}
             for n in range(3)]  # fmt: skip
    race = Race()
    for theirs, expected in ((3.5e-3, 0), (2.5e-3, 2), (1e-3, 2), (0.5e-3, None)):
        race.theirs = theirs
        found = tool.time_to_quality((None, None), "x86/amx", {"improvements": leads}, race)
        assert (found and found["trials"]) == (None if expected is None else 8 * expected)
        assert len(race.ended) == 3
    pair = {"speed": 1.1, "tuning": 6.0}
    pairs = [{**pair, "to_quality": None}, {**pair, "to_quality": found, "tuning_to_quality": 9.0}]
    rows = [{"against_meta_schedule": {"x86/amx": each}} for each in pairs]
    quality = tool.figures(rows, ["x86/amx"])["x86/amx"]["tuning_to_quality"]
    assert quality["geometric_mean"] == pytest.approx(9.0) and (quality["arrived"], quality["of"]) == (1, 2)
