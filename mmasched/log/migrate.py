"""Lines of older schemas become lines of today's.

Logs hold configs, so a log stays usable for years; when ``record.SCHEMA`` rises from n to n + 1, a function that turns
a line of n into one of n + 1 is entered here and every reader understands both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mmasched.errors import BadInput
from mmasched.log import record

Migration = Callable[[dict[str, Any]], dict[str, Any]]

MIGRATIONS: dict[int, Migration] = {}
"""Schema n -> the function that makes a line of schema n + 1 from a line of n (as dicts)."""


def upgrade(line: Mapping[str, Any]) -> dict[str, Any]:
    """The line in today's schema; the same content when it already is.

    Raises BadInput when the schema is absent, newer than this version reads, or has no migration.
    """
    schema = line.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool):
        raise BadInput("not a log line: it has no schema number")
    if schema > record.SCHEMA:
        raise BadInput(
            f"written with log schema {schema}, but this mmasched reads up to {record.SCHEMA}: "
            "upgrade it with `pip install --upgrade mmasched`"
        )
    upgraded = dict(line)
    while schema < record.SCHEMA:
        if schema not in MIGRATIONS:
            raise BadInput(f"log schema {schema} is unknown to this mmasched (it reads {_readable()})")
        upgraded = MIGRATIONS[schema](upgraded)
        schema += 1
        upgraded["schema"] = schema
    return upgraded


def _readable() -> str:
    return ", ".join(str(schema) for schema in sorted({*MIGRATIONS, record.SCHEMA}))
