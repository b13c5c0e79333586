"""A record survives its line, and every wrong field is named."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmasched.errors import BadInput
from mmasched.log.record import KINDS, STATUSES, Record, config_key, parse_time, utc_now


def raw(**changes):
    values = {
        "schema": 1,
        "problem": "conv2d/n1",
        "target": "x86/avx2",
        "chip": "intel-06-a7",
        "threads": 2,
        "template": "x86_gemm",
        "config": {"tile_m": 4, "pack": True, "order": "khw"},
        "outcome": "correct",
        "cost": 1e-3,
        "time": "2026-11-21T08:45:00Z",
    }
    return {**values, **changes}


knob_values = st.one_of(st.integers(-(2**40), 2**40), st.booleans(), st.text(max_size=8))


@given(
    config=st.dictionaries(st.text(min_size=1, max_size=8), knob_values, max_size=5),
    outcome=st.sampled_from(STATUSES),
    kind=st.sampled_from(KINDS),
    cost=st.none() | st.floats(1e-12, 1e12),
    times=st.lists(st.floats(1e-12, 1e12), max_size=4),
    detail=st.text(max_size=30),
)
def test_any_record_survives_its_line(config, outcome, kind, cost, times, detail):
    record = Record(
        "k", "x86/avx2", "chip", 1, "t", config, outcome, kind, cost, tuple(times), {"registers": 9}, detail
    )
    line = record.to_line()
    assert "\n" not in line
    assert Record.from_dict(json.loads(line)) == record


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("problem", ""),
        ("problem", 3),
        ("threads", 0),
        ("threads", True),
        ("threads", "2"),
        ("template", None),
        ("config", [1]),
        ("config", {"tile": 1.5}),
        ("config", {"tile": [1]}),
        ("outcome", "fine"),
        ("outcome", []),
        ("kind", "guessed"),
        ("cost", float("nan")),
        ("cost", "1"),
        ("cost", 0),
        ("cost", -1.0),
        ("times", [1.0, None]),
        ("times", 1.0),
        ("build_seconds", -1),
        ("confirmed", 1),
        ("resources", []),
        ("time", "yesterday"),
        ("time", 5),
    ],
)
def test_a_wrong_field_is_named(field, value):
    with pytest.raises(BadInput, match=f"'{field}'"):
        Record.from_dict(raw(**{field: value}))


@pytest.mark.parametrize("field", ["problem", "target", "chip", "threads", "template", "config", "outcome", "time"])
def test_a_missing_field_is_named(field):
    line = raw()
    del line[field]
    with pytest.raises(BadInput, match=f"'{field}' is missing"):
        Record.from_dict(line)


def test_unknown_fields_are_ignored():
    assert Record.from_dict(raw(humidity=0.4)) == Record.from_dict(raw())


def test_nan_never_reaches_a_log():
    with pytest.raises(ValueError):
        Record.from_dict(raw(cost=None)).__class__(**{**raw(), "cost": float("nan")}).to_line()


def test_config_key_ignores_order_and_tells_types_apart():
    assert config_key("t", {"a": 1, "b": 2}) == config_key("t", {"b": 2, "a": 1})
    assert config_key("t", {"a": 1}) != config_key("t", {"a": "1"})
    assert config_key("t", {"a": 1}) != config_key("u", {"a": 1})


def test_times_order():
    assert (
        parse_time("2026-11-21T08:45:00Z")
        < parse_time("2026-11-21T08:45:00.500000Z")
        < parse_time(utc_now().replace("20", "29", 1))
    )
