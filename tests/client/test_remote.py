"""A worker elsewhere begins no run twice under one lease, and works at none under two: scripted servers try it."""

import asyncio
from collections.abc import Callable
from typing import Any

from runwright import Context, Worker, job
from runwright.client.remote import RemoteWorker
from tests.client.local_server import Answer, Request, json_answer, problem, serving

LEASE_S = 0.4


class Scripted:
    """Assigns the one run under the lease that `epoch` names in each claim, until `enough` says that it is."""

    def __init__(self, epoch: Callable[[int], int], enough: Callable[[], bool], beats: Callable[[int], Answer]) -> None:
        self.claims = 0
        self.beats = 0
        self.finished: list[dict[str, Any]] = []
        self._epoch = epoch
        self._enough = enough
        self._beat = beats
        self.lease_s = LEASE_S
        self.heartbeat_s = LEASE_S / 4

    def __call__(self, request: Request) -> Answer:
        match request.path.rpartition("/")[2]:
            case "claim":
                self.claims += 1
                return json_answer(self._claimed())
            case "heartbeat":
                self.beats += 1
                return self._beat(self.beats)
            case "kept":
                return json_answer({"values": {}, "next": None})
            case "leave":
                return Answer(status=204)
            case _:
                items = request.json()["items"]
                self.finished += items
                return json_answer({"results": [{"run_id": item["run_id"]} for item in items]})

    def _claimed(self) -> dict[str, Any]:
        given = {
            "run_id": "run_1",
            "job": "holds",
            "attempt": 1,
            "lease_epoch": self._epoch(self.claims),
            "payload": {},
            "metadata": {},
            "tags": {},
            "idempotency_key": None,
            "rerun_unknown_steps": False,
            "timeout_secs": None,
            "run_token": "rwt_1",
            "stop": None,
        }
        times = {"now": 1, "lease_secs": self.lease_s, "heartbeat_secs": self.heartbeat_s}
        return {"assignments": [given], "stops": [], "notice": None, "drain": self._enough(), **times}


def beaten(_: int) -> Answer:
    return json_answer({"lost": [], "stops": [], "drain": False})


class Hold:
    """A handler that holds its run until it is let go, and notes how it began and ended."""

    def __init__(self) -> None:
        self.began: list[int] = []
        self.left: list[int] = []
        self.open = asyncio.Event()

    async def work(self, server_url: str) -> None:
        @job(slug="holds")
        async def holds(ctx: Context, payload: dict[str, Any]) -> int:
            self.began.append(ctx.lease_epoch)
            try:
                await self.open.wait()
            except asyncio.CancelledError:
                self.left.append(ctx.lease_epoch)
                raise
            return ctx.lease_epoch

        async with asyncio.timeout(30):
            await RemoteWorker(Worker([holds]), server_url, "rw_key", drain_s=20).run()


async def test_a_run_that_was_given_up_is_not_begun_again_under_the_same_lease():
    hold = Hold()
    claims_then: list[int] = []

    def enough() -> bool:
        if hold.left:
            claims_then.append(server_script.claims)
        return len(claims_then) > 3

    server_script = Scripted(lambda _: 1, enough, lambda _: problem(503, "server.overloaded"))
    async with serving(server_script) as server:
        await hold.work(server.url)
    assert (hold.began, hold.left, server_script.finished) == ([1], [1], [])


async def test_a_run_that_comes_under_a_newer_lease_ends_the_attempt_under_the_former():
    hold = Hold()

    def enough() -> bool:
        if hold.left:
            hold.open.set()
        return hold.open.is_set()

    script = Scripted(lambda claim: min(claim, 2), enough, beaten)
    script.lease_s = 60.0  # it is not the end of the former lease that ends it
    async with serving(script) as server:
        await hold.work(server.url)
    assert (hold.began, hold.left) == ([1, 2], [1])
    assert [(item["lease_epoch"], item["outcome"]["result"]) for item in script.finished] == [(2, 2)]


async def test_a_heartbeat_that_is_answered_with_nonsense_is_not_the_last():
    hold = Hold()

    def enough() -> bool:
        if script.beats > 3:
            hold.open.set()
        return hold.open.is_set()

    script = Scripted(lambda _: 1, enough, lambda beat: Answer(body=b"<html>") if beat == 1 else beaten(beat))
    script.lease_s = 60.0  # however long this machine takes between two heartbeats
    async with serving(script) as server:
        await hold.work(server.url)
    assert (hold.began, hold.left) == ([1], [])
