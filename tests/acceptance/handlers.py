"""The handlers that the acceptance tests serve: each does what its payload asks, and waits only at a `Gate`."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

from runwright import Context, SyncContext, Worker, job
from runwright.client.errors import NonRetryable, RetryLater

Payload = dict[str, Any]


async def pass_gate(port: int, word: str) -> None:
    """Wait at the gate of the test until it lets us go."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{word}\n".encode())
        await reader.readline()
    finally:
        writer.close()


def note(path: str, *words: object) -> None:
    """Append one line to a file, at once and whole, as `O_APPEND` promises."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, (" ".join(map(str, words)) + "\n").encode())
    finally:
        os.close(descriptor)


@job
async def echo(ctx: Context, payload: Payload) -> Payload:
    """Return the payload."""
    return payload


@job
async def hold(ctx: Context, payload: Payload) -> Payload:
    """Wait at the gate."""
    await pass_gate(payload["gate"], payload.get("word", ctx.run_id))
    return {"attempt": ctx.attempt, "lease_epoch": ctx.lease_epoch}


@job
async def talk(ctx: Context, payload: Payload) -> Payload:
    """Write lines, wait at the gate if there is one, and write as many again."""
    for line in range(payload["lines"]):
        ctx.log(f"line {line}", place=line, text="ü☃\n")
    await ctx.checkpoint({"half": True})
    if "gate" in payload:
        await pass_gate(payload["gate"], payload.get("word", ctx.run_id))
    for line in range(payload["lines"]):
        ctx.log(f"more {line}", level="warning" if line % 2 else "debug", place=line)
    return {}


@job(retry_initial_delay_secs=0)
async def journal(ctx: Context, payload: Payload) -> Payload:
    """Write down when it begins and when it ends, and wait at the gate between."""
    note(payload["file"], "begin", ctx.run_id, ctx.attempt, ctx.lease_epoch)
    await ctx.step("once", lambda: note(payload["file"], "step", ctx.run_id, ctx.attempt, ctx.lease_epoch))
    if "gate" in payload:
        await pass_gate(payload["gate"], payload.get("word", "journal"))
    note(payload["file"], "end", ctx.run_id, ctx.attempt, ctx.lease_epoch)
    return {"attempt": ctx.attempt}


@job(retry_initial_delay_secs=0)
async def stages(ctx: Context, payload: Payload) -> list[int]:
    """Go through stages: at each a step, a line, and a gate."""
    done = []
    for stage in range(payload["stages"]):
        done.append(await ctx.step(f"stage {stage}", lambda stage=stage: stage))
        ctx.log(f"stage {stage} done", stage=stage)
        await ctx.checkpoint({"stage": stage})
        await pass_gate(payload["gate"], f"stage {stage}")
    return done


@job(retry_initial_delay_secs=0)
async def stumble(ctx: Context, payload: Payload) -> Payload:
    """Fail in the way that the payload names, for the first so many attempts."""
    if ctx.attempt <= payload.get("times", 1000):
        match payload.get("how", "error"):
            case "rejected":
                raise NonRetryable("no use to try again")
            case "later":
                raise RetryLater(payload["after_s"])
            case "slow":
                await asyncio.Event().wait()
            case "numbered":
                raise ValueError(f"attempt {ctx.attempt} is its own error {'x' * ctx.attempt}")
            case _:
                raise ValueError("stumbled")
    return {"attempt": ctx.attempt}


@job
async def returns(ctx: Context, payload: Payload) -> object:
    """Return what the payload names: JSON of any type, or something that is not JSON."""
    odd: dict[str, object] = {"set": {1}, "object": object(), "nan": float("nan"), "bytes": b"\xff", "key": {1j: 1}}
    if "levels" in payload:
        deep: object = "password=hunter2hunter2"
        for _ in range(payload["levels"]):
            deep = {"a": deep}
        return deep
    if "bytes" in payload:
        return {"text": "x" * payload["bytes"]}
    return odd[payload["odd"]] if "odd" in payload else payload.get("json")


@job
async def confess(ctx: Context, payload: Payload) -> Payload:
    """Say aloud what must not be said, and tell the test through a file what it was given."""
    note(payload["file"], payload["password"])
    ctx.log(f"my password={payload['password']}", token=payload["password"])
    await ctx.output("report", {"password": payload["password"]})
    await ctx.checkpoint({"api_key": payload["password"]})
    return {"secret": payload["password"], "open": "book"}


@job(retry_initial_delay_secs=0)
async def works(ctx: Context, payload: Payload) -> object:
    """Do a little of everything that a context offers, fail once, and do the rest."""
    ctx.progress(10, "begun")
    first = await ctx.step("read", lambda: {"words": 3})
    await ctx.checkpoint({"at": 1})
    await ctx.step("send", lambda idempotency_key: idempotency_key, effect="idempotent")
    if ctx.attempt == 1:
        await ctx.output("draft", {"pages": 1})
        raise ValueError("the first attempt fails")
    assert ctx.last_checkpoint == {"at": 1}
    await ctx.checkpoint({"at": 2})
    await ctx.output("draft", {"pages": 2}, schema={"type": "object", "required": ["pages"]})
    await ctx.output("count", 7)
    ctx.stream("some ")
    ctx.stream("text", done=True)
    return first


@job(retry_initial_delay_secs=0)
async def pay(ctx: Context, payload: Payload) -> None:
    """Break in the middle of an effect that must not be repeated."""

    async def charge() -> None:
        await pass_gate(payload["gate"], "charge")

    await ctx.step("charge", charge, effect="unsafe")


@job(retry_initial_delay_secs=0)
async def keeps(ctx: Context, payload: Payload) -> Payload:
    """Keep large values, fail, and find them again."""
    kept = await ctx.step("large", lambda: payload["text"] * 2)
    if ctx.attempt == 1:
        await ctx.checkpoint({"text": payload["text"]})
        await ctx.output("large", {"text": payload["text"]})
        raise ValueError("the first attempt fails")
    return {"same": ctx.last_checkpoint == {"text": payload["text"]} and kept == payload["text"] * 2}


@job
async def floods(ctx: Context, payload: Payload) -> None:
    """Wait at the gate, and then write more than a slow reader takes."""
    await pass_gate(payload["gate"], "flood")
    for place in range(payload["events"]):
        await ctx.step(f"write {place}", lambda: ctx.log("x" * payload["bytes"]))


@job
async def remembers(ctx: Context, payload: Payload) -> Payload:
    """Tell where it begins, save what the payload names, and fail if it is asked to."""
    began = ctx.last_checkpoint
    for state in payload.get("save", []):
        await ctx.checkpoint(state)
    if payload.get("fail"):
        raise NonRetryable("as it was asked to")
    return {"began": began}


@job
async def relates(ctx: Context, payload: Payload) -> Payload:
    """Wait for a child and for an event, start another child, go on in another run, and remember all of it."""
    if "event" not in payload:
        return {"remembered": await ctx.memory("last")}
    child = await ctx.spawn(payload["child"], {"n": 1}, await_completion=True)
    loose = await ctx.spawn(payload["child"], {"n": 2})
    event = await ctx.wait_for_event(payload["event"])
    await ctx.set_memory("last", {"child": child.result, "event": event})
    await ctx.set_memory("gone", 1, ttl_s=60)
    await ctx.delete_memory("gone")
    onward = await ctx.continue_run({"from": ctx.run_id})
    return {"child": child.run_id, "loose": loose.run_id, "onward": onward.run_id}


@job
def relates_too(ctx: SyncContext, payload: Payload) -> Payload:
    """Do the same in a thread."""
    ctx.set_memory("last", payload)
    onward = ctx.continue_run({"again": False}) if payload["again"] else None
    return {"remembered": ctx.memory("last"), "onward": None if onward is None else onward.run_id}


@job
async def nap(ctx: Context, payload: Payload) -> Payload:
    """Sleep, holding no worker."""
    await ctx.sleep(payload["secs"])
    return {"lease_epoch": ctx.lease_epoch}


@job
def deaf(ctx: SyncContext, payload: Payload) -> Payload:
    """Wait at the gate in a thread, where no cancel is heard."""
    with socket.create_connection(("127.0.0.1", payload["gate"])) as gate:
        gate.sendall(f"{payload.get('word', ctx.run_id)}\n".encode())
        gate.recv(8)
    if "file" in payload:
        note(payload["file"], "woke", ctx.run_id)
    ctx.log("a late word")
    return {}


@job
async def order(ctx: Context, payload: Payload) -> None:
    """Write down that it is its turn."""
    note(payload["file"], payload["name"])


def lines(path: Path) -> list[list[str]]:
    """Return the words of each line that handlers noted."""
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


app = Worker(
    [
        echo,
        hold,
        talk,
        journal,
        stages,
        stumble,
        returns,
        confess,
        works,
        pay,
        keeps,
        floods,
        nap,
        deaf,
        order,
        remembers,
        relates,
        relates_too,
    ],
)
