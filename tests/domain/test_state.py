"""The table of transitions, walked whole: every specimen of a run meets every command, now and much later."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.domain import commands as c
from runwright.domain.chain import genesis, verify
from runwright.domain.events import TERMINAL_TYPES
from runwright.domain.run import CONVERSING, STATES, TERMINAL, Run, Wait, timers
from runwright.domain.state import FENCED, LATE, TRANSITIONS, decide, name_of
from runwright.errors import AlreadyDecided, ApprovalExpired, InvalidTransition, StaleLease
from tests.domain.specimens import HOUR, SECOND, SPECIMENS, T0, History, commands_for, links, submit

MODEL: dict[str | None, set[str]] = {
    None: {"scheduled", "queued", "waiting", "executing"},
    "scheduled": {"queued", "waiting", "paused", "cancelled", "expired", "failed"},
    "queued": {"executing", "scheduled", "paused", "cancelled", "expired", "failed"},
    "executing": {"completed", "failed", "scheduled", "queued", "waiting", "paused", "cancelled"},
    "waiting": {"queued", "completed", "failed", "paused", "cancelled"},
    "paused": {"scheduled", "queued", "waiting", "cancelled"},
}
"""From where a run may go where, as the run model says it, whatever the command."""

REPEATABLE = LATE | {"stop", "restart", "fence", "debug"}
"""Commands that may find nothing to do, and then say so by no event."""


def test_the_specimens_stand_in_every_state():
    assert {make().standing.state for make in SPECIMENS.values()} == set(STATES)


def test_the_table_leads_nowhere_that_the_model_forbids():
    strays = {
        (state, name): target
        for (state, name), targets in TRANSITIONS.items()
        for target in targets
        if target != state and target not in MODEL.get(state, set())
    }
    assert strays == {}


def test_appendix_c_1_every_state_and_command_decides_into_an_allowed_state_or_is_refused():
    reached: set[tuple[str, str, str]] = set()
    for named, make in SPECIMENS.items():
        for asked in commands_for(make()):
            for later in (0, 3 * HOUR):
                history = make()
                run, command = history.standing, commands_for(history)[asked]
                reached |= answered(f"{named}, {asked}, {later}", run, command, history.at + later)
    wanted = {(state, name, to) for (state, name), targets in TRANSITIONS.items() if state for to in targets}
    assert wanted - reached == set(), "allowed by the table, and never decided"


def answered(where: str, run: Run, command: c.Command, at: int) -> set[tuple[str, str, str]]:
    """Check one answer against the table; return the transition if there was one."""
    name = name_of(command)
    allowed = TRANSITIONS.get((run.state, name))
    try:
        decision = decide(run, command, at)
    except StaleLease:
        assert name in FENCED, where
        assert run.state != "executing" or getattr(command, "lease_epoch") != run.lease_epoch, where  # noqa: B009
        return set()
    except (AlreadyDecided, ApprovalExpired):
        assert name == "vote", where
        return set()
    except InvalidTransition:
        begun = run.started_at is not None
        late = {
            "join": True,
            "answer": True,
            "touch": True,
            "restart": not begun or run.spec.kind in CONVERSING,
            "reschedule": begun,
        }
        assert allowed is None or late.get(name), where
        assert name not in FENCED, where
        return set()
    if name in FENCED:
        assert run.state == "executing", where
        assert getattr(command, "lease_epoch") == run.lease_epoch, where  # noqa: B009
    if not decision.events:
        assert decision.run == run, f"{where}: a change that no event tells of"
        assert name in REPEATABLE, where
        return {(run.state, name, run.state)} if allowed and run.state in allowed else set()
    assert allowed is not None, where
    assert decision.run.state in allowed, where
    return {(run.state, name, decision.run.state)}


def test_a_run_that_does_not_exist_takes_nothing_but_its_creation():
    for asked, command in commands_for(SPECIMENS["executing"]()).items():
        if asked != "submit":
            with pytest.raises(InvalidTransition):
                decide(None, command, T0)


def test_a_new_run_is_queued_or_waits_for_its_time():
    now = decide(None, submit(), T0).run
    later = decide(None, submit(scheduled_at=T0 + 1), T0).run
    past = decide(None, submit(scheduled_at=T0), T0).run
    assert (now.state, now.reason, now.due_at) == ("queued", None, None)
    assert (later.state, later.reason, later.due_at) == ("scheduled", "delay", T0 + 1)
    assert (past.state, past.due_at) == ("queued", None)
    after = decide(None, submit(scheduled_at=T0 + 1, wait=Wait("dependency", limit_s=9)), T0).run
    assert (after.state, after.reason, after.due_at) == ("scheduled", "delay", T0 + 1)
    due = decide(after, c.Due(after.run_id), T0 + 1).run
    assert (due.state, due.reason, due.due_at) == ("waiting", "dependency", T0 + 1 + 9 * SECOND)
    waiting = decide(None, submit(wait=Wait("dependency"), wait_until=T0 + 9), T0).run
    assert (waiting.state, waiting.reason, waiting.due_at) == ("waiting", "dependency", T0 + 9)
    assert {now.state, later.state, waiting.state} == set(TRANSITIONS[None, "submit"])


def test_nothing_moves_a_run_that_has_ended():
    for make in (make for make in SPECIMENS.values() if make().standing.terminal):
        for asked in commands_for(make()):
            history = make()
            command = commands_for(history)[asked]
            if name_of(command) in LATE:
                assert decide(history.standing, command, history.at + 9 * HOUR) == c.Decision(history.standing)
            else:
                with pytest.raises((InvalidTransition, StaleLease, AlreadyDecided)):
                    decide(history.standing, command, history.at)
    assert {state for state, _ in TRANSITIONS if state in TERMINAL} == set()


def test_the_terminal_event_is_the_last_and_there_is_one():
    for named, make in SPECIMENS.items():
        history = make()
        ends = [seq for seq, name in enumerate(history.types, 1) if name in TERMINAL_TYPES]
        assert ends == ([len(history.events)] if history.standing.terminal else []), named


def test_every_specimen_has_a_gapless_verified_log():
    for named, make in SPECIMENS.items():
        history = make()
        assert [event.seq for event in history.events] == list(range(1, len(history.events) + 1)), named
        assert verify(genesis(history.command.opening), links(history.events), history.standing.hash) is None, named


def test_each_claim_raises_the_lease_epoch_and_nothing_else_does():
    history = SPECIMENS["executing"]()
    epochs = [history.standing.lease_epoch]
    for _ in range(3):
        history.stop("pause")
        history.fence()
        history.resume()
        assert history.standing.lease_epoch == epochs[-1]
        epochs.append(history.claim().lease_epoch)
    assert epochs == [1, 2, 3, 4]


def test_time_in_a_log_never_goes_back():
    history = SPECIMENS["executing"]()
    history.apply(c.Stop(history.standing.run_id, "cancel", history.command.cause), T0 - HOUR)
    history.apply(c.Fence(history.standing.run_id, 1), T0 - 2 * HOUR)
    assert history.standing.state == "cancelled"
    assert all(before.created_at <= after.created_at for before, after in pairwise(history.events))
    assert history.standing.finished_at is not None
    assert history.standing.finished_at >= T0


def test_the_times_spent_in_states_add_up_to_the_life_of_the_run():
    for named, make in SPECIMENS.items():
        run = make().standing
        spent = run.queued_us + run.active_us + run.waiting_us
        assert spent == run.since_at - run.spec.created_at - 1000, named  # it was created a millisecond after T0


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_way_through_the_table_keeps_the_log_true(data):
    ttl = data.draw(st.sampled_from([None, 30 * 60 * 1_000_000]), "ttl")
    delay = data.draw(st.sampled_from([None, 10 * 60 * 1_000_000]), "delay")
    history = History(
        scheduled_at=delay and T0 + delay, expires_at=ttl and T0 + ttl, max_attempts=data.draw(st.integers(1, 3))
    )
    for _ in range(data.draw(st.integers(1, 15), "steps")):
        before = history.standing
        name, command = data.draw(st.sampled_from(sorted(commands_for(history).items(), key=lambda item: item[0])))
        later = history.at + data.draw(st.sampled_from([0, 1000, HOUR]), "later")
        try:
            after = history.apply(command, later)  # checks that status = fold of the log
        except (InvalidTransition, StaleLease, AlreadyDecided, ApprovalExpired):
            assert history.standing == before, f"{name} was refused and changed something"
            continue
        assert not before.terminal or after == before
        assert after.lease_epoch - before.lease_epoch == (name == "claim")
        assert after.owns_slots == (after.state in ("queued", "executing"))
        assert all(at is not None for at in timers(after).values())
    assert verify(genesis(history.command.opening), links(history.events), history.standing.hash) is None
