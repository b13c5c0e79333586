"""Stands in for mmasched.build: candidates compute the reference, with the fault that the config names."""

import numpy as np

from mmasched.errors import Missing
from mmasched.problem import reference


class BuildError(Exception):
    pass


class ConstraintError(Exception):
    pass


log = []
# Called before each timing: how many times slower the machine is now.
slowness = [lambda: 1.0]


def build_candidate(problem, config, hardware, threads, *, cold_weights=False):
    fault = config.get("fault", "none")
    if fault == "build_error":
        raise BuildError("line 3: no such intrinsic")
    if fault == "constraint":
        raise ConstraintError("spills 40 registers")
    if fault == "no_compiler":
        raise Missing("no compiler: install one")
    if fault == "bug":
        raise IndexError("list index out of range")
    return Candidate(problem, config, threads)


class Candidate:
    def __init__(self, problem, config, threads):
        self.problem, self.config, self.threads = problem, config, threads
        self.fault = config.get("fault", "none")
        self.seconds = config.get("microseconds", 1000) * 1e-6
        self.resources = {"registers": np.int64(12), "threads": threads}
        self.closed = False
        log.append(self)

    def load_operands(self, x, w, bias, residual):
        self.operands = {"x": x, "w": w, "bias": bias, "residual": residual}

    def run(self):
        y = reference(self.problem, **self.operands)
        if self.fault == "one_off":
            y = y.copy()
            y[0, 1, 2, 3] += 1
        if self.fault == "saturates" and int(self.operands["x"].max()) == int(self.operands["x"].min()) != 0:
            # An accumulator that is drained too late: only the worst case shows it.
            y = y + (y.dtype.type(1) if int(self.operands["w"].flat[0]) > 0 else y.dtype.type(0))
        if self.fault == "shape":
            y = y[..., :-1]
        if self.fault == "wide":
            y = y.astype(np.int32)
        if self.fault == "crash_in_run":
            raise RuntimeError("illegal instruction")
        return y

    def time(self, calls):
        if self.fault == "crash_in_time":
            raise RuntimeError("lost the device")
        return calls * self.seconds * slowness[0]()

    def close(self):
        self.closed = True
