"""How far a runtime run has come: what its log folds into, and what is next."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from runwright.domain import next_move as m
from runwright.domain import runtime_events as r
from runwright.domain.agent_events import BudgetReached
from runwright.domain.agent_terms import Budget
from runwright.domain.course import Course, DoneStep, Findings, OpenStep
from runwright.domain.events import Draft
from runwright.domain.orchestration import follow, gate_status, stop_of
from runwright.domain.redaction import compose
from runwright.domain.run import Run, Usage
from runwright.domain.runtime_terms import (
    CommandStep,
    GateStep,
    GateTerms,
    IngestStep,
    ReportStep,
    RunPolicy,
    RuntimeTerms,
    pinned,
)
from runwright.domain.verdict import STOPS, GateStanding, Stop, of_failure
from tests.domain.specimens import SECOND, SPECIMENS, T0, begun, done, text

BUILD, TESTS, REPORT = (
    CommandStep(step_id="build", command=("make",)),
    GateStep(step_id="tests", command=("pytest", "-q")),
    ReportStep(step_id="report"),
)

NOWHERE, UNUSED = Course(), Usage()


def standing(course: Course = NOWHERE, *, executed_s: int = 0, usage: Usage = UNUSED, **terms: Any) -> Run:
    """Return a run that executes, with this course and these terms."""
    some = SPECIMENS["runtime executing"]().standing
    usual: dict[str, Any] = {"steps": (BUILD, TESTS, REPORT)}
    spec = replace(some.spec, runtime=RuntimeTerms(**{**usual, **terms}))
    return replace(some, spec=spec, course=course, usage=usage, active_us=executed_s * SECOND, since_at=T0)


def move(run: Run) -> m.Move:
    """Return what is next."""
    return m.next_move(run, T0)


def built(status: str = "succeeded", *, blocks: bool = False) -> DoneStep:
    return DoneStep("build", "command", "build", status, blocks=blocks)


def judged(status: str = "green", *, required: bool = True) -> Course:
    blocks = required and status != "green"
    gate = GateStanding("tests", "tests", status, required)
    tests = DoneStep("tests", "gate", "tests", "failed" if blocks else "succeeded", blocks=blocks)
    return Course(done=(built(), tests), gates=(gate,))


@pytest.mark.parametrize("named", [name for name in SPECIMENS if name.startswith("runtime")])
def test_the_course_of_a_run_is_what_its_log_folds_into(named: str):
    history = SPECIMENS[named]()
    course = Course()
    for event in history.events:
        course = follow(course, [Draft(event.type, event.data)], event.created_at)  # type: ignore[arg-type]
    assert history.standing.course == course


def test_a_new_run_begins_with_its_first_step():
    assert move(standing()) == m.Begin(BUILD)


def test_a_step_that_was_done_is_not_done_again():
    assert move(standing(Course(done=(built(),)))) == m.Begin(TESTS)


def test_a_step_that_was_under_way_is_made_again_under_another_lease():
    assert move(standing(Course(open=OpenStep("build", "command", 1, T0)))) == m.Begin(BUILD, again=True)


def test_a_step_that_may_not_be_made_twice_is_given_up():
    unsafe = replace(BUILD, effect="unsafe")
    run = standing(Course(open=OpenStep("build", "command", 1, T0)), steps=(unsafe, REPORT))
    assert move(run) == m.GiveUp(unsafe)
    paused = follow(run.course or NOWHERE, [Draft("run.paused", b"{}")], T0)  # type: ignore[arg-type]
    assert move(replace(run, course=paused)) == m.GiveUp(unsafe, paused=True)


def test_after_a_failed_step_only_gates_and_reports_follow():
    deploy = CommandStep(step_id="deploy", command=("deploy",))
    failed = Course(done=(built("failed", blocks=True),))
    run = standing(failed, steps=(BUILD, deploy, TESTS, REPORT))
    assert move(run) == m.Skip((deploy,))
    skipped = replace(failed, done=(*failed.done, DoneStep("deploy", "command", "deploy", "skipped")))
    assert move(replace(run, course=skipped)) == m.Begin(TESTS)


def test_a_failed_step_whose_failure_does_not_matter_blocks_nothing():
    course = follow(Course(), [*begun(), *_ended("failed", on_failure="continue")], T0)
    assert not course.blocked
    assert move(standing(course)) == m.Begin(TESTS)


def _ended(status: r.StepStatus, **more: Any) -> tuple[Draft, ...]:
    return (
        Draft(
            "step.completed", compose(r.StepEnded(step_id="build", kind="command", name="build", status=status, **more))
        ),
    )


def test_a_run_tells_what_came_of_it_before_it_ends():
    course = replace(judged(), done=(*judged().done, DoneStep("report", "report", "report", "succeeded")))
    assert move(standing(course)) == m.Report()
    told = replace(course, narrative="All is well.")
    assert move(standing(told)) == m.Finish(Stop("NONE"), "passed")


@pytest.mark.parametrize(
    ("command", "allowed"),
    [(("make",), ("make",)), (("/usr/bin/make", "x"), ("make",)), (("python3",), ("python*",)), (("make",), None)],
)
def test_a_command_whose_program_the_policy_names_is_made(command: tuple[str, ...], allowed: tuple[str, ...] | None):
    step = replace(BUILD, command=command)
    assert move(standing(steps=(step,), policy=RunPolicy(commands=allowed))) == m.Begin(step)


@pytest.mark.parametrize("command", [("curl",), ("/opt/make/curl",), ("make2",), ("",)])
def test_a_command_whose_program_the_policy_does_not_name_is_denied(command: tuple[str, ...]):
    step = replace(BUILD, command=command)
    denied = move(standing(steps=(step,), policy=RunPolicy(commands=("make",))))
    assert isinstance(denied, m.Deny)
    assert (denied.step, denied.subject, denied.rule_id) == (step, command[0], "policy.commands")


def test_what_was_denied_ends_the_run():
    course = Course(denied="POLICY_DENIED", done=(built("denied", blocks=True),), narrative="It was stopped.")
    assert move(standing(course)) == m.Finish(Stop("POLICY_DENIED"), "blocked")


# --- budgets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("wall_s", standing(executed_s=8, budget=Budget(wall_s=10))),
        ("tool_calls", standing(Course(tool_calls=4), budget=Budget(tool_calls=5))),
        ("tokens", standing(usage=Usage(700, 100), budget=Budget(tokens=1000))),
        ("cost_microusd", standing(usage=Usage(cost_microusd=80), budget=Budget(cost_microusd=100))),
    ],
)
def test_a_limit_is_warned_of_once_when_four_fifths_of_it_are_used(name: str, run: Run):
    warned = move(run)
    assert isinstance(warned, m.Warn)
    assert [limit.limit_name for limit in warned.limits] == [name]
    told = [Draft("budget.warning", compose(limit)) for limit in warned.limits]
    assert run.course is not None
    assert move(replace(run, course=follow(run.course, told, T0))) == m.Begin(BUILD, left_s=m.left_s(run, T0))


def test_a_run_says_itself_of_how_much_it_is_warned():
    assert isinstance(move(standing(executed_s=3, budget=Budget(wall_s=10), warn_at_pct=30)), m.Warn)
    assert move(standing(executed_s=2, budget=Budget(wall_s=10), warn_at_pct=30)) == m.Begin(BUILD, left_s=8.0)


@pytest.mark.parametrize(
    ("code", "run"),
    [
        ("MAX_RUNTIME_EXCEEDED", standing(Course(warned=("wall_s",)), executed_s=10, budget=Budget(wall_s=10))),
        (
            "MAX_TOOL_CALLS_EXCEEDED",
            standing(Course(tool_calls=5, warned=("tool_calls",)), budget=Budget(tool_calls=5)),
        ),
        ("MAX_TOKENS_EXCEEDED", standing(Course(warned=("tokens",)), usage=Usage(9, 1), budget=Budget(tokens=10))),
        (
            "MAX_COST_EXCEEDED",
            standing(Course(warned=("cost_microusd",)), usage=Usage(cost_microusd=9), budget=Budget(cost_microusd=9)),
        ),
    ],
)
def test_a_limit_with_nothing_left_ends_the_run_before_its_next_step(code: str, run: Run):
    over = move(run)
    assert isinstance(over, m.Exhaust)
    course = follow(run.course or Course(), [Draft("budget.exhausted", compose(over.limit))], T0)
    assert move(replace(run, course=course)) == m.Report()
    ended = move(replace(run, course=replace(course, narrative="It is over.")))
    assert ended == m.Finish(Stop(code), "blocked"), "its gate did not run, and what did not run is not green"


def test_a_run_whose_last_step_is_done_at_its_limit_is_clean():
    done_all = replace(judged(), done=(*judged().done, DoneStep("report", "report", "report", "succeeded")))
    course = replace(done_all, narrative="All is well.", tool_calls=5, warned=("tool_calls",))
    assert move(standing(course, budget=Budget(tool_calls=5))) == m.Finish(Stop("NONE"), "passed")


def test_a_report_is_made_where_nothing_else_may_be():
    course = replace(judged(), tool_calls=5, warned=("tool_calls",))
    assert move(standing(course, budget=Budget(tool_calls=5))) == m.Begin(REPORT)


def test_a_call_that_is_told_again_is_counted_once():
    course = follow(Course(), [*begun(), begun()[2]], T0)
    assert course.tool_calls == 1
    assert follow(course, [*done(), *begun("other")], T0).tool_calls == 2


# --- verdicts ---------------------------------------------------------------------------------------------------------


def verdict(course: Course, **terms: Any) -> tuple[str, str]:
    wanted = RuntimeTerms(**{"steps": (BUILD, TESTS), **terms})
    return stop_of(course, wanted).code, gate_status(course, wanted)


@pytest.mark.parametrize(
    ("course", "told"),
    [
        (judged(), ("NONE", "passed")),
        (judged("red"), ("GATE_NOT_GREEN", "blocked")),
        (judged("not_run"), ("GATE_NOT_GREEN", "blocked")),
        (Course(done=(built("failed", blocks=True),)), ("STEP_FAILED", "error")),
        (replace(judged(), findings=Findings({"P1": 1}, 1, 1, scanned=True)), ("FINDINGS_REMAIN", "blocked")),
        (replace(judged(), findings=Findings({"P2": 1}, 1, 1, scanned=True)), ("NONE", "passed")),
        (replace(judged(), pending=("apr_1",)), ("NONE", "needs_approval")),
        (replace(judged(), exhausted="tokens"), ("MAX_TOKENS_EXCEEDED", "passed")),
    ],
)
def test_gates_findings_and_failures_make_the_verdict(course: Course, told: tuple[str, str]):
    assert verdict(course) == told


def test_a_gate_that_is_not_required_does_not_block():
    optional = replace(TESTS, required=False)
    assert verdict(judged("red", required=False), steps=(BUILD, optional)) == ("NONE", "passed")


def test_where_nothing_is_judged_the_gate_is_skipped():
    assert verdict(Course(done=(built(),)), steps=(BUILD,)) == ("NONE", "skipped")


def test_a_gate_says_itself_which_findings_it_passes():
    found = replace(judged(), findings=Findings({"P0": 2}, 2, 2, scanned=True))
    assert verdict(found, gate=GateTerms(severity_gate="none")) == ("NONE", "passed")
    assert verdict(found, gate=GateTerms(severity_gate="P0")) == ("FINDINGS_REMAIN", "blocked")


@pytest.mark.parametrize(("gate", "exit_code"), [("passed", 0), ("skipped", 0), ("blocked", 1), ("error", 1)])
def test_a_ceiling_exits_by_what_the_gate_says(gate: Any, exit_code: int):
    assert Stop("MAX_COST_EXCEEDED").exit_code(gate) == exit_code
    assert Stop("POLICY_DENIED").exit_code(gate) == 1


@pytest.mark.parametrize(
    ("code", "stop"),
    [(None, "INFRA_ERROR"), ("providers.rejected", "LLM_UNAVAILABLE"), ("workspace.mismatch", "WORKSPACE_MISSING")],
)
def test_a_failure_has_a_stop_code(code: str | None, stop: str):
    assert of_failure(code) == stop
    assert STOPS[stop].state == "failed"


def test_findings_are_counted_as_they_are_opened_and_closed():
    def told(kind: str, severity: str) -> Draft:
        return Draft(f"finding.{kind}", compose({"severity": severity, "finding_id": "f", "baseline_state": "new"}))

    course = follow(
        Course(), [told("opened", "P0"), told("opened", "P0"), told("opened", "P3"), told("fixed", "P0")], T0
    )
    assert course.findings == Findings({"P0": 1, "P3": 1}, 3, 3, fixed=1, scanned=True)


def test_what_people_live_with_is_never_open_and_takes_nothing_that_is_with_it():
    def told(kind: str, **more: str) -> Draft:
        return Draft(f"finding.{kind}", compose({"severity": "P0", "finding_id": "f", **more}))

    lived = [told("opened", baseline_state="unchanged"), told("suppressed", baseline_state="new")]
    course = follow(Course(), [told("opened"), *lived, told("opened", baseline_state="regressed")], T0)
    assert course.findings == Findings({"P0": 2}, 3, 1, unchanged=1, suppressed=1, scanned=True)
    gone = [told("fixed", was="unchanged"), told("fixed", was="suppressed")]
    assert follow(course, gone, T0).findings == Findings({"P0": 2}, 3, 1, fixed=2, scanned=True)
    assert gate_status(follow(Course(), lived, T0), RuntimeTerms()) == "passed"
    assert gate_status(course, RuntimeTerms()) == "blocked"


def test_approvals_are_pending_until_they_are_decided():
    def told(kind: str) -> Draft:
        return Draft(f"approval.{kind}", compose({"checkpoint_id": "apr_1"}))

    asked = follow(Course(), [told("requested")], T0)
    assert asked.pending == ("apr_1",)
    decided = follow(asked, [told("denied")], T0)
    assert (decided.pending, decided.decided) == ((), {"apr_1": "denied"})


# --- steps ------------------------------------------------------------------------------------------------------------


def test_a_step_without_an_id_has_one_by_its_place():
    steps = pinned((IngestStep(), CommandStep(command=("ls",)), replace(BUILD, step_id="mine")))
    assert [step.ident for step in steps] == ["ingest-1", "command-2", "mine"]


@pytest.mark.parametrize("steps", [(BUILD, BUILD), (IngestStep(step_id="report-2"), ReportStep())])
def test_two_steps_cannot_have_one_id(steps: Any):
    with pytest.raises(ValueError, match="two steps"):
        pinned(steps)


def test_the_report_tells_what_failed_and_what_the_gates_say():
    failed = replace(built("failed", blocks=True), detail="it ended with the exit code 2")
    course = replace(judged("red"), done=(failed, judged("red").done[1]))
    told = m.narrative(standing(course))
    assert "an empty workspace: 2 of 3 steps were done." in told
    assert "The step build (command) failed: it ended with the exit code 2." in told
    assert "The gate tests is red." in told
    assert text(told)


def test_a_limit_that_is_shared_counts_as_money():
    shared = BudgetReached(scope="project", limit_name="cost_microusd", used=9, limit=9)
    assert follow(Course(), [Draft("budget.exhausted", compose(shared))], T0).exhausted == "cost_microusd"
