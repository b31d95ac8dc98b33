"""Handlers that keep books: what they began, what they were told was kept, what they ended, each with its lease epoch.

They wait at a gate with a word, by default their epoch: `labour` in a thread, where no cancel reaches it, so that it
goes on when it is let go, whatever has become of its lease; `toil` on the loop, where it is cancelled and notes that.
"""

import asyncio
import socket
from typing import Any

from runwright import Context, SyncContext, Worker, job
from tests.acceptance.handlers import note, pass_gate


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
                gate.sendall(f"{payload.get('word', epoch)}\n".encode())
                gate.recv(8)
            note(file, "woke", ctx.run_id, epoch)
    note(file, "end", ctx.run_id, epoch)
    return {"epoch": epoch}


@job(retry_initial_delay_secs=0, max_attempts=20)
async def toil(ctx: Context, payload: dict[str, Any]) -> dict[str, int]:
    """Wait at the gate, and keep outputs and lines; note when it has to leave."""
    file, epoch = payload["file"], ctx.lease_epoch
    note(file, "begin", ctx.run_id, epoch)
    try:
        if "gate" in payload:
            await pass_gate(payload["gate"], payload.get("word", str(epoch)))
        for place in range(payload.get("outputs", 1)):
            ctx.log(f"line {place}")
            await ctx.output(f"{epoch}-{place}", {"epoch": epoch})
            note(file, "kept", ctx.run_id, epoch, f"{epoch}-{place}")
    except asyncio.CancelledError:
        note(file, "left", ctx.run_id, epoch)
        raise
    note(file, "end", ctx.run_id, epoch)
    return {"epoch": epoch}


app = Worker([labour, toil])
