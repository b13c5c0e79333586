"""``mmasched.verify``: does a config compute the right numbers?"""

from __future__ import annotations

import numpy as np

from mmasched.errors import BadInput
from mmasched.hardware import Target, hardware, runs_here
from mmasched.measure.affinity import check_threads
from mmasched.measure.limits import Limits
from mmasched.measure.local import JOB_MODULE, LocalRunner
from mmasched.measure.outcome import Outcome
from mmasched.measure.runner import Runner
from mmasched.problem import Conv2d
from mmasched.space import Config

# Nobody waits for the next candidate, and problems may be large or emulated.
LIMITS = Limits(build=300.0, verify=600.0)


def verify(problem: Conv2d, target: str | Target = "native", config: Config | None = None, seed: int = 0) -> Outcome:
    """Builds one config, runs it on the whole problem and compares every element with the exact reference.

    The operands are every worst-case combination of the bit widths and one random set drawn with ``seed``. config: None
    draws one uniformly from all valid configs of the problem on the target. A target that this machine can't run is
    emulated, where there is an emulator for it (kind "emulated"). Nothing is timed: the outcome has no cost. A config
    that breaks a constraint ends as "constraint" without being built.

    CUDA targets are emulated on one random set and one worst case, and problems beyond 500 million multiply-accumulates
    on a smaller one that runs the same code of the config; the outcome's detail names it.

    Raises BadInput for arguments that are no problem, target or config; Missing when a compiler or emulator is absent.
    """
    if not isinstance(problem, Conv2d):
        raise BadInput(f"verify takes a Conv2d, not {problem!r}")
    if config is not None and not isinstance(config, Config):
        raise BadInput(f"a config is a Config or None, not {config!r}")
    from mmasched.templates import space_for

    chip = hardware(target)
    here = runs_here(chip.target)
    family = chip.target.family
    crossed = not here and family == "arm"
    kind = "measured" if here else "emulated"
    threads = 1 if crossed or family == "cuda" else check_threads(None)
    space = space_for(problem, chip, threads)
    if config is None:
        config = space.sample(np.random.default_rng(seed))
    violated = space.violated(config)
    if violated:
        detail = f"the config breaks {', '.join(violated)}"
        return Outcome("constraint", config, problem, detail, kind, threads=threads, target=str(chip.target))
    runner: Runner
    if crossed:
        from mmasched.measure.emulated import EmulatedRunner

        runner = EmulatedRunner(chip, threads, seed=seed, thorough=True, limits=LIMITS)
    elif not here and family == "cuda":
        from mmasched.measure.cuda.emulated import CudaEmulationRunner

        runner = CudaEmulationRunner(chip, threads, seed=seed)
    else:
        runner = LocalRunner(
            chip, threads, seed=seed, measure=False, thorough=True, kind=kind, limits=LIMITS, job_module=JOB_MODULE
        )
    with runner:
        return runner.run(problem, [config])[0]
