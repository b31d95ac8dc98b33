"""What a run's code reports of its model calls is added up, on the run and in the statistics."""

from typing import Any

import pytest

from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.events import Draft
from runwright.domain.redaction import Redactor
from runwright.domain.run import Usage
from tests.engine.world import World, settled


def reported(**data: Any) -> Draft:
    """Return a report of a model call."""
    return Draft("usage.reported", Redactor().data({"provider": "p", "model": "m", **data}))


async def test_reports_of_every_attempt_add_up_and_those_of_an_end_count_too(world: World):
    run_id = await world.submit(world.job(max_attempts=2, retry_initial_delay_secs=0, retry_jitter="none"))
    run = (await world.take())[0]
    call = {"prompt_tokens": 3, "completion_tokens": 4, "cost_microusd": 50}
    await world.engine.commit.apply(c.Append(run_id, 1, (reported(**call), reported(**call))))
    assert (await world.run(run_id)).usage == Usage(6, 8, 100)
    failed = o.Failed(error_class="E", message=Redactor().text("no"))
    await world.finish(run, failed, drafts=(reported(prompt_tokens=1),))
    await world.round_of(world.engine.scheduler.loop)
    again = (await world.take())[0]
    await world.finish(again, o.Completed(), drafts=(reported(**call),))
    assert (await world.run(run_id)).usage == Usage(10, 12, 150)
    await settled(world)
    await world.round_of(world.engine.operations.outbox.loop)
    stats = await world.engine.operations.rollups.of("org_1", None, None, 3_600_000_000)
    assert stats.whole.cost_microusd == 150


@pytest.mark.parametrize("odd", [{"prompt_tokens": "many"}, {"cost_microusd": -5}, {"prompt_tokens": 1.5}])
async def test_a_report_that_says_no_number_is_kept_and_counts_for_nothing(world: World, odd: dict[str, Any]):
    run_id = await world.submit(world.job())
    await world.take()
    await world.engine.commit.apply(c.Append(run_id, 1, (reported(**odd),)))
    assert (await world.run(run_id)).usage == Usage()
    assert "usage.reported" in await world.types(run_id)
