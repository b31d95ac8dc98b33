"""A log read as spans: they follow each other without a gap, and what an attempt did lies within it."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from runwright.domain import outcome as o
from runwright.domain.events import Draft
from runwright.domain.redaction import compose
from runwright.domain.timeline import timeline
from tests.domain.specimens import HOUR, SPECIMENS, T0, History, failed


@pytest.mark.parametrize("named", SPECIMENS)
def test_states_and_attempts_fill_the_life_of_a_run_without_a_gap(named: str):
    history = SPECIMENS[named]()
    spans = [span for span in timeline(history.events) if span.kind in ("state", "attempt")]
    assert spans[0].started_at == T0 or spans[0].started_at == history.events[0].created_at
    assert all(before.ended_at == after.started_at for before, after in pairwise(spans))
    last = spans[-1]
    run = history.standing
    if run.terminal:
        assert (last.name, last.ended_at) == (run.state, last.started_at)
    else:
        assert last.ended_at is None
        assert last.kind == ("attempt" if run.state == "executing" else "state")


def test_each_lease_is_an_attempt_and_its_rests_tell_why():
    history = SPECIMENS["executing"]()
    history.finish(failed())
    history.wake() if history.standing.state == "waiting" else history.due()
    history.claim()
    history.finish(o.Completed())
    told = [(span.kind, span.name, span.reason) for span in timeline(history.events)]
    assert told == [
        ("state", "queued", None),
        ("attempt", "attempt 1", None),
        ("state", "scheduled", "retry"),
        ("state", "queued", None),
        ("attempt", "attempt 2", None),
        ("state", "completed", None),
    ]


def test_steps_and_tools_lie_where_they_ended_as_long_as_they_took():
    history = SPECIMENS["executing"]()
    done = Draft("step.completed", compose({"name": "read", "duration_ms": 2}))
    tool = Draft("tool.called", compose({"tool_name": "search", "duration_ms": 1}))
    mark = Draft("checkpoint.saved", compose({"sequence": 1, "source": "sdk"}))
    history.finish(o.Completed(), done, tool, mark)
    at = history.standing.finished_at
    assert at is not None
    found = {span.name: span for span in timeline(history.events) if span.kind in ("step", "tool", "mark")}
    assert (found["read"].kind, found["read"].started_at, found["read"].ended_at) == ("step", at - 2000, at)
    assert (found["search"].kind, found["search"].started_at) == ("tool", at - 1000)
    assert (found["checkpoint.saved"].kind, found["checkpoint.saved"].started_at) == ("mark", at)
    assert {span.attempt for span in found.values()} == {1}


def test_an_erased_log_tells_no_time():
    history = History(scheduled_at=T0 + HOUR)
    with pytest.raises(ValueError, match="erased"):
        timeline([replace(history.events[0], data=None)])
