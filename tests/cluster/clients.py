"""Clients that load a cluster and write down what they saw: they submit, follow, look, and come back after each cut."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx2

from runwright.clock import SystemClock
from tests.acceptance.frames import frames
from tests.acceptance.live_server import API_KEY
from tests.acceptance.speech import SSE, unique
from tests.cluster.history import Account, Answer, Delivery, History, Seen, Sighting, Submission, instant, seen

ANSWER_S = 12.0
SILENCE_S = 5.0
AGAIN_S = 0.05
OUTPUTS = (2, 30)
GIVE_UP = 0.1
TWICE = 0.1
LEAVE = 0.3


_clock = SystemClock()


class Clients:
    """So many clients, each with one run at a time; what they do is drawn from the seed, and so is whom they ask."""

    def __init__(self, history: History, urls: dict[str, str], seed: int, books: Path) -> None:
        self.history = history
        self.books = books
        self.ended = 0
        self.shown = 0
        """How many events all streams have delivered."""
        self.refusals = dict.fromkeys(urls, 0)
        """How often each server answered 503."""
        self.jobs: list[tuple[str, tuple[str, int] | None]] = []
        """The jobs that they start runs of, each with its limit if it has one."""
        self._seed = seed
        self._stop = asyncio.Event()
        self._numbers = 0
        self._name = unique("key")
        self._moved = asyncio.Event()
        headers = {"authorization": f"Bearer {API_KEY}"}
        limits = httpx2.Limits(max_connections=500, max_keepalive_connections=100)
        self._servers = {
            name: httpx2.AsyncClient(base_url=url, headers=headers, timeout=ANSWER_S, limits=limits)
            for name, url in urls.items()
        }

    async def run(self, count: int) -> None:
        """Load the servers with so many clients until `stop`; return when every run that they know has ended."""
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(self._client(random.Random(f"{self._seed}/{number}")))

    def stop(self) -> None:
        """Start no more runs."""
        self._stop.set()

    async def more(self, count: int) -> None:
        """Wait until so many more runs have ended."""
        wanted = self.ended + count
        while self.ended < wanted:
            self._moved.clear()
            await self._moved.wait()

    async def start(self, job: str, server: str, **payload: Any) -> str:
        """Start one run of a job and return its id."""
        self._numbers += 1
        answer = await self._ask(server, f"{self._name}-{self._numbers}", job, payload)
        assert answer.run_id is not None, answer
        return answer.run_id

    async def once(self, server: str) -> None:
        """Ask one server for a run until it is acknowledged, and follow it there to its end."""
        self._numbers += 1
        key = f"{self._name}-{self._numbers}"
        while (run_id := (await self._ask(server, key, self.jobs[0][0], {})).run_id) is None:
            await _clock.sleep(AGAIN_S)
        await self._follow(random.Random(0), run_id, f"{run_id}/once")

    async def knock(self, server: str) -> None:
        """Ask one server for a run, once, whatever it answers."""
        self._numbers += 1
        await self._ask(server, f"{self._name}-{self._numbers}", self.jobs[0][0], {})

    async def follow(self, run_id: str, seed: int = 0) -> None:
        """Follow a run to its end."""
        await self._follow(random.Random(f"{self._seed}/{run_id}/{seed}"), run_id, f"{run_id}/{seed}")

    async def close(self) -> None:
        """Close the connections."""
        for client in self._servers.values():
            await client.aclose()

    async def _client(self, chance: random.Random) -> None:
        while not self._stop.is_set():
            self._numbers += 1
            key = f"{self._name}-{self._numbers}"
            job, limit = chance.choice(self.jobs)
            run_id = await self._submit(chance, key, job)
            if run_id is None:
                continue
            if limit is not None:
                self.history.limits[run_id] = limit
            async with asyncio.TaskGroup() as group:
                for place in range(chance.randint(1, 2)):
                    stream = random.Random(chance.random())
                    group.create_task(self._follow(stream, run_id, f"{key}/{place}"))
                group.create_task(self._looks(random.Random(chance.random()), run_id))
            self.ended += 1
            self._moved.set()

    async def _submit(self, chance: random.Random, key: str, job: str) -> str | None:
        """Ask until somebody acknowledges; now and then give up, or ask two servers at once."""
        gives_up, outputs = chance.random() < GIVE_UP, chance.randint(*OUTPUTS)
        while True:
            count = 2 if chance.random() < TWICE else 1
            servers = chance.sample(sorted(self._servers), min(count, len(self._servers)))
            answers = await asyncio.gather(*(self._ask(server, key, job, {"outputs": outputs}) for server in servers))
            made = next((answer.run_id for answer in answers if answer.answer == "acknowledged"), None)
            if made is not None or gives_up or all(answer.answer == "refused" for answer in answers):
                return made
            await _clock.sleep(AGAIN_S)

    async def _ask(self, server: str, key: str, job: str, payload: dict[str, Any]) -> Submission:
        asked_at, answer, run_id, hit = instant(), _UNKNOWN, None, False
        body = {"payload": {"file": str(self.books), "outputs": OUTPUTS[0], **payload}, "idempotency_key": key}
        try:
            response = await self._servers[server].post(f"/v1/jobs/{job}/trigger", json=body)
        except httpx2.TransportError:
            pass
        else:
            if response.is_success:
                run = response.json()
                answer, run_id, hit = _ACKNOWLEDGED, run["id"], run["idempotency_hit"]
            elif not self._is_for_now(server, response):
                answer = _REFUSED
        noted = Submission(key, server, asked_at, instant(), answer, run_id, hit)
        self.history.submissions.append(noted)
        return noted

    async def _follow(self, chance: random.Random, run_id: str, stream: str) -> None:
        """Read a run's stream to its end, over as many connections as it takes; leave now and then."""
        last, ended = 0, False
        while not ended:
            server = chance.choice(sorted(self._servers))
            leave_after = chance.randint(1, 8) if chance.random() < LEAVE else 1_000_000
            events: list[Seen] = []
            try:
                ended = await self._connection(server, run_id, last, events, leave_after)
            except httpx2.TransportError:
                await _clock.sleep(AGAIN_S)
            self.history.deliveries.append(Delivery(stream, run_id, server, last, events, ended))
            last = events[-1].seq if events else last

    async def _connection(self, server: str, run_id: str, last: int, events: list[Seen], leave_after: int) -> bool:
        headers = {**SSE, "last-event-id": str(last)}
        timeout = httpx2.Timeout(ANSWER_S, read=SILENCE_S)
        path = f"/v1/runs/{run_id}/stream"
        async with self._servers[server].stream("GET", path, headers=headers, timeout=timeout) as response:
            if response.status_code == 204:
                return True
            if response.status_code != 200:
                await response.aread()
                if not self._is_for_now(server, response):
                    self._complain(f"{server} refused a stream of {run_id}: {response.status_code} {response.text}")
                    return True
                await _clock.sleep(AGAIN_S)
                return False
            raw = b""
            async for part in response.aiter_raw():
                raw += part
                whole, mark, raw = raw.rpartition(b"\n\n")
                for frame in frames(whole + mark):
                    if frame.fields.get("event") == "gap":
                        self._complain(f"{server} says that events of {run_id} are gone: {frame.fields}")
                    if "id" in frame.fields:
                        events.append(seen(frame.data))
                        self.shown += 1
                if events and events[-1].terminal:
                    return True
                if len(events) >= leave_after:
                    return False
        return False

    async def _looks(self, chance: random.Random, run_id: str) -> None:
        for _ in range(chance.randint(1, 3)):
            server = chance.choice(sorted(self._servers))
            asked_at = instant()
            try:
                response = await self._servers[server].get(f"/v1/runs/{run_id}")
            except httpx2.TransportError:
                continue
            if response.status_code == 404:
                self.history.sightings.append(Sighting(server, run_id, asked_at, instant(), False))
            elif response.is_success:
                run = response.json()
                what = (run["state"], run["last_seq"], run["lease_epoch"])
                self.history.sightings.append(Sighting(server, run_id, asked_at, instant(), True, *what))
            elif not self._is_for_now(server, response):
                self._complain(f"{server} refused to show {run_id}: {response.status_code} {response.text}")

    def _is_for_now(self, server: str, response: httpx2.Response) -> bool:
        """Tell whether a refusal says to come back; a 503 that does not say when is a fault."""
        if response.status_code != 503:
            self._complain(f"{server} answered {response.status_code} {response.text}")
            return False
        self.refusals[server] += 1
        if int(response.headers.get("retry-after", 0)) < 1:
            self._complain(f"{server} answered 503 without Retry-After: {response.text}")
        return True

    def _complain(self, fault: str) -> None:
        self.history.complaints.append(fault)

    # --- the end ------------------------------------------------------------------------------------------------------

    async def settled(self) -> None:
        """Wait until every run has ended, also those that nobody was told of."""
        server = min(self._servers)
        while any(run["finished_at"] is None for run in await self._runs(server)):
            await _clock.sleep(AGAIN_S)

    async def accounts(self) -> list[Account]:
        """Return what each server tells of every run."""
        return [account for server in self._servers for account in await self._told(server)]

    async def _told(self, server: str) -> list[Account]:
        turns = asyncio.Semaphore(8)

        async def one(run: dict[str, Any]) -> Account:
            async with turns:
                events = [seen(event) for event in await self._pages(server, f"/v1/runs/{run['id']}/events")]
            return account(server, run, events)

        return await asyncio.gather(*(one(run) for run in await self._runs(server)))

    async def _runs(self, server: str) -> list[dict[str, Any]]:
        return [run for job, _ in self.jobs for run in await self._pages(server, "/v1/runs", job_id=job)]

    async def _pages(self, server: str, path: str, **params: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        params["limit"] = 500
        while True:
            response = await self._servers[server].get(path, params=params)
            response.raise_for_status()
            rows += response.json()
            if "x-next-cursor" not in response.headers:
                return rows
            params["cursor"] = response.headers["x-next-cursor"]


_UNKNOWN: Answer = "unknown"
_ACKNOWLEDGED: Answer = "acknowledged"
_REFUSED: Answer = "refused"


def account(source: str, run: dict[str, Any], events: Iterable[Seen]) -> Account:
    """Return a run of the wire as its source tells it."""
    result = run["result"] or {}
    return Account(
        source=source,
        run_id=run["id"],
        key=run["idempotency_key"],
        state=run["state"],
        last_seq=run["last_seq"],
        lease_epoch=run["lease_epoch"],
        events=list(events),
        result_epoch=result.get("epoch"),
    )
