"""Tables: every config of a space with what became of it, and the runner that replays them."""

from mmasched.measure.table.format import Entry, Header, Table, read_table, write_table
from mmasched.measure.table.loosening import Loosening
from mmasched.measure.table.noise import error_of, noise_of, shortened, table_cost
from mmasched.measure.table.runner import TableRunner
from mmasched.measure.table.thinning import knob_values, narrowed, thinned

__all__ = [
    "Entry",
    "Header",
    "Loosening",
    "Table",
    "TableRunner",
    "error_of",
    "knob_values",
    "narrowed",
    "noise_of",
    "read_table",
    "shortened",
    "table_cost",
    "thinned",
    "write_table",
]
