"""Findings as SARIF 2.1.0 (OASIS), so that other tools read them; a run that nothing scanned says that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"P0": "error", "P1": "error", "P2": "warning", "P3": "note"}
SECURITY = {"P0": "9.5", "P1": "8.0", "P2": "5.5", "P3": "2.0"}
_BASELINES = {"new": "new", "unchanged": "unchanged", "fixed": "absent", "regressed": "new"}


def sarif(
    run_id: str,
    version: str,
    findings: Sequence[Mapping[str, Any]],
    *,
    succeeded: bool,
    scanned: bool,
    warnings: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the log of one run; `scanned` tells whether anything looked, `warnings` what did not look or see all."""
    rules = {rule: index for index, rule in enumerate(sorted({_rule(each) for each in findings}))}
    notes = [] if scanned else [{"level": "note", "message": {"text": "No scanner ran in this run."}}]
    notes += [{"level": "warning", "message": {"text": text}} for text in warnings]
    driver = {
        "name": "Runwright",
        "semanticVersion": version,
        "rules": [{"id": rule, "properties": {"security-severity": _severity(rule, findings)}} for rule in rules],
    }
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "automationDetails": {"id": run_id},
                "columnKind": "unicodeCodePoints",
                "invocations": [{"executionSuccessful": succeeded, "toolExecutionNotifications": notes}],
                "results": [_result(each, rules[_rule(each)]) for each in findings],
            }
        ],
    }


def _rule(finding: Mapping[str, Any]) -> str:
    return str(finding.get("rule_id") or "unnamed")


def _severity(rule: str, findings: Sequence[Mapping[str, Any]]) -> str:
    return max(SECURITY.get(str(each.get("severity")), "0.0") for each in findings if _rule(each) == rule)


def _result(finding: Mapping[str, Any], index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": _rule(finding),
        "ruleIndex": index,
        "level": LEVELS.get(str(finding.get("severity")), "none"),
        "message": {"text": str(finding.get("summary") or finding.get("message") or _rule(finding))},
        "locations": _locations(finding),
        "properties": {"priority": finding.get("severity"), "sources": list(finding.get("sources") or ())},
    }
    if finding.get("owners"):
        result["properties"]["owners"] = list(finding["owners"])
    if finding.get("fingerprint"):
        result["partialFingerprints"] = {"omar/v2": str(finding["fingerprint"])}
    if finding.get("baseline_state") in _BASELINES:
        result["baselineState"] = _BASELINES[finding["baseline_state"]]
    if finding.get("state") == "suppressed":
        suppression = {"kind": "external", "status": "accepted", "justification": str(finding.get("reason") or "")}
        result["suppressions"] = [suppression]
    return result


def _locations(finding: Mapping[str, Any]) -> list[dict[str, Any]]:
    if not finding.get("file"):
        return []
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(str(finding["file"]), safe="/")}}
    line = finding.get("line")
    if isinstance(line, int) and line > 0:
        place["region"] = {"startLine": line}
    return [{"physicalLocation": place}]
