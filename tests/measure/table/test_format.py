import json
import lzma
from dataclasses import replace

import pytest

from mmasched.errors import BadInput, Missing
from mmasched.hardware import hardware
from mmasched.log import Record
from mmasched.measure.table import Table, read_table, write_table


def rewrite(path, change):
    lines = [json.loads(line) for line in lzma.open(path, "rt")]
    change(lines)
    with lzma.open(path, "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


@pytest.fixture
def path(table, tmp_path):
    write_table(table, tmp_path / "t.jsonl.xz")
    return tmp_path / "t.jsonl.xz"


def test_a_table_comes_back_as_it_was_to_five_digits(table, path):
    back = read_table(path)
    assert back.header == replace(table.header, floor=back.header.floor)
    assert back.header.floor == pytest.approx(table.header.floor)
    assert [entry.config for entry in back.entries] == [entry.config for entry in table.entries]
    for before, after in zip(table.entries, back.entries, strict=True):
        assert (before.outcome, before.confirmed, before.detail) == (after.outcome, after.confirmed, after.detail)
        assert after.cost == (None if before.cost is None else pytest.approx(before.cost, rel=1e-4))
        assert after.times == pytest.approx(before.times, rel=1e-3) and after.resources == before.resources
    assert back.optimum == pytest.approx(min(e.cost for e in table.entries if e.confirmed), rel=1e-4)
    assert path.stat().st_size < 40_000


def test_caches_are_those_of_the_chip_that_was_measured(table, tmp_path):
    caches = (48 << 10, 3 << 20, 5 << 20)
    write_table(replace(table, header=replace(table.header, caches=caches)), tmp_path / "c.jsonl.xz")
    header = read_table(tmp_path / "c.jsonl.xz").header
    assert header.caches == header.hardware.caches == caches
    assert (header.hardware.l1d, header.hardware.l2, header.hardware.l3) == caches
    assert replace(header, caches=()).hardware == hardware(header.target)


def test_records_of_a_table_are_records(table):
    for record in table.records():
        assert Record.from_dict(record.to_dict()) == record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lines: lines[0].pop("mmasched_table"), ":1: the first line is not the header"),
        (lambda lines: lines[0].update(mmasched_table=99), "install a newer one"),
        (lambda lines: lines[0].update(kind="guessed"), "a table's kind"),
        (lambda lines: lines[0].update(problem="conv3d"), ":1: "),
        (lambda lines: lines[0].update(caches=[32768, 1048576]), ":1: a chip's caches are three sizes"),
        (lambda lines: lines[0].update(caches=[32768, 1048576, "8M"]), ":1: a chip's caches are three sizes"),
        (lambda lines: lines[3].update(outcome="splendid"), ":4: an outcome is one of"),
        (lambda lines: lines[2]["row"].pop(), ":3: the row"),
        (lambda lines: lines[2]["row"].__setitem__(1, -1), ":3: the row"),
        (lambda lines: lines[2]["row"].__setitem__(1, 99), ":3: malformed"),
        (lambda lines: lines[2].update(outcome="correct", cost=-1.0), "positive number"),
        (lambda lines: lines[2].update(outcome="correct", cost=float("nan")), "positive number"),
        (lambda lines: lines[2].update(outcome="run_error", cost=1.0), "has a cost"),
        (lambda lines: lines.append(lines[1]), "a config twice"),
        (lambda lines: lines.clear(), "it is empty"),
    ],
)
def test_malformed_tables_are_refused_with_the_line(path, change, message):
    rewrite(path, change)
    with pytest.raises(BadInput, match=message):
        read_table(path)


def test_files_that_are_no_tables(tmp_path, path):
    with pytest.raises(Missing, match="no table"):
        read_table(tmp_path / "none.jsonl.xz")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(BadInput, match="is not a table"):
        read_table(path)
    path.write_text("{}")
    with pytest.raises(BadInput, match="is not a table"):
        read_table(path)


def test_a_table_where_everything_failed_has_no_optimum(table):
    failed = Table(table.header, tuple(entry for entry in table.entries if not entry.ok))
    assert failed.entries
    with pytest.raises(BadInput, match="every config"):
        _ = failed.optimum
