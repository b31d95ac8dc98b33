"""What databases decide in ways of their own, once more over PostgreSQL: approvals, tasks, loops, a hostile tree."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.api import test_hostile_repository, test_loops, test_runtime_approvals, test_runtime_tasks
from tests.api.served import Served, ok, serving
from tests.engine.world import MASTER_KEY
from tests.postgres import new_database

root, trap = test_hostile_repository.root, test_hostile_repository.trap


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with new_database() as made:
        yield made


@pytest.fixture(scope="module")
async def server(url: str, root: Path, trap: object) -> AsyncIterator[Served]:
    """Serve with a model that repeats what it is told, and the hostile repository."""
    (root / "data").mkdir()
    places = root / "places"
    places.mkdir()
    places.chmod(0o711)
    given = {"database_url": url, "master_key": MASTER_KEY, "repository_roots": (str(root / "allowed"),)}
    async with serving(root / "data", process_dir=places, **given) as served:
        play = {"name": "play", "kind": "scripted", "model": "echo", "price": {"input": 1_000_000, "output": 1_000_000}}
        await ok(served.admin.post("/v1/routes", json=play), 201)
        served.root = root / "allowed"  # type: ignore[attr-defined]
        yield served


test_scenario_6_an_approval_that_is_denied = (
    test_runtime_approvals.test_scenario_6_of_two_approvers_one_denies_and_the_run_ends_denied
)
test_scenario_6_nobody_decides = test_runtime_approvals.test_scenario_6_nobody_decides_in_time_and_the_run_ends_expired
test_the_limits_of_a_task = test_runtime_tasks.test_tokens_and_money_are_limits_of_the_run
test_scenario_11_a_hostile_repository = (
    test_hostile_repository.test_scenario_11_a_run_over_a_hostile_repository_contains_redacts_and_reports_it
)


test_a_loop_counts_what_people_live_with = (
    test_loops.test_what_people_live_with_is_counted_in_the_answer_and_in_the_evidence
)
