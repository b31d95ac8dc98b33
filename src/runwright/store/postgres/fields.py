"""The fields of a change set as statements: a table of rows comes in, an insertion, update or deletion is made of it.

A condition reads `= ANY (ARRAY[n.x])` instead of `= n.x` where it must be the way into an index: an equality could also
be read from the table's side, row by row through all of it, and would be, for a table that was empty when last counted.
`EXISTS (… OFFSET 0)` is looked up for each row, and never turned into a join, for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from msgspec.structs import astuple
from sqlalchemy import Table

from runwright.domain.batch_operations import BatchOperation
from runwright.domain.events import Event
from runwright.domain.run import Run
from runwright.store import operation_tables, rows, tables, wait_tables
from runwright.store.base import Attempt, Lease, Row, StoredValue


class Field(NamedTuple):
    """How a field of the change set is written: `sql` with `{rows}` for its items as a table of these columns."""

    table: Table
    columns: tuple[str, ...]
    sql: str
    row: Callable[[Any], Row]
    key: Callable[[Any], Any] | None = None
    floored: bool = False
    """Whether `{low}` stands for the smallest run id, so that no older partition is opened."""
    found: str = ""
    """If given, the rows with the place of what is there: `sql` writes the new ones then, and `anew` the others.

    Only for what stands under a lock: a row that somebody else moved meanwhile would be left as that one made it.
    """
    anew: str = ""


def same(column: str, value: str) -> str:
    """Return the condition that a column is a value, as the way into an index and nothing else."""
    return f"{column} = ANY (ARRAY[{value}])"


def floor(column: str, low: str = "{low}") -> str:
    """Return the condition that a run is none before the first in hand, by which older partitions are not opened.

    Written so that it is no way into the index: of a month that was counted when retention had just emptied it, the
    planner would read everything from there on, as next to nothing, instead of the rows in hand.
    """
    return f"({column} >= {low} OR {column} = {low})"


def newest(column: str, value: str) -> str:
    """Return the condition that the one row whose key this is, is found from its newest version back.

    While somebody's snapshot is old, a row that is written all the time leaves each of its versions behind, in the
    order of their making: from the oldest on, all of them would be walked. An equality would be walked so.
    """
    return f"{column} >= {value} AND {column} <= {value} ORDER BY {column} DESC LIMIT 1"


def _insert(table: Table, columns: Iterable[str]) -> str:
    names = ", ".join(columns)
    return f"INSERT INTO {table.name} ({names}) SELECT {names} FROM {{rows}}"


def _upsert(table: Table, key: str, *names: str) -> str:
    changed = ", ".join(f"{name} = excluded.{name}" for name in names)
    return _insert(table, (*key.split(", "), *names)) + f" ON CONFLICT ({key}) DO UPDATE SET {changed}"


def _ready(run: Run) -> Row:
    return (run.spec.lane, run.rank, run.run_id)


def _held(run: Run) -> Row:
    return (run.held_by, run.rank, run.run_id)


_BIRTHS = (*rows.IDENTITY, *rows.STANDING)
_STANDING = ", ".join(f"{column} = n.{column}" for column in rows.STANDING)
_KEPT = ", ".join(f"{column} = n.{column}" for column in StoredValue.__struct_fields__[3:])
# The rows in hand the planner takes for one, if an unknown limit stands over them: so they come first.
FEW = "(SELECT * FROM {rows} LIMIT {count}) AS n"
_READY, _HELD = ("lane", "rank", "run_id"), ("limit_key", "rank", "run_id")
_VALUE = ("run_id", "kind", "key")
_WAIT = ("project_id", "event_key", "run_id")
_SIGNAL = ("signal_id", "project_id", "event_key", "sealed", "created_at")
_PLACE = f"CROSS JOIN LATERAL (SELECT h.ctid AS place FROM run_heads h WHERE {newest('h.run_id', 'n.run_id')}) f"
"""Where the heads of rows lie, which the transaction has locked: nobody moves them meanwhile."""
_BATCH = BatchOperation.__struct_fields__

FIELDS: dict[str, Field] = {
    "births": Field(
        tables.runs,
        _BIRTHS,
        _insert(tables.runs, _BIRTHS),
        lambda birth: rows.identity(birth) + rows.standing(birth.run),
    ),
    "moved": Field(
        tables.runs,
        ("run_id", "result", *rows.STANDING),
        f"UPDATE runs r SET {_STANDING}, result = coalesce(n.result, r.result) FROM {{rows}}"
        f" WHERE {same('r.run_id', 'n.run_id')} AND {floor('r.run_id')}",
        lambda moved: (moved[0].run_id, moved[1], *rows.standing(moved[0])),
        floored=True,
    ),
    "heads_new": Field(
        tables.run_heads,
        ("run_id", *rows.HEAD),
        _insert(tables.run_heads, ("run_id", *rows.HEAD)),
        lambda run: (run.run_id, *rows.head(run)),
    ),
    "heads_moved": Field(
        tables.run_heads,
        ("run_id", *rows.HEAD),
        f"UPDATE run_heads h SET {', '.join(f'{column} = n.{column}' for column in rows.HEAD)}"
        f" FROM (SELECT f.place, n.* FROM {{rows}} {_PLACE}) n WHERE h.ctid = n.place",
        lambda run: (run.run_id, *rows.head(run)),
    ),
    "heads_gone": Field(
        tables.run_heads,
        ("run_id",),
        f"DELETE FROM run_heads h USING (SELECT f.place FROM {{rows}} {_PLACE}) n WHERE h.ctid = n.place",
        lambda run_id: (run_id,),
    ),
    "unready": Field(
        tables.ready,
        _READY,
        f"DELETE FROM ready r USING {{rows}} WHERE {same('r.lane', 'n.lane')} AND {same('r.rank', 'n.rank')}"
        f" AND {same('r.run_id', 'n.run_id')}",
        _ready,
    ),
    "unheld": Field(
        tables.held,
        _HELD,
        f"DELETE FROM held h USING {{rows}} WHERE {same('h.limit_key', 'n.limit_key')} AND {same('h.rank', 'n.rank')}"
        f" AND {same('h.run_id', 'n.run_id')}",
        _held,
    ),
    "ready": Field(tables.ready, _READY, _insert(tables.ready, _READY), _ready),
    "held": Field(tables.held, _HELD, _insert(tables.held, _HELD), _held),
    "limits": Field(
        tables.limits,
        ("limit_key", "used", "max"),
        _insert(tables.limits, ("limit_key", "used", "max"))
        + f" WHERE NOT EXISTS (SELECT FROM limits l WHERE {newest('l.limit_key', 'n.limit_key')} OFFSET 0)",
        lambda item: (item[0], item[1].used, item[1].max),
    ),
    "limited": Field(
        tables.limits,
        ("limit_key", "used", "max"),
        "UPDATE limits l SET used = n.used, max = n.max FROM (SELECT f.place, n.* FROM {rows} CROSS JOIN LATERAL"
        f" (SELECT l.ctid AS place FROM limits l WHERE {newest('l.limit_key', 'n.limit_key')}) f) n"
        " WHERE l.ctid = n.place",
        lambda item: (item[0], item[1].used, item[1].max),
    ),
    "turns": Field(
        tables.turns,
        ("queue", "project_id", "last_turn"),
        "INSERT INTO turns (queue, project_id, last_turn) SELECT queue, project_id, last_turn FROM {rows}"
        " WHERE NOT EXISTS (SELECT FROM turns t WHERE t.queue = n.queue"
        f" AND {newest('t.project_id', 'n.project_id')} OFFSET 0)"
        " ORDER BY queue, project_id ON CONFLICT DO NOTHING",
        lambda item: (*item[0], item[1]),
    ),
    "turned": Field(
        tables.turns,
        ("queue", "project_id", "last_turn"),
        "UPDATE turns t SET last_turn = n.last_turn FROM (SELECT f.ctid AS place, n.last_turn FROM {rows}"
        " CROSS JOIN LATERAL (SELECT t.ctid FROM turns t WHERE t.queue = n.queue"
        f" AND {newest('t.project_id', 'n.project_id')} FOR UPDATE SKIP LOCKED) f) n WHERE t.ctid = n.place",
        lambda item: (*item[0], item[1]),
    ),
    "leases_gone": Field(
        tables.leases,
        ("run_id",),
        f"DELETE FROM leases l USING {{rows}} WHERE {same('l.run_id', 'n.run_id')}",
        lambda run_id: (run_id,),
    ),
    "leases": Field(
        tables.leases,
        Lease.__struct_fields__,
        _upsert(tables.leases, "run_id", *Lease.__struct_fields__[1:]),
        astuple,
        key=lambda lease: lease.run_id,
    ),
    "fences": Field(
        tables.leases,
        ("run_id", "fence_at"),
        f"UPDATE leases l SET fence_at = n.fence_at FROM {{rows}} WHERE {same('l.run_id', 'n.run_id')}",
        lambda fence: fence,
        key=lambda fence: fence[0],
    ),
    "timers_gone": Field(
        tables.timers,
        ("run_id", "name"),
        f"DELETE FROM timers t USING {{rows}} WHERE {same('t.run_id', 'n.run_id')} AND t.name = n.name",
        lambda timer: timer,
    ),
    "timers": Field(
        tables.timers,
        ("run_id", "name", "at"),
        _upsert(tables.timers, "run_id, name", "at"),
        astuple,
        key=lambda timer: (timer.run_id, timer.name),
    ),
    "values_gone": Field(
        tables.run_values,
        _VALUE,
        f"DELETE FROM run_values v USING {{rows}} WHERE {same('v.run_id', 'n.run_id')}"
        f" AND v.kind = n.kind AND v.key = n.key AND {floor('v.run_id')}",
        lambda value: value,
        floored=True,
    ),
    "values": Field(
        tables.run_values,
        StoredValue.__struct_fields__,
        _insert(tables.run_values, StoredValue.__struct_fields__) + " WHERE n.place IS NULL",
        astuple,
        key=lambda value: (value.run_id, value.kind, value.key),
        floored=True,
        found="SELECT n.*, (SELECT v.ctid FROM run_values v WHERE v.run_id = n.run_id AND v.kind = n.kind"
        f" AND {floor('v.run_id')} AND {newest('v.key', 'n.key')}) AS place FROM {{rows}}",
        anew=f"UPDATE run_values v SET {_KEPT} FROM {{rows}} WHERE v.ctid = n.place AND {same('v.run_id', 'n.run_id')}"
        f" AND {floor('v.run_id')}",
    ),
    "gatherings_gone": Field(
        tables.gatherings,
        ("job_id", "kind", "key", "run_id"),
        f"DELETE FROM gatherings g USING {{rows}} WHERE {same('g.job_id', 'n.job_id')} AND g.kind = n.kind"
        f" AND {same('g.key', 'n.key')} AND g.run_id = n.run_id",
        lambda item: (*item[0], item[1]),
    ),
    "gatherings": Field(
        tables.gatherings,
        ("job_id", "kind", "key", "run_id"),
        _upsert(tables.gatherings, "job_id, kind, key", "run_id"),
        lambda item: (*item[0], item[1]),
        key=lambda item: item[0],
    ),
    "schedules": Field(
        tables.schedules,
        ("job_id", "next_fire_at", "last_fired_at", "last_run_id"),
        "UPDATE schedules s SET next_fire_at = n.next_fire_at, last_fired_at = n.last_fired_at,"
        f" last_run_id = n.last_run_id FROM {{rows}} WHERE {same('s.job_id', 'n.job_id')}",
        lambda schedule: (schedule.job_id, schedule.next_fire_at, schedule.last_fired_at, schedule.last_run_id),
    ),
    "batches": Field(
        operation_tables.batch_operations,
        _BATCH,
        _upsert(operation_tables.batch_operations, _BATCH[0], *_BATCH[1:]),
        astuple,
        key=lambda batch: batch.batch_id,
    ),
    "signal_waits": Field(wait_tables.signal_waits, _WAIT, _insert(wait_tables.signal_waits, _WAIT), lambda wait: wait),
    "signal_waits_gone": Field(
        wait_tables.signal_waits,
        _WAIT,
        f"DELETE FROM signal_waits w USING {{rows}} WHERE {same('w.project_id', 'n.project_id')}"
        f" AND {same('w.event_key', 'n.event_key')} AND {same('w.run_id', 'n.run_id')}",
        lambda wait: wait,
    ),
    "kept_signals": Field(
        wait_tables.kept_signals,
        _SIGNAL,
        _insert(wait_tables.kept_signals, _SIGNAL),
        lambda kept: (kept.signal_id, kept.project_id, kept.event_key, kept.sealed, kept.created_at),
    ),
    "kept_signals_gone": Field(
        wait_tables.kept_signals,
        ("signal_id",),
        f"DELETE FROM kept_signals k USING {{rows}} WHERE {same('k.signal_id', 'n.signal_id')}",
        lambda signal_id: (signal_id,),
    ),
    "attempts": Field(
        tables.attempts,
        Attempt.__struct_fields__,
        _insert(tables.attempts, Attempt.__struct_fields__),
        astuple,
    ),
    "events": Field(
        tables.run_events, Event.__struct_fields__, _insert(tables.run_events, Event.__struct_fields__), astuple
    ),
    "idempotency": Field(
        tables.idempotency,
        ("scope", "key", "fingerprint", "target", "created_at"),
        _upsert(tables.idempotency, "scope, key", "fingerprint", "target", "created_at"),
        lambda item: (item[0].scope, item[0].key, item[0].fingerprint, item[1]),
        key=lambda item: (item[0].scope, item[0].key),
    ),
    "inbox": Field(
        tables.inbox,
        ("run_id", "command", "created_at"),
        _insert(tables.inbox, ("run_id", "command", "created_at")),
        lambda item: item,
    ),
    "outbox": Field(
        tables.outbox,
        ("topic", "run_id", "data", "created_at"),
        _insert(tables.outbox, ("topic", "run_id", "data", "created_at")),
        lambda item: item,
    ),
}
"""Field of the change set → how it is written. `turned` and `limited` are those that there were before."""

DATED = frozenset({"idempotency", "inbox", "outbox"})
"""The fields whose rows end with the transaction's time."""

LAST_WORD: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "leases_gone": ("leases", lambda run_id: run_id),
    "timers_gone": ("timers", lambda timer: timer),
    "values_gone": ("values", lambda value: value),
    "gatherings_gone": ("gatherings", lambda item: item[0]),
}
"""What is taken away → what may set it anew in the same change set, and the key that both have."""

FREED = Field(
    tables.limits,
    ("limit_key", "used", "max"),
    # Every concurrency key has a limit: those that nobody uses or waits for would pile up for ever.
    "WITH n AS MATERIALIZED (SELECT n.*, EXISTS (SELECT FROM held h WHERE h.limit_key = n.limit_key OFFSET 0)"
    f" AS waited, (SELECT l.ctid FROM limits l WHERE {newest('l.limit_key', 'n.limit_key')}) AS place FROM {{rows}}),"
    " gone AS (DELETE FROM limits l USING n WHERE NOT n.waited AND l.ctid = n.place),"
    " kept AS (UPDATE limits l SET used = n.used, max = n.max FROM n WHERE n.waited AND l.ctid = n.place)"
    " INSERT INTO limits (limit_key, used, max) SELECT limit_key, used, max FROM n WHERE waited AND place IS NULL",
    FIELDS["limits"].row,
)
JOINED = Field(
    tables.runs,
    ("run_id", "payload", "attempt"),
    "UPDATE runs r SET payload = CASE WHEN n.attempt = 1 THEN r.payload || n.payload ELSE n.payload END FROM {rows}"
    f" WHERE {same('r.run_id', 'n.run_id')} AND {floor('r.run_id')}",
    lambda item: (item[0], item[1][0], int(item[1][1])),
    floored=True,
)
REPLAYS = Field(
    tables.runs,
    ("run_id", "replayed_as", "dead_letter_left_at"),
    "UPDATE runs r SET replayed_as = n.replayed_as, dead_letter_left_at = CASE WHEN r.dead_lettered_at IS NOT NULL"
    f" THEN coalesce(r.dead_letter_left_at, n.dead_letter_left_at) END FROM {{rows}}"
    f" WHERE {same('r.run_id', 'n.run_id')} AND {floor('r.run_id')}",
    lambda replay: replay,
    floored=True,
)

PAYLOADS = Field(
    tables.runs,
    ("run_id", "payload"),
    f"UPDATE runs r SET payload = n.payload FROM {{rows}} WHERE {same('r.run_id', 'n.run_id')} AND {floor('r.run_id')}",
    lambda payload: payload,
    floored=True,
)
