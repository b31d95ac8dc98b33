"""Record what is handed to the code of an attempt, and what comes back from it, for runs in debug mode.

Both are redacted before they are cut: a secret that a cut would go through is gone by then.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from runwright.domain.amendments import Exchanged
from runwright.domain.events import Draft
from runwright.domain.redaction import Redactor, compose
from runwright.domain.run import Run
from runwright.engine.values import encode
from runwright.errors import InvalidRequest

BODY_MAX_BYTES = 65_536
"""How much of a body is kept."""

HIDDEN = "[redacted:token]"
_SECRET = ("token", "signature", "authorization", "cookie", "api-key", "secret")

Way = Literal["debug.request", "debug.response"]


def captured(redactor: Redactor, way: Way, attempt: int, head: Mapping[str, Any], body: bytes, hide: str = "") -> Draft:
    """Return the record of one way of an exchange; `hide` is a secret that no pattern knows."""
    shown = _hidden(body, hide)
    try:
        text = redactor.raw(shown).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        text = redactor.text(shown.decode("utf-8", "replace"))
    encoded = text.encode()
    data = Exchanged(
        attempt,
        msgspec.json.decode(redactor.data(_without_secrets(head, hide))),
        encoded[:BODY_MAX_BYTES].decode("utf-8", "ignore"),
        len(body),
        len(encoded) > BODY_MAX_BYTES,
    )
    return Draft(way, compose(data), level="debug")


def _hidden(body: bytes, hide: str) -> bytes:
    return body.replace(hide.encode(), HIDDEN.encode()) if hide else body


def _without_secrets(head: Mapping[str, Any], hide: str) -> dict[str, Any]:
    clean: dict[str, Any] = {}
    for name, value in head.items():
        if isinstance(value, Mapping):
            clean[name] = _without_secrets(value, hide)
        elif isinstance(value, str) and value and name.lower().endswith(_SECRET):
            clean[name] = HIDDEN
        else:
            clean[name] = value.replace(hide, HIDDEN) if hide and isinstance(value, str) else value
    return clean


def handed_over(run: Run) -> dict[str, Any]:
    """Return what a worker is told of a run beside its payload."""
    spec = run.spec
    return {
        "handler": spec.handler,
        "worker_id": run.worker_id,
        "lease_epoch": run.lease_epoch,
        "metadata": run.metadata,
        "tags": spec.tags,
        "idempotency_key": spec.idempotency_key,
    }


def came_back(ended: msgspec.Struct) -> tuple[dict[str, Any], bytes]:
    """Return how a worker said that an attempt ended: what it told beside the result or the error, and that."""
    told = msgspec.structs.asdict(ended)
    body = b""
    if "result" in told:
        with contextlib.suppress(InvalidRequest):  # what is not JSON ends the attempt, and says so itself
            body = encode(told["result"])
    elif "message" in told:
        body = told["message"].encode("utf-8", "replace")
    head = {
        name: value for name, value in told.items() if name not in ("result", "message") and value not in (None, "")
    }
    return {"outcome": type(ended).__name__.lower(), **head}, body
