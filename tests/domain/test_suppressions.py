"""Suppressions: what they cover, until when, and whose do not count."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from runwright.domain.finding import Finding, Match, findings
from runwright.domain.suppressions import Suppressions, read_suppressions
from runwright.errors import PolicyInvalid

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
WHOLE = "reason: not reachable, owner: ana@example.org, expires_at: 2027-01-31"


def finding(rule: str = "bandit:B608", file: str = "src/a.py") -> Finding:
    """Return a finding."""
    match = Match(rule_id=rule, severity="P1", message="m", tool=rule.partition(":")[0], file=file, window="x = 1")
    return findings([match])[0]


def read(text: str) -> Suppressions:
    """Return what a list of suppressions says."""
    return read_suppressions(f"suppressions:\n{text}".encode(), NOW)


def test_one_covers_what_has_all_that_it_names() -> None:
    found = finding()
    for named in (f"fingerprint: {found.fingerprint}", f"fingerprint: {found.finding_id}", "rule: bandit:B608"):
        assert read(f"  - {{{named}, {WHOLE}}}").of(found) is not None
    assert read(f"  - {{path: src/**, {WHOLE}}}").of(found) is not None
    assert read(f"  - {{path: src/**, rule: bandit:B101, {WHOLE}}}").of(found) is None
    assert read(f"  - {{fingerprint: {'0' * 64}, {WHOLE}}}").of(found) is None


def test_a_rule_is_named_as_any_of_those_who_found_it_call_it() -> None:
    both = replace(finding(), sources=("bandit", "ruff"))
    assert read(f"  - {{rule: 'ruff:S608', {WHOLE}}}").of(both) is not None
    assert read(f"  - {{rule: 'ruff:S608', {WHOLE}}}").of(finding()) is None


def test_one_that_covers_nothing_is_told() -> None:
    said = read(f"  - {{rule: bandit:B999, {WHOLE}}}\n  - {{rule: bandit:B608, {WHOLE}}}")
    assert [each.rule for each in said.unused([finding()])] == ["bandit:B999"]


@pytest.mark.parametrize(
    ("until", "counts"),
    [
        ("2026-11-23", True),
        ("2026-11-22", False),
        ("2026-11-23T12:00:00Z", False),
        ("2026-11-23T12:00:01Z", True),
        ("2026-11-23T12:30:00+01:00", False),
    ],
)
def test_one_whose_time_has_passed_is_none(until: str, counts: bool) -> None:
    said = read(f"  - {{rule: bandit:B608, reason: r, owner: ana, expires_at: '{until}'}}")
    assert (said.of(finding()) is not None) == counts
    assert [why for _, why in said.void] == ([] if counts else [f"it ended on {until}"])


@pytest.mark.parametrize("owner", ["agent:fixer", "Loop run_1", "dependabot[bot]", "bot", "omar", "model/x", "run_123"])
def test_one_of_an_agent_or_a_loop_does_not_count(owner: str) -> None:
    said = read(f"  - {{rule: bandit:B608, reason: r, owner: '{owner}', expires_at: 2027-01-31}}")
    assert said.of(finding()) is None
    assert "is no person" in said.void[0][1]


def test_people_may_be_called_as_they_are() -> None:
    for owner in ("ana", "Loopez", "botond@example.org", "Agenta Modelli"):
        assert read(f"  - {{rule: r, reason: r, owner: '{owner}', expires_at: 2027-01-31}}").void == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("  - {rule: r, owner: a, expires_at: 2027-01-31}", "suppressions[0]: Object missing required field `reason`"),
        ("  - {rule: r, reason: r, expires_at: 2027-01-31}", "missing required field `owner`"),
        ("  - {rule: r, reason: r, owner: a}", "missing required field `expires_at`"),
        (f"  - {{{WHOLE}}}", "suppressions.yaml:2: suppressions[0]: it names neither"),
        ("  - {rule: r, reason: ' ', owner: a, expires_at: 2027-01-31}", "suppressions[0].reason: it says nothing"),
        ("  - {rule: r, reason: r, owner: a, expires_at: 2027-02-31}", "suppressions[0].expires_at: it is no day"),
        ("  - {rule: r, reason: r, owner: a, expires_at: '2027-01-31T00:00'}", "it is no day"),
        (f"  - {{path: /etc, {WHOLE}}}", "suppressions[0].path: a pattern is for relative paths"),
        (f"  - {{line: 3, {WHOLE}}}", "suppressions[0].line: there is no such key"),
        (f"  - {{fingerprint: abc, {WHOLE}}}", "suppressions[0].fingerprint: Expected `str` matching"),
    ],
)
def test_what_lacks_something_is_refused_with_its_place(text: str, told: str) -> None:
    with pytest.raises(PolicyInvalid) as caught:
        read(text)
    assert told in caught.value.detail


def test_an_empty_file_suppresses_nothing() -> None:
    assert read_suppressions(b"", NOW) == Suppressions()
