"""SARIF of others: what it found, in the ways in which tools write it; and what is none."""

from typing import Any

import msgspec
import pytest

from runwright.domain.sarif import sarif
from runwright.domain.sarif_in import NotSarif, read_sarif


def log(*results: dict[str, Any], rules: Any = (), version: str = "2.1.0", **more: Any) -> bytes:
    """Return a log of one run."""
    run = {"tool": {"driver": {"name": "gosec", "rules": list(rules)}}, "results": list(results), **more}
    return msgspec.json.encode({"version": version, "runs": [run]})


def at(uri: str = "a.go", line: int = 3, **more: Any) -> dict[str, Any]:
    """Return a result at a place."""
    place = {"artifactLocation": {"uri": uri, **more}, "region": {"startLine": line, "endLine": line + 1}}
    return {"ruleId": "G101", "message": {"text": "bad"}, "locations": [{"physicalLocation": place}]}


def test_a_result_has_its_rule_place_words_and_our_severity():
    (found,) = read_sarif(log(at() | {"level": "error"})).results
    assert (found.tool, found.rule, found.path, found.line, found.end_line) == ("gosec", "G101", "a.go", 3, 4)
    assert (found.severity, found.message) == ("P1", "bad")


@pytest.mark.parametrize(
    ("result", "rule", "ours"),
    [
        ({}, {}, "P2"),
        ({"level": "note"}, {}, "P3"),
        ({}, {"defaultConfiguration": {"level": "error"}}, "P1"),
        ({"level": "error"}, {"properties": {"security-severity": "9.5"}}, "P0"),
        ({"properties": {"security-severity": 4.0}}, {"properties": {"security-severity": "9.5"}}, "P2"),
        ({"level": "error"}, {"properties": {"security-severity": "grave"}}, "P1"),
        ({"level": "error"}, {"properties": {"security-severity": "99"}}, "P1"),
    ],
)
def test_a_score_says_more_than_a_level_and_a_result_more_than_its_rule(
    result: dict[str, Any], rule: dict[str, Any], ours: str
):
    (found,) = read_sarif(log(at() | result, rules=[{"id": "G101", **rule}])).results
    assert found.severity == ours


@pytest.mark.parametrize(
    "named", [{"ruleId": "G101"}, {"ruleIndex": 1}, {"rule": {"index": 1}}, {"rule": {"id": "G101"}}]
)
def test_a_rule_is_named_in_four_ways_and_may_have_the_words(named: dict[str, Any]):
    rule = {"id": "G101", "messageStrings": {"default": {"text": "{0} is {1} {7}"}}}
    result = {"message": {"id": "default", "arguments": ["it", "bad"]}, **named}
    (found,) = read_sarif(log(result, rules=[{"id": "other"}, rule])).results
    assert (found.rule, found.message, found.path) == ("G101", "it is bad {7}", "")


@pytest.mark.parametrize(
    ("uri", "more", "path"),
    [
        ("src/a%20b.go", {}, "src/a b.go"),
        ("file:///workspace/a.go", {}, "/workspace/a.go"),
        ("a.go", {"uriBaseId": "ROOT"}, "file-root/src/a.go"),
        ("file:///other/a.go", {"uriBaseId": "ROOT"}, "/other/a.go"),
        ("https://example.org/a.go", {}, ""),
        ("file://host/a.go", {}, ""),
        ("a.go", {"uriBaseId": "LOOP"}, "a.go"),
    ],
)
def test_a_place_is_a_path_of_the_tree_or_of_the_machine_and_nothing_else(uri: str, more: dict[str, Any], path: str):
    bases = {"ROOT": {"uri": "src/", "uriBaseId": "TOP"}, "TOP": {"uri": "file-root/"}, "LOOP": {"uriBaseId": "LOOP"}}
    (found,) = read_sarif(log(at(uri, **more), originalUriBaseIds=bases)).results
    assert found.path == path


def test_what_passed_or_is_gone_is_no_finding_and_what_is_suppressed_is_one():
    results = [
        at() | {"kind": "pass"},
        at() | {"baselineState": "absent"},
        at() | {"suppressions": [{"kind": "inSource"}]},
    ]
    assert len(read_sarif(log(*results)).results) == 1


def test_a_tool_that_did_not_succeed_is_told_in_its_words():
    notes = [{"level": "note", "message": {"text": "hm"}}, {"level": "error", "message": {"text": "no go.mod"}}]
    failed = [{"executionSuccessful": False, "toolExecutionNotifications": notes}, {"executionSuccessful": True}]
    found = read_sarif(log(invocations=failed, artifacts=[{"location": {"uri": "a"}}]))
    assert (found.failures, found.files, found.results) == (("no go.mod",), 1, ())
    assert read_sarif(log(invocations=[{"executionSuccessful": False}])).failures == (
        "it says that it did not succeed",
    )


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b'{"version":"2.1.0"}', b"\xff", b"[" * 100_000, log(version="2.0.0")]
)
def test_what_is_no_log_of_this_version_is_told(data: bytes):
    with pytest.raises(NotSarif):
        read_sarif(data)


def test_what_we_write_is_read_again():
    findings = [
        {
            "rule_id": f"ruff:{number}",
            "severity": severity,
            "message": "m",
            "file": "a.py",
            "line": 2,
            "fingerprint": "f",
        }
        for number, severity in enumerate(("P0", "P1", "P2", "P3"))
    ]
    written = msgspec.json.encode(sarif("run_1", "1.0", findings, succeeded=True, scanned=True))
    assert [each.severity for each in read_sarif(written).results] == ["P0", "P1", "P2", "P3"]
