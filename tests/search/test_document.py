from pathlib import Path

from mmasched import search
from mmasched.search.document import as_markdown

PAGE = Path(__file__).resolve().parents[2] / "docs" / "strategies.md"


def test_the_page_is_what_the_strategies_declare():
    assert PAGE.read_text() == as_markdown(), "run python -m mmasched.search.document > docs/strategies.md"
    for name in search.names():
        assert f"\n## {name}\n" in PAGE.read_text()
        assert all(f"\n| {option.name} | " in PAGE.read_text() for option in search.options(name))
