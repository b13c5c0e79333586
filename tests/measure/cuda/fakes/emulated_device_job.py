"""measure.cuda.device_job on a device whose kernels run under emulation, and take as long as their grid is large."""

import fake_device

from mmasched.measure.cuda import device_job


class Device(fake_device.FakeDevice):
    def time(self, graph, times):
        return times * sum(1e-6 * (launch.grid + launch.block / 32) for _, launch, _ in self.graphs[graph])


device = Device()


def execute(job, report_phase):
    return device_job.execute(job, report_phase, device)


def confirm(job, report_phase):
    return device_job.confirm(job, report_phase, device)
