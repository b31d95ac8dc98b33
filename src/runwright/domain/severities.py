"""Whose severity is which of ours: one table for all scanners (appendix C4 of the reference).

P0 and P1 are what a gate blocks by default. What a tool does not grade is graded by what its rule looks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from runwright.domain.finding import Severity

Source = Literal["bandit", "semgrep", "zizmor", "ast-grep", "sarif", "osv", "secrets"]

BY_WORD: Mapping[Source, Mapping[str, Severity]] = {
    "bandit": {
        "HIGH/HIGH": "P1", "HIGH/MEDIUM": "P1", "HIGH/LOW": "P2", "MEDIUM": "P2", "LOW": "P3", "UNDEFINED": "P3",
    },
    "semgrep": {
        "CRITICAL": "P0", "ERROR": "P1", "HIGH": "P1", "WARNING": "P2", "MEDIUM": "P2", "INFO": "P3", "LOW": "P3",
        "INVENTORY": "P3", "EXPERIMENT": "P3",
    },
    "zizmor": {"HIGH": "P1", "MEDIUM": "P2", "LOW": "P3", "INFORMATIONAL": "P3", "UNKNOWN": "P2"},
    "ast-grep": {"ERROR": "P1", "WARNING": "P2", "INFO": "P3", "HINT": "P3"},
    "sarif": {"ERROR": "P1", "WARNING": "P2", "NOTE": "P3", "NONE": "P3"},
    "osv": {"CRITICAL": "P0", "HIGH": "P1", "MODERATE": "P2", "MEDIUM": "P2", "LOW": "P3"},
    "secrets": {"VERIFIED": "P0", "PATTERN": "P0", "CONTEXT": "P1", "ENTROPY": "P2"},
}  # fmt: skip
"""The words of each tool. Bandit's go with its confidence where that matters; entropy alone never blocks."""

BY_SCORE: tuple[tuple[float, Severity], ...] = ((9.0, "P0"), (7.0, "P1"), (4.0, "P2"), (0.0, "P3"))
"""CVSS scores, and the `security-severity` of SARIF: from so much on."""

CONFIDENCE: Mapping[str, float] = {"HIGH": 1.0, "MEDIUM": 0.8, "LOW": 0.5}
_UNSAID: Severity = "P2"
_LOW_RULES = frozenset(
    {"S101", "S105", "S106", "S107", "S110", "S112", "S311", "S403", "S404", "S405", "S406", "S407", "S408", "S409"}
) | {"S504", "S603", "S606", "S607"}
_HIGH_RULES = frozenset(
    {"S201", "S202", "S304", "S312", "S321", "S324", "S401", "S402", "S411", "S412", "S413", "S415", "S501", "S502"}
) | {"S505", "S507", "S602", "S605", "S609", "S613", "S701"}
_SEEMS_SAFE = "seems safe"
_BROKEN = ("E9", "F821", "F822", "F823", "invalid-syntax")


def graded(source: Source, word: str, confidence: str = "") -> Severity:
    """Return our severity for a tool's word; one that we do not know is P2: to be looked at, and blocking nothing."""
    words = BY_WORD[source]
    return words.get(f"{word}/{confidence}".upper()) or words.get(word.upper()) or _UNSAID


def scored(score: float) -> Severity:
    """Return our severity for a score from 0 to 10."""
    return next((severity for least, severity in BY_SCORE if score >= least), "P3")


def of_sarif(level: str, score: float | None) -> Severity:
    """Return our severity for a result of SARIF: its rule's score says more than its level."""
    return graded("sarif", level) if score is None else scored(score)


def of_ruff(code: str, message: str) -> Severity:
    """Return our severity for a rule of ruff, which grades none: bandit's where it is one of bandit's."""
    if not code.startswith("S"):
        return "P2" if code.startswith(_BROKEN) else "P3"
    if code in _LOW_RULES or _SEEMS_SAFE in message:
        return "P3"
    return "P1" if code in _HIGH_RULES else "P2"
