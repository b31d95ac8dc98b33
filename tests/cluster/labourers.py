"""Handlers that keep books of what they did and were told, with the instants; see `tests.cluster.history.Deed`.

`toil` is on the loop, where it is cancelled when its lease is over; `labour` is in a thread, where it is not.
"""

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from runwright import Context, SyncContext, Worker, job
from tests.acceptance.handlers import lines, note, pass_gate
from tests.cluster.history import Deed, instant

Payload = dict[str, Any]


class Book:
    """The lines of one execution."""

    def __init__(self, file: str, run_id: str, lease_epoch: int) -> None:
        self._file = file
        self._of = (run_id, lease_epoch)

    def note(self, what: str, asked_at: int | None = None, name: str = "-") -> None:
        """Write a line: what was done, when it was begun, and that it is over now."""
        now = instant()
        note(self._file, what, *self._of, now if asked_at is None else asked_at, now, name)

    def saving(self, name: str) -> Callable[[bool], None]:
        """Return what notes whether an output was acknowledged, from now on."""
        asked_at = instant()
        return lambda heard: self.note("kept" if heard else "unheard", asked_at, name)


@job(retry_initial_delay_secs=0, max_attempts=100)
async def toil(ctx: Context, payload: Payload) -> dict[str, int]:
    """Save outputs, one after the other; wait at the gate before the last, if there is one."""
    book = Book(payload["file"], ctx.run_id, ctx.lease_epoch)
    book.note("begin")
    for place in range(payload["outputs"]):
        if "gate" in payload and place == payload["outputs"] - 1:
            await pass_gate(payload["gate"], str(ctx.lease_epoch))
        ctx.log(f"line {place}")
        heard, noted = False, book.saving(f"{ctx.lease_epoch}-{place}")
        try:
            await ctx.output(f"{ctx.lease_epoch}-{place}", {"epoch": ctx.lease_epoch})
            heard = True
        finally:
            noted(heard)
    book.note("end")
    return {"epoch": ctx.lease_epoch}


@job(retry_initial_delay_secs=0, max_attempts=100)
def labour(ctx: SyncContext, payload: Payload) -> dict[str, int]:
    """Save outputs, one after the other; wait at the gate before the last, if there is one."""
    book = Book(payload["file"], ctx.run_id, ctx.lease_epoch)
    book.note("begin")
    for place in range(payload["outputs"]):
        if "gate" in payload and place == payload["outputs"] - 1:
            with socket.create_connection(("127.0.0.1", payload["gate"])) as gate:
                gate.sendall(f"{ctx.lease_epoch}\n".encode())
                gate.recv(8)
        heard, noted = False, book.saving(f"{ctx.lease_epoch}-{place}")
        try:
            ctx.output(f"{ctx.lease_epoch}-{place}", {"epoch": ctx.lease_epoch})
            heard = True
        finally:
            noted(heard)
    book.note("end")
    return {"epoch": ctx.lease_epoch}


def deeds(file: Path) -> list[Deed]:
    """Return what was written in a book."""
    return [
        Deed(what, run_id, int(epoch), int(asked), int(answered), None if name == "-" else name)  # type: ignore[arg-type]
        for what, run_id, epoch, asked, answered, name in lines(file)
    ]


app = Worker([toil, labour])
