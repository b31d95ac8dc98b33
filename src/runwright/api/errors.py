"""Answer errors: one table from class to status, and the two shapes of the surfaces."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import msgspec

from runwright import errors

STATUS: dict[type[errors.Error], int] = {
    errors.Error: 500,
    errors.InvalidRequest: 422,
    errors.AmbiguousRequest: 400,
    errors.UnsupportedMedia: 415,
    errors.MethodNotAllowed: 405,
    errors.RangeNotSatisfiable: 416,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Denied: 403,
    errors.Unauthenticated: 401,
    errors.LimitExceeded: 429,
    errors.TooLarge: 413,
    errors.TooSlow: 408,
    errors.Overloaded: 503,
    errors.Gone: 410,
    errors.StoreError: 500,
    errors.StoreUnavailable: 503,
    errors.StoreLocked: 503,
    errors.StoreReadOnly: 503,
    errors.UpstreamError: 502,
}
"""The status of each class; a class that is not here has its parent's."""

_log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class Problem(msgspec.Struct, frozen=True):
    """An error of `/v1` and `/sdk/v1`; `error` and `message` are the same text."""

    error: str
    code: str
    message: str
    request_id: str
    trace_id: str
    details: dict[str, Any] | None


class RuntimeProblem(msgspec.Struct, frozen=True):
    """What is wrong, as `/api/v1` says it."""

    code: str
    message: str
    details: dict[str, Any] | None
    request_id: str


class RuntimeAnswer(msgspec.Struct, frozen=True):
    """An error of `/api/v1`."""

    error: RuntimeProblem


RUNTIME = "/api/v1"
RUNTIME_CODES: dict[str, str] = {
    "auth.unauthenticated": "AUTH_REQUIRED",
    "auth.missing_scope": "MISSING_SCOPE",
    "request.invalid": "VALIDATION",
    "cursor.invalid": "CURSOR_MALFORMED",
    "cursor.expired": "CURSOR_EXPIRED",
    "events.not_found": "CURSOR_NOT_FOUND",
    "runs.not_found": "RUN_NOT_FOUND",
    "run_ids.empty": "EMPTY_RUN_IDS",
    "run_ids.too_many": "TOO_MANY_RUN_IDS",
    "run_ids.duplicate": "DUPLICATE_RUN_IDS",
    "runs.mode_not_allowed": "MODE_NOT_ALLOWED",
    "budget.unpriced": "UNPRICED_MODEL",
    "loops.already_active": "LOOP_ALREADY_ACTIVE",
    "loops.budget_required": "BUDGET_REQUIRED",
    "loops.mode_not_write_capable": "MODE_NOT_WRITE_CAPABLE",
    "loops.no_targets": "NO_TARGETS",
    "loops.not_found": "LOOP_NOT_FOUND",
    "artifacts.not_found": "ARTIFACT_NOT_FOUND",
    "approvals.not_found": "CHECKPOINT_NOT_FOUND",
    "approvals.already_decided": "ALREADY_DECIDED",
    "approvals.subject_changed": "SUBJECT_CHANGED",
    "approvals.not_an_approver": "NOT_AN_APPROVER",
    "approvals.self_approval": "SELF_APPROVAL_FORBIDDEN",
    "approvals.expired": "APPROVAL_EXPIRED",
    "evidence.profile_forbidden": "PROFILE_FORBIDDEN",
    "evidence.redaction_failed": "REDACTION_FAILED",
}
"""The words of `/api/v1` for codes; for those that are not here the code itself in capitals is the word."""


def runtime_code(code: str) -> str:
    """Return the word that `/api/v1` has for a code."""
    return RUNTIME_CODES.get(code) or code.replace(".", "_").upper()


def status_of(kind: type[errors.Error]) -> int:
    """Return the status of an error's class."""
    return next(STATUS[each] for each in kind.__mro__ if each in STATUS)


def answer(failure: Exception, path: str, request_id: str, trace_id: str) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body for whatever a request ended with; what is not ours is logged and hidden."""
    error = known(failure, request_id)
    if path.startswith(RUNTIME):
        problem = RuntimeProblem(runtime_code(error.code), error.detail, _details(error), request_id)
        body = _encode(RuntimeAnswer(problem))
    else:
        body = _encode(Problem(error.detail, error.code, error.detail, request_id, trace_id, _details(error)))
    return status_of(type(error)), dict(_headers(error)), body


def known(failure: Exception, request_id: str) -> errors.Error:
    """Return whatever a request ended with as an error of ours; what is not ours is logged and hidden."""
    if isinstance(failure, errors.Error):
        if status_of(type(failure)) >= 500:
            _log.warning("request %s: %s: %s", request_id, failure.code, failure.detail)
        return failure
    if isinstance(failure, RecursionError):
        return errors.InvalidRequest("The request is nested too deeply.")
    _log.error("request %s failed", request_id, exc_info=failure)
    return errors.Internal()


def _details(error: errors.Error) -> dict[str, Any] | None:
    if isinstance(error, errors.InvalidRequest) and error.fields:
        fields = [{"path": field.path, "message": field.message} for field in error.fields]
        return {"fields": fields, **(error.data or {})}
    return error.data


def _headers(error: errors.Error) -> Mapping[str, str]:
    if isinstance(error, errors.MethodNotAllowed):
        return {"allow": ", ".join(error.allow)}
    if isinstance(error, errors.RangeNotSatisfiable):
        return {"content-range": f"bytes */{error.size}"}
    if isinstance(error, errors.TooSlow):
        return {"connection": "close"}  # the rest may still come, and nobody would read it
    if isinstance(error, errors.Unauthenticated):
        return {"www-authenticate": "Bearer"}
    wait = getattr(error, "retry_after_s", None)
    if wait is None and status_of(type(error)) == 503:
        wait = 1
    return {} if wait is None else {"retry-after": str(max(1, math.ceil(wait)))}
