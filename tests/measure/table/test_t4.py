"""Tables as T4 documents, against the essentials of the published schema."""

import json
from pathlib import Path

import pytest

from mmasched.log import to_t4

SCHEMA = Path(__file__).resolve().parents[2] / "data" / "t4_essentials.json"


def test_a_table_is_a_valid_t4_document(table):
    jsonschema = pytest.importorskip("jsonschema", reason="no jsonschema: pip install jsonschema")
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    document = json.loads(json.dumps(to_t4(table.records())))
    validator.validate(document)
    assert len(document["results"]) == len(table.entries)
    assert document["metadata"]["device"] == "chip-a" and document["metadata"]["timeunit"] == "milliseconds"
    # The essentials do reject what the format forbids.
    for change in ({"invalidity": "broken"}, {"correctness": 2}, {"times": None}, {"configuration": []}):
        assert not validator.is_valid({**document, "results": [{**document["results"][0], **change}]})
    assert not validator.is_valid({**document, "schema_version": "1.0"})
    assert not validator.is_valid({**document, "metadata": {"timeunit": "hours"}})
