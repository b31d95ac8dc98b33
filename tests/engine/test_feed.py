"""The feed hands on state changes, once encoded, and lets nobody wait for a slow reader."""

import asyncio
from typing import Any

from runwright.domain.accounts import Project
from runwright.domain.commands import Append
from runwright.domain.events import Draft
from runwright.domain.outcome import Completed
from runwright.domain.run import Run
from runwright.engine.feed import News
from tests.engine.world import PROJECT, World, settled

OTHER = Project("proj_2", "org_1", "other", "Other", 1.0, None, 0)
FOREIGN = Project("proj_3", "org_2", "foreign", "Foreign", 1.0, None, 0)


class Counting:
    """Encodes, and counts how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, run: Run) -> bytes:
        self.calls += 1
        return f"{run.run_id} {run.state}\n".encode()


async def begun(follower: Any) -> "asyncio.Task[News]":
    """Let a follower wait for its next news."""
    task: asyncio.Task[News] = asyncio.ensure_future(anext(follower))
    await asyncio.sleep(0)
    return task


async def whole_life(world: World, project: Project = PROJECT) -> str:
    """Make a run that completes."""
    run_id = await world.submit(world.job(project=project), project)
    await world.finish((await world.take())[0], Completed())
    await settled(world)
    return run_id


async def test_followers_of_an_organization_and_of_a_project_get_what_is_theirs(open_world):
    world = await open_world()
    encode, feed = Counting(), world.engine.feed
    scopes = {"all": ("org_1", None), "mine": ("org_1", "proj_1"), "theirs": ("org_1", "proj_2"), "no": ("org_3", None)}
    followers = {name: feed.follow(*scope, encode) for name, scope in scopes.items()}
    waiting = {name: await begun(follower) for name, follower in followers.items()}
    mine = await whole_life(world)
    first = {name: (await task).frames.decode() for name, task in waiting.items() if name in ("all", "mine")}
    assert first["all"] == first["mine"] == f"{mine} queued\n"
    assert (await anext(followers["mine"])).frames.decode() == f"{mine} executing\n{mine} completed\n"
    assert encode.calls == 3, "three changes, each encoded once for all that follow"
    other = await whole_life(world, OTHER)
    assert (await waiting["theirs"]).frames.decode().startswith(f"{other} queued\n")
    await world.submit(world.job(project=FOREIGN), FOREIGN)
    await settled(world)
    assert not waiting["no"].done()
    waiting["no"].cancel()
    await asyncio.wait([waiting["no"]])
    for follower in followers.values():
        await follower.aclose()
    assert feed.channels == 0


async def test_records_that_change_no_state_are_no_news(open_world):
    world = await open_world()
    encode = Counting()
    run_id = await world.submit(world.job())
    run = (await world.take())[0]
    follower = world.engine.feed.follow("org_1", None, encode)
    waiting = await begun(follower)
    draft = Draft("log", world.redactor.data({}), world.redactor.text("hello"))
    await world.engine.commit.apply(Append(run_id, run.lease_epoch, (draft,)))
    assert encode.calls == 0
    await world.finish(run, Completed())
    assert (await waiting).frames.decode() == f"{run_id} completed\n"
    await follower.aclose()


async def test_a_slow_reader_is_told_what_it_missed_and_goes_on(open_world):
    world = await open_world(feed_window=4)
    encode, feed = Counting(), world.engine.feed
    slow, quick = feed.follow("org_1", None, encode), feed.follow("org_1", None, encode)
    tasks = [await begun(slow), await begun(quick)]
    await whole_life(world)
    for task in tasks:
        await task
    assert b"completed" in (await anext(quick)).frames
    for _ in range(5):
        await whole_life(world)
        assert (await anext(quick)).missed == 0
    assert (await anext(slow)) == News(missed=2 + 15)
    assert sum(map(len, (channel._frames for channel in feed._channels.values()))) == 4, "what is kept has a bound"
    last = await whole_life(world)
    assert (await anext(slow)).frames.decode().endswith(f"{last} completed\n")
    for follower in (slow, quick):
        await follower.aclose()


async def test_without_followers_nothing_is_encoded_or_kept(open_world):
    world = await open_world()
    await whole_life(world)
    assert world.engine.feed.channels == 0
