"""The word for how a job is doing."""

import pytest

from runwright.api.jobs.job_verbs import health_view
from runwright.domain.rollups import Rollup
from runwright.engine.rollups import Stats


@pytest.mark.parametrize(
    ("ends", "word", "rate"),
    [
        ({}, "unknown", None),
        ({"cancelled:user": 5}, "unknown", None),
        ({"completed": 95, "failed:error": 5}, "healthy", 0.95),
        ({"completed": 9, "expired:ttl": 1, "cancelled:user": 50}, "degraded", 0.9),
        ({"completed": 1, "failed:timeout": 1, "failed:crash": 2}, "failing", 0.25),
    ],
)
def test_health_is_a_word_for_the_rate_of_success(ends: dict[str, int], word: str, rate: float | None) -> None:
    told = health_view("job_1", "1h", Stats(0, 3_600_000_000, "minute", [], Rollup(ends=ends), None))
    assert (told.health, told.success_rate) == (word, rate)
    assert (told.timed_out, told.crashed) == (ends.get("failed:timeout", 0), ends.get("failed:crash", 0))
