"""measure.cuda.device_job on a fake device that runs kernels of problems that are small enough to be emulated.

Of a larger one everything but the kernels happens: its operands are packed and uploaded, its launches captured and
timed. What its kernels compute is taken to be right where a smaller problem of the same config comes out exact.
"""

import emulated_device_job
import fake_device

from mmasched.build.cuda import cuda_source
from mmasched.build.cuda.candidate import Binary, CudaCandidate
from mmasched.measure import job as measuring
from mmasched.measure.compare import mismatch
from mmasched.measure.cuda.shrink import shrunken
from mmasched.measure.operands import operand_sets
from mmasched.templates import generate

LIMIT = 20_000_000  # multiply-accumulates
device = emulated_device_job.Device(memory=8 << 30, arch="sm_90a")


def prepare():
    pass


def execute(job, report_phase):
    return measuring.execute(job, report_phase, loader(job, [job["config"]]))


def confirm(job, report_phase):
    return measuring.confirm(job, report_phase, loader(job, job["configs"]))


def loader(job, configs):
    binaries = {config: Binary.from_dict(one) for config, one in zip(configs, job["binaries"], strict=True)}

    def load(problem, config, hardware, threads, *, cold_weights):
        program = generate(problem, config, hardware, threads)
        whole = CudaCandidate(problem, program, binaries[config], hardware, device, cold_weights)
        smaller = shrunken(problem, config, hardware, LIMIT)
        if smaller is problem:
            return whole
        program = generate(smaller, config, hardware, threads)
        source = cuda_source(program, hardware)
        image = fake_device.image_of(source.text, source.parameters)
        binary = Binary(image, source.launches, source.parameters, {})
        return Standing(whole, CudaCandidate(smaller, program, binary, hardware, device), job["seed"])

    return load


class Standing:
    """The candidate of a large problem, whose results are those of a small one."""

    def __init__(self, whole, small, seed):
        self._whole, self._small, self._seed = whole, small, seed
        self.resources = {**whole.resources, "stood_in": small.problem.key}
        self.time = whole.time

    def load_operands(self, x, w, bias=None, residual=None):
        self._whole.load_operands(x, w, bias, residual)
        sets = operand_sets(self._whole.problem, self._seed)
        self._number = next(number for number, case in enumerate(sets) if case.operands["x"] is x)

    def run(self):
        case = operand_sets(self._small.problem, self._seed)[self._number]
        self._small.load_operands(**case.operands)
        complaint = mismatch(self._small.run(), case.expected)
        if complaint:
            raise RuntimeError(f"{complaint} ({case.name}, on {self._small.problem.key})")
        return operand_sets(self._whole.problem, self._seed)[self._number].expected

    def close(self):
        self._whole.close()
        self._small.close()
