"""Remediation loops in the real engine: what they repair, how they end, and what they never let through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from runwright.domain.agent_terms import Budget
from runwright.domain.baseline import compare, renewed, written
from runwright.domain.finding import Finding
from runwright.domain.globs import Scope
from runwright.domain.loop_course import LoopCourse
from runwright.domain.loop_status import state_of
from runwright.domain.loop_terms import LoopApproval, LoopApprovals, Strategy, Targets
from runwright.domain.model_call import Usage
from runwright.domain.patch import Patch, PatchBounds
from runwright.domain.quality_gate import QualityGate
from runwright.domain.runtime_terms import RunPolicy
from runwright.errors import BudgetRequired, Denied, LoopActive
from runwright.observability.courses import CourseTallies
from runwright.sandbox.scanner import Ground
from tests.engine.repairing import WHOLE, Mender, Workshop, edits, workshop

__all__ = ["workshop"]

BAD = "one = 1\nbad = 1  # BAD-P1 x\n"
MENDS = edits({"path": "app.py", "content": "one = 1\n"})
IDLE = edits({"path": "app.py", "find": "one = 1", "replace": "one = 2"})
ASKS = LoopApprovals(patch=LoopApproval())
BY_RULES = Strategy(patchers=("deterministic",))

OWNED = "gates: [{id: ownership, required: true}]"
COVERED = """
quality_gates:
  - {{id: tests, command: [sh, -c, 'echo "<coverage line-rate=\\"0.5\\">" > c.xml'], coverage: {{file: c.xml}}}}
policy: {{coverage_min: {least}}}
"""


def outcomes(loop: LoopCourse) -> list[tuple[str, str]]:
    """Return who patched, and what became of it."""
    return [(each.patcher, each.outcome) for each in loop.iterations]


async def test_a_fixer_repairs_what_it_can_and_the_model_what_is_left(workshop: Workshop):
    repo = workshop.made(app__py=BAD, lib__py="a = 1  # BAD-P2 MEND\nb = 2\n")
    models = await workshop.model("mends", MENDS)
    run_id = await workshop.order(repo, models=models, quality_gates=(WHOLE,))
    run = await workshop.until(run_id)
    loop = await workshop.checked(run)
    assert (loop.exit_reason, outcomes(loop)) == ("clean", [("mender", "kept"), ("llm", "kept")])
    assert run.course is not None
    assert (run.course.gate_status, run.course.findings.fixed) == ("passed", 2)
    assert run.course.snapshot is not None
    assert run.course.snapshot.tree_hash == loop.tree_hash != loop.iterations[0].tree_hash
    assert run.usage.cost_microusd > 0


async def test_by_owner_each_iteration_repairs_what_belongs_to_the_same_people(workshop: Workshop):
    bad = "a = 1  # BAD-P2 MEND\n"
    codeowners = {"__github/CODEOWNERS": "*.py @core\n/web/ @web\nno rule here\n"}
    repo = workshop.made(app__py=bad, lib__py=bad, **{"web/a__py": bad, "web/b__py": bad}, **codeowners)
    run = await workshop.until(await workshop.order(repo, strategy=Strategy(("deterministic",), batch="by_owner")))
    loop = await workshop.checked(run)
    assert (loop.exit_reason, outcomes(loop)) == ("clean", [("mender", "kept")] * 2)
    assert [(each.owners, len(each.targeted)) for each in loop.iterations] == [(("@core",), 2), (("@web",), 2)]
    assert "line 3 of CODEOWNERS is no rule" in str(
        await workshop.world.data_of(run.run_id, "output.narrative", "text")
    )


async def test_a_patch_larger_than_the_server_lets_it_be_is_refused_with_the_name_of_the_setting(workshop: Workshop):
    large = edits({"path": "app.py", "content": "one = 1\n" + "#" * 2_000_000})
    models = await workshop.model("large", large)
    run_id = await workshop.order(workshop.made(app__py=BAD), models=models, max_iterations=1)
    loop = await workshop.checked(await workshop.until(run_id))
    assert outcomes(loop) == [("llm", "no_change")]
    assert "RUNWRIGHT_PATCH_MAX_BYTES" in loop.iterations[0].why


async def test_what_the_order_keeps_patches_from_stays_as_it_is(workshop: Workshop):
    policy = RunPolicy(paths=Scope(deny=("lib.py",)))
    repo = workshop.made(app__py=BAD, lib__py="a = 1  # BAD-P2 MEND\n")
    models = await workshop.model("strays", edits({"path": "lib.py", "content": "a = 1\n"}), MENDS)
    run = await workshop.until(await workshop.order(repo, models=models, policy=policy))
    loop = await workshop.checked(run)
    assert outcomes(loop) == [("llm", "blocked"), ("llm", "kept")], "the fixer is not asked for lib.py"
    assert "lib.py may not be changed in this run" in loop.iterations[0].why
    assert loop.exit_reason != "clean"


async def test_how_loops_ended_and_whose_patches_were_kept_is_counted(workshop: Workshop):
    tallies = CourseTallies()
    models = await workshop.model("tries", IDLE, MENDS)
    run_id = await workshop.order(workshop.made(app__py=BAD, lib__py="a = 1  # BAD-P2 MEND\n"), models=models)
    tallies.end(await workshop.until(run_id))
    tallies.end(await workshop.until(await workshop.order(str(workshop.directory / "repositories/none"))))
    counted = {
        (sample.name, *sample.labels.values()): sample.value
        for shown in tallies.shown
        for sample in shown.family().samples
        if "loop" in sample.name
    }
    assert counted == {
        ("runwright_loops_ended_total", "clean"): 1,
        ("runwright_loops_ended_total", "infra_error"): 1,
        ("runwright_loop_iterations_total", "other", "kept"): 1,
        ("runwright_loop_iterations_total", "llm", "reverted"): 1,
        ("runwright_loop_iterations_total", "llm", "kept"): 1,
    }


@pytest.mark.parametrize(
    ("owner", "expires", "reason"),
    [("ada", "2999-01-01", "clean"), ("ada", "2001-01-01", "no_progress"), ("loop:omar", "2999-01-01", "no_progress")],
)
async def test_what_people_suppress_is_clean_until_its_day(workshop: Workshop, owner: str, expires: str, reason: str):
    hidden = f"suppressions: [{{path: app.py, reason: old, owner: '{owner}', expires_at: '{expires}'}}]\n"
    repo = workshop.made(app__py=BAD, **{"__runwright/suppressions__yaml": hidden})
    run = await workshop.until(await workshop.order(repo, strategy=BY_RULES))
    loop = await workshop.checked(run)
    assert (loop.exit_reason, loop.count) == (reason, 0)
    assert loop.standing is not None
    counts = {"P0": 0, "P1": 1, "P2": 0, "P3": 0}
    lived, open_ = (counts, counts | {"P1": 0}) if reason == "clean" else (counts | {"P1": 0}, counts)
    assert (loop.standing.suppressed, loop.standing.findings) == (lived, open_)
    assert run.course is not None
    assert (run.course.findings.suppressed, run.course.findings.open.get("P1", 0)) == (lived["P1"], open_["P1"])
    types = [event.type for event in await workshop.world.events(run.run_id)]
    assert (types.count("finding.suppressed"), types.count("finding.opened")) == (lived["P1"], open_["P1"])


async def test_what_the_baseline_knows_is_left_unless_it_is_targeted_by_name_and_what_is_new_is_not(workshop: Workshop):
    models = await workshop.model("mends", MENDS)
    first = await workshop.until(await workshop.order(workshop.made(app__py=BAD), strategy=BY_RULES))
    found = msgspec.convert(await workshop.world.data(first.run_id, "finding.opened"), Finding, strict=False)
    known = {"__runwright/baseline__json": written(renewed(compare([found], None))).decode()}
    loop = await workshop.ended(workshop.made(app__py="# more\n" + BAD, **known), strategy=BY_RULES)
    assert (loop.exit_reason, loop.count) == ("clean", 0)
    assert loop.standing is not None
    assert (loop.standing.known["P1"], loop.standing.findings["P1"]) == (1, 0)
    targets = Targets(fingerprints=(found.fingerprint,))
    run = await workshop.until(
        await workshop.order(workshop.made(app__py=BAD, **known), models=models, targets=targets)
    )
    loop = await workshop.checked(run)
    assert (loop.exit_reason, outcomes(loop)) == ("clean", [("llm", "kept")]), run.error
    assert (await workshop.world.data(run.run_id, "finding.opened"))["baseline_state"] == "unchanged"
    assert (await workshop.world.data(run.run_id, "finding.fixed"))["was"] == "unchanged"
    assert run.course is not None
    told = run.course.findings
    assert (told.opened, told.unchanged, told.fixed, sum(told.open.values())) == (1, 0, 1, 0)
    loop = await workshop.ended(
        workshop.made(app__py=BAD, lib__py="a = 1  # BAD-P2 MEND\n", **known), strategy=BY_RULES
    )
    assert (loop.exit_reason, outcomes(loop)) == ("clean", [("mender", "kept")])


async def test_a_baseline_of_many_findings_is_read_and_one_beyond_its_bound_is_refused_by_name(workshop: Workshop):
    long = {"rule_id": "r" * 900, "file": "f", "severity": "P3"}
    known = [{"fingerprint": f"{number:064x}", **long} for number in range(3_000)]
    text = msgspec.json.encode({"version": 1, "findings": known}).decode()
    loop = await workshop.ended(workshop.made(app__py="one = 1\n", **{"__runwright/baseline__json": text}))
    assert (loop.exit_reason, len(text) > 1 << 20) == ("clean", True)
    for name in ("baseline__json", "policy__yaml"):
        repo = workshop.made(app__py="one = 1\n", **{f"__runwright/{name}": "# " * (9 << 20)})
        run = await workshop.until(await workshop.order(repo))
        assert run.course is not None
        assert (run.state, run.course.stop and run.course.stop.code) == ("failed", "CONFIG_INVALID")
        assert f".runwright/{name.replace('__', '.')}: it was not checked out" in str(run.error)


async def test_a_patch_may_not_bring_what_is_suppressed(workshop: Workshop):
    hidden = "suppressions: [{path: 'lib.py', reason: old, owner: ada, expires_at: '2999-01-01'}]\n"
    both = edits({"path": "app.py", "content": "one = 1\n"}, {"path": "lib.py", "content": "a = 1  # BAD-P1\n"})
    models = await workshop.model("hides", both)
    repo = workshop.made(app__py=BAD, lib__py="a = 1\n", **{"__runwright/suppressions__yaml": hidden})
    loop = await workshop.ended(repo, models=models, max_iterations=1)
    assert outcomes(loop) == [("llm", "reverted")]


async def test_a_clean_tree_needs_no_patch(workshop: Workshop):
    loop = await workshop.ended(workshop.made(app__py="one = 1\n"), quality_gates=(WHOLE,))
    assert (loop.exit_reason, loop.count) == ("clean", 0)


@pytest.mark.parametrize(
    ("reason", "more"),
    [
        ("max_iterations", {"max_iterations": 1}),
        ("no_progress", {"max_no_progress": 1}),
        ("budget_tokens", {"budget": Budget(tokens=10)}),
        ("budget_cost", {"budget": Budget(cost_microusd=10)}),
        (
            "budget_runtime",
            {"budget": Budget(wall_s=1), "quality_gates": (QualityGate(id="slow", command=("sleep", "30")),)},
        ),
        ("budget_tool_calls", {"budget": Budget(tool_calls=1), "quality_gates": (WHOLE,)}),
        ("policy_denied", {"policy__yaml": "scope: {deny: ['app.py']}\n"}),
        ("policy_denied", {"policy__yaml": "commands: {allow: [python]}\n", "quality_gates": (WHOLE,)}),
        ("approval_denied", {"approvals": ASKS, "models": MENDS}),
        ("infra_error", {"models": None}),
        ("infra_error", {"policy__yaml": "version: 9\n"}),
    ],
)
async def test_a_loop_ends_for_the_reason_that_there_is(workshop: Workshop, reason: str, more: dict[str, Any]):
    files = {"app__py": BAD, **({"__runwright/policy__yaml": more["policy__yaml"]} if "policy__yaml" in more else {})}
    answers = more.get("models", IDLE)
    models = await workshop.model("answers", *([answers] * 4 if answers else []))
    terms = {name: term for name, term in more.items() if name not in ("policy__yaml", "models")}
    run_id = await workshop.order(workshop.made(**files), models=models, **terms)
    run = await workshop.until(run_id, verdict="deny")
    loop = await workshop.checked(run)
    assert loop.exit_reason == reason, run.error
    assert run.state == ("failed" if reason == "infra_error" else "completed")
    assert run.course is not None
    assert run.course.gate_status == ("error" if run.state == "failed" else "blocked" if loop.standing else "skipped")


async def test_silence_is_a_denial(workshop: Workshop):
    models = await workshop.model("mends", MENDS)
    asks = LoopApprovals(patch=LoopApproval(ttl_seconds=60))
    run_id = await workshop.order(workshop.made(app__py=BAD), models=models, approvals=asks)
    await workshop.until(run_id, verdict=None)
    await workshop.world.past(61)
    loop = await workshop.checked(await workshop.until(run_id))
    assert (loop.exit_reason, outcomes(loop)) == ("approval_expired", [("llm", "blocked")])


async def test_people_are_asked_about_the_plan_of_a_loop_where_the_policy_of_its_base_says_so(workshop: Workshop):
    policy = {"__runwright/policy__yaml": "approvals: {plan: {roles: [admin], ttl_seconds: 60}}\n"}
    repo = workshop.made(app__py=BAD + "two = 2  # BAD-P2 MEND\n", **policy)
    run_id = await workshop.order(repo, strategy=BY_RULES, max_iterations=3)
    waits = await workshop.until(run_id, verdict=None)
    assert (state_of(waits), waits.course and waits.course.stage) == ("awaiting_approval", "AWAITING_APPROVAL")
    asked = await workshop.world.data(run_id, "approval.requested")
    subject = asked["subject"]
    assert (asked["gate_id"], asked["required"]["roles"], subject["kind"]) == ("plan", ["admin"], "plan")
    assert (subject["targeted"]["P1"], subject["targeted"]["P2"], subject["terms"]["max_iterations"]) == (1, 1, 3)
    assert (
        asked["summary"] == f"Repair 2 findings and 0 red gates in at most 3 iterations, by {subject['patchers'][0]}?"
    )
    assert await workshop.world.data_of(run_id, "iteration.started", "n") == []
    loop = await workshop.checked(await workshop.until(run_id))
    assert (loop.plan, outcomes(loop)[0]) == ("approved", ("mender", "kept"))
    assert await workshop.world.data_of(run_id, "approval.requested", "gate_id") == ["plan"]

    denied = await workshop.until(await workshop.order(repo, strategy=BY_RULES), verdict="deny")
    loop = await workshop.checked(denied)
    assert (loop.exit_reason, loop.count) == ("approval_denied", 0)


async def test_what_people_approve_is_the_digest_of_the_patch_that_is_applied(workshop: Workshop):
    models = await workshop.model("mends", MENDS)
    run_id = await workshop.order(workshop.made(app__py=BAD), models=models, mode="edit_gated")
    loop = await workshop.checked(await workshop.until(run_id))
    asked = await workshop.world.data(run_id, "approval.requested")
    assert loop.exit_reason == "clean"
    assert loop.iterations[0].patch is not None
    assert asked["gate_id"] == "write", "the word that policies have for it"
    assert asked["subject_sha256"] == asked["subject"]["sha256"] == loop.iterations[0].patch.sha256
    assert "-bad = 1" in asked["subject"]["diff"]


async def test_k3_a_loop_that_is_cancelled_while_it_asks_leaves_nothing_behind(workshop: Workshop):
    models = await workshop.model("mends", MENDS)
    run_id = await workshop.order(workshop.made(app__py=BAD), models=models, approvals=ASKS)
    await workshop.until(run_id, verdict=None)
    await workshop.world.stop(run_id)
    loop = await workshop.checked(await workshop.until(run_id))
    assert (loop.exit_reason, loop.open) == ("cancelled", None)


async def test_a_loop_that_is_cancelled_in_a_gate_leaves_no_workspace_and_no_process(workshop: Workshop):
    slow = QualityGate(id="slow", command=("sh", "-c", "echo begun; sleep 60"))
    run_id = await workshop.order(workshop.made(app__py=BAD), quality_gates=(slow,))
    await workshop.until(run_id, 6)
    await workshop.world.stop(run_id)
    loop = await workshop.checked(await workshop.until(run_id))
    assert loop.exit_reason == "cancelled"


async def test_k5_the_budget_that_is_used_up_by_the_call_that_makes_the_tree_clean_ends_clean(workshop: Workshop):
    models = await workshop.model("mends", MENDS)
    first = await workshop.until(await workshop.order(workshop.made(app__py=BAD), models=models))
    used = first.usage.input_tokens + first.usage.output_tokens
    bound = {"budget": Budget(tool_calls=2), "max_iterations": 1, "quality_gates": (WHOLE,)}
    loop = await workshop.ended(workshop.made(app__py=BAD), models=models, **bound)
    assert (loop.exit_reason, loop.count) == ("clean", 1)
    assert used > 0


@pytest.mark.parametrize(
    ("policy", "said", "reason"),
    [
        ("quality_gates: [{id: lint, command: [no-such-program, .]}]", [("lint", "not_run")], "no_progress"),
        ("quality_gates: [{id: lint, command: [sh, -c, exit 127]}]", [("lint", "not_run")], "no_progress"),
        ("quality_gates: [{id: lint, command: [no-such-program], required: false}]", [("lint", "not_run")], "clean"),
        (COVERED.format(least=40), [("tests", "green"), ("coverage", "green")], "clean"),
        (COVERED.format(least=60), [("tests", "green"), ("coverage", "red")], "no_progress"),
        ("policy: {coverage_min: 1}", [("coverage", "not_run")], "no_progress"),
        ("gates: [{id: locks, required: true}]", [("locks", "not_run")], "no_progress"),
        ("gates: [{id: locks}]", [("locks", "not_run")], "clean"),
        ("gates: [{id: llm_judge}]", [("llm_judge", "not_run")], "no_progress"),
        ("gates: [{id: llm_judge}]\nllm_failure_policy: warn", [("llm_judge", "not_run")], "clean"),
    ],
)
async def test_the_gates_of_a_policy_say_in_a_loop_what_they_say_in_a_gate_run(
    workshop: Workshop, policy: str, said: list[tuple[str, str]], reason: str
):
    repo = workshop.made(app__py="one = 1\n", **{"__runwright/policy__yaml": policy})
    loop = await workshop.ended(repo, strategy=BY_RULES)
    assert [(gate.gate_id, gate.status) for gate in loop.gates] == said
    assert loop.exit_reason == reason
    told = {gate.gate_id: gate.detail for gate in loop.gates}
    assert told.get("lint", "").endswith("is not there in the sandbox, or cannot be run" if "lint" in told else "")
    assert loop.gates[-1].coverage == (0.5 if "tests" in told else None)


@pytest.mark.parametrize(("owned", "outcome"), [("*.py @ana", "kept"), ("*.md @ana", "reverted")])
async def test_a_patch_of_files_that_nobody_owns_is_not_kept_where_the_policy_requires_owners(
    workshop: Workshop, owned: str, outcome: str
):
    scoped = "{id: scoped_tests, required: true, config: {command: [test, -f, CODEOWNERS]}}"
    policy = f"gates: [{{id: ownership, required: true}}, {scoped}]"
    models = await workshop.model("mends", MENDS)
    files = {"CODEOWNERS": owned, "__runwright/policy__yaml": policy}
    run = await workshop.until(
        await workshop.order(workshop.made(app__py=BAD, **files), models=models, max_iterations=1)
    )
    loop = await workshop.checked(run)
    assert outcomes(loop) == [("llm", outcome)], run.error
    assert loop.iterations[0].gates == {"scoped_tests": "green", "ownership": "green" if outcome == "kept" else "red"}
    owners = (await workshop.world.data(run.run_id, "finding.opened")).get("owners", [])
    assert owners == (["@ana"] if outcome == "kept" else [])


class Insider(Mender):
    """Mends a file whose name it knows by itself: nobody tells it."""

    async def propose(self, ground: Ground, findings: Sequence[Finding], bounds: PatchBounds) -> Patch | None:
        return await super().propose(ground, [replace(each, file=HIDDEN) for each in findings], bounds)


HIDDEN = "hunter2-the-secret/app.py"


async def test_whose_a_file_is_holds_also_where_its_path_has_a_secret_in_it_which_the_log_never_tells(
    workshop: Workshop,
):
    workshop.tools = ((Insider(),), workshop.tools[1])
    await workshop.reopen()
    files = {"CODEOWNERS": "/hunter2-*/ @vault\n", "__runwright/policy__yaml": OWNED}
    repo = workshop.made(**{HIDDEN: "a = 1  # BAD-P2 MEND\n"}, **files)
    run = await workshop.until(await workshop.order(repo, strategy=Strategy(("deterministic",), batch="by_owner")))
    loop = await workshop.checked(run)
    (iteration,) = loop.iterations
    assert (iteration.outcome, iteration.owners, iteration.gates) == ("kept", ("@vault",), {"ownership": "green"})
    assert (loop.exit_reason, loop.changed, loop.ownerless) == ("clean", ("[redacted:known]/app.py",), ())
    assert (await workshop.world.data(run.run_id, "finding.opened"))["owners"] == ["@vault"]
    assert not any(b"hunter2" in (event.data or b"") for event in await workshop.world.events(run.run_id))
    assert b"hunter2" not in workshop.world.database.content()


async def test_a_scanner_that_the_policy_switches_off_does_not_count(workshop: Workshop):
    secret = f"token = 'ghp_{'a1B2c3D4e5F6' * 3}'\n"
    off = {"__runwright/policy__yaml": "gates: [{id: security, config: {secrets: false}}]"}
    for more, reason in (({}, "no_progress"), (off, "clean")):
        loop = await workshop.ended(workshop.made(app__py=secret, **more), strategy=BY_RULES)
        assert loop.standing is not None
        assert (loop.exit_reason, "secrets" in loop.standing.coverage) == (reason, not more)


async def test_k7_a_patch_that_brings_a_p3_is_kept_and_one_that_brings_a_p2_is_put_back(workshop: Workshop):
    for severity, outcome in (("P3", "kept"), ("P2", "reverted")):
        answer = edits({"path": "app.py", "content": f"one = 1\nmore = 2  # BAD-{severity}\n"})
        models = await workshop.model(f"brings-{severity.lower()}", answer)
        loop = await workshop.ended(workshop.made(app__py=BAD), models=models, max_iterations=1)
        assert outcomes(loop) == [("llm", outcome)], loop.iterations[0].why


async def test_k21_a_provider_that_claims_no_tokens_is_not_believed(workshop: Workshop):
    models = await workshop.model("claims-nothing", MENDS, usage=Usage(input_tokens=0, output_tokens=0))
    run_id = await workshop.order(workshop.made(app__py=BAD), models=models)
    run = await workshop.until(run_id)
    loop = await workshop.checked(run)
    assert (loop.exit_reason, loop.unverified) == ("clean", 1)
    assert run.usage.output_tokens > 0, "what was reserved counts"


@pytest.mark.parametrize(
    ("guard", "answer"),
    [
        ("policy_edited", edits({"path": ".runwright/policy.yaml", "content": "version: 1\n"})),
        ("path_out_of_scope", edits({"path": "migrations/a.sql", "content": "drop\n"})),
        ("diff_too_large", edits({"path": "app.py", "content": "x = 1\n" * 500})),
    ],
)
async def test_scenario_5_sabotage_is_refused_by_its_own_guard(workshop: Workshop, guard: str, answer: str):
    policy = "version: 1\nscope: {deny: ['migrations/**']}\n"
    models = await workshop.model("sabotages", answer)
    repo = workshop.made(app__py=BAD, **{"__runwright/policy__yaml": policy})
    strategy = Strategy(max_diff_lines=100)
    loop = await workshop.ended(repo, models=models, max_iterations=1, strategy=strategy)
    assert (loop.exit_reason, outcomes(loop)) == ("max_iterations", [("llm", "blocked")])
    assert guard in loop.iterations[0].refused


async def test_a_model_that_does_not_answer_leaves_the_loop_to_the_fixers_where_it_may(workshop: Workshop):
    models = await workshop.model("silent")
    strategy = Strategy(llm_failure_policy="deterministic_only")
    loop = await workshop.ended(workshop.made(app__py=BAD), models=models, strategy=strategy)
    assert (loop.exit_reason, outcomes(loop)) == ("no_progress", [("llm", "no_change")])


async def test_a_model_is_told_what_came_of_its_last_patch_and_of_a_red_gate(workshop: Workshop):
    broken = "broken = 1\n"
    models = await workshop.model(
        "tries", edits({"path": "app.py", "content": "broken = 2\n"}), edits({"path": "app.py", "content": "one = 1\n"})
    )
    run_id = await workshop.order(workshop.made(app__py=broken), models=models, quality_gates=(WHOLE,))
    loop = await workshop.checked(await workshop.until(run_id))
    assert (loop.exit_reason, outcomes(loop)) == ("clean", [("llm", "reverted"), ("llm", "kept")])
    assert loop.iterations[0].targeted == ("gate:whole",)


async def test_two_loops_do_not_work_at_one_repository_at_a_time(workshop: Workshop):
    repo, models = workshop.made(app__py=BAD), await workshop.model("mends", MENDS)
    first = await workshop.order(repo, models=models, approvals=ASKS)
    with pytest.raises(LoopActive) as refused:
        await workshop.order(repo)
    assert refused.value.data == {"loop_id": first}
    await workshop.until(await workshop.order(repo, ref="main"), verdict="deny")
    await workshop.until(first, verdict="deny")
    again = await workshop.order(repo, idempotency_key="once")
    await workshop.until(again)
    assert await workshop.order(repo, idempotency_key="once") == again
    await workshop.until(await workshop.order(repo))


async def test_a_loop_needs_a_ceiling_a_mode_that_writes_and_something_to_repair(workshop: Workshop):
    repo = workshop.made(app__py=BAD)
    with pytest.raises(BudgetRequired):
        await workshop.order(repo, max_iterations=None, max_no_progress=None)
    with pytest.raises(Denied):
        await workshop.order(repo, mode="audit_readonly")
    with pytest.raises(Exception, match="nothing to repair"):
        await workshop.order(repo, targets=Targets(severities=()))
