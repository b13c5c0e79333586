"""Runners by name, as the command line and ``tune(runner=...)`` give them."""

from __future__ import annotations

import importlib

from mmasched.errors import BadInput, Missing, Unsupported, nearest
from mmasched.hardware import Hardware, runs_here
from mmasched.measure.local import LocalRunner
from mmasched.measure.replay import ReplayRunner
from mmasched.measure.runner import Runner

SPELLINGS = ("local", "model", "replay:FILE", "rpc:HOST:PORT/KEY")


def create_runner(runner: Runner | str | None, hardware: Hardware, threads: int | None = None, seed: int = 0) -> Runner:
    """The runner that a user means by a name; a Runner is returned as it is.

    "replay:FILE" replays a log of records, or a table (FILE.jsonl.xz, see ``mmasched.measure.table``).

    None is "local" where the target runs on this machine, else "model" where there is a cost model for it. Raises
    Unsupported when the target can be neither measured here nor modelled, BadInput for a name that means nothing, and
    for CUDA targets what CudaRunner raises: Missing without a GPU, a driver or nvcc.
    """
    if isinstance(runner, Runner):
        return runner
    target = str(hardware.target)
    if hardware.target.family == "cuda" and runner in (None, "local"):
        from mmasched.measure.cuda.runner import CudaRunner

        return CudaRunner(hardware, threads, seed=seed)
    if runner is None:
        runner = "local" if runs_here(hardware.target) else "model"
        if runner == "model" and not has_model(hardware):
            raise Unsupported(
                f"{target} can't be measured on this machine and has no cost model: give a runner such as "
                "rpc:HOST:PORT/KEY for a board, or replay:FILE for recorded measurements"
            )
    if not isinstance(runner, str):
        raise BadInput(f"a runner is a Runner or one of {', '.join(SPELLINGS)}, not {runner!r}")
    name, _, argument = runner.partition(":")
    if name == "local" and not argument:
        if not runs_here(hardware.target):
            raise Unsupported(f"{target} can't be measured on this machine: give a runner such as rpc:HOST:PORT/KEY")
        return LocalRunner(hardware, threads, seed=seed)
    if name == "replay" and argument:
        if argument.endswith(".xz"):
            from mmasched.measure.table import TableRunner

            return TableRunner(argument, target, threads, seed)
        return ReplayRunner(argument, target=target, threads=threads)
    if name == "model" and not argument:
        return _elsewhere("model", hardware, argument, threads)
    if name == "rpc" and argument:
        return _elsewhere("rpc", hardware, argument, threads)
    raise BadInput(f"there is no runner {runner!r}; {nearest(runner, SPELLINGS)}")


def has_model(hardware: Hardware) -> bool:
    """True when ``mmasched.measure.model`` can price candidates for the target."""
    try:
        model = importlib.import_module("mmasched.measure.model")
    except ImportError:
        return False
    return model.covers(hardware)


def _elsewhere(name: str, hardware: Hardware, argument: str, threads: int | None) -> Runner:
    """The runner that module ``mmasched.measure.NAME`` creates; these bring dependencies that not everyone has."""
    try:
        module = importlib.import_module(f"mmasched.measure.{name}")
    except ImportError as error:
        raise Missing(f"the {name} runner is not available in this installation ({error})") from None
    return module.create(hardware, argument, threads)
