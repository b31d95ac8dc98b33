"""The hot statements of SQLite, by hand. Lists of ids travel as one JSON parameter.

Concurrency: there is one writer connection and `SqliteStore.write` lets one transaction at a time use it, so a row that
a transaction read is locked by the transaction itself; no statement here needs a lock of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import apsw
from msgspec import Struct
from msgspec.structs import astuple

from runwright.domain.batch_operations import BatchOperation
from runwright.domain.events import Event
from runwright.domain.run import Run
from runwright.domain.schedule import Schedule
from runwright.store import rows
from runwright.store.base import Attempt, ChangeSet, Lease, Row, StoredValue


def _insert(table: str, columns: Iterable[str]) -> str:
    names = tuple(columns)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


def _columns(record: type[Struct]) -> str:
    return ", ".join(record.__struct_fields__)


def _prefixed(prefix: str, columns: Iterable[str]) -> str:
    return ", ".join(f"{prefix}.{column}" for column in columns)


_STANDING = ", ".join(f"{column} = ?" for column in rows.STANDING)
_HEAD = ", ".join(f"{column} = ?" for column in rows.HEAD)
LIVE = f"r.opening, {_prefixed('r', rows.STANDING)}, {_prefixed('h', rows.HEAD)}"
_IDS = "(SELECT value FROM json_each(?))"

RUNS = f"SELECT {LIVE} FROM runs r LEFT JOIN run_heads h USING (run_id) WHERE r.run_id IN {_IDS}"

RECORDS = (
    f"SELECT {LIVE}, r.payload, r.result, r.dead_letter_left_at, r.replayed_as, r.erased_at, r.pruned_at,"
    " l.lease_epoch, l.worker_id, l.until, l.fence_at"
    " FROM json_each(?) wanted JOIN runs r ON r.run_id = wanted.value"
    " LEFT JOIN run_heads h ON h.run_id = r.run_id LEFT JOIN leases l ON l.run_id = r.run_id ORDER BY wanted.key"
)

EVENTS = f"SELECT {_columns(Event)} FROM run_events WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?"
EVENTS_FITTING = (
    f"SELECT {_columns(Event)} FROM run_events WHERE run_id = ?1 AND seq > ?2 AND seq <= (SELECT max(seq) FROM"
    " (SELECT seq, sum(bytes) OVER (ORDER BY seq) - bytes AS before FROM (SELECT seq, coalesce(octet_length(data), 0)"
    " AS bytes FROM run_events WHERE run_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3)) WHERE before < ?4) ORDER BY seq"
)
SPECS = f"SELECT run_id, opening FROM runs WHERE run_id IN {_IDS}"
PAYLOADS = f"SELECT run_id, payload FROM runs WHERE run_id IN {_IDS}"
DEAD_LETTERS = (
    f"SELECT run_id FROM runs WHERE run_id IN {_IDS} AND dead_lettered_at IS NOT NULL AND dead_letter_left_at IS NULL"
)
LEASES = f"SELECT {_columns(Lease)} FROM leases WHERE run_id IN {_IDS}"
SCHEDULES = f"SELECT {_columns(Schedule)} FROM schedules WHERE job_id IN {_IDS}"
LIMITS = f"SELECT limit_key, used, max FROM limits WHERE limit_key IN {_IDS}"
GATHERING = "SELECT run_id FROM gatherings WHERE job_id = ? AND kind = ? AND key = ?"
IDEMPOTENCY = "SELECT fingerprint, target FROM idempotency WHERE scope = ? AND key = ? AND created_at > ?"
TAKE = "SELECT lane, rank, run_id FROM ready WHERE lane = ? ORDER BY rank, run_id LIMIT ?"
UNREADY = "DELETE FROM ready WHERE lane = ? AND rank = ? AND run_id = ?"
HELD = "SELECT limit_key, rank, run_id FROM held WHERE limit_key = ? ORDER BY rank, run_id LIMIT ?"
# From lane to lane by the index: however many runs wait in them, a lane costs one look.
_LANES = (
    "WITH RECURSIVE lanes(lane) AS (SELECT min(lane) FROM ready WHERE lane >= ?1 AND lane < ?2 UNION ALL"
    " SELECT (SELECT min(lane) FROM ready WHERE ready.lane > lanes.lane AND ready.lane < ?2)"
    " FROM lanes WHERE lane IS NOT NULL)"
)
LANES = f"{_LANES} SELECT lane FROM lanes WHERE lane IS NOT NULL"
DEPTHS = (
    f"{_LANES} SELECT lane, (SELECT count(*) FROM (SELECT 1 FROM ready WHERE ready.lane = lanes.lane LIMIT 1000))"
    " FROM lanes WHERE lane IS NOT NULL"
)
FLOOR = (
    f"{_LANES} SELECT coalesce("
    "(SELECT min((SELECT min(rank) FROM ready WHERE ready.lane = lanes.lane)) FROM lanes WHERE lane IS NOT NULL),"
    " (SELECT max(last_turn) FROM turns WHERE queue = ?1), 0.0)"
)
PAUSED = "SELECT queue FROM paused_queues"
LEASES_OF = f"SELECT {_columns(Lease)} FROM leases WHERE worker_id = ? ORDER BY run_id"
TURN = "SELECT last_turn FROM turns WHERE queue = ? AND project_id = ?"
ANY_READY = "SELECT EXISTS (SELECT 1 FROM ready WHERE lane = ?)"
INBOX = "SELECT entry, run_id, command FROM inbox WHERE entry > ? ORDER BY entry LIMIT ?"
DUE = "SELECT run_id, name, at FROM timers WHERE at <= ? ORDER BY at LIMIT ?"
NEXT_TIMER = "SELECT min(at) FROM timers"
LAPSED = (
    f"SELECT {_columns(Lease)} FROM leases WHERE until <= ?1 OR fence_at <= ?1 ORDER BY until <= ?1, until LIMIT ?2"
)
RENEW = "UPDATE leases SET until = ? WHERE run_id = ? AND lease_epoch = ? AND worker_id = ? RETURNING run_id"
STARVED = (
    "WITH RECURSIVE waiting(limit_key) AS (SELECT min(limit_key) FROM held UNION ALL SELECT (SELECT min(limit_key)"
    " FROM held WHERE held.limit_key > waiting.limit_key) FROM waiting WHERE limit_key IS NOT NULL)"
    " SELECT limit_key FROM waiting LEFT JOIN limits USING (limit_key)"
    " WHERE limit_key IS NOT NULL AND coalesce(used < max, 1) LIMIT ?"
)
DELIVER = f"DELETE FROM inbox WHERE entry IN {_IDS}"
OUTBOX = "SELECT entry, topic, run_id, data FROM outbox WHERE topic = ? ORDER BY entry LIMIT ?"
SETTLE = f"DELETE FROM outbox WHERE entry IN {_IDS}"
VALUES = f"SELECT {_columns(StoredValue)} FROM run_values WHERE run_id = ? AND kind = ? ORDER BY key"
ATTEMPTS = f"SELECT {_columns(Attempt)} FROM attempts WHERE run_id = ? ORDER BY lease_epoch"
ENDED = (
    "SELECT run_id, org_id, state, finished_at, seq, hash, genesis, opening, pruned_at FROM runs"
    f" WHERE run_id IN {_IDS} AND finished_at IS NOT NULL ORDER BY run_id"
)
THINNED_ARTIFACTS = f"SELECT artifact FROM run_values WHERE artifact IS NOT NULL AND run_id IN {_IDS}"
THIN_RECORDS = tuple(
    f"DELETE FROM {table} WHERE run_id IN {_IDS}" for table in ("run_events", "run_values", "attempts", "approvals")
)
THIN = "UPDATE runs SET pruned_at = ?, pruned_way = ?, payload = NULL, result = NULL WHERE run_id = ?"
FORGET = f"DELETE FROM runs WHERE run_id IN {_IDS}"


def _ready(run: Run) -> Row:
    return (run.spec.lane, run.rank, run.run_id)


def _held(run: Run) -> Row:
    return (run.held_by, run.rank, run.run_id)


WRITES: tuple[tuple[str, str, Callable[[Any], Row]], ...] = (
    (
        "births",
        _insert("runs", (*rows.IDENTITY, *rows.STANDING)),
        lambda birth: rows.identity(birth) + rows.standing(birth.run),
    ),
    (
        "moved",
        f"UPDATE runs SET {_STANDING}, result = coalesce(?, result) WHERE run_id = ?",
        lambda moved: (*rows.standing(moved[0]), moved[1], moved[0].run_id),
    ),
    ("heads_new", _insert("run_heads", ("run_id", *rows.HEAD)), lambda run: (run.run_id, *rows.head(run))),
    ("heads_moved", f"UPDATE run_heads SET {_HEAD} WHERE run_id = ?", lambda run: (*rows.head(run), run.run_id)),
    ("heads_gone", "DELETE FROM run_heads WHERE run_id = ?", lambda run_id: (run_id,)),
    ("unready", UNREADY, _ready),
    ("unheld", "DELETE FROM held WHERE limit_key = ? AND rank = ? AND run_id = ?", _held),
    ("ready", _insert("ready", ("lane", "rank", "run_id")), _ready),
    ("held", _insert("held", ("limit_key", "rank", "run_id")), _held),
    (
        "limits",
        "INSERT INTO limits (limit_key, used, max) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (limit_key) DO UPDATE SET used = ?2, max = ?3",
        lambda item: (item[0], item[1].used, item[1].max),
    ),
    (
        "limits",  # every concurrency key has one: those that nobody uses or waits for would pile up for ever
        "DELETE FROM limits WHERE limit_key = ?1 AND used = 0"
        " AND NOT EXISTS (SELECT 1 FROM held WHERE held.limit_key = ?1)",
        lambda item: (item[0],),
    ),
    (
        "turns",
        "INSERT INTO turns (queue, project_id, last_turn) VALUES (?1, ?2, ?3)"
        " ON CONFLICT (queue, project_id) DO UPDATE SET last_turn = ?3",
        lambda item: (*item[0], item[1]),
    ),
    ("leases_gone", "DELETE FROM leases WHERE run_id = ?", lambda run_id: (run_id,)),
    ("leases", _insert("leases", Lease.__struct_fields__), astuple),
    ("fences", "UPDATE leases SET fence_at = ?2 WHERE run_id = ?1", lambda fence: fence),
    ("timers_gone", "DELETE FROM timers WHERE run_id = ? AND name = ?", lambda timer: timer),
    (
        "timers",
        "INSERT INTO timers (run_id, name, at) VALUES (?1, ?2, ?3) ON CONFLICT (run_id, name) DO UPDATE SET at = ?3",
        astuple,
    ),
    (
        "values_gone",
        "DELETE FROM run_values WHERE run_id = ? AND kind = ? AND key = ?",
        lambda value: value,
    ),
    (
        "gatherings_gone",
        "DELETE FROM gatherings WHERE job_id = ? AND kind = ? AND key = ? AND run_id = ?",
        lambda item: (*item[0], item[1]),
    ),
    (
        "gatherings",
        "INSERT INTO gatherings (job_id, kind, key, run_id) VALUES (?1, ?2, ?3, ?4)"
        " ON CONFLICT (job_id, kind, key) DO UPDATE SET run_id = ?4",
        lambda item: (*item[0], item[1]),
    ),
    (
        "joined",
        "UPDATE runs SET payload = CASE WHEN ?3 THEN CAST(payload || ?2 AS BLOB) ELSE ?2 END WHERE run_id = ?1",
        lambda item: (item[0], *item[1]),
    ),
    (
        "schedules",
        "UPDATE schedules SET next_fire_at = ?, last_fired_at = ?, last_run_id = ? WHERE job_id = ?",
        lambda schedule: (schedule.next_fire_at, schedule.last_fired_at, schedule.last_run_id, schedule.job_id),
    ),
    ("payloads", "UPDATE runs SET payload = ?2 WHERE run_id = ?1", lambda item: item),
    (
        "batches",
        _insert("batch_operations", BatchOperation.__struct_fields__) + " ON CONFLICT (batch_id) DO UPDATE SET"
        " created_count = excluded.created_count, finished_at = excluded.finished_at, results = excluded.results",
        astuple,
    ),
    (
        "signal_waits_gone",
        "DELETE FROM signal_waits WHERE project_id = ? AND event_key = ? AND run_id = ?",
        lambda wait: wait,
    ),
    ("signal_waits", _insert("signal_waits", ("project_id", "event_key", "run_id")), lambda wait: wait),
    ("kept_signals_gone", "DELETE FROM kept_signals WHERE signal_id = ?", lambda signal_id: (signal_id,)),
    (
        "kept_signals",
        _insert("kept_signals", ("signal_id", "project_id", "event_key", "sealed", "created_at")),
        lambda kept: (kept.signal_id, kept.project_id, kept.event_key, kept.sealed, kept.created_at),
    ),
    ("attempts", _insert("attempts", Attempt.__struct_fields__), astuple),
    ("events", _insert("run_events", Event.__struct_fields__), astuple),
    (
        "values",
        "INSERT INTO run_values (run_id, kind, key, sealed, artifact, note, created_at)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (run_id, kind, key)"
        " DO UPDATE SET sealed = ?4, artifact = ?5, note = ?6, created_at = ?7",
        astuple,
    ),
)
"""(field of the change set, statement, one item → its values), in the order in which they are written."""


DATED: tuple[tuple[str, str, Callable[[Any], Row]], ...] = (
    (
        "idempotency",
        "INSERT INTO idempotency (scope, key, fingerprint, target, created_at) VALUES (?1, ?2, ?3, ?4, ?5)"
        " ON CONFLICT (scope, key) DO UPDATE SET fingerprint = ?3, target = ?4, created_at = ?5",
        lambda item: (item[0].scope, item[0].key, item[0].fingerprint, item[1]),
    ),
    ("inbox", _insert("inbox", ("run_id", "command", "created_at")), lambda item: item),
    ("outbox", _insert("outbox", ("topic", "run_id", "data", "created_at")), lambda item: item),
    (
        "replays",
        "UPDATE runs SET replayed_as = ?2, dead_letter_left_at ="
        " CASE WHEN dead_lettered_at IS NOT NULL THEN coalesce(dead_letter_left_at, ?3) END WHERE run_id = ?1",
        lambda replay: replay,
    ),
)
"""The same for rows that carry the transaction's time as their last value."""


def apply(cursor: apsw.Cursor, changes: ChangeSet, now: int) -> None:
    """Write a change set inside the open transaction."""
    for field, statement, row in WRITES:
        items = getattr(changes, field)
        if items:
            cursor.executemany(statement, map(row, items.items() if isinstance(items, dict) else items))
    for field, statement, row in DATED:
        items = getattr(changes, field)
        if items:
            cursor.executemany(statement, ((*row(item), now) for item in items))
