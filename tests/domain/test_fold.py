"""The log alone tells where a run stands."""

import pytest

from runwright.domain.chain import SALT_BYTES
from runwright.domain.events import CATALOGUE, Event
from runwright.domain.fold import Folded, fold
from tests.domain.specimens import SPECIMENS, History, log_line, redactor, told


def by_the_job(history: History, type: str, said: object) -> Event:
    run = history.standing
    data = redactor.data(said)
    return Event(run.run_id, run.seq + 1, type, "info", "worker:x", "", data, bytes(SALT_BYTES), 1, history.at, b"")


@pytest.mark.parametrize("named", SPECIMENS)
def test_the_log_folds_into_what_the_run_says(named):
    history = SPECIMENS[named]()
    assert fold(history.events) == told(history.standing)


@pytest.mark.parametrize("named", SPECIMENS)
def test_a_log_folds_the_same_in_two_parts(named):
    history = SPECIMENS[named]()
    for cut in range(len(history.events) + 1):
        assert fold(history.events[cut:], fold(history.events[:cut])) == told(history.standing)


def test_an_empty_log_says_nothing():
    assert fold([]) == Folded()


def test_records_move_the_seq_and_nothing_else():
    history = SPECIMENS["executing"]()
    before = fold(history.events)
    folded = fold([by_the_job(history, "log", {"state": "completed"})], before)
    assert folded == Folded("executing", None, before.attempt, before.lease_epoch, None, before.seq + 1)
    assert log_line().type == "log"


@pytest.mark.parametrize("type", [name for name, entry in CATALOGUE.items() if entry.by_job])
@pytest.mark.parametrize("said", [{}, {"percent": "many", "message": 7, "data": 5, "state": "completed"}])
def test_nothing_that_a_job_writes_can_change_or_break_the_fold(type, said):
    history = SPECIMENS["executing"]()
    folded = fold([*history.events, by_the_job(history, type, said)])
    assert folded.state == "executing"
    assert folded.seq == history.standing.seq + 1
