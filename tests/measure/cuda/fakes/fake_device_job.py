"""Stands in for measure.cuda.device_job. One fault breaks the process for good, as on a GPU."""

import os

broken = []


def execute(job, report_phase):
    assert len(job["binaries"]) == 1 and job["binaries"][0]["config"] == job["config"].as_dict()
    report_phase("run")
    return act(job["config"], job)


def confirm(job, report_phase):
    results = []
    for number, config in enumerate(job["configs"]):
        assert job["binaries"][number]["config"] == config.as_dict()
        report_phase("run", number)
        results.append(act(config, job))
    return {"status": "correct", "results": results}


def act(config, job):
    what = config.get("run", "fine")
    if broken:
        raise RuntimeError("every call fails after a fault")
    if what == "fault":
        broken.append(True)
        raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS")
    if what == "hang":
        import time

        time.sleep(1000)
    if what == "wrong":
        return {"status": "wrong_result", "detail": "3 of 4 elements differ"}
    cost = config["cost"] * 1e-6
    facts = {"pid": os.getpid(), "best": job.get("best_so_far"), "operand_sets": 3}
    return {"status": "correct", "cost": cost, "times": [cost] * 3, "verify_seconds": 0.5, "resources": facts}
