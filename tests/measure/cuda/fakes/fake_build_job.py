"""Stands in for measure.cuda.build_job: what happens is written in the config, and no compiler is needed."""

import os
import time

from mmasched.errors import Missing


def prepare():
    import mmasched.build.cuda.toolkit  # noqa: F401 (jobs hold a Toolkit, and importing it takes a while)


def execute(job, report_phase):
    config = job["config"]
    report_phase("build")
    act = config.get("build", "fine")
    if act == "fine":
        built = {"image": "", "config": config.as_dict(), "builder": os.getpid()}
        return {"status": "correct", "binary": built, "resources": {"registers": 40}, "build_seconds": 0.25}
    if act == "slow":
        time.sleep(1000)
    if act == "missing":
        raise Missing("nvcc is gone: pip install it")
    if act == "crash":
        os.abort()
    return {"status": act, "detail": f"this is a {act}", "resources": {}, "build_seconds": 0.1}


def emulate(job, report_phase):
    report_phase("verify")
    act = job["config"].get("emulation", "fine")
    if act == "fine":
        return {"status": "correct", "resources": {"emulated": "as given"}, "limit": job["limit"]}
    return {"status": "run_error", "detail": f"{act}: two warps", "resources": {"emulated": "conv2d/smaller"}}
