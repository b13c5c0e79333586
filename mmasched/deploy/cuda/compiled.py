"""A compiled network for a GPU: run it there, check it under emulation anywhere, save it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmasched.build.cuda import architecture
from mmasched.build.cuda.driver import Device, this_device
from mmasched.deploy.compiled import Port
from mmasched.deploy.cuda.machines import EmulatedMachine, GpuMachine, Machine
from mmasched.deploy.cuda.network import CudaLayout, Kernels, Region
from mmasched.deploy.feeds import checked_feeds
from mmasched.deploy.steps import HostStep
from mmasched.errors import Missing, Unsupported
from mmasched.hardware import Target, hardware
from mmasched.hardware.gpu import NO_GPU, capability, local_gpu
from mmasched.problem import Conv2d


class CompiledCudaNetwork:
    """A whole network as kernels for one GPU architecture.

    run({input name: array}) -> {output name: array}: NCHW arrays of the model's dtypes; it needs a GPU. emulate() gives
    the same numbers on the CPU, slowly. untuned: problems without a record for the layout that they run in.
    save(path): an artifact that mmasched.load reads. One network is for one caller at a time.
    """

    def __init__(
        self, layout: CudaLayout, kernels: Sequence[Kernels], blob: np.ndarray, device: Device | None = None
    ) -> None:
        self.layout, self.kernels, self.blob = layout, tuple(kernels), blob
        self._device, self._machine = device, None

    @property
    def untuned(self) -> tuple[Conv2d, ...]:
        """The problems that run a default schedule."""
        return self.layout.untuned

    @property
    def inputs(self) -> tuple[Port, ...]:
        """What `run` takes."""
        return self.layout.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """What `run` gives."""
        return self.layout.outputs

    @property
    def compiled(self) -> bool:
        """Whether the kernels are machine code; otherwise they are CUDA C, which nvcc compiles before the first run."""
        return all(one.image is not None for one in self.kernels)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs for the inputs, computed on the GPU.

        Raises BadInput for a missing, unknown or ill-shaped input, Missing without a GPU (or without nvcc, where the
        kernels are no machine code yet), Unsupported for a GPU of another architecture.
        """
        arrays = checked_feeds(feeds, self.layout.inputs)
        return self._run(self._gpu(), arrays)

    def emulate(
        self, feeds: Mapping[str, np.ndarray], order: str = "forward", delivery: str = "late"
    ) -> dict[str, np.ndarray]:
        """The same computed by the emulator: every kernel warp by warp on the CPU, with races, stray accesses and
        reads of what nobody wrote as errors. Needs g++; raises EmulationError for a rule that a kernel breaks."""
        arrays = checked_feeds(feeds, self.layout.inputs)
        arch = architecture(hardware(self.layout.target))
        return self._run(
            EmulatedMachine(arch, self.layout.sizes, self.blob, self.kernels, order, delivery), arrays, fresh=True
        )

    def time(self, calls: int) -> float:
        """Seconds that `calls` runs of the kernels take on the device, on what the last run left in memory."""
        machine = self._gpu()
        stretches = [item for item in self.layout.sequence if not isinstance(item, HostStep)]
        return sum(machine.time(stretch, calls) for stretch in stretches)

    def save(self, path: str | Path) -> None:
        """Write the artifact to `path`."""
        from mmasched.deploy.cuda.artifact import save

        save(self, path)

    def close(self) -> None:
        """Frees what is on the GPU; the next run loads it anew."""
        if self._machine is not None:
            self._machine.close()
            self._machine = None

    # ---- inside

    def _gpu(self) -> GpuMachine:
        if self._machine is None:
            device = self._device or self._own_device()
            if not self.compiled:
                from mmasched.deploy.cuda.compile import compiled_kernels

                self.kernels = compiled_kernels(self.kernels, hardware(self.layout.target), required=True)
            self._machine = GpuMachine(device, self.layout.sizes, self.blob, self.kernels)
            self._write_constants(self._machine)
        return self._machine

    def _own_device(self) -> Device:
        target, gpu = self.layout.target, local_gpu()
        if gpu is None:
            raise Missing(
                f"the network {self.layout.name} was compiled for {target} and needs that GPU to run, but {NO_GPU}: "
                "run it where there is one, or compute it on the CPU under emulation (mmasched run --emulate)"
            )
        if gpu.compute_capability != capability(Target.parse(target)):
            raise Unsupported(
                f"the network {self.layout.name} was compiled for {target} and the GPU here is {gpu.name} "
                f"(cuda/sm_{gpu.compute_capability}): compile it for that target"
            )
        return this_device()

    def _write_constants(self, machine: Machine) -> None:
        for name in self.layout.constants.keys() & self.layout.places.keys():
            machine.write(self._region(name), self.layout.places[name].pack(self.layout.constants[name]))

    def _run(self, machine: Machine, arrays: Mapping[str, np.ndarray], fresh: bool = False) -> dict[str, np.ndarray]:
        if fresh:
            self._write_constants(machine)
        values = dict(arrays)  # for the host
        for name in arrays.keys() & self.layout.places.keys():
            machine.write(self._region(name), self.layout.places[name].pack(arrays[name]))
        for item in self.layout.sequence:
            if not isinstance(item, HostStep):
                machine.run(item)
                continue
            result = item.compute({name: self._fetch(machine, name, values) for name in item.reads})
            (name,) = item.writes
            values[name] = result
            if name in self.layout.places:
                machine.write(self._region(name), self.layout.places[name].pack(result))
        return {port.name: np.array(self._fetch(machine, port.name, values)) for port in self.layout.outputs}

    def _fetch(self, machine: Machine, name: str, values: Mapping[str, np.ndarray]) -> np.ndarray:
        if name in values:
            return values[name]
        if name in self.layout.constants:
            return self.layout.constants[name]
        words = machine.read(self._region(name))
        return self.layout.places[name].unpack(words).reshape(self.layout.shapes[name])

    def _region(self, name: str) -> Region:
        return Region("arena", self.layout.offsets[name], self.layout.places[name].words)
