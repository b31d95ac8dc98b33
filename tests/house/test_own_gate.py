"""This repository passes its own gate: what `make gate` says of secrets and forbidden text, without a sandbox.

The other scanners and the quality gates are asked by `make gate`, which CI runs.
"""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from runwright.domain import baseline, suppressions
from runwright.domain.finding import Finding, findings
from runwright.domain.gating import judge
from runwright.domain.globs import matches
from runwright.domain.inventory import language_of
from runwright.domain.linear import linear
from runwright.domain.policy_file import FILES, read_policy
from runwright.domain.redaction import Redactor
from runwright.domain.scan_rules import secrets

ROOT = Path(__file__).parents[2]
WRITTEN = datetime(2026, 11, 23, tzinfo=UTC)
"""Suppressions are looked at as of then: that one has ended since is for `make gate` to say."""
TEXT_MAX = 1 << 20
POLICY = read_policy((ROOT / FILES[0]).read_bytes(), FILES[0])
SUPPRESSED = suppressions.read_suppressions((ROOT / suppressions.FILE).read_bytes(), WRITTEN)


def texts() -> Iterator[tuple[str, str]]:
    """Yield the path and the text of each file that git lists."""
    words = ["git", "-C", str(ROOT), "-c", f"safe.directory={ROOT}"]  # the clone may be another user's
    words += ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(words, check=True, capture_output=True).stdout.decode().split("\0")[:-1]:
        file = ROOT / name
        if file.is_file() and not file.is_symlink() and file.stat().st_size <= TEXT_MAX:
            yield name, file.read_bytes().decode("utf-8", "replace")


@cache
def found() -> tuple[Finding, ...]:
    """Return the secrets of this repository."""
    look = Redactor().sightings
    return tuple(
        findings(each for name, text in texts() for each in secrets(name, language_of(name, text), text, look))
    )


def test_no_secret_stands_here_that_nobody_has_decided_to_live_with():
    judged = judge(found(), POLICY, SUPPRESSED)
    blocking = [
        f"{each.finding.rule_id} {each.finding.file}:{each.finding.line}"
        for each in judged
        if each.decision == "blocks"
    ]
    assert blocking == [], "make it up otherwise, or say in .runwright/suppressions.yaml why it is none"


def test_no_text_stands_here_that_the_policy_forbids():
    forbidden = [each for each in POLICY.forbid_patterns if each.severity in POLICY.blocking]
    there = [
        f"{each.rule_id} {name}"
        for name, text in texts()
        for each in forbidden
        if matches((each.files,), name) and linear(each.pattern).search(text.encode())
    ]
    assert (bool(forbidden), there) == (True, [])


def test_each_suppression_of_a_secret_covers_one_and_none_is_void():
    assert SUPPRESSED.void == ()
    mine = suppressions.Suppressions(
        active=tuple(each for each in SUPPRESSED.active if (each.rule or "").startswith("secrets:"))
    )
    assert [each.about for each in mine.unused(found())] == []
    assert all((ROOT / each.path).exists() for each in mine.active if each.path)


def test_the_baseline_knows_nothing_that_blocks():
    known = baseline.read_baseline((ROOT / baseline.FILE).read_bytes())
    assert [each.rule_id for each in known.open if each.severity in POLICY.blocking] == []
