"""Data that were erased leave a chain that verifies, and in which no byte that is left can be changed unseen."""

from typing import Any

import pytest
from msgspec.structs import replace

from runwright.domain.chain import Break, genesis, verify
from runwright.domain.erasure import opening_without_data, receipt, without_data
from runwright.domain.events import Event
from runwright.domain.fold import fold
from tests.domain.specimens import SPECIMENS, spec, submit

HISTORY = SPECIMENS["dead-lettered"]()
EVENTS: list[Event] = HISTORY.events
ERASED = [without_data(event) for event in EVENTS]
ROOT = genesis(HISTORY.command.opening)


def broken(events: list[Event]) -> Break | None:
    return verify(ROOT, (event.link() for event in events), EVENTS[-1].hash)


def test_the_chain_verifies_with_all_data_with_some_and_with_none() -> None:
    assert len(EVENTS) >= 3
    for upto in range(len(EVENTS) + 1):
        assert broken(ERASED[:upto] + EVENTS[upto:]) is None
        assert broken(EVENTS[:upto] + ERASED[upto:]) is None


def test_nothing_of_the_data_is_left() -> None:
    for event in ERASED:
        assert (event.data, event.message, event.level, event.lease_epoch) == (None, "", "info", 0)
        assert len(event.salt) == 32
        assert without_data(event) is event


CHANGES: dict[str, Any] = {
    "run_id": "run_other",
    "seq": 9,
    "type": "log",
    "level": "error",
    "actor": "user:else",
    "message": "it was well",
    "data": b"{}",
    "salt": bytes(32),
    "lease_epoch": 1,
    "created_at": 1,
    "hash": bytes(32),
}


@pytest.mark.parametrize("name", [name for name in Event.__struct_fields__ if name != "usage"])
def test_a_field_that_was_changed_after_the_erasure_is_noticed(name: str) -> None:
    for place, event in enumerate(ERASED):
        changed = [*ERASED[:place], replace(event, **{name: CHANGES[name]}), *ERASED[place + 1 :]]
        assert broken(changed) is not None, (place, name)


def test_the_state_is_not_folded_from_what_is_gone() -> None:
    with pytest.raises(ValueError, match="erased"):
        fold(ERASED)


def test_the_opening_keeps_numbers_and_ids_and_nothing_that_users_wrote() -> None:
    written: dict[str, Any] = {
        "tags": {"ann": "x"},
        "metadata": {"email": "y"},
        "idempotency_key": "z",
        "concurrency_key": "c",
    }
    named = spec(**written, created_by_user_name="Ann", created_by_email="ann@example.com")
    made = submit(**written, created_by_user_name="Ann", created_by_email="ann@example.com")
    left = opening_without_data(made.opening)
    for text in (b"ann", b"email", b"Ann", b'"z"', b'"c"', b'preview":"{'):
        assert text not in left
    assert named.project_id.encode() in left
    assert made.run_id.encode() in left
    assert opening_without_data(left) == left
    assert receipt(3, b"h", b"g", left) != receipt(3, b"h", b"g", left + b" ")
