"""Stands in for mmasched.measure.job: what happens is written in the config."""

import ctypes
import os
import signal
import subprocess
import sys
import time

from mmasched.errors import Missing

prepared = []


def prepare():
    prepared.append(os.getpid())


def execute(job, report_phase):
    config = job["config"]
    report_phase(config.get("phase", "build"))
    return act(config["act"], job)


def confirm(job, report_phase):
    results = []
    for number, config in enumerate(job["configs"]):
        report_phase("run", number)
        results.append(act(config["act"], job))
    return {"status": "correct", "results": results}


def act(name, job):
    if name == "fine":
        best = job.get("best_so_far")
        anchor = job.get("anchor") and job["anchor"][1]
        resources = {"pid": os.getpid(), "best": best, "anchor": anchor}
        return {"status": "correct", "cost": 1e-3, "times": [1e-3], "resources": resources, "anchor_seconds": 2e-3}
    if name == "hang":
        time.sleep(1000)
    if name == "hang_with_child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        with open(job["config"]["file"], "w") as file:
            file.write(f"{os.getpid()} {child.pid}")
        time.sleep(1000)
    if name == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if name == "real_segfault":
        ctypes.string_at(0)
    if name == "abort_talking":
        os.write(2, b"free(): invalid pointer\n")
        os.abort()
    if name == "exit":
        os._exit(7)
    if name == "memory_error":
        raise MemoryError
    if name == "memory":
        return {"status": "correct", "cost": float(len(bytearray(8 << 30)))}
    if name == "exception":
        raise ZeroDivisionError("tile of zero")
    if name == "system_exit":
        raise SystemExit(3)
    if name == "wrong":
        return {"status": "wrong_result", "detail": "3 of 10 elements differ"}
    if name == "constraint":
        return {"status": "constraint", "detail": "tile too large"}
    if name == "missing":
        raise Missing("no nvcc: install it with pip")
    if name == "print":
        os.write(1, b"x" * 100_000)
        print("hello")
        return {"status": "correct", "cost": 1e-3}
    if name == "nan":
        return {"status": "correct", "cost": float("nan"), "times": [float("nan")]}
    if name == "numpy":
        import numpy as np

        return {"status": "correct", "cost": np.float32(0.5), "resources": {"spills": np.int64(3)}}
    if name == "about":
        import resource

        facts = {
            "affinity": sorted(os.sched_getaffinity(0)),
            "path": sys.path,
            "folder": os.getcwd(),
            "session": os.getsid(0),
            "pid": os.getpid(),
            "core": resource.getrlimit(resource.RLIMIT_CORE)[0],
            "prepared": prepared,
        }
        return {"status": "correct", "cost": 1.0, "resources": facts}
    raise AssertionError(name)
