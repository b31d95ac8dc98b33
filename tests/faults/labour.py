"""A handler that keeps books: what it began, what it was told was kept, what it ended, each with its lease epoch.

It waits at a gate in a thread, where no cancel reaches it: what becomes of its lease, it goes on when it is let go.
"""

import socket
from typing import Any

from runwright import SyncContext, Worker, job
from tests.acceptance.handlers import note


@job(retry_initial_delay_secs=0, max_attempts=20)
def labour(ctx: SyncContext, payload: dict[str, Any]) -> dict[str, int]:
    """Keep an output, wait at the gate, and keep another; each is named after the lease and its place."""
    file, epoch = payload["file"], ctx.lease_epoch
    note(file, "begin", ctx.run_id, epoch)
    for place in ("before", "after"):
        name = f"{epoch}-{place}"
        ctx.output(name, {"epoch": epoch})
        note(file, "kept", ctx.run_id, epoch, name)
        if place == "before":
            with socket.create_connection(("127.0.0.1", payload["gate"])) as gate:
                gate.sendall(f"{epoch}\n".encode())
                gate.recv(8)
            note(file, "woke", ctx.run_id, epoch)
    note(file, "end", ctx.run_id, epoch)
    return {"epoch": epoch}


app = Worker([labour])
