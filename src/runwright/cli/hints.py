"""What to do about an error: one table from what went wrong to a sentence for the person at the keyboard."""

from runwright.cli import exits
from runwright.client.errors import ApiError, ClientError, ServerUnreachable, StreamGap, UnexpectedAnswer
from runwright.errors import Error, InvalidSettings

_BY_CODE = {
    "runs.thread_busy": "Wait for it, or add --on-busy enqueue (or interrupt); `runwright threads runs ID` names it.",
    "runs.not_waiting": "See what runs ask with `runwright inputs list`; --steer says something by the way.",
    "runs.approval_required": "See it with `runwright approvals show ID`, then approve or deny it.",
    "ALREADY_DECIDED": "See what became of it with `runwright approvals show ID`.",
    "SUBJECT_CHANGED": "Look at it again (`runwright approvals show ID`), and decide about what it is now.",
    "NOT_AN_APPROVER": "Somebody with the role approver or admin decides it (`runwright members list`).",
    "SELF_APPROVAL_FORBIDDEN": "Ask another approver: `runwright members list` shows who has the role.",
    "APPROVAL_EXPIRED": "The run has gone on, denied; start it again to be asked again.",
    "runs.line_full": "Wait until some of them have ended; `runwright threads runs ID` lists them.",
    "routes.no_provider": "Make it (`runwright providers create`), or change the route (`runwright routes update`).",
    "store.locked": "Stop the other server, or give this one a directory of its own: --data-dir DIR.",
    "store.read_only": "Let this user write the data directory, or name another: --data-dir DIR. On PostgreSQL: GRANT.",
    "store.schema_mismatch": "`runwright db status` shows its schema and that of this version.",
    "auth.unauthenticated": "Give a valid key: --api-key KEY or RUNWRIGHT_API_KEY (see `runwright doctor`).",
    "auth.missing_scope": "Use a key that has it; `runwright keys create --scope …` makes one.",
    "idempotency.mismatch": "Use another idempotency key, or exactly the request that the key was used for.",
    "runs.invalid_transition": "See its state with `runwright runs get ID`.",
    "server.overloaded": "Try again in a moment.",
    "limits.rate": "Try again in a moment.",
}

_LISTED = frozenset({
    "environments", "jobs", "keys", "members", "personas", "projects", "providers", "queues", "routes", "runs",
    "secrets", "threads", "users", "workers", "workflows",
})  # fmt: skip

_BY_STATUS = {
    404: "Check the id or slug; `runwright jobs list` and `runwright runs list` show what is there.",
    422: "Change what is named above.",
    503: "Try again in a moment.",
}


def hint(error: ClientError | Error) -> tuple[str, str, int, str]:
    """Return message, advice, exit code and stable code for an error of the client or the server."""
    match error:
        case ServerUnreachable():
            advice = "Is it running? Start it with `runwright serve`, or name another: --url http://HOST:PORT."
            return str(error), advice, exits.FAILED, "client.unreachable"
        case UnexpectedAnswer():
            return str(error), "Check --url: another program may be listening there.", exits.FAILED, "client.unexpected"
        case StreamGap():
            advice = "Retention removed them; `runwright runs get ID` shows what is left of the run."
            return str(error), advice, exits.FAILED, "client.stream_gap"
        case ApiError():
            advice = _BY_CODE.get(error.code) or _found(error.code) or _BY_STATUS.get(error.status, "")
            trace = f" (request {error.request_id})" if error.request_id and error.status >= 500 else ""
            return f"{error.message} [{error.code}]{trace}", advice, exits.FAILED, error.code
        case InvalidSettings():
            lines = "\n".join(f"  {field.path}: {field.message}" for field in error.fields)
            return f"The settings are not valid:\n{lines}", "", exits.USAGE, error.code
        case Error():
            return f"{error.detail} [{error.code}]", _BY_CODE.get(error.code, ""), exits.FAILED, error.code
    return str(error), "", exits.FAILED, "client.error"


def _found(code: str) -> str:
    """Return where to look for what is not there; nothing for another error."""
    things, _, what = code.partition(".")
    return (
        f"Check it; `runwright {things} list` shows what is there." if what == "not_found" and things in _LISTED else ""
    )
