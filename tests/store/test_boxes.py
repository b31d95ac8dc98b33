"""Timers, keys, inbox and outbox: the small tables that make things happen later, once, and elsewhere."""

from runwright.domain.commands import IdempotencyKey
from runwright.store.base import ChangeSet, Store, Timer
from runwright.store.queries.runs import FORGET_KEYS
from tests.domain.specimens import HOUR, T0
from tests.store.rows_of import timer, within, write

KEY = IdempotencyKey("proj_1/jobs.trigger", "k1", "f" * 64)


async def test_timers_come_due_oldest_first(store: Store):
    timers = [timer(T0 + at) for at in (30, 10, 20)]
    await write(store, ChangeSet(timers=timers))
    assert await store.due(T0 + 9, 10) == []
    assert await store.due(T0 + 20, 10) == [timers[1], timers[2]]
    assert await store.due(T0 + HOUR, 2) == [timers[1], timers[2]]
    assert await store.next_timer() == T0 + 10


async def test_without_timers_there_is_no_next_one(store: Store):
    assert await store.next_timer() is None
    assert await store.due(T0, 5) == []


async def test_a_run_has_one_timer_of_a_name_and_it_can_be_moved_and_taken_away(store: Store):
    due = timer(T0 + 10)
    expire = Timer(due.run_id, "expire", T0 + 20)
    await write(store, ChangeSet(timers=[due, expire]))
    moved = Timer(due.run_id, "due", T0 + 30)
    await write(store, ChangeSet(timers=[moved]))
    assert await store.due(T0 + HOUR, 10) == [expire, moved]
    await write(store, ChangeSet(timers_gone=[(due.run_id, "expire"), ("run_none", "due")]))
    assert await store.due(T0 + HOUR, 10) == [moved]
    await write(store, ChangeSet(timers_gone=[(due.run_id, "due")], timers=[Timer(due.run_id, "due", T0 + 40)]))
    assert await store.next_timer() == T0 + 40


async def test_a_key_is_taken_with_its_fingerprint_and_target_for_a_while(store: Store, backend):
    taken_at = backend.clock.now()
    await write(store, ChangeSet(idempotency=[(KEY, "run_1")]))
    expected = {(KEY.scope, KEY.key): (KEY.fingerprint, "run_1")}
    assert await within(store, "idempotency", [KEY], taken_at - 1) == expected
    assert await within(store, "idempotency", [KEY], taken_at) == {}


async def test_a_key_belongs_to_its_scope(store: Store):
    await write(store, ChangeSet(idempotency=[(KEY, "run_1")]))
    other = IdempotencyKey("proj_2/jobs.trigger", KEY.key, KEY.fingerprint)
    assert await within(store, "idempotency", [other, KEY], 0) == {(KEY.scope, KEY.key): (KEY.fingerprint, "run_1")}


async def test_a_key_that_has_expired_is_taken_anew_for_its_whole_time(store: Store, backend):
    await write(store, ChangeSet(idempotency=[(KEY, "run_1")]))
    backend.clock.advance(86_400)
    again = IdempotencyKey(KEY.scope, KEY.key, "e" * 64)
    await write(store, ChangeSet(idempotency=[(again, "run_2")]))
    since = backend.clock.now() - 1
    assert await within(store, "idempotency", [KEY], since) == {(KEY.scope, KEY.key): ("e" * 64, "run_2")}


async def test_old_keys_are_forgotten(store: Store, backend):
    await write(store, ChangeSet(idempotency=[(KEY, "run_1")]))
    backend.clock.advance(10)
    young = IdempotencyKey(KEY.scope, "k2", KEY.fingerprint)
    await write(store, ChangeSet(idempotency=[(young, "run_2")]))

    async def forget(tx):
        assert await tx.fetch(FORGET_KEYS, before=backend.clock.now()) == []

    await store.write(forget)
    assert await within(store, "idempotency", [KEY, young], 0) == {(young.scope, "k2"): (young.fingerprint, "run_2")}


async def test_the_inbox_is_read_oldest_first_and_emptied_one_by_one(store: Store):
    await write(store, ChangeSet(inbox=[("run_1", b"a"), ("run_2", b"b")]))
    await write(store, ChangeSet(inbox=[("run_3", b"c")]))
    entries = await store.inbox(10)
    assert [(entry.run_id, entry.command) for entry in entries] == [("run_1", b"a"), ("run_2", b"b"), ("run_3", b"c")]
    assert await store.inbox(2) == entries[:2]
    assert await store.inbox(2, entries[1].entry) == entries[2:]
    await within(store, "deliver", [entries[0].entry, entries[1].entry, 999_999])
    assert await store.inbox(10) == entries[2:]


async def test_the_outbox_is_read_by_topic_oldest_first_and_settled(store: Store):
    await write(store, ChangeSet(outbox=[("feed", "run_1", b"1"), ("kpi", "run_1", b"x"), ("feed", "run_2", b"2")]))
    entries = await store.outbox("feed", 10)
    assert [(entry.topic, entry.run_id, entry.data) for entry in entries] == [
        ("feed", "run_1", b"1"),
        ("feed", "run_2", b"2"),
    ]
    assert await store.outbox("feed", 1) == entries[:1]
    await within(store, "settle", [entries[0].entry, 999_999])
    assert await store.outbox("feed", 10) == entries[1:]
    assert len(await store.outbox("kpi", 10)) == 1


async def test_a_later_entry_has_a_larger_number(store: Store):
    for _ in range(3):
        await write(store, ChangeSet(inbox=[("run_1", b"a")], outbox=[("feed", "run_1", b"a")]))
    for entries in (await store.inbox(10), await store.outbox("feed", 10)):
        numbers = [entry.entry for entry in entries]
        assert numbers == sorted(set(numbers))
