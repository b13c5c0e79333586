"""Trying candidates: runners, outcomes, the timing policy and verification."""

from mmasched.measure.create import create_runner
from mmasched.measure.limits import Limits
from mmasched.measure.local import LocalRunner
from mmasched.measure.outcome import KINDS, STATUSES, Outcome
from mmasched.measure.recorded_space import RecordedSpace
from mmasched.measure.records import to_outcome, to_record
from mmasched.measure.replay import ReplayRunner
from mmasched.measure.runner import Runner
from mmasched.measure.timing import Measurement, TimingPolicy
from mmasched.measure.verify import verify

__all__ = [
    "KINDS",
    "STATUSES",
    "Limits",
    "LocalRunner",
    "Measurement",
    "Outcome",
    "RecordedSpace",
    "ReplayRunner",
    "Runner",
    "TimingPolicy",
    "create_runner",
    "to_outcome",
    "to_record",
    "verify",
]
