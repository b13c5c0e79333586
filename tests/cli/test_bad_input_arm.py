"""Mistakes and missing things on Arm targets: one sentence with the remedy, exit status 2."""

from __future__ import annotations

import json
import socket

import pytest

KEY = "h8w8/i16o16/k3/p1"
A53 = ["--target", "arm/cortex-a53"]


@pytest.mark.parametrize("command", ["tune", "costs", "compare", "space"])
def test_unknown_cores(complains, command):
    complains("'arm/cortex-a54'", "arm/cortex-a53")(command, KEY, "--target", "arm/cortex-a54")


@pytest.mark.parametrize("bits", ["x0", "x9", "w0", "w9"])
def test_bits_outside_of_1_to_8(complains, bits):
    complains(bits, "1 to 8")("tune", f"{KEY}/{bits}s", *A53)


def test_a_core_without_a_model(complains):
    complains("no cost model", "arm/cortex-a53")("tune", KEY, "--target", "arm/neoverse-v2", "--runner", "model")


def test_a_tracker_that_is_not_there(complains):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ("tune", KEY, "--target", "arm/cortex-a72", "--rpc", f"127.0.0.1:{port}", "--device-key", "rpi4")
    complains(f"127.0.0.1:{port} can't be reached", "docs/boards.md")(*command)


@pytest.mark.parametrize(
    ("template", "bits"), [("neon_mla", 8), ("neon_mla", 4), ("neon_winograd", 8), ("neon_sdot", 8)]
)
def test_schemes_that_cannot_hold_the_range(complains, template, bits):
    """MLA's int8 lanes hold no two products of 4 bits; F(4x4) in 16-bit lanes loses them; the A53 has no SDOT."""
    knobs = {"input": "pad", "loop": "compiled"}
    if template == "neon_winograd":
        knobs |= {"outputs": 4, "lanes": 16, "tiles": 2, "vectors": 2, "block": 1}
    else:
        knobs |= {"load": "repeat", "tile_w": 2, "tile_h": 1, "vectors": 2, "unroll": 1, "block_m": 1, "block_n": 1,
                  "block_order": "mn", "tile_order": "nm", "parallel": "m", "weights": "bytes"}  # fmt: skip
    config = json.dumps({"template": template, "config": knobs})
    complains("not in the space", "mmasched space")("verify", f"{KEY}/x{bits}s/w{bits}s", *A53, "--config", config)
