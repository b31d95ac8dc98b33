"""What came of a gate run, as programs read it: JSON, and SARIF for others' tools."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.domain.baseline import Known
from runwright.domain.gating import Judged
from runwright.domain.sarif import sarif
from runwright.governance.local.gate_run import GateRun

SCHEMA = "runwright/gate/v1"


def as_json(run: GateRun, version: str) -> dict[str, Any]:
    """Return the whole result; its keys are always there."""
    said, here, policy = run.verdict, run.here, run.rules.policy
    return {
        "schema": SCHEMA,
        "version": version,
        "status": said.status,
        "exit_code": said.exit_code,
        "reasons": said.reasons,
        "tree": {
            "head": here.head,
            "base": here.base,
            "hash": run.tree_hash,
            "files": run.inventory.read_files,
            "skipped": run.inventory.skipped_files,
            "skipped_by": run.inventory.skipped_by,
        },
        "policy": {"file": policy.name or None, "sha256": policy.digest or None, "spec_id": policy.spec_id},
        "counts": _counts(run),
        "baseline": None
        if run.rules.baseline is None
        else {state: run.unsuppressed.count(state) for state in ("new", "unchanged", "regressed", "fixed")},
        "findings": [_finding(each, run) for each in said.judged],
        "fixed": [_known(each) for each in run.compared.fixed],
        "gates": msgspec.to_builtins(said.gates),
        "scanners": msgspec.to_builtins(said.scans),
        "notes": run.notes,
    }


def _counts(run: GateRun) -> dict[str, int]:
    decisions = ("blocks", "asks", "warns", "told", "known", "suppressed", "dropped")
    return {name: sum(each.decision == name for each in run.verdict.judged) for name in decisions}


def _finding(judged: Judged, run: GateRun) -> dict[str, Any]:
    told = msgspec.structs.asdict(judged.finding)
    hidden = judged.suppression
    return {
        **msgspec.to_builtins(told),
        "owners": judged.finding.owners,
        "decision": judged.decision,
        "reason": judged.reason,
        "suppression": None
        if hidden is None
        else {"reason": hidden.reason, "owner": hidden.owner, "expires_at": hidden.expires_at},
    }


def _known(known: Known) -> dict[str, Any]:
    return {"fingerprint": known.fingerprint, "rule_id": known.rule_id, "file": known.file, "severity": known.severity}


def as_sarif(run: GateRun, version: str) -> dict[str, Any]:
    """Return the findings as SARIF 2.1.0; what was fixed is `absent`, what did not look is a notification."""
    found: list[dict[str, Any]] = []
    for each in run.verdict.judged:
        told = msgspec.to_builtins(msgspec.structs.asdict(each.finding))
        hidden = {"state": "suppressed", "reason": each.reason} if each.decision == "suppressed" else {}
        found.append(told | hidden)
    for known in run.compared.fixed:
        fixed = {"message": f"{known.rule_id} is not found any more", "baseline_state": "fixed"}
        found.append(_known(known) | fixed)
    scans = run.verdict.scans
    warnings = [f"{scan.scanner}: {scan.status}: {scan.reason}" for scan in scans if scan.status != "completed"]
    warnings += [f"gate {gate.gate_id}: {gate.status}: {gate.detail}" for gate in run.verdict.gates if not gate.passed]
    return sarif(
        f"runwright-gate/{run.tree_hash}",
        version,
        found,
        succeeded=run.verdict.status != "error",
        scanned=any(scan.status != "not_run" for scan in scans),
        warnings=warnings,
    )
