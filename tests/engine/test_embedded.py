"""What only the embedded database promises: one process has it, so the leases of the former one are nobody's."""

import pytest

DAY = 86_400


@pytest.fixture
def database_kind() -> str:
    """Name the embedded one."""
    return "sqlite"


async def test_leases_of_a_process_that_is_gone_are_lost_at_once_even_after_a_jump(open_world):
    world = await open_world()
    run_id = await world.submit(world.job())
    await world.take(worker_id="local-wrk_1")
    await world.crash()
    world.clock.jump(-DAY)
    world = await open_world()
    await world.reap()
    assert await world.state(run_id) == "scheduled"
    await world.check()
