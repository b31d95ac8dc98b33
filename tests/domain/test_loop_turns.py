"""How a remediation loop decides: in which order, when it ends and why, and that no ceiling is ever passed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from runwright.domain import loop_events as e
from runwright.domain import next_turn as t
from runwright.domain.agent_terms import Budget
from runwright.domain.loop_course import EXITS
from runwright.domain.loop_policy import within
from runwright.domain.loop_terms import (
    ITERATIONS_MAX,
    LLM,
    LoopApproval,
    LoopApprovals,
    LoopTerms,
    Strategy,
)
from runwright.domain.next_move import LIMITS
from runwright.domain.orchestration import gate_status
from runwright.domain.patching_plan import GATE
from runwright.domain.policy_file import PolicyFile, read_policy
from runwright.domain.progress import is_clean
from runwright.domain.quality_gate import QualityGate
from runwright.domain.verdict import BY_LIMIT, STOPS, Stop
from runwright.errors import PolicyInvalid
from tests.domain.looping import Patch, Play, finding

TESTS = QualityGate(id="tests", command=("pytest",))
ONE = (finding("one"),)
ASKS = LoopApprovals(patch=LoopApproval())


def by_fixer(patcher: str, targeted: tuple[str, ...]) -> Patch | None:
    """Return the patch of a fixer that repairs everything."""
    return Patch(fixes=targeted) if patcher == "ruff" else None


def by_model(patch: Patch) -> Any:
    """Return patchers of which the model alone proposes this."""
    return lambda patcher, targeted: patch if patcher == LLM else None


def nobody(patcher: str, targeted: tuple[str, ...]) -> Patch | None:
    """Propose nothing."""
    return None


def outcomes(play: Play) -> list[str]:
    """Return what became of the iterations."""
    return [each.outcome for each in play.loop.iterations]


def test_a_tree_that_is_clean_ends_the_loop_before_any_patch():
    play = Play((finding("p3", "P3"),), nobody, quality_gates=(TESTS,))
    assert (play.to_the_end(), outcomes(play)) == ("clean", [])


def test_a_fixer_repairs_what_it_can_and_the_model_what_is_left():
    def patches(patcher: str, targeted: tuple[str, ...]) -> Patch | None:
        if patcher == "ruff":
            return Patch(fixes=("one",)) if "one" in targeted else None
        return Patch(fixes=("two",)) if patcher == LLM else None

    play = Play((*ONE, finding("two", "P2", "b.py")), patches)
    assert (play.to_the_end(), outcomes(play)) == ("clean", ["kept", "kept"])
    assert [each.patcher for each in play.loop.iterations] == ["ruff", LLM]
    assert play.run.course is not None
    assert play.run.course.findings.fixed == 2


def test_what_a_fixer_came_to_nothing_with_is_given_to_it_in_smaller_parts():
    both = (*ONE, finding("two", file="b.py"))
    play = Play(both, lambda patcher, targeted: Patch(fixes=targeted) if targeted in (("one",), ("two",)) else Patch())
    assert (play.to_the_end(), outcomes(play)) == ("clean", ["reverted", "kept", "kept"])


def test_k5_clean_wins_in_the_iteration_that_reaches_a_ceiling():
    spent = Patch(fixes=("one",), tokens=100)
    for ceilings in ({"max_iterations": 1}, {"budget": Budget(tokens=100)}, {"budget": Budget(tool_calls=2)}):
        play = Play(ONE, by_model(spent), quality_gates=(TESTS,), **ceilings)
        assert play.to_the_end() == "clean", ceilings


def test_k7_a_patch_that_brings_a_p3_is_kept_and_one_that_brings_a_p2_is_put_back():
    for severity, outcome in (("P3", "kept"), ("P2", "reverted")):
        patch = Patch(fixes=("one",), brings=(finding("new", severity, "c.py", "t:other"),))  # type: ignore[arg-type]
        play = Play(ONE, by_model(patch), max_iterations=1)
        play.to_the_end()
        assert outcomes(play) == [outcome], severity


@pytest.mark.parametrize(
    ("reason", "given_"),
    [
        ("max_iterations", {"patches": by_model(Patch()), "max_iterations": 2}),
        ("no_progress", {"patches": by_model(Patch()), "max_no_progress": 2}),
        ("no_progress", {"patches": nobody, "strategy": Strategy(patchers=("deterministic",))}),
        ("budget_tokens", {"patches": by_model(Patch(tokens=60)), "budget": Budget(tokens=100)}),
        ("budget_cost", {"patches": by_model(Patch(tokens=60)), "budget": Budget(cost_microusd=100)}),
        ("budget_runtime", {"patches": by_model(Patch(seconds=60)), "budget": Budget(wall_s=100)}),
        ("budget_tool_calls", {"patches": by_model(Patch()), "budget": Budget(tool_calls=2)}),
        ("approval_denied", {"patches": by_fixer, "says": "denied", "approvals": ASKS}),
        ("approval_expired", {"patches": by_fixer, "says": "expired", "approvals": ASKS}),
        ("clean", {"patches": by_fixer, "says": "approved", "approvals": ASKS}),
    ],
)
def test_a_loop_ends_for_the_reason_that_there_is(reason: str, given_: dict[str, Any]):
    usual: dict[str, Any] = {"quality_gates": (TESTS,), "max_no_progress": 9}
    play = Play(ONE, **{**usual, **given_})
    assert play.to_the_end() == reason
    assert play.loop.open is None
    course, terms = play.run.course, play.run.spec.runtime
    assert course is not None
    assert terms is not None
    assert gate_status(course, terms) == ("passed" if reason == "clean" else "blocked")


def test_every_code_of_a_loop_has_a_reason_and_every_limit_a_code():
    assert set(EXITS) < set(STOPS)
    assert set(BY_LIMIT) == set(LIMITS) == set(t.LIMITS)
    assert all(
        Stop(code).stop_class == "blocked_by_policy" for code, reason in EXITS.items() if reason == "policy_denied"
    )


@pytest.mark.parametrize("budget", [Budget(tool_calls=1_000_000), Budget(cost_microusd=1), Budget(wall_s=86_400)])
def test_a_loop_whose_ceiling_nothing_uses_up_ends_when_nothing_was_made_better_for_long(budget: Budget):
    play = Play(ONE, by_model(Patch()), budget=budget, max_iterations=None, max_no_progress=None)
    assert (play.to_the_end(), play.loop.count) == ("no_progress", ITERATIONS_MAX)


def test_a_cancelled_loop_stops_whatever_else_there_is():
    play = Play(ONE, by_fixer)
    run = replace(play.run, cancel_requested_at=1)
    assert t.next_turn(run, play._bench(), play.now) == t.Cease()


def test_a_guard_that_refuses_a_patch_blocks_the_iteration_and_the_loop_goes_on():
    sabotage = Patch(guard="test_deleted")
    play = Play(ONE, by_model(sabotage), max_no_progress=2)
    assert (play.to_the_end(), outcomes(play)) == ("no_progress", ["blocked", "blocked"])
    assert play.loop.iterations[0].refused == ("test_deleted",)


def test_a_red_gate_is_repaired_when_no_finding_is_left():
    targeted: list[tuple[str, ...]] = []

    def patches(patcher: str, about: tuple[str, ...]) -> Patch | None:
        if patcher != LLM:
            return None
        targeted.append(about)
        return Patch(mends=("tests",))

    play = Play((), patches, red=("tests",), quality_gates=(TESTS,))
    assert (play.to_the_end(), outcomes(play)) == ("clean", ["kept"])
    assert targeted[0] == (f"{GATE}tests",)


def test_a_patch_that_turns_a_green_gate_red_is_put_back_whatever_it_repairs():
    play = Play(ONE, by_model(Patch(fixes=("one",), breaks=("tests",))), quality_gates=(TESTS,), max_iterations=1)
    assert (play.to_the_end(), outcomes(play)) == ("max_iterations", ["reverted"])
    assert play.loop.iterations[0].why == "the gate tests was green, and is not any more"


def test_a_look_that_was_not_complete_is_never_clean():
    play = Play((), nobody)
    play.scanner = "not_run"
    with pytest.raises(AssertionError, match="Unable"):
        play.to_the_end()


PATCHES = st.builds(
    Patch,
    fixes=st.sets(st.sampled_from("abcdef")).map(lambda names: tuple(sorted(names))),
    brings=st.sampled_from([(), (finding("x", "P1", "x.py"),), (finding("y", "P3", "y.py"),)]),
    breaks=st.sampled_from([(), (), ("tests",)]),
    mends=st.sampled_from([(), ("tests",)]),
    guard=st.sampled_from([None, None, None, "test_deleted"]),
    tokens=st.integers(1, 500),
    seconds=st.integers(0, 90),
)
CEILINGS = st.fixed_dictionaries({
    "max_iterations": st.none() | st.integers(1, 12),
    "max_no_progress": st.integers(1, 5),
    "budget": st.builds(
        Budget,
        tokens=st.none() | st.integers(1, 2_000),
        cost_microusd=st.none() | st.integers(1, 2_000),
        tool_calls=st.none() | st.integers(1, 30),
        wall_s=st.none() | st.integers(1, 600),
    ),
})  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    patches=st.lists(st.none() | PATCHES, min_size=1, max_size=6),
    severities=st.lists(st.sampled_from(["P0", "P1", "P2", "P3"]), max_size=6),
    ceilings=CEILINGS,
    red=st.booleans(),
    asks=st.sampled_from([None, "approved", "denied", "expired"]),
    deaths=st.lists(st.booleans(), max_size=60),
)
def test_scenario_4_no_limit_is_ever_passed_and_the_loop_ends_by_the_first_that_is_reached(
    patches: list[Patch | None],
    severities: list[Any],
    ceilings: dict[str, Any],
    red: bool,
    asks: str | None,
    deaths: list[bool],
):
    def proposed(patcher: str, targeted: tuple[str, ...]) -> Patch | None:
        return patches[hash((patcher, targeted)) % len(patches)]

    found = tuple(finding("abcdef"[at], each, f"{at % 3}.py") for at, each in enumerate(severities))
    approvals = LoopApprovals() if asks is None else LoopApprovals(plan=LoopApproval(), patch=LoopApproval())
    given_ = {"red": ("tests",) if red else (), "says": asks or "approved", **ceilings}
    play = Play(found, proposed, dies=iter(deaths), quality_gates=(TESTS,), approvals=approvals, **given_)
    reason = play.to_the_end()
    loop, course = play.loop, play.run.course
    assert course == play.refolded(), "the course is what the log folds into, whoever wrote it"
    assert course is not None
    assert all(over <= 0 for over in play.most.values()), "never over a limit"
    assert sorted(set(play.warned())) == sorted(play.warned()), "warned once of each limit"
    assert loop.open is None
    looked = loop.standing is not None
    assert (reason == "clean") == (looked and is_clean(loop.standing, loop.gates, play.loop_terms))
    assert play.measures == sorted(play.measures, reverse=True), "the tree that is kept only becomes better"
    most, idle = play.loop_terms.max_iterations, play.loop_terms.max_no_progress
    assert most is None or loop.count <= most
    if reason.startswith("budget"):
        assert reason == EXITS[BY_LIMIT[course.exhausted or ""]]
    elif reason == "max_iterations":
        assert loop.count == most
    elif reason == "no_progress":
        assert loop.idle == idle or loop.stop.detail == "nothing is left to try"
    calm = Play(found, proposed, quality_gates=(TESTS,), approvals=approvals, **given_)
    if ceilings["budget"] == Budget():  # what is done again costs again
        assert (calm.to_the_end(), told(calm)) == (reason, told(play))


def told(play: Play) -> list[Any]:
    """Return what became of each iteration, whenever it was."""
    return [(each.n, each.patcher, each.targeted, each.outcome, each.why) for each in play.loop.iterations]


def test_a_loop_is_bound_by_the_stricter_of_what_was_asked_and_the_policy_of_its_repository():
    asked = LoopTerms(quality_gates=(TESTS, QualityGate(id="lint", command=("ruff",))), max_iterations=8)
    written = b"""
version: 1
quality_gates: [{id: tests, command: [make, test]}]
budgets: {max_iterations: 3, max_tokens: 100}
approvals: {write: {quorum: 2, ttl_seconds: 60}, plan: {roles: [admin]}}
"""
    held, budget = within(asked, Budget(tokens=500, tool_calls=9), read_policy(written, "policy.yaml"))
    assert (held.max_iterations, budget) == (3, Budget(tokens=100, tool_calls=9))
    assert [(gate.id, gate.command) for gate in held.quality_gates] == [
        ("tests", ("make", "test")),
        ("lint", ("ruff",)),
    ]
    assert held.approvals == LoopApprovals(
        plan=LoopApproval(roles=("admin",)), patch=LoopApproval(quorum=2, ttl_seconds=60)
    )
    assert within(asked, Budget(), PolicyFile()) == (asked, Budget())


def test_no_verdict_over_a_loop_passes_what_the_policy_of_its_base_blocks_on():
    written = b"severity_gate: {block_on: [P3], soft_warn: []}"
    held, _ = within(LoopTerms(max_iterations=1), Budget(), read_policy(written, "policy.yaml"))
    for terms, verdict in ((held, "blocked"), (LoopTerms(max_iterations=1), "passed")):
        play = Play((finding("one", "P3"),), nobody, **msgspec.structs.asdict(terms))
        assert play.to_the_end() == "clean", "a loop is clean of what it is to repair"
        course, asked = play.run.course, play.run.spec.runtime
        assert course is not None
        assert asked is not None
        assert gate_status(course, asked) == verdict
    assert held.block_on == ("P3",)


def test_a_policy_never_lets_more_people_decide_than_the_order_of_a_loop():
    policy = read_policy(b"approvals: {write: {roles: [approver, admin]}}", "policy.yaml")
    asked = LoopTerms(approvals=LoopApprovals(patch=LoopApproval(roles=("admin",))))
    assert within(asked, Budget(), policy)[0].approvals.patch == LoopApproval(roles=("admin",))
    with pytest.raises(PolicyInvalid, match=r"approvals\.write\.roles: no role may allow all of it"):
        within(asked, Budget(), read_policy(b"approvals: {write: {roles: [approver]}}", "policy.yaml"))


def test_people_allow_the_plan_of_a_loop_once_before_its_first_iteration():
    asks = LoopApprovals(plan=LoopApproval())
    play = Play((*ONE, finding("two", file="b.py")), by_model(Patch(fixes=("one",))), approvals=asks, max_iterations=3)
    assert play.to_the_end() == "max_iterations"
    kinds = [type(turn) for turn in play.turns]
    assert (kinds.count(t.AskFirst), kinds.count(t.Ask)) == (1, 0)
    assert kinds.index(t.Survey) < kinds.index(t.AskFirst) < kinds.index(t.Try)
    assert play.loop.plan == "approved"


@pytest.mark.parametrize("word", ["denied", "expired"])
def test_a_plan_that_is_not_allowed_ends_the_loop_before_any_patch(word: str):
    play = Play(ONE, by_fixer, approvals=LoopApprovals(plan=LoopApproval()), says=word)
    assert (play.to_the_end(), outcomes(play)) == (f"approval_{word}", [])


def test_nobody_is_asked_about_a_plan_that_there_is_none_of():
    asks = LoopApprovals(plan=LoopApproval())
    for found, patches, reason in (((), by_fixer, "clean"), (ONE, by_fixer, "budget_tool_calls")):
        red = ("tests",) if found else ()
        play = Play(found, patches, approvals=asks, quality_gates=(TESTS,), red=red, budget=Budget(tool_calls=1))
        assert play.to_the_end() == reason
        assert not any(isinstance(turn, t.AskFirst) for turn in play.turns)


def test_what_a_policy_allows_at_most_is_read_again_from_the_log():
    gates = ", ".join(f"{{id: g{number}, command: [a]}}" for number in range(50))
    written = f"quality_gates: [{gates}]\nbudgets: {{max_iterations: 1000}}\npolicy: {{coverage_min: 50}}"
    unlimited = LoopTerms(max_iterations=None, quality_gates=(TESTS,))
    held, budget = within(unlimited, Budget(), read_policy(written.encode(), "policy.yaml"))
    told = e.LoopStarted(terms=held, budget=budget, fixers=(), tree_hash="0")
    assert msgspec.json.decode(msgspec.json.encode(told), type=e.LoopStarted).terms == held
    assert (held.max_iterations, len(held.quality_gates), held.policy_gates) == (1000, 51, ("coverage",))
