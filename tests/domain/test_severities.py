"""Appendix C4, row by row: whose severity is which of ours."""

import pytest

from runwright.domain import severities as s
from runwright.domain.severities import Source


@pytest.mark.parametrize(
    ("source", "word", "confidence", "ours"),
    [
        ("bandit", "HIGH", "HIGH", "P1"),
        ("bandit", "HIGH", "MEDIUM", "P1"),
        ("bandit", "HIGH", "LOW", "P2"),
        ("bandit", "MEDIUM", "HIGH", "P2"),
        ("bandit", "MEDIUM", "LOW", "P2"),
        ("bandit", "LOW", "HIGH", "P3"),
        ("bandit", "UNDEFINED", "HIGH", "P3"),
        ("semgrep", "ERROR", "", "P1"),
        ("semgrep", "WARNING", "", "P2"),
        ("semgrep", "INFO", "", "P3"),
        ("semgrep", "CRITICAL", "", "P0"),
        ("semgrep", "HIGH", "", "P1"),
        ("semgrep", "MEDIUM", "", "P2"),
        ("semgrep", "LOW", "", "P3"),
        ("zizmor", "High", "", "P1"),
        ("zizmor", "Medium", "", "P2"),
        ("zizmor", "Low", "", "P3"),
        ("zizmor", "Informational", "", "P3"),
        ("zizmor", "Unknown", "", "P2"),
        ("ast-grep", "error", "", "P1"),
        ("ast-grep", "warning", "", "P2"),
        ("ast-grep", "info", "", "P3"),
        ("ast-grep", "hint", "", "P3"),
        ("sarif", "error", "", "P1"),
        ("sarif", "warning", "", "P2"),
        ("sarif", "note", "", "P3"),
        ("sarif", "none", "", "P3"),
        ("osv", "CRITICAL", "", "P0"),
        ("osv", "HIGH", "", "P1"),
        ("osv", "MODERATE", "", "P2"),
        ("osv", "LOW", "", "P3"),
        ("osv", "", "", "P2"),
        ("secrets", "verified", "", "P0"),
        ("secrets", "pattern", "", "P0"),
        ("secrets", "context", "", "P1"),
        ("secrets", "entropy", "", "P2"),
        ("bandit", "nobody's word", "", "P2"),
    ],
)
def test_a_word_of_a_tool_is_one_of_our_severities(source: Source, word: str, confidence: str, ours: str):
    assert s.graded(source, word, confidence) == ours


@pytest.mark.parametrize(
    ("score", "ours"),
    [
        (10.0, "P0"),
        (9.0, "P0"),
        (8.9, "P1"),
        (7.0, "P1"),
        (6.9, "P2"),
        (4.0, "P2"),
        (3.9, "P3"),
        (0.1, "P3"),
        (0.0, "P3"),
    ],
)
def test_a_score_is_one_of_our_severities(score: float, ours: str):
    assert s.scored(score) == ours
    assert s.of_sarif("note", score) == ours


@pytest.mark.parametrize(
    ("code", "message", "ours"),
    [
        ("S602", "`subprocess` call with `shell=True` identified, security issue", "P1"),
        ("S602", "`subprocess` call with `shell=True` seems safe, but may be changed in the future", "P3"),
        ("S501", "verify=False", "P1"),
        ("S307", "eval", "P2"),
        ("S101", "assert", "P3"),
        ("F821", "Undefined name", "P2"),
        ("E999", "broken", "P2"),
        ("invalid-syntax", "broken", "P2"),
        ("F401", "unused", "P3"),
        ("E401", "imports", "P3"),
    ],
)
def test_ruff_grades_nothing_and_gets_what_bandit_says(code: str, message: str, ours: str):
    assert s.of_ruff(code, message) == ours
