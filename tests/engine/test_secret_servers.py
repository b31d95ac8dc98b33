"""A secret that is made or replaced at one server is hidden at every other, before anybody can say it there."""

from contextlib import ExitStack
from pathlib import Path

import msgspec

from runwright.domain.job import Job, JobDefinition
from runwright.engine.attempt import Attempt
from runwright.engine.calls import Said
from runwright.engine.packing import Saving
from tests.engine.nodes import Node, opened
from tests.engine.test_secrets import OTHER, SECRET
from tests.engine.world import ADMIN, PROJECT
from tests.postgres import empty_database, new_database

JOB = Job(
    job_id="job_1",
    org_id="org_1",
    project_id="proj_1",
    version=1,
    job_version_id="jobv_1",
    definition=JobDefinition(name="greet", slug="greet"),
    created_at=0,
    updated_at=0,
)


async def says(node: Node, attempt: Attempt, text: str) -> str:
    """Write a line for an attempt at a node, and return what became of it."""
    known = await node.engine.fleet.attempt(attempt.run.run_id, attempt.run.lease_epoch)
    await node.engine.fleet.append(known, [Saving([Said("log", {"text": text}, message=text)])])
    event = (await node.store.events(attempt.run.run_id, 0, 1000))[-1]
    assert msgspec.json.decode(event.data or b"")["text"] == event.message
    return event.message


async def test_appendix_c_23_another_server_that_has_heard_nothing_hides_a_value_as_soon_as_anybody_is_given_it(
    tmp_path: Path,
):
    with new_database() as url, ExitStack() as stack:
        # Each listens in a database of its own: no hint of the other one comes.
        places = [stack.enter_context(empty_database()) for _ in range(2)]
        nodes = [Node(url, tmp_path, listen=place, bus_poll_s=0.4) for place in places]
        async with opened(*nodes) as (first, second):
            await second.submit(JOB)
            attempt = (await second.claim()).attempts[0]
            assert await says(second, attempt, SECRET) == SECRET, "nobody's secret yet"
            made = (await first.engine.vault.secrets.create(ADMIN, PROJECT, None, "API_KEY", SECRET)).value
            given = await first.engine.vault.provisions.of(attempt.run)
            assert given.secrets == {"API_KEY": SECRET}
            assert await says(second, attempt, SECRET) == "[redacted:known]"
            await first.engine.vault.secrets.replace(ADMIN, made.secret_id, OTHER)
            assert await says(second, attempt, f"{OTHER} was {SECRET}") == "[redacted:known] was [redacted:known]"
            assert (await second.engine.vault.provisions.of(attempt.run)).secrets == {"API_KEY": OTHER}
