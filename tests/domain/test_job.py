"""What the fields of a job mean for its runs."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runwright.domain.accounts import Project, slug_of
from runwright.domain.job import JobDefinition
from runwright.domain.job_checks import problems
from runwright.domain.job_terms import Overrides, limits, override_problems, retry_policy
from runwright.domain.retry import RetryPolicy
from runwright.domain.run import Limit


def job(**fields: Any) -> JobDefinition:
    """Return a definition."""
    return JobDefinition(**{"name": "greet", "slug": "greet", **fields})


def project(max_concurrency: int | None = None) -> Project:
    """Return a project."""
    return Project("proj_1", "org_1", "default", "Default", 1.0, max_concurrency, 0)


def test_a_plain_job_retries_by_the_default_policy() -> None:
    assert retry_policy(job()) == RetryPolicy()


def test_seconds_become_milliseconds() -> None:
    delays = {"retry_strategy": "custom", "retry_delays_secs": (0, 0.25, 90), "retry_jitter": "none"}
    policy = retry_policy(job(**delays, retry_initial_delay_secs=0.0015, retry_max_delay_secs=60, max_attempts=7))
    assert policy == RetryPolicy(
        strategy="custom", max_attempts=7, initial_ms=2, max_ms=60_000, delays_ms=(0, 250, 90_000), jitter="none"
    )


def test_what_the_trigger_says_wins() -> None:
    overrides = Overrides(
        max_attempts_override=1, retry_backoff="linear", retry_initial_delay_secs=0, retry_max_delay_secs=5
    )
    policy = retry_policy(job(retry_jitter="full", retry_strategy="custom", retry_delays_secs=(1,)), overrides)
    assert policy == RetryPolicy(strategy="linear", max_attempts=1, initial_ms=0, max_ms=5_000, jitter="full")


def test_a_trigger_cannot_ask_for_delays_that_the_job_lacks() -> None:
    asked = Overrides(retry_backoff="custom")
    assert [problem.path for problem in override_problems(job(), asked)] == ["retry_backoff"]
    given_delays = job(retry_strategy="custom", retry_delays_secs=(1,))
    assert override_problems(given_delays, asked) == []
    assert retry_policy(given_delays, asked).delays_ms == (1_000,)


@pytest.mark.parametrize(
    ("fields", "paths"),
    [
        ({}, []),
        ({"retry_strategy": "custom"}, ["retry_delays_secs"]),
        ({"retry_delays_secs": (1,)}, ["retry_delays_secs"]),
        ({"retry_strategy": "custom", "retry_delays_secs": (1,)}, []),
        ({"slug": "job_019a9f3c2b107abc8def0123456789ab"}, ["slug"]),
        ({"slug": "job_of_the_week"}, []),
    ],
)
def test_fields_that_contradict_each_other_are_named(fields: dict[str, Any], paths: list[str]) -> None:
    assert [problem.path for problem in problems(job(**fields))] == paths


def test_a_job_without_bounds_has_no_limits() -> None:
    assert limits(job(max_concurrency_per_key=2), "job_1", project(), None) == ()


def test_limits_come_in_the_order_of_their_keys() -> None:
    bounded = job(max_concurrency=3, max_concurrency_per_key=1)
    found = limits(bounded, "job_1", project(9), "customer:7")
    assert found == (Limit("job:job_1", 3), Limit("key:job_1:customer:7", 1), Limit("project:proj_1", 9))
    assert list(found) == sorted(found, key=lambda limit: limit.key)
    assert limits(bounded, "job_1", project(), None) == (Limit("job:job_1", 3),)


@given(st.text(max_size=300))
def test_a_suggested_slug_is_a_slug_or_nothing(name: str) -> None:
    slug = slug_of(name)
    assert slug == "" or msgspec.convert({"name": "n", "slug": slug}, JobDefinition).slug == slug
    assert slug_of(slug) == slug
