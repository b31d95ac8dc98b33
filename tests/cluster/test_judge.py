"""The judge itself: a history that a right cluster can have passes, and each thing that a wrong one does shows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.cluster.history import Account, Deed, Delivery, History, Seen, Sighting, Submission
from tests.cluster.judge import judge

SOURCES = ["A", "B", "store"]
Draw = Callable[[st.SearchStrategy], object]


@st.composite
def histories(draw) -> History:
    """Return what clients of a right cluster may have seen: kills, lost answers, resumes, and leases that were lost."""
    history = History(list(SOURCES))
    for number in range(draw(st.integers(1, 3))):
        _run(draw, history, f"run-{number}", f"key-{number}")
    for number in range(draw(st.integers(0, 2))):
        unheard = Submission(f"lost-{number}", "A", 1, 2, draw(st.sampled_from(["unknown", "refused"])))
        history.submissions.append(unheard)
    return history


def _run(draw, history: History, run_id: str, key: str) -> None:
    at = draw(st.integers(0, 50))
    acknowledged = draw(st.booleans())
    for _ in range(draw(st.integers(0 if acknowledged else 1, 2))):
        history.submissions.append(Submission(key, draw(_servers), at, at + 2, "unknown"))
        at += 3
    for place in range(draw(st.integers(1, 2)) if acknowledged else 0):
        hit = place > 0 or draw(st.booleans())
        history.submissions.append(Submission(key, draw(_servers), at, at + 2, "acknowledged", run_id, hit))
        at += 3
    events = _lives(draw, history, run_id, at)
    epoch = max(event.lease_epoch or 0 for event in events)
    for source in SOURCES:
        history.accounts.append(Account(source, run_id, key, "completed", len(events), epoch, events, epoch))
    for stream in range(draw(st.integers(0, 2))):
        _stream(draw, history, f"{run_id}/{stream}", run_id, events)
    seen = 0
    for look in range(draw(st.integers(0, 3))):
        seen = draw(st.integers(seen, len(events)))
        found = acknowledged or look > 0
        history.sightings.append(
            Sighting(draw(_servers), run_id, 1000 + look * 10, 1001 + look * 10, found, "", seen, 1)
        )


_servers = st.sampled_from(["A", "B"])


def _lives(draw, history: History, run_id: str, at: int) -> list[Seen]:
    """Write the log of a run that lost all its leases but the last, and the books of those who executed it."""
    events = [_event(run_id, 1, "run.created")]
    leases = draw(st.integers(1, 3))
    for epoch in range(1, leases + 1):
        events.append(_event(run_id, len(events) + 1, "run.started", epoch))
        at += 1
        history.deeds.append(Deed("begin", run_id, epoch, at, at))
        for place in range(draw(st.integers(0, 3))):
            name = f"{epoch}-{place}"
            heard = epoch == leases or draw(st.booleans())
            events.append(_event(run_id, len(events) + 1, "output.saved", name=name))
            # A lost lease's worker may hear late that what it saved in time was kept.
            late = 0 if epoch == leases else draw(st.integers(0, 50))
            if heard:
                history.deeds.append(Deed("kept", run_id, epoch, at + 1, at + 2 + late, name))
            at += 3
        if epoch < leases:
            if draw(st.booleans()):
                history.deeds.append(Deed("unheard", run_id, epoch, at + 90, at + 91, f"{epoch}-late"))
            events.append(_event(run_id, len(events) + 1, "run.retrying"))
    history.deeds.append(Deed("end", run_id, leases, at + 1, at + 1))
    events.append(_event(run_id, len(events) + 1, "run.completed"))
    return events


def _event(run_id: str, seq: int, type: str, epoch: int | None = None, name: str | None = None) -> Seen:
    return Seen(seq, type, f"{run_id}.{seq}.{type}", epoch, name)


def _stream(draw, history: History, stream: str, run_id: str, events: list[Seen]) -> None:
    """Deliver a log over connections that are cut, or leave in the middle."""
    cuts = sorted(draw(st.lists(st.integers(0, len(events)), max_size=3)))
    last = 0
    for cut in [*cuts, draw(st.sampled_from([len(events), cuts[-1] if cuts else 0]))]:
        part = events[last:cut]
        over = bool(part and part[-1].terminal)
        history.deliveries.append(Delivery(stream, run_id, draw(_servers), last, part, over))
        last = max(last, cut)


@given(histories())
def test_a_history_that_a_right_cluster_can_have_passes(history: History):
    assert judge(history) == []


# --- what a wrong cluster does: each takes a good history and makes it one that must not be ---------------------------


def _pick(draw, things: list, fits: Callable = bool):
    fitting = [place for place, each in enumerate(things) if fits(each)]
    assume(fitting)
    return draw(st.sampled_from(fitting))


def _tell(history: History, run_id: str, **changes: object) -> None:
    history.accounts = [replace(a, **changes) if a.run_id == run_id else a for a in history.accounts]


def lose_an_acknowledged_run(draw, history: History) -> None:
    place = _pick(draw, history.submissions, lambda each: each.answer == "acknowledged")
    run_id = history.submissions[place].run_id
    history.accounts = [account for account in history.accounts if account.run_id != run_id]


def forget_a_run_on_one_server(draw, history: History) -> None:
    del history.accounts[_pick(draw, history.accounts)]
    assume(history.accounts)
    assume(any(len([a for a in history.accounts if a.run_id == b.run_id]) == 2 for b in history.accounts))


def make_two_runs_of_a_key(draw, history: History) -> None:
    account = history.accounts[_pick(draw, history.accounts)]
    history.accounts += [replace(account, source=source, run_id="twin") for source in SOURCES]


def name_another_run_for_the_key(draw, history: History) -> None:
    place = _pick(draw, history.submissions, lambda each: each.answer == "acknowledged")
    history.submissions.append(replace(history.submissions[place], run_id="another", hit=True))


def say_twice_that_it_was_made(draw, history: History) -> None:
    place = _pick(draw, history.submissions, lambda each: each.answer == "acknowledged" and not each.hit)
    history.submissions.append(history.submissions[place])


def make_a_run_that_nobody_asked_for(draw, history: History) -> None:
    _pick(draw, history.accounts)
    history.accounts += [replace(history.accounts[0], source=s, run_id="stray", key="stray") for s in SOURCES]


def make_a_run_of_a_refused_request(draw, history: History) -> None:
    key = history.accounts[0].key
    history.submissions = [replace(s, answer="refused") if s.key == key else s for s in history.submissions]


def execute_half_a_run(draw, history: History) -> None:
    run_id = history.accounts[0].run_id
    assume(any(deed.run_id == run_id for deed in history.deeds))
    history.submissions = [s for s in history.submissions if s.run_id != run_id]
    history.accounts = [account for account in history.accounts if account.run_id != run_id]


def lose_an_event_in_the_log(draw, history: History) -> None:
    account = history.accounts[_pick(draw, history.accounts)]
    events = list(account.events)
    del events[draw(st.integers(0, len(events) - 1))]
    _tell(history, account.run_id, events=events)


def end_twice(draw, history: History) -> None:
    account = history.accounts[_pick(draw, history.accounts)]
    again = _event(account.run_id, account.last_seq + 1, "run.completed")
    _tell(history, account.run_id, events=[*account.events, again], last_seq=again.seq)


def break_a_chain(draw, history: History) -> None:
    place = _pick(draw, history.accounts)
    history.accounts[place] = replace(history.accounts[place], broken="edited at 2")


def tell_another_log_on_one_server(draw, history: History) -> None:
    place = _pick(draw, history.accounts)
    account = history.accounts[place]
    other = [replace(account.events[0], digest="other"), *account.events[1:]]
    history.accounts[place] = replace(account, events=other)


def give_a_lease_number_twice(draw, history: History) -> None:
    account = history.accounts[_pick(draw, history.accounts)]
    again = [replace(e, lease_epoch=1) if e.type == "run.started" else e for e in account.events]
    assume(len([e for e in again if e.type == "run.started"]) > 1)
    _tell(history, account.run_id, events=again)


def take_the_result_of_a_lost_lease(draw, history: History) -> None:
    account = history.accounts[_pick(draw, history.accounts, lambda account: account.lease_epoch > 1)]
    history.deeds.append(Deed("end", account.run_id, account.lease_epoch - 1, 900, 900))
    _tell(history, account.run_id, result_epoch=account.lease_epoch - 1)


def complete_without_an_execution(draw, history: History) -> None:
    run_id = history.accounts[0].run_id
    assume(any(deed.run_id == run_id for deed in history.deeds))
    history.deeds = [deed for deed in history.deeds if (deed.run_id, deed.what) != (run_id, "end")]


def keep_a_late_effect(draw, history: History) -> None:
    account = history.accounts[_pick(draw, history.accounts, lambda account: account.lease_epoch > 1)]
    epoch = account.lease_epoch - 1
    late = _event(account.run_id, account.last_seq, "output.saved", name=f"{epoch}-late")
    end = replace(account.events[-1], seq=account.last_seq + 1)
    _tell(history, account.run_id, events=[*account.events[:-1], late, end], last_seq=end.seq)


def acknowledge_a_late_effect(draw, history: History) -> None:
    account = history.accounts[_pick(draw, history.accounts, lambda account: account.lease_epoch > 1)]
    epoch = account.lease_epoch - 1
    history.deeds.append(Deed("kept", account.run_id, epoch, 9000, 9001, f"{epoch}-0"))


def lose_an_effect_that_was_kept(draw, history: History) -> None:
    account = history.accounts[_pick(draw, history.accounts)]
    deed = Deed("kept", account.run_id, account.lease_epoch, 900, 901, f"{account.lease_epoch}-lost")
    history.deeds.append(deed)


def keep_an_effect_twice(draw, history: History) -> None:
    account = history.accounts[_pick(draw, history.accounts, lambda a: any(e.name for e in a.events))]
    saved = next(event for event in account.events if event.name is not None)
    end = replace(account.events[-1], seq=account.last_seq + 1)
    events = [*account.events[:-1], replace(saved, seq=account.last_seq), end]
    _tell(history, account.run_id, events=events, last_seq=end.seq)


def execute_a_lease_twice(draw, history: History) -> None:
    history.deeds.append(history.deeds[_pick(draw, history.deeds, lambda deed: deed.what == "begin")])


def execute_a_lease_that_was_not_given(draw, history: History) -> None:
    deed = history.deeds[_pick(draw, history.deeds, lambda deed: deed.what == "begin")]
    history.deeds.append(replace(deed, lease_epoch=99))


def _connection(draw, history: History, least: int) -> tuple[int, Delivery, list[Seen]]:
    place = _pick(draw, history.deliveries, lambda each: len(each.events) >= least)
    return place, history.deliveries[place], list(history.deliveries[place].events)


def lose_an_event_in_a_stream(draw, history: History) -> None:
    place, delivery, events = _connection(draw, history, 2)
    del events[draw(st.integers(0, len(events) - 2))]
    history.deliveries[place] = replace(delivery, events=events)


def repeat_an_event_in_a_stream(draw, history: History) -> None:
    place, delivery, events = _connection(draw, history, 1)
    at = draw(st.integers(0, len(events) - 1))
    history.deliveries[place] = replace(delivery, events=[*events[: at + 1], *events[at:]])


def reorder_a_stream(draw, history: History) -> None:
    place, delivery, events = _connection(draw, history, 2)
    at = draw(st.integers(0, len(events) - 2))
    events[at], events[at + 1] = events[at + 1], events[at]
    history.deliveries[place] = replace(delivery, events=events)


def show_an_event_that_was_never_kept(draw, history: History) -> None:
    place, delivery, events = _connection(draw, history, 1)
    at = draw(st.integers(0, len(events) - 1))
    events[at] = replace(events[at], digest="never")
    history.deliveries[place] = replace(delivery, events=events)


def end_a_stream_too_early(draw, history: History) -> None:
    early = Delivery("early", history.accounts[0].run_id, "A", 0, history.accounts[0].events[:1], True)
    history.deliveries.append(early)


def stream_a_run_that_is_not_there(draw, history: History) -> None:
    history.deliveries.append(Delivery("ghost", "ghost", "A", 0, [_event("ghost", 1, "run.created")]))


def not_know_an_acknowledged_run(draw, history: History) -> None:
    place = _pick(draw, history.submissions, lambda each: each.answer == "acknowledged")
    each = history.submissions[place]
    history.sightings.append(Sighting("B", each.run_id or "", each.answered_at + 1, each.answered_at + 2, False))


def show_less_than_before(draw, history: History) -> None:
    run_id = history.accounts[0].run_id
    history.sightings += [
        Sighting("A", run_id, 5000, 5001, True, "completed", 9, 1),
        Sighting("B", run_id, 5002, 5003, True, "executing", 3, 1),
    ]


def let_too_many_through_a_limit(draw, history: History) -> None:
    at = draw(st.integers(0, 9))
    for run_id in ("first", "second"):
        history.deeds += [Deed("begin", run_id, 1, 10, 10), Deed("kept", run_id, 1, 20 + at, 21 + at, "1-0")]
        history.limits[run_id] = ("one", 1)


def hear_a_client_complain(draw, history: History) -> None:
    history.complaints.append("A answered 503 without Retry-After")


WRONGS: dict[Callable, str] = {
    lose_an_acknowledged_run: "is lost",
    forget_a_run_on_one_server: "and not by",
    make_two_runs_of_a_key: "runs were made",
    name_another_run_for_the_key: "the answers name",
    say_twice_that_it_was_made: "two answers say",
    make_a_run_that_nobody_asked_for: "nobody sent",
    make_a_run_of_a_refused_request: "that was refused",
    execute_half_a_run: "was executed and is not there",
    lose_an_event_in_the_log: "its log has the seqs",
    end_twice: "has its ends at",
    break_a_chain: "its chain is broken",
    tell_another_log_on_one_server: "tell different logs",
    give_a_lease_number_twice: "its leases are",
    take_the_result_of_a_lost_lease: "with the result of lease",
    complete_without_an_execution: "no execution came to its end",
    keep_a_late_effect: "late, under lease",
    acknowledge_a_late_effect: "had begun",
    lose_an_effect_that_was_kept: "was acknowledged and is not in the log",
    keep_an_effect_twice: "2 times in the log",
    execute_a_lease_twice: "was executed 2 times",
    execute_a_lease_that_was_not_given: "never given",
    lose_an_event_in_a_stream: "loses",
    repeat_an_event_in_a_stream: "repeats or reorders",
    reorder_a_stream: "repeats or reorders",
    show_an_event_that_was_never_kept: "the log has another",
    end_a_stream_too_early: "it ended at",
    stream_a_run_that_is_not_there: "in no log",
    not_know_an_acknowledged_run: "did not know it",
    show_less_than_before: "somebody had seen more",
    let_too_many_through_a_limit: "were live at once",
    hear_a_client_complain: "without Retry-After",
}


@settings(max_examples=20, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@pytest.mark.parametrize("wrong", WRONGS, ids=lambda wrong: wrong.__name__.replace("_", " "))
@given(data=st.data())
def test_the_judge_sees_what_a_wrong_cluster_does(wrong: Callable, data: st.DataObject):
    history = data.draw(histories())
    wrong(data.draw, history)
    assert any(WRONGS[wrong] in fault for fault in judge(history)), judge(history)
