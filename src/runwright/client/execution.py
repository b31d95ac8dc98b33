"""Execute a handler under a session, and tell how it ended as a value."""

import asyncio
import contextvars
import traceback
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any

from runwright.client.blocking import SyncContext
from runwright.client.context import Context
from runwright.client.errors import (
    LeaseLost,
    NonRetryable,
    NotJson,
    Park,
    PayloadInvalid,
    ResultNotJson,
    RetryLater,
    Stop,
)
from runwright.client.facts import Checkpoint
from runwright.client.guard import CancelOnStop, Guard
from runwright.client.handlers import Handler
from runwright.client.host import OnLoop
from runwright.client.json_values import json_copy
from runwright.client.outcome import Completed, Failed, Outcome, Parked, Stopped
from runwright.client.session import Session

EFFECT_GRACE_S = 5.0
MESSAGE_MAX = 4096
TRACEBACK_MAX = 4096


async def run_handler(
    handler: Handler[Any, Any],
    session: Session,
    *,
    threads: Executor | None = None,
    effect_grace_s: float = EFFECT_GRACE_S,
) -> Outcome:
    """Call the handler with its context and payload, and return how it ended; no exception of it gets out.

    An async handler is awaited right here, without a task of its own; a sync one runs in `threads` (default: the
    loop's executor). When the session asks for a stop, the handler's await is cancelled (a step that takes effect
    is given `effect_grace_s` to end first) and its next call of the context raises; a thread that does neither goes on,
    without effect. Raises `LeaseLost` when the session does, and `CancelledError` when the caller's task is cancelled.
    """
    guard = Guard(session.stop)
    try:
        arguments = handler.arguments(session.payload)
        checkpoint = Checkpoint(await session.values("checkpoint"))
        if handler.is_async:
            with CancelOnStop(guard, effect_grace_s):
                context = Context(session, guard, checkpoint, OnLoop(session))
                returned = await handler.fn(context, *arguments)
        else:
            returned = await _in_thread(handler, arguments, session, guard, checkpoint, threads)
        return Completed(_json_result(handler, returned))
    except BaseException as error:  # noqa: BLE001 - every ending becomes a value, or is raised again there
        return _ending(error)
    finally:
        guard.close()


async def _in_thread(
    handler: Handler[Any, Any],
    arguments: tuple[Any, ...],
    session: Session,
    guard: Guard,
    checkpoint: Checkpoint,
    threads: Executor | None,
) -> Any:
    loop = asyncio.get_running_loop()
    context = SyncContext(session, guard, checkpoint, loop)

    def call() -> tuple[Any, BaseException | None]:
        # An exception crosses as a value: a future refuses StopIteration, and then nobody would ever hear of the end.
        try:
            return handler.fn(context, *arguments), None
        except BaseException as error:  # noqa: BLE001 - see above
            return None, error

    returned, raised = await loop.run_in_executor(threads, contextvars.copy_context().run, call)
    if raised is not None:
        if isinstance(raised, StopIteration):  # as in a coroutine, where Python does the same (PEP 479)
            raise RuntimeError("the handler raised StopIteration") from raised
        raise raised
    return returned


def _json_result(handler: Handler[Any, Any], returned: Any) -> Any:
    if returned is None:
        return None
    try:
        return json_copy(returned)
    except NotJson as wrong:
        raise ResultNotJson(f"The result of {handler.slug!r} is not JSON: {wrong}.") from None


def _ending(error: BaseException) -> Outcome:
    """Turn what came out of a handler into an outcome, or raise it again where it is none of the handler's."""
    leaves = list(_leaves(error))
    for leaf in leaves:
        if isinstance(leaf, KeyboardInterrupt | LeaseLost):
            raise leaf
    if isinstance(error, asyncio.CancelledError) and _cancelled_by_caller():
        raise error
    for leaf in leaves:
        if isinstance(leaf, Stop):
            return Stopped(leaf.kind)
    errors = [leaf for leaf in leaves if not isinstance(leaf, Park)]
    if not errors:
        return _parked([leaf for leaf in leaves if isinstance(leaf, Park)])
    final = next((leaf for leaf in errors if isinstance(leaf, NonRetryable)), error)
    return _failed(errors[0] if len(errors) == 1 else final)


def _parked(parks: list[Park]) -> Outcome:
    """Return the wait of a handler whose tasks wait, all of them: one after the other, sleeps first.

    What comes for the others meanwhile is kept for them: events for a while, the end of a child for good.
    """
    sleeps = [park.wake_at for park in parks if park.on == "timer" and park.wake_at is not None]
    if sleeps:
        return Parked(min(sleeps))
    return Parked(parks[0].wake_at, parks[0].on, parks[0].key, parks[0].name)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the exceptions in a group, such as a TaskGroup makes of what its tasks raised; else the exception."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _cancelled_by_caller() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _failed(error: BaseException) -> Failed:
    return Failed(
        error_class=_qualified(type(error)),
        message=_text(error)[:MESSAGE_MAX],
        retryable=not isinstance(error, NonRetryable),
        retry_after_s=error.after_s if isinstance(error, RetryLater) else None,
        code=error.code if isinstance(error, NonRetryable) else None,
        traceback="" if isinstance(error, PayloadInvalid | ResultNotJson) else _stack(error)[-TRACEBACK_MAX:],
    )


def _qualified(kind: type[BaseException]) -> str:
    plain = kind.__module__ in ("builtins", NonRetryable.__module__)
    return kind.__qualname__ if plain else f"{kind.__module__}.{kind.__qualname__}"


def _text(error: BaseException) -> str:
    try:
        return str(error) or type(error).__name__
    except Exception as broken:  # noqa: BLE001 - a __str__ of somebody else's may do anything
        return f"{type(error).__name__}, which cannot be shown ({type(broken).__name__})"


def _stack(error: BaseException) -> str:
    """Return the traceback from the handler's own first frame on."""
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None and frames.tb_frame.f_code.co_filename in _OURS:
        frames = frames.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, frames, chain=True))
    except Exception:  # noqa: BLE001 - the text of a foreign exception again
        return "".join(traceback.format_tb(frames))


_OURS = frozenset({__file__})
