"""`--activations packed`: tuned, recorded apart from bytes, verified; and one sentence where there is no such thing."""

import json

import pytest

KEY = "h5w5/i12o8/k3/p1/x4u/w4s/y4u"
A53 = ("--target", "arm/cortex-a53")
PACKED = ("--activations", "packed")


@pytest.fixture
def modelled():
    from mmasched.errors import Missing
    from mmasched.hardware import hardware
    from mmasched.measure import create_runner

    try:
        create_runner("model", hardware("arm/cortex-a53")).close()
    except Missing as missing:
        pytest.skip(str(missing))


def test_tuning_and_verifying(modelled, mmasched, tmp_path):
    for form in (PACKED, ("--activations", "bytes")):
        done = mmasched("tune", KEY, *A53, *form, "--trials", "1", "--log", "log.jsonl", "--strategy", "random")
        assert done.status == 0, done.err
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    found = {record["problem"]: record for record in records if "outcome" in record}
    plain, packed = sorted(found)
    assert packed == f"{plain}/packed" and {record["outcome"] for record in found.values()} == {"correct"}
    config = json.dumps({name: found[packed][name] for name in ("template", "config")})
    done = mmasched("verify", packed, *A53, "--config", config)
    assert done.out.startswith("correct (emulated)") and packed in done.out
    assert mmasched("space", KEY, *A53, *PACKED).out.startswith("3x3 12->8 @5 4x4 bits packed on arm/cortex-a53")


@pytest.mark.parametrize("command", ["tune", "verify", "space"])
@pytest.mark.parametrize("bits", [3, 8])
def test_widths_that_do_not_divide_a_byte(complains, command, bits):
    problem = f"h5w5/i12o8/k3/x{bits}u/w4s/y{bits}u"
    complains("'packed'", f"{bits}-bit input", "1, 2 and 4 bits")(command, problem, *A53, *PACKED)
    complains("'packed'", "1, 2 and 4 bits")(command, f"{problem}/packed", *A53)


@pytest.mark.parametrize(
    "command, target",
    [("tune", "native"), ("costs", "x86/avx2"), ("verify", "x86/avx2"), ("space", "x86/amx"), ("space", "cuda/sm_80")],
)
def test_other_targets(complains, command, target):
    complains("packed", "arm/*", "activations=bytes")(command, KEY, "--target", target, *PACKED)


@pytest.mark.parametrize("target", ["native", "arm/cortex-a53"])
def test_comparisons_are_of_bytes(complains, target):
    complains("a byte for each activation")("compare", f"{KEY}/packed", "--target", target)


@pytest.mark.parametrize("command", ["tune", "verify", "space", "costs"])
def test_unknown_forms(complains, command):
    complains("'tight'", "bytes", "packed")(command, KEY, *A53, "--activations", "tight")


def test_costs(mmasched, tmp_path):
    assert mmasched("costs", KEY, *A53, "--bits", "2-3", *PACKED, "--json", "costs.json").status == 0
    (layer,) = json.loads((tmp_path / "costs.json").read_text())["layers"]
    assert {entry["input_bits"] for entry in layer["entries"]} == {2, 3}
