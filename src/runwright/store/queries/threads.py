"""Statements of threads, their messages, the runs of a thread, whose turn it is, and what is asked."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Integer,
    LargeBinary,
    bindparam,
    delete,
    func,
    literal_column,
    select,
    update,
)

from runwright.domain.thread import Message, Thread
from runwright.store.base import Row
from runwright.store.queries.shapes import inserting, paging, rows, setting
from runwright.store.query import Query
from runwright.store.thread_tables import (
    busy_threads,
    enqueued_runs,
    messages,
    pending_inputs,
    thread_runs,
    threads,
)

_there = threads.c.deleted_at.is_(None)
_thread: BindParameter[str] = bindparam("thread_id")
_limit = bindparam("limit", type_=Integer)
_bound = bindparam("bound", type_=Integer)
_NO = literal_column("0", Integer)

INSERT_THREAD = inserting(threads)
SET_THREAD = setting(threads, "thread_id", "title", "persona_id", "route_id", "metadata", "updated_at")
END_THREAD = setting(threads, "thread_id", "title", "metadata", "deleted_at", "erased_at", "updated_at")
MOVE_SEQ = setting(threads, "thread_id", "next_message_seq", "updated_at")
THREAD = Query(rows(threads, Thread, threads.c.thread_id == _thread, _there))
ANY_THREAD = Query(rows(threads, Thread, threads.c.thread_id == _thread))
THREADS = paging(rows(threads, Thread, threads.c.org_id == bindparam("org_id"), _there), threads.c.thread_id)
THREADS_OF_PROJECT = paging(
    rows(threads, Thread, threads.c.project_id == bindparam("project_id"), _there), threads.c.thread_id
)

INSERT_MESSAGE = inserting(messages)
_of_thread = messages.c.thread_id == _thread
_read = messages.c.deleted_at.is_(None)
_message = select(*(messages.c[name] for name in Message.__struct_fields__))
_shown = _message.where(_of_thread, _read, messages.c.hidden == _NO)
MESSAGES = (
    Query(
        _shown.where(messages.c.seq > bindparam("bound", type_=Integer)).order_by(messages.c.seq.asc()).limit(_limit)
    ),
    Query(
        _shown.where(messages.c.seq < bindparam("bound", type_=Integer)).order_by(messages.c.seq.desc()).limit(_limit)
    ),
)
PLACE = Query(select(messages.c.seq).where(_of_thread, messages.c.message_id == bindparam("message_id")))
_at = bindparam("at", type_=BigInteger)
PLACE_AT = (
    Query(select(func.max(messages.c.seq)).where(_of_thread, messages.c.created_at < _at)),
    Query(select(func.min(messages.c.seq)).where(_of_thread, messages.c.created_at >= _at)),
)
MESSAGE = Query(_message.where(messages.c.message_id == bindparam("message_id"), _read))
TRANSCRIPT = Query(
    _message.where(
        _of_thread,
        _read,
        messages.c.seq > bindparam("after", type_=Integer),
        messages.c.seq <= bindparam("through", type_=Integer),
    )
    .order_by(messages.c.seq)
    .limit(_limit)
)
LAST_SHOWN = Query(_shown.order_by(messages.c.seq.desc()).limit(literal_column("1", Integer)))
_gone = {"deleted_at": bindparam("deleted_at"), "sealed": bindparam("empty", type_=LargeBinary)}
TAKE_BACK = Query(
    update(messages)
    .where(messages.c.thread_id == bindparam("row"), messages.c.run_id == bindparam("row_run"), _read)
    .where(messages.c.role != literal_column("'user'"))
    .values(_gone)
)
TAKE_BACK_ONE = Query(update(messages).where(messages.c.message_id == bindparam("row")).values(_gone))
DELETE_MESSAGES = Query(delete(messages).where(_of_thread))

INSERT_RUN = inserting(thread_runs)
SET_THROUGH = Query(
    update(thread_runs)
    .where(thread_runs.c.thread_id == bindparam("row"), thread_runs.c.run_id == bindparam("row_run"))
    .values(through_message_seq=bindparam("through_message_seq", type_=Integer))
)
THROUGH = Query(
    select(thread_runs.c.through_message_seq).where(
        thread_runs.c.thread_id == _thread, thread_runs.c.run_id == bindparam("run_id")
    )
)
RUNS = paging(select(thread_runs.c.run_id).where(thread_runs.c.thread_id == _thread), thread_runs.c.run_id)

BUSY = Query(select(busy_threads.c.run_id).where(busy_threads.c.thread_id == _thread))
INSERT_BUSY = inserting(busy_threads)
DELETE_BUSY = Query(delete(busy_threads).where(busy_threads.c.thread_id == _thread))
LINE = Query(
    select(
        enqueued_runs.c.run_id,
        enqueued_runs.c.message_id,
        enqueued_runs.c.sealed,
        enqueued_runs.c.created_by,
        enqueued_runs.c.place,
    )
    .where(enqueued_runs.c.thread_id == _thread)
    .order_by(enqueued_runs.c.place)
)
INSERT_ENQUEUED = inserting(enqueued_runs)
DELETE_ENQUEUED = Query(
    delete(enqueued_runs).where(enqueued_runs.c.thread_id == _thread, enqueued_runs.c.run_id == bindparam("run_id"))
)

INSERT_PENDING = inserting(pending_inputs)
DELETE_PENDING = Query(delete(pending_inputs).where(pending_inputs.c.run_id == bindparam("run_id")))
_pending = select(
    pending_inputs.c.run_id,
    pending_inputs.c.project_id,
    pending_inputs.c.thread_id,
    pending_inputs.c.request_id,
    pending_inputs.c.asked,
    pending_inputs.c.created_at,
)
PENDING = Query(_pending.where(pending_inputs.c.run_id == bindparam("run_id")))
INPUTS = paging(_pending.where(pending_inputs.c.org_id == bindparam("org_id")), pending_inputs.c.run_id)
INPUTS_OF_PROJECT = paging(
    _pending.where(pending_inputs.c.project_id == bindparam("project_id")), pending_inputs.c.run_id
)

_encode = msgspec.json.Encoder(order="deterministic").encode
_metadata = msgspec.json.Decoder(dict[str, str]).decode


def row(thread: Thread) -> dict[str, Any]:
    """Return the columns of a thread."""
    return msgspec.structs.asdict(thread) | {"metadata": _encode(thread.metadata)}


def encoded(metadata: dict[str, str]) -> bytes:
    """Return the metadata of a thread as they are stored."""
    return _encode(metadata)


def thread(found: Row) -> Thread:
    """Return the thread of a row."""
    named = dict(zip(Thread.__struct_fields__, found, strict=True))
    return Thread(**named | {"metadata": _metadata(named["metadata"])})


def message(found: Row) -> Message:
    """Return the message of a row."""
    named = dict(zip(Message.__struct_fields__, found, strict=True))
    return Message(**named | {"hidden": bool(named["hidden"])})
