"""Decorators, options and workers."""

import sys
from typing import Any

import pytest

from runwright.client.blocking import SyncContext
from runwright.client.context import Context
from runwright.client.handlers import Handler, job
from runwright.client.worker import Worker, load_worker


@job
async def send_welcome_mail(ctx: Context, payload: dict[str, Any]) -> str:
    """Send a mail.

    More.
    """
    return f"to {payload['to']}"


@job(slug="tidy", max_attempts=5, timeout_secs=60, queue="slow", retry_strategy="custom", retry_delays_secs=(1, 2))
def tidy_up(ctx: SyncContext, payload: dict[str, Any]) -> int:
    return 1


def test_a_handler_names_its_job_after_its_function():
    assert send_welcome_mail.options.given() == {"slug": "send-welcome-mail", "description": "Send a mail."}
    assert send_welcome_mail.is_async
    assert send_welcome_mail.__doc__ == "Send a mail.\n\n    More.\n    "


def test_options_that_are_given_are_fields_of_the_job_and_others_are_left_to_the_server():
    assert tidy_up.options.given() == {
        "slug": "tidy",
        "max_attempts": 5,
        "timeout_secs": 60,
        "queue": "slow",
        "retry_strategy": "custom",
        "retry_delays_secs": [1, 2],
    }
    assert not tidy_up.is_async


async def test_a_handler_is_still_the_function():
    class Nobody(Context):
        def __init__(self) -> None:
            pass

    assert await send_welcome_mail(Nobody(), {"to": "a"}) == "to a"


@pytest.mark.parametrize(
    "options",
    [
        {"max_attempts": 0},
        {"timeout_secs": "60"},
        {"timeout_secs": 0.5},
        {"retry_strategy": "sometimes"},
        {"slug": "Not A Slug"},
        {"priority": 11},
        {"retry_delays_secs": [-1]},
        {"rerun_unknown_steps": 1},
    ],
)
def test_an_option_that_the_api_would_refuse_is_refused_at_once(options):
    with pytest.raises(ValueError, match=r"options of the handler 'tidy'"):

        @job(**options)
        def tidy(ctx: SyncContext) -> None: ...


def test_an_unknown_option_is_refused():
    with pytest.raises(TypeError, match="retries"):
        job(retries=3)(lambda ctx: None)  # type: ignore[call-overload]


def test_a_function_that_cannot_be_a_handler_is_refused():
    with pytest.raises(TypeError, match="context"):
        job(lambda: None)  # type: ignore[arg-type, misc]
    with pytest.raises(TypeError, match="context"):
        job(lambda ctx, payload, more: None)
    with pytest.raises(TypeError, match="keyword-only"):

        @job
        def needs_more(ctx: SyncContext, *, more: int) -> None: ...


class Unreadable:
    pass


def test_a_worker_refuses_what_it_could_not_run():
    @job(slug="tidy")
    def other(ctx: SyncContext) -> None: ...

    @job
    def unreadable(ctx: SyncContext, payload: Unreadable) -> None: ...

    with pytest.raises(ValueError, match="'tidy'"):
        Worker([tidy_up, other])
    with pytest.raises(TypeError, match="decorated with @job"):
        Worker([lambda ctx: None])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="Unreadable"):
        Worker([unreadable])


def test_a_worker_is_found_by_module_and_name(tmp_path, monkeypatch):
    (tmp_path / "some_jobs.py").write_text(
        "from runwright import Worker, job\n@job\ndef a(ctx): ...\napp = Worker([a])\nnothing = 3\n"
    )
    (tmp_path / "broken_jobs.py").write_text("import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(load_worker("some_jobs:app").handlers) == ["a"]
    assert list(load_worker("some_jobs:a").handlers) == ["a"]
    with pytest.raises(LookupError, match="'nothing'"):
        load_worker("some_jobs:nothing")
    with pytest.raises(LookupError, match="no module 'no_such_jobs'"):
        load_worker("no_such_jobs:app")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
        load_worker("broken_jobs:app")
    sys.modules.pop("some_jobs")


def test_a_handler_shows_what_it_is():
    assert isinstance(tidy_up, Handler)
    assert repr(tidy_up) == "<Handler 'tidy': tidy_up>"
    assert repr(Worker([tidy_up])) == "<Worker tidy>"


def test_what_the_largest_options_are_a_decorator_knows():
    @job(
        slug="a_b-1", name="n" * 255, queue="Q.1_-", max_attempts=100, timeout_secs=86_400, max_concurrency=1_000_000,
        retry_initial_delay_secs=0.5, retry_max_delay_secs=2_592_000, priority=10,
    )  # fmt: skip
    def handler(ctx: SyncContext) -> None: ...

    assert handler.options.given()["retry_initial_delay_secs"] == 0.5
