"""What people type is taken for the command that is open, waits for it within bounds, and is forgotten with it."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from runwright.domain import outcome as o
from runwright.domain.course import Untaken
from runwright.domain.events import Draft
from runwright.domain.redaction import compose
from runwright.domain.terminal_events import TYPED, Typed
from runwright.domain.touching import INPUTS_MAX, forgotten
from runwright.errors import InvalidTransition, LimitExceeded
from tests.domain.specimens import SPECIMENS, History, done, failed, typing


def untaken(history: History) -> list[str]:
    """Return what waits for the command."""
    course = history.standing.course
    assert course is not None
    return [] if course.open is None else [each.input_id for each in course.open.untaken]


def typed(history: History, *names: str) -> None:
    """Let people type."""
    for name in names:
        history.apply(typing(history.standing.run_id, input_id=name))


def given(input_id: str) -> Draft:
    """Return what says that the command was given it."""
    return Draft(TYPED, compose(Typed(command_id="cmd_read", by="user:1", input_id=input_id, bytes=3)))


def test_what_is_typed_is_told_with_its_person_and_without_its_bytes():
    history = SPECIMENS["runtime that reads"]()
    history.apply(typing(history.standing.run_id, ref="mine"))
    event = history.events[-1]
    assert (event.type, event.actor) == ("terminal.input", "user:user_1")
    assert msgspec.json.decode(event.data or b"") == {
        "command_id": "cmd_read", "what": "keys", "input_id": "inp_1", "bytes": 3, "ref": "mine",
    }  # fmt: skip


def test_it_waits_until_the_command_was_given_it():
    history = SPECIMENS["runtime that reads"]()
    typed(history, "a", "b", "c")
    before = history.standing
    history.append(given("b"))
    assert (untaken(history), forgotten(before, history.standing)) == (["c"], ("a", "b"))
    history.append(given("b"))
    assert untaken(history) == ["c"], "the same again says nothing new"


@pytest.mark.parametrize("end", ["the step ends", "the run is stopped", "its worker is lost", "it fails"])
def test_with_the_command_everything_that_waited_for_it_is_forgotten(end: str):
    history = SPECIMENS["runtime that reads"]()
    typed(history, "a", "b")
    if end == "the run is stopped":
        history.stop("cancel")
    before = history.standing
    match end:
        case "the step ends":
            history.append(*done("read"))
        case "its worker is lost":
            history.lose()
        case "it fails":
            history.finish(failed(retryable=False))
        case _:
            history.finish(o.Stopped())
    assert forgotten(before, history.standing) == ("a", "b")


def test_so_much_waits_and_no_more():
    history = SPECIMENS["runtime that reads"]()
    run_id = history.standing.run_id
    history.apply(typing(run_id, size=5, most_bytes=8))
    with pytest.raises(LimitExceeded) as full:
        history.apply(typing(run_id, size=4, most_bytes=8))
    assert full.value.code == "terminal.input_full"
    history.apply(typing(run_id, size=3, most_bytes=8))
    history.apply(typing(run_id, "size"))
    course = history.standing.course
    assert course is not None
    assert course.open is not None
    many = tuple(Untaken(f"inp_{number}", 0) for number in range(INPUTS_MAX))
    history.run = replace(history.standing, course=replace(course, open=replace(course.open, untaken=many)))
    with pytest.raises(LimitExceeded):
        history.apply(typing(run_id, "end"))


@pytest.mark.parametrize("named", sorted(SPECIMENS.keys() - {"runtime that reads", "runtime that is typed for"}))
def test_where_no_command_reads_nobody_types(named: str):
    history = SPECIMENS[named]()
    with pytest.raises(InvalidTransition) as refused:
        history.apply(typing(history.standing.run_id))
    assert refused.value.code == "terminal.read_only"
