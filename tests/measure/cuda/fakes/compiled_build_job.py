"""measure.cuda.build_job with nvcc, whose machine code is checked and left aside: the binary holds the source."""

from dataclasses import replace

import fake_device

import mmasched.build.cuda.candidate as candidate
from mmasched.measure.cuda.build_job import emulate, execute, prepare  # noqa: F401

lowered = {}
real_source, real_binary = candidate.cuda_source, candidate.build_binary


def cuda_source(program, hardware):
    lowered["source"] = real_source(program, hardware)
    return lowered["source"]


def build_binary(program, hardware, compiler, timeout):
    binary = real_binary(program, hardware, compiler, timeout)
    assert binary.image[:4] == b"\x7fELF"
    source = lowered["source"]
    return replace(binary, image=fake_device.image_of(source.text, source.parameters))


candidate.cuda_source, candidate.build_binary = cuda_source, build_binary
