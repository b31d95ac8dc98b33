"""A commit whose answer was lost is looked for: what it wrote is not written again, and what it did not, is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from runwright.domain import outcome as o
from runwright.domain.commands import Append, Finish
from runwright.domain.run import Run
from runwright.errors import OutcomeUnknown, StoreUnavailable
from tests.domain.specimens import log_line
from tests.engine.nodes import OFTEN, Node, opened
from tests.engine.test_neighbours import a_job
from tests.faults.proxy import Proxy
from tests.store.observers import Observer
from tests.waiting import until


@pytest.fixture
async def proxy(seen: Observer) -> AsyncIterator[Proxy]:
    """Yield the network between the node and its database."""
    async with Proxy.to(urlsplit(seen.url).port or 0) as proxy:
        yield proxy


@pytest.fixture
async def node(seen: Observer, proxy: Proxy, tmp_path: Path) -> AsyncIterator[Node]:
    """Yield a node that reaches its database through the proxy."""
    there = urlsplit(seen.url)
    user = there.netloc.rpartition("@")[0]
    url = urlunsplit(there._replace(netloc=f"{user}@127.0.0.1:{proxy.port}"))
    async with opened(Node(url, tmp_path, (), listen=seen.url, **OFTEN)) as (node,):
        yield node


async def taken(node: Node) -> Run:
    await node.submit(a_job())
    return await node.taken()


async def said(node: Node, run_id: str) -> list[str]:
    return [event.message for event in await node.store.events(run_id, 0, 100) if event.type == "log"]


async def test_what_was_written_before_the_answer_was_lost_is_not_written_again(
    node: Node, seen: Observer, proxy: Proxy
):
    run = await taken(node)
    async with seen.halting_at_commit("run_events"):
        appending = asyncio.create_task(node.engine.commit.apply(Append(run.run_id, 1, (log_line("once"),))))
        await seen.waiting(1)
        proxy.freeze()  # the answer never comes; the commit goes on
    proxy.reset()
    appended: Run = await appending
    assert appended.seq == run.seq + 1
    assert await said(node, run.run_id) == ["once"]


async def test_a_commit_that_the_database_still_works_at_is_waited_for(node: Node, seen: Observer, proxy: Proxy):
    run = await taken(node)
    async with seen.halting_at_commit("run_events"):
        finishing = asyncio.create_task(
            node.engine.commit.apply(Finish(run.run_id, 1, o.Completed(), 0.5, (log_line("the end"),)))
        )
        await seen.waiting(1)
        proxy.freeze()
        proxy.reset()
        await seen.waiting(2)  # the look for it, behind the lock of the run
        assert not finishing.done()
    ended: Run = await finishing
    assert ended.state == "completed"
    assert await said(node, run.run_id) == ["the end"]


async def test_what_was_not_written_is_known_not_to_be_and_can_be_written_again(node: Node, seen: Observer):
    run = await taken(node)
    append = Append(run.run_id, 1, (log_line("once"),))
    async with seen.ending_at_commit("run_events"):
        with pytest.raises(StoreUnavailable) as lost:
            await node.engine.commit.apply(append)
    assert not isinstance(lost.value, OutcomeUnknown)
    await node.engine.commit.apply(append)
    assert await said(node, run.run_id) == ["once"]


async def test_a_claim_whose_answer_was_lost_reaches_its_worker(node: Node, seen: Observer, proxy: Proxy):
    run_id = await node.submit(a_job())
    async with seen.halting_at_commit("leases"):
        taking = asyncio.create_task(node.taken())
        await seen.waiting(1)
        proxy.freeze()
    proxy.reset()
    assert (await taking).run_id == run_id


async def test_a_run_that_may_or_may_not_have_been_made_is_said_to_be_unknown(node: Node, seen: Observer):
    async with seen.ending_at_commit("run_heads"):
        with pytest.raises(OutcomeUnknown):
            await node.submit(a_job())
    await until(lambda: not node.engine.commit.backlog)


async def test_a_run_that_was_made_before_the_answer_was_lost_is_answered(node: Node, seen: Observer, proxy: Proxy):
    async with seen.halting_at_commit("run_heads"):
        making = asyncio.create_task(node.submit(a_job()))
        await seen.waiting(1)
        proxy.freeze()
    await until(lambda: seen.value("SELECT count(*) FROM run_heads"))  # other transactions may be frozen, and stay open
    proxy.reset()
    run_id = await making
    assert (await node.record(run_id)).run.state == "queued"
