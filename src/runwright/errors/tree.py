"""The errors that tell of Runwright itself; see the package for the tree, and `upstream` for those of others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

Noun = Literal[
    "approval", "artifact", "batch", "budget", "checkpoint", "delivery", "dependency", "environment", "event", "job",
    "key", "loop", "member", "message", "organization", "output", "persona", "project", "provider", "queue", "route",
    "run", "secret", "subscription", "thread", "user", "value", "version", "worker", "workflow",
]  # fmt: skip


class Error(Exception):
    """Tell a caller that a request was wrong or that the world broke.

    `detail` is safe to show to that caller; `data` holds JSON details; `code` and `retryable` default to the class's.
    """

    code: str = "error"
    summary: str = "Something went wrong."
    retryable: bool = False

    def __init__(
        self,
        detail: str | None = None,
        *,
        code: str | None = None,
        data: Mapping[str, Any] | None = None,
        retryable: bool | None = None,
    ) -> None:
        self.detail = self.summary if detail is None else detail
        self.data = dict(data) if data is not None else None
        if code is not None:
            self.code = code
        if retryable is not None:
            self.retryable = retryable
        super().__init__(self.detail)


# --- asked wrongly ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FieldError:
    """Name one wrong field: `path` as `items[0].payload`, `message` without the value."""

    path: str
    message: str


class InvalidRequest(Error):
    """Refuse a request that does not say what it must; `fields` names each wrong place."""

    code = "request.invalid"
    summary = "The request is not valid."

    def __init__(
        self,
        detail: str | None = None,
        *,
        fields: Sequence[FieldError] = (),
        code: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        if detail is None and fields:
            detail = "; ".join(f"{field.path}: {field.message}" if field.path else field.message for field in fields)
        super().__init__(detail, code=code, data=data)
        self.fields = list(fields)

    @classmethod
    def at(cls, path: str, message: str, *, code: str | None = None) -> Self:
        """Refuse the one field at `path`."""
        return cls(fields=[FieldError(path, message)], code=code)


class AmbiguousRequest(InvalidRequest):
    """Refuse a request that names what it means in two ways, or in none."""

    code = "request.ambiguous"
    summary = "The request names what it means in two ways, or in none."


class BudgetRequired(InvalidRequest):
    """Refuse a loop without any ceiling."""

    code = "loops.budget_required"
    summary = "The loop has no ceiling."


class PolicyInvalid(InvalidRequest):
    """Refuse a policy, a list of suppressions or a baseline that does not say what such a file may say."""

    code = "policy.invalid"
    summary = "The policy file is not valid."

    @classmethod
    def of(cls, name: str, place: str, line: int | None, message: str) -> Self:
        """Refuse a file for what stands at a place of it, and in a line, as far as that is known."""
        where = name if line is None else f"{name}:{line}"
        detail = ": ".join(part for part in (where, place, message) if part)
        data = {"file": name, "line": line, "place": place}
        return cls(detail, fields=[FieldError(place, message)], data=data)


class UnsupportedMedia(InvalidRequest):
    """Refuse a body that is not JSON."""

    code = "request.unsupported_media"
    summary = "The body must be sent as application/json."


class MethodNotAllowed(InvalidRequest):
    """Refuse a method that the path does not have; `allow` names those that it has."""

    code = "request.method_not_allowed"
    summary = "The path does not have this method."

    def __init__(self, allow: Sequence[str]) -> None:
        super().__init__(data={"allow": sorted(allow)})
        self.allow = sorted(allow)


class RangeNotSatisfiable(InvalidRequest):
    """Refuse a range that begins behind the end of what has `size` bytes."""

    code = "request.range_not_satisfiable"
    summary = "The range lies behind the end."

    def __init__(self, size: int) -> None:
        super().__init__(f"There are {size} bytes; ask for a range that begins before their end.", data={"size": size})
        self.size = size


class InvalidSettings(InvalidRequest):
    """Refuse to start with wrong settings; `fields` names every one of them."""

    code = "settings.invalid"
    summary = "The settings are not valid."


class NotFound(Error):
    """Say that nothing of the caller's has this id; the same answer whether it never was or is another's."""

    code = "not_found"
    summary = "There is nothing here."

    def __init__(self, noun: Noun | None = None, ident: str | None = None) -> None:
        if noun is None:
            super().__init__()
        else:
            named = f"{noun} {ident[:128]!r}" if ident is not None else f"such {noun}"
            super().__init__(f"There is no {named}.", code=not_found(noun))


# --- conflicts --------------------------------------------------------------------------------------------------------


class Conflict(Error):
    """Refuse what the present state does not allow."""

    code = "conflict"
    summary = "The present state does not allow this."


class LoopActive(Conflict):
    """Refuse a second loop over a repository at one ref."""

    code = "loops.already_active"
    summary = "A loop works at this repository and ref already: wait for it, or cancel it."


class InvalidTransition(Conflict):
    """Refuse a command that the run's state does not take."""

    code = "runs.invalid_transition"
    summary = "The run's state does not take this command."


class StaleLease(Conflict):
    """Refuse a write of an attempt whose lease epoch is over; nothing changed."""

    code = "runs.stale_lease"
    summary = "The lease of this attempt is over."


class Overtaken(Conflict):
    """Refuse a write that was made by a view of the run's log which is old; nothing changed, try again."""

    code = "runs.overtaken"
    summary = "Another process wrote to the run."
    retryable = True


class IdempotencyMismatch(Conflict):
    """Refuse an idempotency key that was used for another request."""

    code = "idempotency.mismatch"
    summary = "This idempotency key was used for another request."


class AlreadyExists(Conflict):
    """Refuse a name that is taken."""

    code = "conflict.already_exists"
    summary = "This name is taken."


# --- denied -----------------------------------------------------------------------------------------------------------


class Denied(Error):
    """Refuse a caller."""

    code = "auth.denied"
    summary = "This is not allowed."


class Unauthenticated(Denied):
    """Refuse missing, unknown, revoked or expired credentials, without saying which."""

    code = "auth.unauthenticated"
    summary = "Valid credentials are required."


class StaleToken(Unauthenticated):
    """Refuse a run token whose lease is over: the run is not executed under it any more, so stop working on it."""

    code = "auth.stale_token"
    summary = "The lease of this run token is over; stop working on the run."


class MissingScope(Denied):
    """Refuse a known caller whose credentials lack `scope`."""

    code = "auth.missing_scope"
    summary = "The credentials lack a scope."

    def __init__(self, scope: str) -> None:
        super().__init__(f"This needs the scope {scope!r}; ask for a key that has it.", data={"scope": scope})
        self.scope = scope


# --- limits -----------------------------------------------------------------------------------------------------------


class LimitExceeded(Error):
    """Refuse what goes past a limit."""

    code = "limits.exceeded"
    summary = "A limit is reached."


class RateLimited(LimitExceeded):
    """Refuse for now: too many requests or streams of one caller; come back after `retry_after_s`."""

    code = "limits.rate"
    summary = "Too many requests."
    retryable = True

    def __init__(self, detail: str | None = None, *, retry_after_s: float = 1.0, code: str | None = None) -> None:
        super().__init__(detail, code=code, data={"retry_after_s": retry_after_s})
        self.retry_after_s = retry_after_s


class QuotaExceeded(LimitExceeded):
    """Refuse what a quota of the organization or project does not hold."""

    code = "limits.quota"
    summary = "The quota is used up."


class TooLarge(LimitExceeded):
    """Refuse a body or value of more bytes than its limit."""

    code = "request.too_large"
    summary = "The request is too large."


class TooSlow(LimitExceeded):
    """Give up on something that did not end in its time."""

    code = "limits.time"
    summary = "This took too long."
    retryable = True


class Overloaded(LimitExceeded):
    """Refuse for now: the server has more work accepted than it may; nothing of the request was kept."""

    code = "server.overloaded"
    summary = "The server has too much work at the moment."
    retryable = True

    def __init__(self, detail: str | None = None, *, retry_after_s: float = 1.0, code: str | None = None) -> None:
        super().__init__(detail, code=code, data={"retry_after_s": retry_after_s})
        self.retry_after_s = retry_after_s


# --- gone -------------------------------------------------------------------------------------------------------------


class Gone(Error):
    """Say that it was here and is no more."""

    code = "gone"
    summary = "This is no longer here."


class RunEnded(Gone):
    """Refuse what only a run that goes on can take from its executing side."""

    code = "runs.ended"
    summary = "The run has ended."


# --- the store --------------------------------------------------------------------------------------------------------


class StoreError(Error):
    """Report the database's failure; the transaction changed nothing."""

    code = "store.error"
    summary = "The store failed."


class StoreUnavailable(StoreError):
    """Report a database that cannot be reached or is too busy; trying again may help."""

    code = "store.unavailable"
    summary = "The store is not available at the moment."
    retryable = True


class OutcomeUnknown(StoreUnavailable):
    """Report a commit whose answer was lost: it may have been written. With an idempotency key, ask again."""

    code = "store.outcome_unknown"
    summary = "The database was lost while it committed; what was asked may have been done."


class StoreLocked(StoreError):
    """Refuse to open a data directory that another server holds."""

    code = "store.locked"
    summary = "Another server is using this data directory."


class StoreReadOnly(StoreError):
    """Refuse a data directory that cannot be written."""

    code = "store.read_only"
    summary = "The data directory cannot be written."


class SchemaMismatch(StoreError):
    """Refuse a database whose schema this version does not know."""

    code = "store.schema_mismatch"
    summary = "The database has a schema that this version does not know."


class ChainBroken(StoreError):
    """Report a log whose hash chain does not verify."""

    code = "store.chain_broken"
    summary = "The hash chain of a log does not verify."


class Internal(Error):
    """Stand for a failure of ours, of which nothing is shown; the log has it, under the request id."""

    code = "internal"
    summary = "Something went wrong here; the log has it under this request id."


_PLURALS = {"batch": "batches", "delivery": "deliveries", "dependency": "dependencies"}


def not_found(noun: Noun) -> str:
    """Return the code of a missing `noun`."""
    return f"{_PLURALS.get(noun, noun + 's')}.not_found"
