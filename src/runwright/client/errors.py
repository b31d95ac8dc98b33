"""Everything that this package raises: to handlers, out of handlers, and to callers of the API.

::

    Exception
    ├─ NonRetryable             raise it in a handler: the run fails now, whatever attempts are left
    │  ├─ PayloadInvalid        the payload is not what the handler's annotation says
    │  ├─ NotJson               a value to keep is not JSON
    │  │  ├─ ResultNotJson      the handler returned it
    │  │  └─ StepResultNotJson  a step did
    │  ├─ ChildFailed           a spawned run whose end the handler waited for did not complete
    │  └─ StepOutcomeUnknown    an unsafe step started in an earlier attempt and nobody knows whether it finished
    ├─ RetryLater               raise it in a handler: try again, not before `after_s`
    └─ ClientError
       ├─ ApiError              the server answered with an error
       ├─ ServerUnreachable     there was no answer
       ├─ UnexpectedAnswer      there was one, but not the API's
       └─ StreamGap             events are missing from a stream, and the server says so
    BaseException               (so that `except Exception` in a handler does not hold them up)
    └─ Interruption
       ├─ Park                  the handler sleeps or waits; its execution goes on under another lease
       ├─ Stop                  the handler was asked to stop
       └─ LeaseLost             the lease is over: whatever the handler does now has no effect
"""

from typing import Any, Literal

StopKind = Literal["cancel", "restart", "pause"]
"""What a handler can be asked to stop for."""

On = Literal["timer", "event", "child"]
"""What a handler can wait for without a worker."""


class NonRetryable(Exception):
    """Fail the run for good: raise it (or a subclass) in a handler when trying again cannot help."""

    code: str | None = None


class RetryLater(Exception):
    """Fail the attempt and try again not before `after_s` seconds, if attempts are left."""

    def __init__(self, after_s: float, message: str = "") -> None:
        super().__init__(message or f"try again in {after_s:g} s")
        self.after_s = after_s


class PayloadInvalid(NonRetryable):
    """Say that the payload is not what the handler's annotation asks for."""

    code = "payload.invalid"


class NotJson(NonRetryable, ValueError):
    """Say which part of a value to keep is not JSON."""

    code = "value.not_json"


class ResultNotJson(NotJson):
    """Say that the handler returned something that is not JSON."""

    code = "result.not_json"


class StepResultNotJson(NotJson):
    """Say that a step returned something that is not JSON; its effect, if it has one, took place."""

    code = "step.result_not_json"


class StepOutcomeUnknown(NonRetryable):
    """Say that an unsafe step had started under an earlier lease and did not finish: it may have taken effect.

    A handler may catch it, find out what happened, and go on.
    """

    code = "step.outcome_unknown"

    def __init__(self, name: str, idempotency_key: str) -> None:
        super().__init__(
            f"The step {name!r} had started before and did not finish; whether it took effect is unknown "
            f"(its idempotency key: {idempotency_key})."
        )
        self.name = name
        self.idempotency_key = idempotency_key


class ChildFailed(NonRetryable):
    """Say that a child whose end the handler waited for did not complete. A handler may catch it and go on."""

    code = "child.failed"

    def __init__(self, run_id: str, status: str, error_class: str | None, error: str | None) -> None:
        super().__init__(f"The run {run_id} ended as {status}" + (f": {error_class}: {error}" if error_class else "."))
        self.run_id = run_id
        self.status = status
        self.error_class = error_class
        self.error = error


class Interruption(BaseException):
    """End the handler without being an error of it."""


class Park(Interruption):
    """End this lease and go on at `wake_at` (µs since the epoch), or when what is waited for has come.

    `on` what ("timer", "event", "child") and which one (`key`); then `wake_at` is the time limit, None for none. What
    comes is kept as the result of the step `name`.
    """

    def __init__(self, wake_at: int | None, on: On = "timer", key: str = "", name: str = "") -> None:
        super().__init__(f"sleeping until {wake_at} µs" if on == "timer" else f"waiting for the {on} {key!r}")
        self.wake_at = wake_at
        self.on: On = on
        self.key = key
        self.name = name


class Stop(Interruption):
    """End the handler because somebody asked for it."""

    def __init__(self, kind: StopKind) -> None:
        super().__init__(f"asked to stop: {kind}")
        self.kind = kind


class LeaseLost(Interruption):
    """End the handler because its lease is over; another execution may have taken the run."""


class ClientError(Exception):
    """Tell a caller of the API that it did not get what it asked for."""


class ApiError(ClientError):
    """The server answered with an error.

    `code` is stable and for programs; `retry_after_s` is set where the server said when to come back.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        request_id: str | None = None,
        details: Any = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{message} [{status} {code}]")
        self.status = status
        self.code = code
        self.message = message
        self.request_id = request_id
        self.details = details
        self.retry_after_s = retry_after_s


class ServerUnreachable(ClientError):
    """No answer came from `url`."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"no answer from {url}: {why}")
        self.url = url
        self.why = why


class UnexpectedAnswer(ClientError):
    """Something answered, but not as the Runwright API does; another program may be listening there."""


class StreamGap(ClientError):
    """Events `first` to `last` of the run can no longer be had; `last` is None where the server does not say."""

    def __init__(self, first: int, last: int | None) -> None:
        super().__init__(f"the events from {first} to {last if last is not None else '?'} are missing from the stream")
        self.first = first
        self.last = last
