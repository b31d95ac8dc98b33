"""The frames of a terminal: what its viewers are told of each event of the log, encoded once for all of them.

A cursor names a place in the log of one run. As text it is opaque, and grows as the log does.
"""

from __future__ import annotations

from base64 import b32hexdecode, b32hexencode
from binascii import Error as NotBase32
from hashlib import sha256
from typing import Any, Literal

import msgspec
from msgspec import Raw

from runwright.api import instants
from runwright.domain.events import Event
from runwright.domain.terminal_events import COLUMNS, ENDED, GAP, INPUT, OUTPUT, RESIZED, ROWS, STARTED, TYPED, TYPES
from runwright.errors import InvalidRequest

PROTOCOL = "senti.terminal.v1"
STREAMS = ("stdout", "stderr", "tty")

_FORM = 1
_TAG_BYTES, _SEQ_BYTES = 4, 5
_encode = msgspec.json.Encoder().encode


class _Output(msgspec.Struct):
    chunk: Raw = Raw(b'""')
    stream: Raw = Raw(b'"stdout"')
    command_id: Raw = Raw(b'""')
    encoding: Raw = Raw(b'"utf-8"')


class _Chunk(msgspec.Struct, tag_field="t", tag="chunk"):
    cursor: str
    seq: int
    ts: str
    command_id: Raw
    stream: Raw
    encoding: Raw
    data: Raw
    redacted: int


_output = msgspec.json.Decoder(_Output).decode
_data = msgspec.json.Decoder().decode


def cursor(run_id: str, seq: int) -> str:
    """Return the cursor after an event of a run; 0 is before the first."""
    return b32hexencode(bytes([_FORM]) + _tag(run_id) + seq.to_bytes(_SEQ_BYTES)).decode()


def place(run_id: str, given: str) -> int:
    """Return the seq of a cursor. Raises `InvalidRequest` for what is none, or another run's."""
    try:
        raw = b32hexdecode(given)
    except (NotBase32, ValueError):
        raw = b""
    if len(raw) != 1 + _TAG_BYTES + _SEQ_BYTES or raw[0] != _FORM or raw[1 : 1 + _TAG_BYTES] != _tag(run_id):
        raise InvalidRequest.at("cursor", "is no cursor of this terminal", code="cursor.invalid")
    return int.from_bytes(raw[1 + _TAG_BYTES :])


def _tag(run_id: str) -> bytes:
    return sha256(run_id.encode()).digest()[:_TAG_BYTES]


def frame(event: Event) -> bytes:
    """Return the frame of an event and a line feed; nothing for an event that is no terminal's."""
    if event.type not in TYPES:
        return b""
    if event.data is None:
        return _gap(event.run_id, event.seq - 1, event.seq, "erased") + b"\n"
    if event.type == OUTPUT:
        return _chunk(event, event.data) + b"\n"
    return _OTHERS[event.type](event, _data(event.data)) + b"\n"


def _chunk(event: Event, data: bytes) -> bytes:
    told = _output(data)  # its text is passed on as it is spelled, however long
    frame = _Chunk(
        cursor=cursor(event.run_id, event.seq),
        seq=event.seq,
        ts=instants.text(event.created_at),
        command_id=told.command_id,
        stream=told.stream,
        encoding=told.encoding,
        data=told.chunk,
        redacted=data.count(b"[redacted:"),
    )
    return _encode(frame)


def _line(kind: str, event: Event, told: dict[str, Any]) -> bytes:
    where = {"cursor": cursor(event.run_id, event.seq), "seq": event.seq, "ts": instants.text(event.created_at)}
    return _encode({"t": kind, **where, **told})


def _command_start(event: Event, data: dict[str, Any]) -> bytes:
    told = {
        "command_id": data["command_id"],
        "argv_redacted": data.get("command", []),
        "cwd": data.get("cwd", ""),
        "tty": data.get("tty", False),
        "stdin": data.get("stdin", False),
        "cols": data.get("cols", COLUMNS),
        "rows": data.get("rows", ROWS),
        "step_event_id": event.event_id,
    }
    return _line("command_start", event, told)


def _command_end(event: Event, data: dict[str, Any]) -> bytes:
    told = {
        "command_id": data["command_id"],
        "exit_code": data.get("exit_code"),
        "signal": data.get("signal"),
        "duration_ms": data.get("duration_ms", 0),
        "output_bytes": data.get("output_bytes", 0),
        "dropped_bytes": data.get("dropped_bytes", 0),
        "sha256": data.get("sha256", ""),
    }
    return _line("command_end", event, told)


def _limit(event: Event, data: dict[str, Any]) -> bytes:
    here = cursor(event.run_id, event.seq)
    return _line(
        "gap",
        event,
        {
            "from": here,
            "to": here,
            "reason": data["reason"],
            "command_id": data["command_id"],
            "most": data["most"],
        },
    )


def _input(event: Event, data: dict[str, Any]) -> bytes:
    told = {
        "command_id": data["command_id"],
        "what": data["what"],
        "by": event.actor,
        "input_id": data["input_id"],
        "bytes": data.get("bytes", 0),
        "cols": data.get("cols"),
        "rows": data.get("rows"),
        "id": data.get("ref"),
    }
    return _line("input", event, told)


def _typed(event: Event, data: dict[str, Any]) -> bytes:
    told = {
        "command_id": data["command_id"],
        "by": data["by"],
        "input_id": data.get("input_id"),
        "bytes": data.get("bytes", 0),
        "echoed": data.get("echoed", False),
        "encoding": data.get("encoding", "utf-8"),
        "data": data.get("chunk", ""),
    }
    return _line("typed", event, told)


def _resize(event: Event, data: dict[str, Any]) -> bytes:
    return _line("resize", event, {"command_id": data["command_id"], "cols": data["cols"], "rows": data["rows"]})


_OTHERS = {
    STARTED: _command_start,
    ENDED: _command_end,
    GAP: _limit,
    INPUT: _input,
    TYPED: _typed,
    RESIZED: _resize,
}


def _gap(run_id: str, after: int, through: int, reason: Literal["retention", "erased"]) -> bytes:
    to = cursor(run_id, through)
    return _encode({"t": "gap", "cursor": to, "from": cursor(run_id, after), "to": to, "reason": reason})


def pruned(run_id: str, after: int, through: int) -> bytes:
    """Say that retention has removed what was between two places."""
    return _gap(run_id, after, through, "retention")


def hello(run_id: str, first_seq: int, head_seq: int) -> bytes:
    """Say what the terminal is, and where it stands."""
    told = {
        "t": "hello",
        "run_id": run_id,
        "protocol": PROTOCOL,
        "first_cursor": cursor(run_id, first_seq - 1),
        "head_cursor": cursor(run_id, head_seq),
        "streams": STREAMS,
        "cols": COLUMNS,
        "rows": ROWS,
        "retention": {"first_seq": first_seq},
    }
    return _encode(told)


def eof(run_id: str, seq: int, digest: str | None) -> bytes:
    """Say that the run has ended; `digest` is that of all the bytes its terminal holds."""
    return _encode({"t": "eof", "final_cursor": cursor(run_id, seq), "sha256": digest})
