"""The real job module on top of the fake build room, for use in a worker."""

import sys

import fake_build

sys.modules["mmasched.build"] = fake_build

from mmasched.measure.job import confirm, execute, prepare  # noqa: E402, F401
