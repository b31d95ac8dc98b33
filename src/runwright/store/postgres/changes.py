"""Write a change set: every table in one statement, a data-modifying CTE for each field that is not empty.

All parts of such a statement see the database as it was before it, and none sees what another writes; so no two of them
may touch one row. They do not: births are new runs and `moved` old ones; a head is new, moved or gone; what leaves
`ready` or `held` leaves another place than what enters there. Where one key may stand in two fields, or twice in one
(a timer taken away and set anew, a value written twice), only the last word is written (`_Field.key`, `_LAST_WORD`).
What must see what was written before it comes apart: limits that fell to zero, which look whether anybody is held by
them, and replays, whose run may have moved.

Who locks nothing here: the rows of a run stand under the lock of its head, keys and limits under their own. Only turns
are anybody's, and nobody waits for them: an old turn that another transaction is writing is left as that one makes it.

A condition reads `= ANY (ARRAY[n.x])` instead of `= n.x` where it must be the way into an index: an equality could also
be read from the table's side, row by row through all of it, and would be, for a table that was empty when last counted.
`EXISTS (… OFFSET 0)` is looked up for each row, and never turned into a join, for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from msgspec.structs import astuple
from sqlalchemy import BigInteger, Float, Integer, LargeBinary, Table, Text

from runwright.domain.batch_operations import BatchOperation
from runwright.domain.events import Event
from runwright.domain.run import Run
from runwright.store import operation_tables, rows, tables
from runwright.store.base import Attempt, ChangeSet, Lease, Row, StoredValue
from runwright.store.postgres.connection import Connection
from runwright.store.postgres.escapes import escaped

_ARRAYS = {Text: "text[]", Integer: "int[]", BigInteger: "bigint[]", Float: "float8[]", LargeBinary: "bytea[]"}
_FREE_TEXT = frozenset(
    {"message", "actor", "error", "error_class", "key", "scope", "limit_key", "held_by", "worker_id"}
)
"""The columns that hold what people and programs wrote: only there a U+0000 may stand."""


class Field(NamedTuple):
    """How a field of the change set is written: `sql` with `{rows}` for its items as a table of these columns."""

    table: Table
    columns: tuple[str, ...]
    sql: str
    row: Callable[[Any], Row]
    key: Callable[[Any], Any] | None = None
    floored: bool = False
    """Whether `{low}` stands for the smallest run id, so that no older partition is opened."""


def same(column: str, value: str) -> str:
    """Return the condition that a column is a value, as the way into an index and nothing else."""
    return f"{column} = ANY (ARRAY[{value}])"


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
# The planner takes what lies between two unknown bounds for next to nothing, and would read all of it instead of the
# rows in hand; what lies beyond one bound it takes for a third of the table. The rows in hand it takes for one, if an
# unknown limit stands over them: so they come first, however small it believes the table to be.
_FLOOR = ">= {low}"
_FEW = "(SELECT * FROM {rows} LIMIT {count}) AS n"
_READY, _HELD = ("lane", "rank", "run_id"), ("limit_key", "rank", "run_id")
_VALUE = ("run_id", "kind", "key")
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
        f" WHERE {same('r.run_id', 'n.run_id')} AND r.run_id {_FLOOR}",
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
        _upsert(tables.limits, "limit_key", "used", "max"),
        lambda item: (item[0], item[1].used, item[1].max),
    ),
    "turns": Field(
        tables.turns,
        ("queue", "project_id", "last_turn"),
        "INSERT INTO turns (queue, project_id, last_turn) SELECT queue, project_id, last_turn FROM {rows}"
        " WHERE NOT EXISTS (SELECT FROM turns t WHERE t.queue = n.queue AND t.project_id = n.project_id OFFSET 0)"
        " ORDER BY queue, project_id ON CONFLICT DO NOTHING",
        lambda item: (*item[0], item[1]),
    ),
    "turned": Field(
        tables.turns,
        ("queue", "project_id", "last_turn"),
        "UPDATE turns t SET last_turn = n.last_turn FROM (SELECT f.ctid AS place, n.last_turn FROM {rows}"
        " CROSS JOIN LATERAL (SELECT t.ctid FROM turns t WHERE t.queue = n.queue AND t.project_id = n.project_id"
        " FOR UPDATE SKIP LOCKED) f) n WHERE t.ctid = n.place",
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
        f" AND v.kind = n.kind AND v.key = n.key AND v.run_id {_FLOOR}",
        lambda value: value,
        floored=True,
    ),
    "values": Field(
        tables.run_values,
        StoredValue.__struct_fields__,
        _upsert(tables.run_values, "run_id, kind, key", *StoredValue.__struct_fields__[3:]),
        astuple,
        key=lambda value: (value.run_id, value.kind, value.key),
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
"""Field of the change set → how it is written. `turned` are the turns that there were before."""

_DATED = frozenset({"idempotency", "inbox", "outbox"})
"""The fields whose rows end with the transaction's time."""

_LAST_WORD: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "leases_gone": ("leases", lambda run_id: run_id),
    "timers_gone": ("timers", lambda timer: timer),
    "values_gone": ("values", lambda value: value),
}
"""What is taken away → what may set it anew in the same change set, and the key that both have."""

_FREED = Field(
    tables.limits,
    ("limit_key", "used", "max"),
    # Every concurrency key has a limit: those that nobody uses or waits for would pile up for ever.
    "WITH n AS MATERIALIZED (SELECT n.*, EXISTS (SELECT FROM held h WHERE h.limit_key = n.limit_key OFFSET 0) AS waited"
    " FROM {rows}), gone AS (DELETE FROM limits l USING n"
    f" WHERE NOT n.waited AND {same('l.limit_key', 'n.limit_key')})"
    " INSERT INTO limits (limit_key, used, max) SELECT limit_key, used, max FROM n WHERE waited"
    " ON CONFLICT (limit_key) DO UPDATE SET used = excluded.used, max = excluded.max",
    FIELDS["limits"].row,
)
_REPLAYS = Field(
    tables.runs,
    ("run_id", "replayed_as", "dead_letter_left_at"),
    "UPDATE runs r SET replayed_as = n.replayed_as, dead_letter_left_at = CASE WHEN r.dead_lettered_at IS NOT NULL"
    f" THEN coalesce(r.dead_letter_left_at, n.dead_letter_left_at) END FROM {{rows}}"
    f" WHERE {same('r.run_id', 'n.run_id')} AND r.run_id {_FLOOR}",
    lambda replay: replay,
    floored=True,
)

_PAYLOADS = Field(
    tables.runs,
    ("run_id", "payload"),
    f"UPDATE runs r SET payload = n.payload FROM {{rows}} WHERE {same('r.run_id', 'n.run_id')} AND r.run_id {_FLOOR}",
    lambda payload: payload,
    floored=True,
)


async def apply(connection: Connection, changes: ChangeSet, now: int) -> None:
    """Write a change set inside the open transaction."""
    limits = dict(changes.limits)
    freed = {key: limits.pop(key) for key, slots in changes.limits.items() if slots.used == 0}
    names: list[str] = []
    values: list[Any] = []
    for name, field in FIELDS.items():
        items = list(limits.items()) if name == "limits" else _items(changes, "turns" if name == "turned" else name)
        if items:
            names.append(name)
            values += _arrays(field, items, now if name in _DATED else None)
    if names:
        await connection.execute(_together(tuple(names)), *values)
    if freed:
        await connection.execute(_alone(_FREED), *_arrays(_FREED, list(freed.items())))
    if changes.payloads:
        await connection.execute(_alone(_PAYLOADS), *_arrays(_PAYLOADS, list(dict(changes.payloads).items())))
    if changes.replays:
        await connection.execute(_alone(_REPLAYS), *_arrays(_REPLAYS, changes.replays, now))


def _items(changes: ChangeSet, name: str) -> Sequence[Any]:
    items = getattr(changes, name)
    if not items:
        return ()
    if isinstance(items, dict):
        return list(items.items())
    key = FIELDS[name].key
    if key is not None and len(items) > 1:
        return list({key(item): item for item in items}.values())
    if name in _LAST_WORD:
        setter, of = _LAST_WORD[name]
        anew = {FIELDS[setter].key(item) for item in getattr(changes, setter)}  # type: ignore[misc]
        return [item for item in dict.fromkeys(items) if of(item) not in anew] if anew else items
    return items  # type: ignore[no-any-return]


def _arrays(field: Field, items: Sequence[Any], at: int | None = None) -> list[Any]:
    """Return the items as one array for each column, with their smallest run id and number where asked for."""
    columns = [list(column) for column in zip(*map(field.row, items), strict=True)]
    # A shorter array is filled up with NULL, and each element costs time on its way: a third of them are nothing else.
    columns = [[] if column[0] is None and column.count(None) == len(column) else column for column in columns]
    if at is not None:
        columns.append([at] * len(items))
    for place, name in enumerate(field.columns):
        if name in _FREE_TEXT:
            columns[place] = list(map(escaped, columns[place]))
    return [*columns, min(columns[0]), len(items)] if field.floored else columns


def _written(field: Field, first: int) -> tuple[str, int]:
    """Return the SQL of a field whose parameters begin at a number, and the number after them."""
    types = [_ARRAYS[type(field.table.c[name].type)] for name in field.columns]
    numbers = range(first, first + len(types))
    arrays = ", ".join(f"${number}::{kind}" for number, kind in zip(numbers, types, strict=True))
    sql, after = field.sql, numbers.stop
    if field.floored:
        few = _FEW.replace("{count}", f"${after + 1}::bigint")
        sql = sql.replace("{low}", f"${after}::text").replace("{rows}", few)
        after += 2
    sql = sql.replace("{rows}", f"unnest({arrays}) AS n({', '.join(field.columns)})")
    return sql, after


@lru_cache(maxsize=512)
def _together(names: tuple[str, ...]) -> str:
    parts, number = [], 1
    for name in names:
        sql, number = _written(FIELDS[name], number)
        parts.append(f"write_{name} AS ({sql})")  # not `name`: that of a table would hide it
    return f"WITH {', '.join(parts)} SELECT"


@lru_cache(maxsize=8)
def _alone(field: Field) -> str:
    return _written(field, 1)[0]
