"""What was tried, for good: append-only logs of records."""

from mmasched.log.choose import UNCONFIRMED_MARGIN, best_record, contender, matching, standing
from mmasched.log.export import T4_INVALIDITY, export, to_t4
from mmasched.log.record import KINDS, SCHEMA, STATUSES, Record, config_key
from mmasched.log.store import Log, read_records

__all__ = [
    "KINDS",
    "SCHEMA",
    "STATUSES",
    "T4_INVALIDITY",
    "UNCONFIRMED_MARGIN",
    "Log",
    "Record",
    "best_record",
    "contender",
    "config_key",
    "export",
    "matching",
    "read_records",
    "standing",
    "to_t4",
]
