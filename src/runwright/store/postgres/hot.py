"""The hot statements of PostgreSQL, by hand. Lists travel as arrays; `changes` writes.

READ COMMITTED: each statement sees what was committed before it began, and what it locks as it is once it is locked.
So a lock and a reading of what it covers are two statements, unless the reading is of the locked row itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from msgspec import Struct

from runwright.domain.events import Event
from runwright.domain.schedule import Schedule
from runwright.store import rows
from runwright.store.base import Attempt, Lease, StoredValue
from runwright.store.postgres.fields import floor, newest, same
from runwright.store.postgres.marks import Look


def _columns(record: type[Struct], prefix: str = "") -> str:
    return _prefixed(prefix, record.__struct_fields__)


def _prefixed(prefix: str, columns: Iterable[str]) -> str:
    return ", ".join(f"{prefix}{column}" for column in columns)


_HEAD = _prefixed("h.", rows.HEAD)
_LIVE = f"r.opening, {_prefixed('r.', rows.STANDING)}, {_HEAD}"
_THESE = "r.run_id = ANY ($1::text[]) AND r.run_id BETWEEN $2::text AND $3::text"
"""Runs by id, and their span: the array says nothing to the planner, the span leaves only the partitions in it open."""

_THEIR_HEADS = f"LEFT JOIN LATERAL (SELECT * FROM run_heads h WHERE {newest('h.run_id', 'r.run_id')}) h ON true"

# A head is locked by whoever moves its run; FOR UPDATE returns it as its last holder left it. One after the other, in
# the order given, which is that of ids: two transactions that want the same runs never hold what the other waits for.
_LOCK_HEADS = (
    f"SELECT f.* FROM unnest($1::text[]) AS n(run_id) CROSS JOIN LATERAL (SELECT h.run_id, {_HEAD} FROM run_heads h"
    f" WHERE {newest('h.run_id', 'n.run_id')} FOR UPDATE{{wait}}) f"
)
LOCK_HEADS = _LOCK_HEADS.format(wait="")
TRY_HEADS = _LOCK_HEADS.format(wait=" SKIP LOCKED")
RUNS = f"SELECT r.run_id, {_LIVE} FROM runs r {_THEIR_HEADS} WHERE {_THESE}"
RECORDS = (
    f"SELECT {_LIVE}, r.payload, r.result, r.dead_letter_left_at, r.replayed_as, r.erased_at, r.pruned_at,"
    " l.lease_epoch, l.worker_id, l.until, l.fence_at"
    f" FROM runs r {_THEIR_HEADS} LEFT JOIN leases l ON {same('l.run_id', 'r.run_id')} WHERE {_THESE}"
)
SPECS = f"SELECT r.run_id, r.opening FROM runs r WHERE {_THESE}"
PAYLOADS = f"SELECT r.run_id, r.payload FROM runs r WHERE {_THESE}"
EVENTS = f"SELECT {_columns(Event)} FROM run_events WHERE run_id = $1 AND seq > $2::bigint ORDER BY seq LIMIT $3"
EVENTS_FITTING = (
    f"SELECT {_columns(Event)} FROM run_events WHERE run_id = $1 AND seq > $2::bigint AND seq <= (SELECT max(seq) FROM"
    " (SELECT seq, sum(bytes) OVER (ORDER BY seq) - bytes AS before FROM (SELECT seq,"
    " coalesce(octet_length(data), 0) AS bytes FROM run_events WHERE run_id = $1 AND seq > $2::bigint ORDER BY seq"
    " LIMIT $3) s) f WHERE before < $4::bigint) ORDER BY seq"
)
"""The sizes are added up without reading what is large; what does not fit is not read at all."""
EVENTS_AFTER = (
    f"SELECT {_prefixed('f.', Event.__struct_fields__)} FROM unnest($1::text[], $2::bigint[]) AS n(run_id, seq)"
    f" CROSS JOIN LATERAL (SELECT {_columns(Event)} FROM run_events e WHERE e.run_id = n.run_id AND e.seq > n.seq"
    " ORDER BY e.seq LIMIT $3) f"
)
VALUES = f"SELECT {_columns(StoredValue)} FROM run_values WHERE run_id = $1 AND kind = $2 ORDER BY key"
ATTEMPTS = f"SELECT {_columns(Attempt)} FROM attempts WHERE run_id = $1 ORDER BY lease_epoch"

IDEMPOTENCY = (
    "SELECT i.scope, i.key, i.fingerprint, i.target FROM unnest($1::text[], $2::text[],"
    f" $3::bigint[]) AS n(scope, key, since) JOIN idempotency i ON {same('i.scope', 'n.scope')}"
    f" AND {same('i.key', 'n.key')} WHERE i.created_at > n.since"
)
GATHERINGS = (
    "SELECT g.job_id, g.kind, g.key, g.run_id FROM unnest($1::text[], $2::text[], $3::text[]) AS n(job_id, kind, key)"
    f" JOIN gatherings g ON {same('g.job_id', 'n.job_id')} AND g.kind = n.kind AND {same('g.key', 'n.key')}"
)
LIMITS = (
    "SELECT f.limit_key, f.used, f.max FROM unnest($1::text[]) AS n(limit_key) CROSS JOIN LATERAL"
    f" (SELECT * FROM limits l WHERE {newest('l.limit_key', 'n.limit_key')}) f"
)
HELD = (
    "SELECT f.limit_key, f.rank, f.run_id FROM unnest($1::text[]) AS n(limit_key) CROSS JOIN LATERAL (SELECT limit_key,"
    " rank, run_id FROM held h WHERE h.limit_key = n.limit_key ORDER BY rank, run_id LIMIT $2) f"
)
OPEN = (
    "SELECT n.lane, EXISTS (SELECT FROM ready r WHERE r.lane = n.lane AND r.rank >= n.mark ORDER BY r.lane, r.rank"
    " OFFSET 0) FROM unnest($1::text[], $2::float8[], $3::text[]) AS n(lane, mark, queue) WHERE NOT EXISTS"
    " (SELECT FROM paused_queues p WHERE p.queue = n.queue OFFSET 0)"
)
# From project to project, each by its newest version: what they left behind is stepped over.
_LATEST = (
    "WITH RECURSIVE latest(project_id, turn) AS ((SELECT t.project_id, t.last_turn FROM turns t WHERE t.queue = q.queue"
    " ORDER BY t.project_id DESC LIMIT 1) UNION ALL SELECT f.* FROM latest CROSS JOIN LATERAL (SELECT t.project_id,"
    " t.last_turn FROM turns t WHERE t.queue = q.queue AND t.project_id < latest.project_id ORDER BY t.project_id DESC"
    " LIMIT 1) f) SELECT max(turn) FROM latest"
)
PLACES = (
    "WITH floors AS MATERIALIZED (SELECT q.queue, coalesce((SELECT min(f.rank) FROM unnest($2::text[], $3::text[],"
    " $4::float8[]) AS n(queue, lane, mark) CROSS JOIN LATERAL (SELECT r.rank FROM ready r WHERE r.lane = n.lane"
    " AND r.rank >= n.mark ORDER BY r.lane, r.rank LIMIT 1) f WHERE n.queue = q.queue),"
    f" ({_LATEST}), 0) AS floor FROM unnest($1::text[]) AS q(queue))"
    " SELECT n.queue, n.project_id, f.floor, coalesce((SELECT t.last_turn FROM turns t WHERE t.queue = n.queue"
    f" AND {newest('t.project_id', 'n.project_id')}), 0) FROM unnest($5::text[], $6::text[]) AS n(queue, project_id)"
    " JOIN floors f ON f.queue = n.queue"
)
FILLED = (
    "SELECT n.lane FROM unnest($1::text[], $2::float8[]) AS n(lane, mark) WHERE EXISTS"
    " (SELECT FROM ready r WHERE r.lane = n.lane AND r.rank >= n.mark ORDER BY r.lane, r.rank OFFSET 0)"
)
# From lane to lane by the index: however many runs wait in them, a lane costs one look. What is gone of a lane that is
# known is not stepped over: it is looked at from its mark on, and the walk goes through the gaps between such lanes.
_LANES = (
    "WITH RECURSIVE unknown(lane, rank, high) AS (SELECT f.*, g.high FROM unnest($1::text[], $2::text[])"
    " AS g(low, high) CROSS JOIN LATERAL (SELECT r.lane, r.rank FROM ready r WHERE r.lane > g.low AND r.lane < g.high"
    " ORDER BY r.lane, r.rank LIMIT 1) f UNION ALL SELECT f.*, u.high FROM unknown u CROSS JOIN LATERAL (SELECT r.lane,"
    " r.rank FROM ready r WHERE r.lane > u.lane AND r.lane < u.high ORDER BY r.lane, r.rank LIMIT 1) f),"
    " lanes(lane, rank) AS (SELECT lane, rank FROM unknown UNION ALL SELECT n.lane, f.rank FROM unnest($3::text[],"
    " $4::float8[]) AS n(lane, mark) CROSS JOIN LATERAL (SELECT r.rank FROM ready r WHERE r.lane = n.lane"
    " AND r.rank >= n.mark ORDER BY r.lane, r.rank LIMIT 1) f)"
)
LANES = f"{_LANES} SELECT lane, rank FROM lanes"
DEPTHS = (
    f"{_LANES} SELECT l.lane, (SELECT count(*) FROM (SELECT FROM ready r WHERE r.lane = l.lane AND r.rank >= l.rank"
    " ORDER BY r.lane, r.rank LIMIT 1000) f) FROM lanes l"
)
STARVED = (
    "WITH RECURSIVE waiting(limit_key) AS ((SELECT h.limit_key FROM held h ORDER BY h.limit_key LIMIT 1) UNION ALL"
    " SELECT (SELECT h.limit_key FROM held h WHERE h.limit_key > waiting.limit_key ORDER BY h.limit_key LIMIT 1)"
    " FROM waiting WHERE waiting.limit_key IS NOT NULL)"
    f" SELECT w.limit_key FROM waiting w LEFT JOIN limits l ON {same('l.limit_key', 'w.limit_key')}"
    " WHERE w.limit_key IS NOT NULL AND coalesce(l.used < l.max, true) LIMIT $1"
)

# An ended run has no head: whoever takes it off the dead letter queue locks the row itself, and looks at it again then.
DEAD_LETTERS = (
    f"SELECT r.run_id FROM runs r WHERE {_THESE} AND r.dead_lettered_at IS NOT NULL AND r.dead_letter_left_at IS NULL"
    " ORDER BY r.run_id FOR UPDATE"
)

# Whoever renews and whoever ends a lease pass each other by: neither waits, so neither needs an order.
LEASES = f"SELECT {_columns(Lease)} FROM leases WHERE run_id = ANY ($1::text[]) FOR UPDATE SKIP LOCKED"
RENEW = (
    "WITH asked AS MATERIALIZED (SELECT * FROM unnest($2::text[], $3::int[], $4::bigint[]) AS n(run_id, epoch, until)),"
    " mine AS MATERIALIZED (SELECT a.run_id, a.until FROM asked a CROSS JOIN LATERAL (SELECT FROM leases l WHERE"
    " l.run_id = a.run_id AND l.lease_epoch = a.epoch AND l.worker_id = $1 FOR UPDATE SKIP LOCKED) f),"
    f" renewed AS (UPDATE leases l SET until = m.until FROM mine m WHERE {same('l.run_id', 'm.run_id')})"
    " SELECT a.run_id FROM asked a WHERE NOT EXISTS (SELECT FROM leases l WHERE l.run_id = a.run_id"
    " AND l.lease_epoch = a.epoch AND l.worker_id = $1 OFFSET 0)"
)
# A schedule that is held is being fired by another process, or its job is being changed: both see to it.
SCHEDULES = f"SELECT {_columns(Schedule)} FROM schedules WHERE job_id = ANY ($1::text[]) FOR UPDATE SKIP LOCKED"
LEASES_OF = f"SELECT {_columns(Lease)} FROM leases WHERE worker_id = $1 ORDER BY run_id"
LAPSED = (
    f"SELECT {_columns(Lease)} FROM leases WHERE until <= $1 OR fence_at <= $1 ORDER BY until <= $1, until LIMIT $2"
)
DUE = "SELECT run_id, name, at FROM timers WHERE at >= $1 AND at <= $2 ORDER BY at LIMIT $3"
NEXT_TIMER = "SELECT at FROM timers WHERE at >= $1 ORDER BY at LIMIT 1"
INBOX = "SELECT entry, run_id, command FROM inbox WHERE entry > $1 ORDER BY entry LIMIT $2"
DELIVER = "DELETE FROM inbox WHERE entry = ANY ($1::bigint[])"
OUTBOX = "SELECT entry, topic, run_id, data FROM outbox WHERE topic = $1 ORDER BY entry LIMIT $2"
SETTLE = "DELETE FROM outbox WHERE entry = ANY ($1::bigint[])"

# In the order of ids, as whoever takes runs off the dead letter queue locks them; nobody is waited for.
ENDED = (
    "SELECT r.run_id, r.org_id, r.state, r.finished_at, r.seq, r.hash, r.genesis, r.opening, r.pruned_at"
    f" FROM runs r WHERE {_THESE} AND r.finished_at IS NOT NULL ORDER BY r.run_id FOR UPDATE SKIP LOCKED"
)
_OF_THESE = "run_id = ANY ($1::text[]) AND run_id BETWEEN $2::text AND $3::text"
THINNED_ARTIFACTS = f"SELECT artifact FROM run_values WHERE artifact IS NOT NULL AND {_OF_THESE}"
THIN_RECORDS = tuple(
    f"DELETE FROM {table} WHERE {_OF_THESE}" for table in ("run_events", "run_values", "attempts", "approvals")
)
THIN = (
    "UPDATE runs r SET pruned_at = $3::bigint, pruned_way = n.way, payload = NULL, result = NULL"
    " FROM (SELECT * FROM unnest($1::text[], $2::bytea[]) AS n(run_id, way) LIMIT $5::bigint) AS n"
    f" WHERE {same('r.run_id', 'n.run_id')} AND {floor('r.run_id', '$4::text')}"
)
FORGET = f"DELETE FROM runs WHERE {_OF_THESE}"

LAST = "\U0010ffff"
"""What comes after every text that begins like the one before it."""


def around(prefix: str, looks: Sequence[Look]) -> tuple[list[str], list[str], list[str], list[float]]:
    """Return the parameters of a walk through lanes: the gaps between those that are known, these, and their marks."""
    lanes = [look.lane for look in looks]
    return [prefix, *lanes], [*lanes, prefix + LAST], lanes, [look.start for look in looks]


LANES_AT_ONCE = (1, 2, 4, 8, 16, 32)
"""For how many lanes a claim has a statement that walks them together; lanes that are missing to one are empty ones."""


@cache
def take(lanes: int) -> str:
    """Return the claim of the first `$1` runs of lanes `$2`, `$4`… from the ranks `$3`, `$5`… on, and their heads.

    The walk is lazy: the index gives each lane in order, the lanes are merged, and each run's head is locked before it
    is counted, so it ends with the last run that is claimed. A head that is locked elsewhere is passed over. Once a
    head is locked the conditions on it are looked at again, on its newest version: a run that was claimed, held or
    moved since this statement began is not in its place any more, and stays out. Whoever moves a run holds its head:
    so the row of `ready` still stands, and if it was taken away and put back meanwhile, DELETE does not see the new
    one and the run is left for the next claim.
    """
    walks = " UNION ALL ".join(
        f"(SELECT lane, rank, run_id FROM ready WHERE lane = ${number}::text AND rank >= ${number + 1}::float8"
        " ORDER BY rank, run_id)"
        for number in range(2, 2 * lanes + 2, 2)
    )
    return (
        f"WITH picked AS MATERIALIZED (SELECT w.lane, w.rank, w.run_id, {_prefixed('h.', rows.HEAD[:-2])}"
        f" FROM ({walks}) w JOIN run_heads h ON {same('h.run_id', 'w.run_id')} WHERE h.state = 'queued'"
        " AND h.rank = w.rank AND h.held_by IS NULL ORDER BY w.rank, w.run_id LIMIT $1 FOR UPDATE OF h SKIP LOCKED)"
        f" DELETE FROM ready r USING picked p WHERE {same('r.lane', 'p.lane')} AND {same('r.rank', 'p.rank')}"
        f" AND {same('r.run_id', 'p.run_id')} RETURNING p.lane, p.rank, p.run_id,"
        f" {_prefixed('p.', rows.HEAD[:-2])}, p.rank, NULL"
    )
