"""Approvals: who may decide, what their votes do, and that what is asked is closed exactly once, whatever happens."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from runwright.domain import approval as g
from runwright.domain import checkpoints
from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.redaction import Redactor
from runwright.domain.run import Run
from runwright.domain.tenancy import Actor
from runwright.errors import (
    AlreadyDecided,
    ApprovalExpired,
    Conflict,
    Denied,
    Gone,
    InvalidTransition,
    MissingScope,
    NotAnApprover,
    SelfApproval,
    StaleLease,
    SubjectChanged,
    TooLarge,
)
from tests.domain.specimens import DIGEST, HOUR, MEMBER, SPECIMENS, T0, History, commands_for, gated, said, voting

MAKER = replace(MEMBER, user_id="user_1", name="Grace")
CLOSED = {"approval.approved", "approval.denied", "approval.expired", "approval.superseded"}


def asking(quorum: int = 1, **given: Any) -> History:
    """Return a run of `user_1` that asks people."""
    history = History(**{"created_by_user_id": "user_1", **given})
    history.claim()
    history.finish(gated(quorum))
    return history


def vote(history: History, *args: Any, at: int | None = None, **given: Any) -> Run:
    """Let somebody vote."""
    return history.apply(voting(history.standing.run_id, *args, **given), at)


def test_a_run_that_asks_holds_nothing_and_says_what_it_asks_for_how_long():
    history = asking()
    run = history.standing
    assert (run.state, run.reason, run.due_at) == ("waiting", "approval", history.at + HOUR)
    assert not run.owns_slots
    assert history.types[-2:] == ["approval.requested", "run.waiting"]
    told = history.data("approval.requested")
    assert (told["checkpoint_id"], told["gate_id"], told["risk"], told["subject_sha256"]) == (
        "apr_1", "push", "high", DIGEST,
    )  # fmt: skip
    assert told["required"] == {"quorum": 1, "roles": ["approver", "admin"], "exclude_actors": []}
    assert (told["requested_by"], told["due_at"]) == ("user:user_1", run.due_at)


@pytest.mark.parametrize(("verdict", "status"), [("approve", "approved"), ("deny", "denied")])
def test_the_first_decision_is_final_and_lets_the_run_go_on(verdict, status):
    history = asking()
    run = vote(history, verdict)
    assert (run.state, run.wait, run.due_at) == ("queued", None, None)
    assert history.types[-2:] == [f"approval.{status}", "run.queued"]
    with pytest.raises(AlreadyDecided):
        vote(history, "deny", replace(MEMBER, user_id="user_3"))
    (made,) = checkpoints.fold(history.events).values()
    assert (made.status, made.allows(DIGEST), made.allows("0" * 64)) == (status, verdict == "approve", False)
    assert [(each.decision, each.actor, each.name) for each in made.decisions] == [(verdict, "user:user_2", "Ada")]


def test_a_quorum_takes_so_many_different_people():
    history = asking(2)
    assert vote(history).state == "waiting"
    assert history.data("approval.voted")["quorum"] == {"have": 1, "need": 2}
    with pytest.raises(AlreadyDecided, match="other people"):
        vote(history)
    assert vote(history, by=replace(MEMBER, user_id="user_3")).state == "queued"
    assert history.data("approval.approved")["quorum"] == {"have": 2, "need": 2}


def test_any_denial_denies_also_of_who_approved_before():
    history = asking(3)
    vote(history)
    vote(history, by=replace(MEMBER, user_id="user_3"))
    assert vote(history, "deny").state == "queued"
    assert history.data("approval.denied")["quorum"] == {"have": 2, "need": 3}


def test_an_approval_is_bound_to_what_the_approver_saw():
    history = asking()
    with pytest.raises(SubjectChanged) as refused:
        vote(history, subject_sha256="e" * 64)
    assert refused.value.data == {"checkpoint_id": "apr_1", "subject_sha256": DIGEST}
    with pytest.raises(AlreadyDecided):
        vote(history, checkpoint_id="apr_2")
    assert history.standing.state == "waiting"


def test_who_made_the_run_approves_it_only_while_nobody_else_may():
    history = asking()
    with pytest.raises(SelfApproval):
        vote(history, by=MAKER, others=True)
    vote(history, by=MAKER, others=False)
    assert history.data("approval.approved")["self_approved"] is True


def test_who_made_the_run_that_made_the_run_counts_as_its_maker():
    history = asking(created_by="run:run_x", created_by_user_id=None)
    with pytest.raises(SelfApproval):
        vote(history, by=replace(MEMBER, user_id="user_9"), maker="user_9")


def test_who_made_the_run_may_always_deny_it():
    history = asking()
    assert vote(history, "deny", MAKER).state == "queued"


def test_only_the_roles_that_are_asked_for_decide_and_nobody_who_is_left_out():
    required = g.Required(1, ("admin",), ("user_7", "user:user_8"))
    for user_id, role, may in (
        ("user_2", "admin", True),
        ("user_2", "approver", False),
        ("user_2", "operator", False),
        ("user_7", "admin", False),
        ("user_8", "admin", False),
    ):
        assert g.eligible(required, user_id, role) is may, (user_id, role)  # type: ignore[arg-type]
    assert not g.eligible(g.Required(1, ("viewer", "operator")), "user_2", "operator")
    with pytest.raises(NotAnApprover):
        g.require_may_decide(required, MEMBER, "deny", None, others=True)


def test_others_are_those_who_may_approve_and_did_not_make_it():
    required = g.Required(1, ("approver", "admin"), ("user_3",))
    assert not g.others_may(required, [("user_1", "admin"), ("user_3", "admin"), ("user_4", "operator")], "user_1")
    assert g.others_may(required, [("user_1", "admin"), ("user_5", "approver")], "user_1")


def test_services_runs_and_people_without_the_scope_are_no_voters():
    for kind in ("service", "run", "system"):
        with pytest.raises(NotAnApprover):
            g.voter_of(Actor(kind=kind, id="x", org_id="org_1", scopes=frozenset({"admin"})))
    with pytest.raises(MissingScope):
        g.voter_of(Actor(kind="user", id="user_1", org_id="org_1", scopes=frozenset({"runs:write"})))
    free = Actor(kind="user", id="user_1", org_id="org_1", scopes=frozenset({"admin"}))
    assert g.voter_of(free).role == "admin"
    assert g.voter_of(msgspec.structs.replace(free, scopes=frozenset({"approvals:decide"}))).role == "approver"


def test_no_decision_in_time_is_a_denial_and_the_run_goes_on_with_it():
    history = asking()
    due_at = history.standing.due_at
    assert due_at is not None
    with pytest.raises(ApprovalExpired):
        vote(history, at=due_at)
    history.due()
    assert (history.standing.state, history.types[-2:]) == ("queued", ["approval.expired", "run.queued"])
    (made,) = checkpoints.fold(history.events).values()
    assert (made.status, made.allows(DIGEST)) == ("expired", False)
    with pytest.raises(AlreadyDecided):
        vote(history)


def test_k3_a_cancel_during_an_approval_wait_supersedes_it_and_the_end_comes_last():
    history = asking()
    history.stop("cancel")
    assert history.types[-2:] == ["approval.superseded", "run.cancelled"]
    assert history.data("approval.superseded")["reason"] == "cancelled"


def test_k4_an_approval_after_the_cancel_is_refused_and_changes_nothing():
    history = asking()
    history.stop("cancel")
    before = history.standing
    with pytest.raises(AlreadyDecided):
        vote(history)
    assert history.standing == before


def test_a_restart_asks_anew():
    history = asking()
    history.restart()
    assert "approval.superseded" in history.types
    assert history.standing.wait is None


def test_a_pause_keeps_the_question_and_a_decision_in_it_counts_at_the_resume():
    history = asking()
    history.stop("pause")
    assert vote(history).state == "paused"
    assert history.types[-2:] == ["approval.approved", "run.woken"]
    assert history.resume().state == "queued"


def test_what_came_due_in_a_pause_is_decided_by_nobody():
    history = asking()
    history.stop("pause")
    with pytest.raises(ApprovalExpired):
        vote(history, at=T0 + 3 * HOUR)
    history.at = T0 + 3 * HOUR
    history.resume()
    assert history.due().state == "queued"
    assert "approval.expired" in history.types


def test_an_agent_run_says_that_it_waits_for_input_and_its_answer_is_sent_elsewhere():
    history = SPECIMENS["agent waiting for an approval"]()
    told = history.data("run.waiting_for_input")
    assert (told["kind"], told["request_id"], told["prompt"]) == ("approval", "apr_1", "Push 3 files?")
    with pytest.raises(InvalidTransition) as refused:
        history.apply(said(history.standing.run_id, request_id="apr_1"))
    assert refused.value.code == "runs.approval_required"
    assert refused.value.data == {
        "approvals": f"/api/v1/runs/{history.standing.run_id}/approvals",
        "checkpoint_id": "apr_1",
    }
    assert vote(history).state == "queued"


def test_what_is_asked_is_redacted_and_bounded():
    asked = g.ApprovalRequest(
        gate_id="push", summary="with hunter2-the-secret", subject_sha256=DIGEST, subject={"diff": "hunter2-the-secret"}
    )
    made = g.ask(asked, Redactor(["hunter2-the-secret"]), "apr_1")
    assert b"hunter2" not in msgspec.json.encode(made)
    assert made.subject["sha256"] == DIGEST
    with pytest.raises(TooLarge):
        g.ask(replace(asked, subject={"diff": "x" * g.SUBJECT_MAX_BYTES}), Redactor(), "apr_1")
    for wrong in ({"quorum": 0}, {"subject_sha256": "sha"}, {"roles": ()}, {"ttl_s": 0}, {"gate_id": "No Gate"}):
        with pytest.raises(msgspec.ValidationError):
            g.ask(replace(asked, **wrong), Redactor(), "apr_1")


def test_the_digest_of_a_subject_does_not_depend_on_the_order_of_its_keys():
    assert g.digest_of({"a": 1, "b": [2]}) == g.digest_of({"b": [2], "a": 1}) != g.digest_of({"a": 1, "b": [3]})


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_way_through_an_approval_closes_it_once_and_runs_only_after_a_decision(data):
    quorum = data.draw(st.integers(1, 3), "quorum")
    history = asking(quorum)
    people = [replace(MEMBER, user_id=f"user_{number}") for number in range(1, 5)]
    for _ in range(data.draw(st.integers(1, 12), "steps")):
        before = history.standing
        votes = {
            f"{who.user_id} {verdict}": voting(before.run_id, verdict, who)
            for who in people
            for verdict in ("approve", "deny")
        }
        others = {name: each for name, each in commands_for(history).items() if not name.startswith("approve")}
        name, command = data.draw(st.sampled_from(sorted((votes | others).items(), key=lambda item: item[0])))
        later = history.at + data.draw(st.sampled_from([0, 1000, HOUR // 2]), "later")
        try:
            after = history.apply(command, later)
        except (Conflict, Denied, Gone, InvalidTransition, StaleLease):
            assert history.standing == before, name
            continue
        left = before.wait is not None and before.wait.approval is not None and after.wait is None
        fresh = [event.type for event in history.events[before.seq :]]
        assert len(CLOSED.intersection(fresh)) == left, (name, fresh)
        if left and after.state == "queued" and not isinstance(command, c.Restart):
            assert CLOSED.intersection(fresh) <= {"approval.approved", "approval.denied", "approval.expired"}, name
    for made in checkpoints.fold(history.events).values():
        approvers = {each.actor for each in made.decisions if each.decision == "approve"}
        denied = any(each.decision == "deny" for each in made.decisions)
        assert made.run_id == history.standing.run_id
        assert "user:user_1" not in approvers
        if made.status == "approved":
            assert len(approvers) >= made.required.quorum
            assert not denied
        assert (made.status == "denied") == denied
        assert (made.decided_at is None) == (made.status == "pending")
    open_now = [made for made in checkpoints.fold(history.events).values() if made.status == "pending"]
    wait = history.standing.wait
    assert [made.checkpoint_id for made in open_now] == ([wait.key] if wait is not None and wait.approval else [])


def test_a_row_of_the_list_reads_back_as_the_fold():
    for name in ("approved", "denied", "never decided", "cancelled while it asked", "waiting for the second approval"):
        (made,) = checkpoints.fold(SPECIMENS[name]().events).values()
        assert checkpoints.read(checkpoints.stored(made)) == made


def test_an_outcome_that_asks_says_so_by_its_wait():
    parked = gated(1)
    assert isinstance(parked, o.Parked)
    assert parked.wait.on == "approval"
