"""Guards over tests: none is deleted, skipped or made to assert less. What is moved or renamed is not deleted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from runwright.domain.guards.line_tests import Counts, Family, count, family_of
from runwright.domain.guards.python_tests import NONE, Test, Tests, Unreadable, collected, tests_of
from runwright.domain.guards.terms import Edited, Guard, Refusal

_GONE = "a test is gone"


def weakened(edits: Sequence[Edited]) -> Iterator[Refusal]:
    """Refuse a patch after which less is tested than before."""
    yield from _python([each for each in edits if each.path.endswith((".py", ".pyi"))])
    by_family: dict[str, list[tuple[Family, Edited]]] = {}
    for each in edits:
        family = family_of(each.path)
        if family is not None:
            by_family.setdefault(family.name, []).append((family, each))
    for group in by_family.values():
        yield from _counted(group)


def _counted(group: list[tuple[Family, Edited]]) -> Iterator[Refusal]:
    """Compare the sums of all files of a family, so that what is moved is not missed; name the file that lost."""
    nothing = Counts(0, 0, 0)
    pairs = [
        (
            edit.path,
            nothing if edit.before is None else count(family, edit.before),
            nothing if edit.after is None else count(family, edit.after),
        )
        for family, edit in group
    ]
    rules: tuple[tuple[int, int, Guard, str], ...] = (
        (0, 1, "test_deleted", _GONE),
        (1, -1, "test_skipped", "a test is skipped, or others are left out for its sake"),
        (2, 1, "assertions_removed", "an assertion of a test is gone"),
    )
    for field, sign, guard, message in rules:
        if sum((before[field] - after[field]) * sign for _, before, after in pairs) > 0:
            path = max(pairs, key=lambda pair: (pair[1][field] - pair[2][field]) * sign)[0]
            yield Refusal(guard=guard, path=path, message=message)


class _Pool:
    """The tests of all Python files that change, before or afterwards, each with its file."""

    def __init__(self) -> None:
        self.of: dict[str, Tests] = {}

    def missing(self, other: _Pool) -> list[tuple[str, Test]]:
        """Return the tests that the same file has no longer, by name."""
        return [
            (path, test)
            for path, tests in self.of.items()
            for test in tests.tests.values()
            if test.name not in other.of.get(path, NONE).tests
        ]

    @property
    def skips(self) -> Counter[str]:
        """Return how often each word occurs by which tests are skipped."""
        return sum((tests.skips for tests in self.of.values()), Counter())

    @property
    def weight(self) -> int:
        """Return how much everything asserts together."""
        return sum(tests.helpers + sum(test.live for test in tests.tests.values()) for tests in self.of.values())


def _python(edits: list[Edited]) -> Iterator[Refusal]:
    before, after = _Pool(), _Pool()
    for edit in edits:
        try:
            before.of[edit.path] = NONE if edit.before is None else tests_of(edit.before, edit.path)
        except Unreadable:
            before.of[edit.path] = NONE
        try:
            after.of[edit.path] = NONE if edit.after is None else tests_of(edit.after, edit.path)
        except Unreadable as why:
            if is_of_tests(edit.path):
                message = f"{why}: none of its tests would run"
                yield Refusal(guard="test_deleted", path=edit.path, message=message)
                before.of.pop(edit.path)
    yield from _lost(before, after)
    for path, tests in before.of.items():
        for name, test in tests.tests.items():
            now = after.of.get(path, NONE).tests.get(name)
            if now is not None:
                yield from _compared(path, test, now)
    yield from _marked(before, after)
    yield from _helpers(before, after)


class _New:
    """The tests that are new in their files, found once by their name or by what they do."""

    def __init__(self, found: list[tuple[str, Test]]) -> None:
        self._by: dict[tuple[str, str], list[tuple[str, Test]]] = {}
        self._taken: set[tuple[str, str]] = set()
        for path, test in found:
            for key in (("name", test.name.rpartition(".")[2]), ("body", test.body)):
                self._by.setdefault(key, []).append((path, test))

    def take(self, lost: Test) -> tuple[str, Test] | None:
        """Return the test that one that is gone has become, if there is one."""
        for key in (("name", lost.name.rpartition(".")[2]), ("body", lost.body)):
            waiting = self._by.get(key, [])
            while waiting:
                path, test = waiting.pop()
                if (path, test.name) not in self._taken:
                    self._taken.add((path, test.name))
                    return path, test
        return None


def _lost(before: _Pool, after: _Pool) -> Iterator[Refusal]:
    """Tell of each test that is gone, unless it is found elsewhere."""
    new = _New(after.missing(before))
    uncollected = {body for tests in after.of.values() for body in tests.others}
    for path, test in before.missing(after):
        found = new.take(test)
        if found is not None:
            yield from _compared(found[0], test, found[1])
        elif test.body in uncollected:
            message = f"{test.name} is no longer found by those who run the tests"
            yield Refusal(guard="test_skipped", path=path, message=message)
        else:
            yield Refusal(guard="test_deleted", path=path, message=f"{_GONE}: {test.name}")


def _compared(path: str, was: Test, now: Test) -> Iterator[Refusal]:
    def refused(guard: Guard, message: str) -> Refusal:
        return Refusal(guard=guard, path=path, line=now.line, message=message)

    if was.statements and not now.statements:
        yield refused("test_skipped", f"{was.name} does nothing any more")
    elif now.cases < was.cases:
        yield refused("test_deleted", f"{was.name} had {was.cases} cases, and has {now.cases}")
    elif now.live < was.live and now.weight >= was.weight:
        yield refused("test_skipped", f"assertions of {was.name} are reached no longer, or their failure is caught")
    elif now.live < was.live:
        yield refused("assertions_removed", f"{was.name} asserts less than it did")
    elif was.live == now.live == 0 and now.statements < was.statements and now.body != was.body:
        yield refused("assertions_removed", f"{was.name} has no assertion, and does less than it did")


def _marked(before: _Pool, after: _Pool) -> Iterator[Refusal]:
    """Tell of words that skip tests, and of conditions that are never true, of which there are more than before."""
    more = after.skips - before.skips
    for path, tests in after.of.items():
        was = before.of.get(path, NONE)
        words = sorted((tests.skips - was.skips).keys() & more.keys())
        if words:
            yield Refusal(guard="test_skipped", path=path, message=f"tests are skipped by {', '.join(words)}")
        if tests.dead > was.dead and is_of_tests(path):
            yield Refusal(guard="test_skipped", path=path, message="a condition that is never true hides something")


def _helpers(before: _Pool, after: _Pool) -> Iterator[Refusal]:
    """Tell of a file of tests whose other functions assert less, where nothing else asserts more for it."""
    if after.weight >= before.weight:
        return
    for path, tests in before.of.items():
        now = after.of.get(path, NONE)
        if now is not NONE and now.helpers < tests.helpers and is_of_tests(path):
            message = "what the tests call to assert asserts less than it did"
            yield Refusal(guard="assertions_removed", path=path, message=message)


def is_of_tests(path: str) -> bool:
    """Tell whether a file is one of tests, lies among them, or steers them."""
    *parents, name = path.split("/")
    return collected(path) or name == "conftest.py" or bool({"test", "tests", "testing"} & set(parents))
