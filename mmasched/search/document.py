"""The page about strategies and their options, written from what the strategies declare.

python -m mmasched.search.document > docs/strategies.md
"""

from __future__ import annotations

import inspect

from mmasched.search.registry import default, names, strategy_class

HEAD = """\
# Search strategies

Choose one with `mmasched tune --strategy NAME` or `NAME:OPTION=VALUE,...`; the default is `{default}`.
This page is written by `python -m mmasched.search.document` from what the strategies declare.
How they compare is in [search.md](search.md).
"""


def as_markdown() -> str:
    """The page, one section a strategy."""
    return "\n".join([HEAD.format(default=default()), *map(_section, names())])


def _section(name: str) -> str:
    found = strategy_class(name)
    text = [f"## {name}\n", inspect.cleandoc(found.__doc__ or ""), ""]
    if found.OPTIONS:
        text += ["| option | default | meaning |", "| --- | --- | --- |"]
    for option in found.OPTIONS:
        choices = f" ({', '.join(option.choices)})" if option.choices else ""
        text.append(f"| {option.name} | {option.default} | {option.doc}{choices} |")
    return "\n".join(text).rstrip() + "\n"


if __name__ == "__main__":
    print(as_markdown(), end="")
