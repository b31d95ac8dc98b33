"""What attempts write reaches the server once and in order, whatever becomes of requests and answers on the way.

The server at the other end keeps what it is told as the real one does: by number, each once. It is scripted to lose
requests, to lose answers, to be busy, and to refuse what it does not like.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.client.backoff import Backoff
from runwright.client.errors import ApiError, LeaseLost
from runwright.client.reporting import Log, Reporter
from runwright.client.session import Draft, StopSignal
from runwright.client.transport import Transport
from tests.client.local_server import Answer, Request, json_answer, problem, serving
from tests.waiting import until

NOW = Backoff(attempts=1, initial_s=0.0, max_s=0.0)
FATES = ("fine", "unheard", "unanswered", "garbled", "busy", "limited", "too large", "retry")
BAD = "bad"


class Book:
    """Keeps what it is told, run by run, and does to each request what the next fate says; then all is well."""

    def __init__(self, fates: Iterator[str]) -> None:
        self.kept: dict[str, list[str]] = {}
        self.numbers: dict[str, int] = {}
        self.outcomes: dict[str, Any] = {}
        self.over: set[str] = set()
        self._fates = fates

    def __call__(self, request: Request) -> Answer:
        fate, items = next(self._fates, "fine"), request.json()["items"]
        match fate:
            case "unheard":
                return Answer(cut=True)
            case "busy":
                return problem(503, "server.overloaded")
            case "limited":
                return problem(429, "limits.rate", retry_after="0")
            case "too large" if len(items) > 1:
                return problem(413, "http.413")
            case "retry":
                return self._answer([self._refusal(item, "store.unavailable", retryable=True) for item in items])
        results = [self._take(item) for item in items]
        if fate == "unanswered":
            return Answer(body=b'{"results": [', cut=True)
        return Answer(body=b"<html>") if fate == "garbled" else self._answer(results)

    def _answer(self, results: list[dict[str, Any]]) -> Answer:
        return json_answer({"results": results})

    def _refusal(self, item: dict[str, Any], code: str, *, retryable: bool = False) -> dict[str, Any]:
        return {"run_id": item["run_id"], "code": code, "error": f"{code}!", "retryable": retryable}

    def _take(self, item: dict[str, Any]) -> dict[str, Any]:
        run_id = item["run_id"]
        if run_id in self.over or run_id in self.outcomes:
            return self._refusal(item, "runs.stale_lease" if run_id in self.over else "runs.ended")
        words = [event["message"] for saving in item["savings"] for event in saving.get("events", [])]
        if item["savings"] and item["number"] > self.numbers.get(run_id, 0):
            if BAD in words:
                return self._refusal(item, "request.invalid")
            self.numbers[run_id] = item["number"]
            self.kept.setdefault(run_id, []).extend(words)
        if "outcome" in item:
            if item["outcome"].get("result") == BAD:
                return self._refusal(item, "values.too_large")
            self.outcomes[run_id] = item["outcome"]
        return {"run_id": run_id}


@asynccontextmanager
async def reporting(book: Book) -> AsyncIterator[Reporter]:
    """Report to that book."""
    async with serving(book) as server:
        transport = Transport(server.url, None, timeout_s=5, backoff=NOW)
        try:
            yield Reporter(transport, "wrk_1", backoff=NOW)
        finally:
            await transport.close()


def log(run_id: str = "run_1") -> Log:
    return Log(run_id, 1, StopSignal())


def line(text: str) -> Draft:
    return Draft("log", {}, message=text)


class Writer:
    """An attempt that writes: `sent` is everything in its order; what it is told is durable has to be in the book."""

    def __init__(self, run_id: str, reporter: Reporter, book: Book, steps: list[str]) -> None:
        self.log = log(run_id)
        self.sent: list[str] = []
        self.refused = 0
        self._reporter = reporter
        self._book = book
        self._steps = steps

    async def write(self) -> None:
        saves = []
        for place, step in enumerate(self._steps):
            text = f"{self.log.run_id}.{place}"
            match step:
                case "emit":
                    self.sent.append(text)
                    self._reporter.emit(self.log, line(text))
                case "save":
                    await self._save(text)
                case "both":  # beside each other, as steps of a handler that runs some at once
                    saves.append(asyncio.create_task(self._save(text)))
                case "bad":
                    await self._save(BAD)
                case _:
                    await until(lambda: not self.log.savings)
        await asyncio.gather(*saves)
        await self._reporter.finish(self.log, {"status": "completed", "result": 1})

    async def _save(self, text: str) -> None:
        if text == BAD:
            with pytest.raises(ApiError, match=r"request\.invalid"):
                await self._reporter.save(self.log, [line(text)])
            self.refused += 1
        else:
            self.sent.append(text)
            await self._reporter.save(self.log, [line(text)])
            assert text in self._book.kept[self.log.run_id]


STEPS = st.lists(st.sampled_from(["emit", "save", "both", "bad", "rest"]), max_size=8)


@settings(max_examples=25, deadline=None)
@given(fates=st.lists(st.sampled_from(FATES), max_size=12), scripts=st.lists(STEPS, min_size=1, max_size=3))
async def test_everything_is_kept_once_and_in_order_and_no_save_returns_before_it_is(
    fates: list[str], scripts: list[list[str]]
):
    book = Book(iter(fates))
    async with reporting(book) as reporter, asyncio.timeout(30):
        writers = [Writer(f"run_{place}", reporter, book, steps) for place, steps in enumerate(scripts)]
        await asyncio.gather(*(writer.write() for writer in writers))
    for writer, steps in zip(writers, scripts, strict=True):
        run_id = writer.log.run_id
        assert book.kept.get(run_id, []) == writer.sent
        assert writer.refused == steps.count("bad")
        assert book.outcomes[run_id]["status"] == "completed"


async def test_a_result_that_is_refused_ends_the_attempt_as_failed_and_an_unavailable_server_does_not():
    book = Book(iter(["busy", "limited", "unanswered"]))
    async with reporting(book) as reporter, asyncio.timeout(30):
        await reporter.finish(log("run_1"), {"status": "completed", "result": 1})
        await reporter.finish(log("run_2"), {"status": "completed", "result": BAD})
    assert book.outcomes["run_1"] == {"status": "completed", "result": 1}
    assert (book.outcomes["run_2"]["status"], book.outcomes["run_2"]["error_class"]) == ("failed", "ResultRefused")


async def test_what_came_after_a_lost_answer_goes_under_a_number_of_its_own():
    book = Book(iter(["unanswered"]))
    async with reporting(book) as reporter, asyncio.timeout(30):
        mine = log()
        first = asyncio.create_task(reporter.save(mine, [line("first")]))
        await until(lambda: book.kept)
        await reporter.save(mine, [line("second")])
        await first
    assert book.kept == {"run_1": ["first", "second"]}


async def test_a_lease_that_is_over_ends_every_wait_and_nothing_more_is_sent():
    book = Book(iter(["busy", "unheard"]))
    book.over.add("run_1")
    async with reporting(book) as reporter, asyncio.timeout(30):
        mine = log()
        reporter.emit(mine, line("a word"))
        with pytest.raises(LeaseLost):
            await reporter.save(mine, [line("late")])
        with pytest.raises(LeaseLost):
            reporter.emit(mine, line("later"))
        await reporter.finish(mine, {"status": "completed"})
    assert (book.kept, book.outcomes) == ({}, {})


async def test_a_server_that_takes_and_does_not_answer_is_asked_again_within_the_patience():
    hanging = asyncio.Event()
    book = Book(iter(()))

    async def slow(request: Request) -> Answer:
        answer = book(request)
        if not hanging.is_set():
            hanging.set()
            await asyncio.Event().wait()
        return answer

    async with serving(slow) as server:
        transport = Transport(server.url, None, timeout_s=60, backoff=NOW)
        reporter = Reporter(transport, "wrk_1", backoff=NOW)
        reporter.patience_s = 0.05
        async with asyncio.timeout(30):
            await reporter.save(log(), [line("once")])
        await transport.close()
    assert book.kept == {"run_1": ["once"]}
