"""What a policy forbids is told once for each line, and what is not told is counted."""

import pytest

from runwright.domain.policy_terms import ForbidPattern
from runwright.sandbox.scanner import Seen, Text
from runwright.scanners import patterns
from runwright.scanners.patterns import Patterns
from tests.scanners.ground import BOUNDS, Tree, told


async def test_a_line_is_told_once_however_often_it_matches(tree: Tree):
    tree.write({"a.txt": "todo todo todo\nnothing\ntodo\n"})
    seen = await tree.look(Patterns([ForbidPattern(pattern="todo", id="no-todo")]))
    assert told(seen, "policy") == [("P2", "policy:no-todo", "a.txt", 1), ("P2", "policy:no-todo", "a.txt", 3)]
    assert [(each.scanner, each.findings) for each in seen.reports if each.scanner == "policy"] == [("policy", 2)]


async def test_lines_of_a_file_that_are_not_told_are_counted(tree: Tree, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(patterns, "_A_FILE_MAX", 2)
    tree.write({"a.txt": "todo todo\n" * 5, "b.txt": "todo\n"})
    seen = Seen(tree, tuple(Text(name, "text", 1) for name in ("a.txt", "b.txt")))
    report = await Patterns([ForbidPattern(pattern="todo")]).scan(seen, BOUNDS)
    assert (len(report.matches), report.more) == (3, 3)
