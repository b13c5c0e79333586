"""The real job module of the emulated and the modelled runner on top of the naive kernels, for use in a worker."""

from naive_arm import NaiveFamily

from mmasched import templates

_family = NaiveFamily()
templates._family = lambda hardware: _family

from mmasched.measure.emulation.cross_job import execute  # noqa: E402, F401
