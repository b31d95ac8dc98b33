"""`runwright runs reschedule|debug|free-key`: change what a run is about to do, and what is remembered of it."""

from typing import Annotated

from cyclopts import Parameter

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.inputs import instant, json_object


def reschedule(
    run: str,
    /,
    *,
    at: str,
    payload: Annotated[str | None, Parameter(alias="-p", allow_leading_hyphen=True)] = None,
    connection: Connection = HERE,
) -> None:
    """Let a run that has not begun begin at another time; until when it may begin moves with it.

    Example: `runwright runs reschedule RUN --at 2026-12-31T23:59:00Z`

    Parameters
    ----------
    run
        Id of the run.
    at
        Instant; one that is past means now.
    payload
        Payload in place of its own: JSON, @FILE or - for standard input.
    """
    body = None if payload is None else json_object(payload, "--payload")
    with connection.client() as client:
        printing.show_record(client.runs.reschedule(run, instant(at, "--at"), body), connection.json)


def debug(run: str, /, *, off: bool = False, connection: Connection = HERE) -> None:
    """Record what is handed to the attempts of a run from now on, and what comes back.

    Example: `runwright runs debug RUN`

    Parameters
    ----------
    run
        Id of the run.
    off
        Record no more.
    """
    with connection.client() as client:
        printing.show_record(client.runs.debug(run, not off), connection.json)


def free_key(run: str, /, *, connection: Connection = HERE) -> None:
    """Let the next request with the idempotency key of a run make a run of its own.

    Example: `runwright runs free-key RUN`

    Parameters
    ----------
    run
        Id of the run.
    """
    with connection.client() as client:
        printing.show_record(client.runs.free_key(run), connection.json)
