"""The tables that come with the project can be read, and their spaces still exist."""

import pytest

from mmasched.data import data_dir
from mmasched.hardware import hardware
from mmasched.measure.table import narrowed, read_table
from mmasched.templates import space_for

TABLES = sorted(data_dir("tuning_logs").glob("tables/*.jsonl.xz"))


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.name)
def test_a_shipped_table_is_whole(path):
    table = read_table(path)
    assert len(table.entries) >= 500 and table.optimum > 0
    space = space_for(table.problem, hardware(table.header.target), table.header.threads)
    own = narrowed(table.header.loosening.of(space), table.header.knobs)
    assert all(own.is_valid(entry.config) for entry in table.entries[::50])
    if table.header.kind == "measured":
        assert all(table.header.caches)
        assert table.header.repeats and sum(entry.confirmed for entry in table.entries) >= len(table.entries) // 20
        assert path.stat().st_size < 600 * 1024
