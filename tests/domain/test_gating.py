"""What findings, commands and scanners say together under a policy, rule by rule."""

from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from runwright.domain.finding import Finding, Match, findings, rules_of
from runwright.domain.gating import Changes, Coverage, GateOutcome, Judged, Verdict, judge, verdict
from runwright.domain.loop_rules import LoopRules
from runwright.domain.owners import read_owners
from runwright.domain.policy_file import PolicyFile, read_policy
from runwright.domain.suppressions import Suppressions, read_suppressions

LOOKED = (Coverage(scanner="secrets", gate="security", status="completed", required=False),)
GREEN = GateOutcome(gate_id="tests", status="green", passed=True, required=True, detail="ok")


def policy(text: str = "") -> PolicyFile:
    """Return the policy of a text."""
    return read_policy(text.encode(), "p.yaml")


def found(severity: Any = "P1", rule: str = "bandit:B608", line: int = 1, **more: Any) -> Finding:
    """Return a finding."""
    match = Match(rule_id=rule, severity=severity, message="m", tool=rule.partition(":")[0], file="a.py", line=line)
    return replace(findings([match])[0], **more)


def decide(finding: Finding, text: str = "", *others: Finding, hidden: Suppressions | None = None) -> Judged:
    """Return what one finding does."""
    return judge([finding, *others], policy(text), hidden or Suppressions())[0]


def say(*judged: Finding, gates: tuple[GateOutcome, ...] = (), text: str = "", scans=LOOKED) -> Verdict:
    """Return the verdict over findings and gates."""
    said = policy(text)
    return verdict(said, judge(judged, said, Suppressions()), gates, scans)


@pytest.mark.parametrize(
    ("severity", "decision"), [("P0", "blocks"), ("P1", "blocks"), ("P2", "warns"), ("P3", "told")]
)
def test_a_finding_counts_by_its_severity(severity: str, decision: str) -> None:
    assert decide(found(severity)).decision == decision
    assert decide(found(severity), "severity_gate: {block_on: [P3], soft_warn: []}").decision == (
        "blocks" if severity == "P3" else "told"
    )


@pytest.mark.parametrize(("behavior", "decision"), [("deny", "blocks"), ("ask", "asks"), ("allow", "warns")])
def test_the_behaviour_of_its_gate_counts(behavior: str, decision: str) -> None:
    assert decide(found(), f"gates: [{{id: security, behavior: {behavior}}}]").decision == decision


def test_of_two_gates_whose_scanners_found_it_the_stricter_counts() -> None:
    gates = "gates: [{id: security, behavior: allow}, {id: static_analysis, config: {ruff: true}, behavior: ask}]"
    both = found("P1", "bandit:B602", sources=("bandit", "ruff"))
    assert rules_of(both) == {"bandit:B602", "ruff:S602"}
    assert decide(both, gates).decision == "asks"
    assert decide(found("P1", "bandit:B602"), gates).decision == "warns"


def test_a_loop_takes_the_stricter_gate_as_well() -> None:
    gates = "gates: [{id: security, behavior: allow}, {id: static_analysis, config: {ruff: true}, behavior: deny}]"
    rules = LoopRules(policy=policy(gates))
    assert rules.denies(found("P1", "bandit:B602", sources=("bandit", "ruff")))
    assert not rules.denies(found("P1", "bandit:B602"))


@pytest.mark.parametrize(("state", "decision"), [("new", "blocks"), ("regressed", "blocks"), ("unchanged", "known")])
def test_what_the_baseline_has_does_not_count(state: str, decision: str) -> None:
    assert decide(found(baseline_state=state)).decision == decision


def test_what_people_live_with_does_not_count() -> None:
    text = "suppressions: [{rule: 'bandit:B608', reason: r, owner: ana, expires_at: 2027-01-31}]"
    hidden = read_suppressions(text.encode(), datetime(2026, 11, 23, tzinfo=UTC))
    assert (decide(found(), hidden=hidden).decision, decide(found(), hidden=hidden).reason) == ("suppressed", "r")


MODEL: dict[str, Any] = {"rule": "llm_judge:sqli", "confidence": 0.9}
JUDGE = "gates: [{id: llm_judge, behavior: deny}]\n"


@pytest.mark.parametrize(
    ("text", "near", "decision"),
    [
        ("", None, "warns"),
        ("", 6, "blocks"),
        ("", 7, "warns"),
        ("llm_only_blocking: never", 1, "warns"),
        ("llm_only_blocking: confident", None, "blocks"),
    ],
)
def test_what_only_a_model_found_needs_what_the_policy_says(text: str, near: int | None, decision: str) -> None:
    others = [] if near is None else [found("P3", line=near)]
    assert decide(found(**MODEL), JUDGE + text, *others).decision == decision


def test_what_a_model_is_not_sure_of_is_dropped_and_what_a_scanner_saw_too_is_not_only_a_model_s() -> None:
    assert decide(found(**(MODEL | {"confidence": 0.79})), JUDGE).decision == "dropped"
    floors = "gates: [{id: llm_judge, behavior: deny, config: {confidence_floors: {P1: 0.95}}}]"
    assert decide(found(**MODEL), floors).decision == "dropped"
    assert (
        decide(found(**(MODEL | {"confidence": 0.1, "sources": ("bandit", "llm_judge")})), JUDGE).decision == "blocks"
    )


def test_nothing_that_blocks_and_all_green_is_passed() -> None:
    said = say(found("P2"), gates=(GREEN,))
    assert (said.status, said.exit_code, said.reasons) == ("passed", 0, ())


@pytest.mark.parametrize("status", ["red", "flaky", "not_run"])
def test_a_required_gate_that_is_not_green_blocks_and_another_does_not(status: Any) -> None:
    red = replace(GREEN, status=status, passed=False, detail="why")
    said = say(gates=(red,))
    assert (said.status, said.exit_code) == ("blocked", 1)
    assert said.reasons == (f"the gate tests is {status.replace('_', ' ')}: why",)
    assert say(gates=(replace(red, required=False),)).status == "passed"


@pytest.mark.parametrize("status", ["partial", "not_run"])
def test_a_required_scanner_that_did_not_see_all_blocks(status: Any) -> None:
    scan = Coverage(scanner="bandit", gate="security", status=status, required=True, reason="it is not installed")
    said = say(scans=(*LOOKED, scan))
    assert said.status == "blocked"
    assert "it is not installed" in said.reasons[0]
    assert say(scans=(*LOOKED, replace(scan, required=False))).status == "passed"


def test_where_nobody_looked_nothing_is_clean() -> None:
    assert say(scans=()).status == "blocked"


@pytest.mark.parametrize(("share", "status"), [(0.8, "passed"), (0.7999, "blocked"), (None, "blocked")])
def test_the_least_coverage_is_enforced(share: float | None, status: str) -> None:
    said = say(gates=(replace(GREEN, coverage=share),), text="policy: {coverage_min: 80}")
    assert said.status == status
    assert said.gates[-1].gate_id == "coverage"


def test_a_gate_that_nobody_knows_is_told_and_red_only_where_it_is_required() -> None:
    assert say(text="gates: [{id: locks}]").gates[0].status == "not_run"
    assert say(text="gates: [{id: locks}]").status == "passed"
    assert say(text="gates: [{id: locks, required: true}]").status == "blocked"
    assert say(text="gates: [{id: locks, enabled: false, required: true}]").gates == ()


@pytest.mark.parametrize(
    ("text", "files", "status"),
    [
        ("* @ana", ("a.py", "b/c.py"), "green"),
        ("*.py @ana", ("a.py", "b.md"), "red"),
        ("*.py @ana\na.py", ("a.py",), "red"),
        ("*.py @ana", (), "green"),
        ("", ("a.py",), "not_run"),
        ("", (), "not_run"),
    ],
)
def test_what_was_changed_belongs_to_somebody(text: str, files: tuple[str, ...], status: str) -> None:
    rules = policy("gates: [{id: ownership, required: true}]")
    owners = read_owners(text)
    nobodys = tuple(path for path in files if not owners.of(path))
    changes = Changes(files=files, ownerless=nobodys, ruled=bool(owners.rules))
    said = verdict(rules, (), (), LOOKED, changes)
    assert (said.gates[0].gate_id, said.gates[0].status) == ("ownership", status)
    assert said.status == ("passed" if status == "green" else "blocked")
    assert ("b.md" in said.gates[0].detail) == ("b.md" in files)


def test_scoped_tests_without_a_command_are_told_as_not_run() -> None:
    said = say(text="gates: [{id: scoped-tests, required: true}]")
    assert (said.gates[0].gate_id, said.gates[0].status, said.status) == ("scoped_tests", "not_run", "blocked")


def test_where_no_model_answers_the_policy_decides() -> None:
    said = say(text="gates: [{id: llm_judge}]")
    assert (said.status, said.exit_code) == ("error", 10)
    assert say(found(), text="gates: [{id: llm_judge}]").exit_code == 1
    assert say(text="gates: [{id: llm_judge}]\nllm_failure_policy: deterministic_only").exit_code == 0
    assert [(gate.gate_id, gate.status) for gate in said.gates] == [("llm_judge", "not_run")]
    assert say(text="gates: [{id: llm_judge, required: true}]\nllm_failure_policy: warn").exit_code == 1
    assert say(text="gates: [{id: llm_judge, required: true}]").exit_code == 10


def test_findings_that_ask_need_a_person_where_the_policy_says_so() -> None:
    ask = "gates: [{id: security, behavior: ask}]\n"
    assert say(found(), text=ask).exit_code == 0
    said = say(found(), text=ask + "approval_mode: manual")
    assert (said.status, said.exit_code) == ("needs_approval", 13)
    assert say(found(), found("P1", "ruff:E501"), text=ask + "approval_mode: manual").exit_code == 1
